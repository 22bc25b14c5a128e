//! The `lc-worker` program at a shell: help, wrong use in one line, exit codes, attempts.

mod daemon;

use assert_cmd::Command;
use daemon::Daemon;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use protocol::attempt::{Outcome, ResultReport};
use std::{
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

const COMMANDS: [&str; 8] =
    ["prepare", "train", "evaluate", "collect", "analyze", "import-stats", "logits", "run"];

fn worker() -> Command {
    let mut command = Command::cargo_bin("lc-worker").unwrap();
    command.env_remove("LC_LOG").env("LC_CLAIM_WAIT", "0").env("LC_RESULT_WAIT", "0");
    command
}

/// Exit code, stdout and stderr.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = worker().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The one line that wrong use gets.
fn refusal(arguments: &[&str]) -> String {
    let (code, stdout, stderr) = run(arguments);
    assert_eq!(code, 2, "{arguments:?}: {stderr}");
    assert_eq!(stdout, "", "{arguments:?}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("error: ") && !stderr.contains("error: error"), "{stderr}");
    stderr.trim_end().to_owned()
}

fn result(folder: &Path) -> ResultReport {
    serde_json::from_slice(&std::fs::read(folder.join("result.json")).unwrap()).unwrap()
}

fn run_attempt(path: &Path) -> (i32, String, String) {
    run(&["run", "--attempt", path.to_str().unwrap()])
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let (code, overview, _) = run(&["--help"]);
    assert_eq!(code, 0);
    for command in COMMANDS {
        assert!(overview.contains(&format!("\n  {command} ")), "{command} is missing:\n{overview}");
        let (code, help, stderr) = run(&[command, "--help"]);
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert!(help.contains(&format!("lc-worker {command} --")), "no example:\n{help}");
        assert!(help.contains("--json"), "{help}");
    }
    let devices = match (cfg!(feature = "cuda"), cfg!(feature = "vulkan")) {
        (false, false) => "cpu",
        (true, false) => "cpu, cuda",
        (false, true) => "cpu, vulkan",
        (true, true) => "cpu, cuda, vulkan",
    };
    assert_eq!(run(&["--version"]).1, format!("lc-worker {} ({devices})\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_says_how_texts_become_sequences() {
    let help = run(&["prepare", "--help"]).1.split_whitespace().collect::<Vec<_>>().join(" ");
    for says in [
        "each run of 1,000 texts is tokenized, concatenated without a separator and cut into sequences",
        "what remains of a run is dropped",
        "or hf:owner/name, downloaded once",
        "a tokenizer.json or a folder with one",
    ] {
        assert!(help.contains(says), "{says}: {help}");
    }
}

#[test]
fn examples_train_what_the_name_of_their_model_says() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    for text in [run(&["train", "--help"]).1, std::fs::read_to_string(readme).unwrap()] {
        let (_, example) = text.split_once("lc-worker train ").unwrap();
        let (example, _) = example.split_once("lc-worker evaluate").unwrap_or((example, ""));
        // One layer or two, width 64, one epoch, weight decay `d`, seed 0.
        assert!(example.contains("x0064_01d00"), "{example}");
        for flag in ["--seed 0", "--weight-decay 0.0005"] {
            assert!(example.contains(flag), "{flag}: {example}");
        }
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn without_cuda_a_gpu_is_refused_with_what_to_build() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["evaluate", "--model", ".", "--data", ".", "--device", "cuda"];
    let output = worker().args(arguments).current_dir(folder.path()).output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{line}");
    assert!(line.contains("`make cuda`") && !line.contains("--features"), "{line}");
}

#[test]
fn what_can_not_be_written_is_refused_by_flag_before_work_begins() {
    // Nobody can make files there, not even root.
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    write("texts.jsonl", "{\"text\": \"Once upon a time\"}\n");
    write("config.json", "{}");
    write("ids.safetensors", "");
    for (flag, path, arguments) in [
        (
            "--out",
            "/proc/m",
            "prepare --dataset texts.jsonl --validation texts.jsonl --tokenizer builtin --out",
        ),
        ("--out", "/proc/m", "train --config config.json --data . --device cpu --out"),
        ("--out", "/proc/m/n", "train --config config.json --data . --device cpu --out"),
        ("--out", "config.json", "train --config config.json --data . --device cpu --out"),
        ("--out", "/proc/m.csv", "analyze --stats . --models . --out"),
        ("--per-class", "/proc/m.csv", "analyze --stats . --models . --per-class"),
        ("--out", "/proc/m", "logits --model . --input ids.safetensors --device cpu --out"),
    ] {
        let output =
            worker().args(arguments.split(' ')).arg(path).current_dir(folder.path()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let errors: Vec<_> = text.lines().filter(|line| line.starts_with("error: ")).collect();
        let [line] = errors[..] else { panic!("{arguments}: {text}") };
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(line.starts_with(&format!("error: {flag} {path}: no file can be made in ")), "{line}");
        assert!(line.ends_with("choose another folder"), "{line}");
    }
}

#[test]
fn wrong_arguments_get_one_line_that_names_them() {
    assert_eq!(refusal(&[]), "error: a command is missing; see 'lc-worker --help'");
    assert_eq!(
        refusal(&["trian"]),
        "error: unknown command 'trian', did you mean 'train'? see 'lc-worker --help'"
    );
    assert_eq!(
        refusal(&["train", "--foo"]),
        "error: unexpected argument '--foo'; see 'lc-worker train --help'"
    );
    assert_eq!(
        refusal(&["train", "--learning-rat", "1"]),
        "error: unexpected argument '--learning-rat', did you mean '--learning-rate'? see 'lc-worker train --help'"
    );
    assert_eq!(
        refusal(&["evaluate", "--model"]),
        "error: a value is missing for '--model <MODEL_DIR>'; see 'lc-worker evaluate --help'"
    );
    assert_eq!(
        refusal(&["evaluate", "--model", "."]),
        "error: missing --data <DATA_DIR>; see 'lc-worker evaluate --help'"
    );
    let twice = refusal(&["evaluate", "--data", ".", "--data", "."]);
    assert!(twice.contains("'--data <DATA_DIR>'"), "{twice}");
    assert!(refusal(&["analyze", "--stats", ".", "--models", "."]).contains("--out <RESULTS.csv>"));
    assert!(refusal(&["analyze", "--list", "--progress"]).contains("cannot be used with"));
}

#[test]
fn values_out_of_range_name_the_flag_and_what_is_accepted() {
    for (arguments, flag, accepted) in [
        ("train --batch-size 0", "--batch-size <N>", "from 1 up"),
        ("train --epochs 0", "--epochs <N>", "from 1 up"),
        ("train --epochs 1.5", "--epochs <N>", "from 1 up"),
        ("train --max-steps 0", "--max-steps <N>", "from 1 up"),
        ("train --learning-rate -1", "--learning-rate <RATE>", "from 0 up"),
        ("train --learning-rate nan", "--learning-rate <RATE>", "from 0 up"),
        ("train --weight-decay -0.1", "--weight-decay <DECAY>", "from 0 up"),
        ("train --max-grad-norm 0", "--max-grad-norm <NORM>", "above 0"),
        ("train --order random", "--order", "shuffled, sequential or an existing JSON file"),
        ("train --dtype f16", "--dtype <DTYPE>", "accepted: f32, bf16"),
        ("train --device gpu", "--device <DEVICE>", "auto, cpu, cuda, cuda:N or vulkan"),
        ("evaluate --split test", "--split <SPLIT>", "accepted: train, validation"),
        ("evaluate --checkpoint -1", "--checkpoint <C>", "from 0 up"),
        ("train --seed 4294967296", "--seed <N>", "from 0 up"),
        ("train --config absent.json", "--config <CONFIG.json>", "no such file"),
        ("collect --data absent", "--data <DATA_DIR>", "no such folder"),
        ("analyze --models absent", "--models <MODELS_DIR>", "no such folder"),
        ("run --attempt absent.json", "--attempt absent.json", "no such file"),
        ("run --fake-work -1", "--fake-work <SECONDS>", "from 0 up"),
        ("run --fake-fail train=exit:x", "--fake-fail <STAGE=END>", "STAGE=exit:CODE"),
        ("collect --stage median", "--stage <STAGE>", "accepted: means, vars, decs"),
        ("collect --save-every 0", "--save-every <BATCHES>", "from 1 up"),
        ("prepare --block-size 1", "--block-size <TOKENS>", "from 2 up"),
        ("import-stats --from absent", "--from <FILE_OR_FOLDER>...", "no such file or folder"),
        ("analyze --out results.xlsx", "--out <RESULTS.csv>", "ends in .csv"),
        ("analyze --min-per-class 0", "--min-per-class <N>", "from 1 up"),
    ] {
        let line = refusal(&arguments.split(' ').collect::<Vec<_>>());
        assert!(line.contains(flag) && line.contains(accepted), "{arguments}: {line}");
    }
}

#[test]
fn only_texts_need_a_tokenizer() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("texts.jsonl"), "").unwrap();
    let refused = |dataset: &str| {
        refusal(&[
            "prepare",
            "--dataset",
            dataset,
            "--validation",
            &path("texts.jsonl"),
            "--out",
            &path("data"),
        ])
    };
    assert!(refused(&path("texts.jsonl")).contains("missing --tokenizer <TOKENIZER>, which texts need"));
    assert!(refused(&path("absent.safetensors")).contains("no such file or folder"));
}

#[test]
fn the_measures_are_listed_by_group() {
    let (code, lines, _) = run(&["analyze", "--list"]);
    assert_eq!(code, 0);
    let (_, json, _) = run(&["analyze", "--list", "--json"]);
    let listed: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    let names: Vec<_> = listed.iter().map(|group| group["name"].as_str().unwrap()).collect();
    for group in ["all", "loss", "nor", "etf", "kern-log", "kern-riesz", "snr", "dual", "decs"] {
        assert!(names.contains(&group), "{group} is missing:\n{json}");
        assert!(
            lines.lines().any(|line| line.starts_with(&format!("{group} "))),
            "{group} is missing:\n{lines}"
        );
    }
}

#[test]
fn a_configuration_that_can_not_be_one_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let out = folder.path().join("model");
    let (config, out) = (config.to_str().unwrap(), out.to_str().unwrap());
    let arguments = ["train", "--config", config, "--data", ".", "--out", out];
    for content in ["[1]", "{"] {
        std::fs::write(config, content).unwrap();
        let line = refusal(&arguments);
        assert!(line.contains("config.json: "), "{line}");
    }
    std::fs::write(config, r#"{"num_layers": "two"}"#).unwrap();
    let line = refusal(&arguments);
    assert!(line.contains("config.json: num_layers: invalid type: string \"two\", expected usize"), "{line}");
    assert!(!Path::new(out).exists());
}

#[test]
fn a_failed_attempt_leaves_its_reason_and_exit_code_and_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(folder.path());
    let path = daemon::attempt(folder.path());
    let output = worker()
        .args(["run", "--attempt", path.to_str().unwrap()])
        .env("LC_RESULT_WAIT", "60")
        .env("SLURM_JOB_ID", "4242")
        .env("SLURM_ARRAY_JOB_ID", "4235")
        .env("SLURM_ARRAY_TASK_ID", "7")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let written = result(folder.path());
    let Outcome::Failed { message, permanent } = &written.outcome else { panic!("{written:?}") };
    assert!(message.contains("absent.jsonl"), "{message}");
    assert_eq!(output.status.code(), Some(if *permanent { 2 } else { 1 }), "{stderr}");
    assert!(stderr.contains(&format!("error: {message}")), "{stderr}");
    daemon.with(|record| {
        assert_eq!(record.results.as_slice(), std::slice::from_ref(&written));
        let slurm = record.claims[0].process.slurm.clone().unwrap();
        assert_eq!((slurm.job_id, slurm.array_job_id), (4242, Some(4235)));
        assert_eq!((slurm.array_task, slurm.restart_count), (Some(7), 0));
        assert!(record.wrong.is_empty(), "{:?}", record.wrong);
    });

    assert_eq!(run_attempt(&path), (0, String::new(), String::new()));
    daemon.with(|record| assert_eq!((record.claims.len(), record.results.len()), (1, 1)));
}

#[test]
fn an_attempt_goes_on_alone_when_no_daemon_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = daemon::attempt(folder.path());
    let (_, _, stderr) = run_attempt(&path);
    assert!(stderr.contains("daemon not reachable, going on alone"), "{stderr}");
    assert!(matches!(result(folder.path()).outcome, Outcome::Failed { .. }));
    let events = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    assert!(events.contains("going on alone"), "{events}");
}

#[test]
fn a_refused_claim_ends_the_worker_before_it_touches_anything() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(folder.path());
    daemon.with(|record| record.refusing = vec!["claim"]);
    let (code, stdout, stderr) = run_attempt(&daemon::attempt(folder.path()));
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(stderr, "error: the daemon refused this attempt: another worker holds this attempt now\n");
    let mut files: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["attempt.json", "daemon.json", "lock"]);
}

#[test]
fn a_signal_ends_an_attempt_as_resumable() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1] {
        let folder = tempfile::tempdir().unwrap();
        let path = daemon::attempt(folder.path());
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_lc-worker"))
            .args(["run", "--attempt"])
            .arg(&path)
            .env("LC_CLAIM_WAIT", "600")
            .env("LC_RESULT_WAIT", "0")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The lock is taken after the signals are watched, and the claim waits for a daemon.
        let end = Instant::now() + Duration::from_secs(60);
        while !folder.path().join("lock").exists() {
            assert!(Instant::now() < end, "the worker does not start");
            thread::sleep(Duration::from_millis(5));
        }
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(75), "{signal}");
        assert!(matches!(result(folder.path()).outcome, Outcome::Interrupted { .. }), "{signal}");
    }
}
