//! Wrong use and help of the real `lcctl`: no daemon is needed, and none may be started.

use assert_cmd::Command;
use std::path::Path;

/// `lcctl` with a home of its own.
fn lcctl(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lcctl"));
    command.env_clear().env("HOME", home).env("LC_ROOT", home.join("root")).current_dir(home);
    command
}

/// Runs `lcctl` and gives exit code, standard output and standard error.
fn run(home: &Path, args: &[&str]) -> (i32, String, String) {
    let output = lcctl(home).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The one line of wrong use: exit code 2, nothing on standard output, nothing left behind.
fn refused(home: &Path, args: &[&str]) -> String {
    let (code, stdout, stderr) = run(home, args);
    assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    assert!(!home.join("root").exists(), "{args:?} started something");
    stderr.trim_end().to_owned()
}

#[test]
fn an_unknown_flag_is_one_line_with_what_was_meant() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(
        refused(home.path(), &["sweep", "--widht", "64"]),
        "error: unexpected argument '--widht'; did you mean '--width'? see 'lcctl sweep --help'"
    );
    assert_eq!(
        refused(home.path(), &["stauts"]),
        "error: unknown command 'stauts'; did you mean 'status'? see 'lcctl --help'"
    );
}

#[test]
fn a_bad_value_names_flag_and_accepted_values() {
    let home = tempfile::tempdir().unwrap();
    let refused = |args: &[&str]| refused(home.path(), args);
    assert!(refused(&["sweep", "--order", "random"]).contains("accepted: shuffled, sequential"));
    assert!(refused(&["sweep", "--width", ""]).contains("holds no value"));
    assert!(
        refused(&["sweep", "--depth", "1", "--device", "gpu"])
            .contains("use auto, cpu, cuda, cuda:N or vulkan")
    );
    assert!(refused(&["sweep", "--depth", "1", "--learning-rate", "nan"]).contains("at least 0"));
    assert!(refused(&["logs", "a", "trane"]).contains("accepted: prepare, train, evaluate"));
    assert!(refused(&["export", "a", "--out", "a.xls"]).contains("accepted: csv, json, parquet"));
    assert!(refused(&["serve", "--listen", "everywhere"]).contains("--listen"));
    assert!(refused(&["serve", "--slots", "many"]).contains("expected a whole number from 0 up"));
    assert!(refused(&["tick", "--slots", "many"]).contains("expected a whole number from 0 up"));
    for (flag, value) in
        [("--block-size", "4g"), ("--batch-size", "-3"), ("--max-steps", "0"), ("--attempts", "x")]
    {
        let line = refused(&["sweep", "--depth", "1", flag, value]);
        assert!(
            line.contains(&format!("'{value}' for '{flag} <N>': expected a whole number from ")),
            "{line}"
        );
    }
    assert!(refused(&["sweep", "--depth", "-1"]).contains("\"-1\" is neither a whole number nor a range"));
    let line = refused(&["sweep", "--width", "64..768"]);
    assert!(line.contains("doubles to 512 and does not reach 768; write 64..512,768"), "{line}");
}

#[test]
fn a_sweep_of_nothing_is_refused() {
    let home = tempfile::tempdir().unwrap();
    assert!(refused(home.path(), &["sweep", "--heads", "4"]).contains("--depth, --width, --seed"));
}

#[test]
fn a_path_that_leads_nowhere_names_its_flag_or_key() {
    let home = tempfile::tempdir().unwrap();
    let line = refused(home.path(), &["sweep", "--depth", "1", "--dataset", "nowhere"]);
    assert!(line.starts_with("error: --dataset nowhere: no such file or folder"), "{line}");
    std::fs::write(home.path().join("s.toml"), "[data]\ntokenizer = \"nowhere.json\"\n").unwrap();
    let line = refused(home.path(), &["sweep", "s.toml"]);
    assert!(line.contains("s.toml: data.tokenizer = "), "{line}");
    let line = refused(home.path(), &["sweep", "missing.toml"]);
    assert!(line.contains("can't read missing.toml"), "{line}");
}

#[test]
fn texts_of_ones_own_need_a_tokenizer_that_is_named() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("texts.txt"), "once").unwrap();
    std::fs::write(home.path().join("ids.safetensors"), "").unwrap();
    std::fs::write(home.path().join("s.toml"), "[data]\ndataset = \"texts.txt\"\n").unwrap();
    let own = ["sweep", "--depth", "1", "--dataset"];
    for args in [&[&own[..], &["texts.txt"]].concat()[..], &["sweep", "s.toml"]] {
        let line = refused(home.path(), args);
        assert!(
            line.starts_with("error: missing --tokenizer, which texts need; accepted: builtin, "),
            "{line}"
        );
    }
    for (dataset, more) in [("ids.safetensors", &[][..]), ("texts.txt", &["--tokenizer", "builtin"])] {
        let (_, _, stderr) = run(home.path(), &[&own[..], &[dataset, "--no-start"], more].concat());
        assert!(stderr.contains("no daemon runs for"), "{stderr}");
    }
}

#[test]
fn a_study_file_with_an_unknown_key_is_refused_with_line_and_accepted_keys() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("s.toml"), "name = \"s\"\n[grid]\nwidht = 64\n").unwrap();
    let line = refused(home.path(), &["sweep", "s.toml"]);
    assert!(
        line.starts_with("error: s.toml line 3: unknown key 'widht'; accepted keys: 'depth', 'width'"),
        "{line}"
    );
    std::fs::write(home.path().join("s.toml"), [b'n', 0xff]).unwrap();
    assert!(refused(home.path(), &["sweep", "s.toml"]).contains("s.toml"));
}

#[test]
fn a_wrong_user_configuration_is_named_by_every_command() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join(".config/lcctl");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "slot = 3\n").unwrap();
    let line = refused(home.path(), &["status"]);
    assert!(
        line.contains("config.toml line 1: unknown key 'slot'; accepted keys: 'root', 'listen'"),
        "{line}"
    );
    std::fs::write(config.join("config.toml"), "listen = \"localhost:8642\"\n").unwrap();
    let line = refused(home.path(), &["status"]);
    assert!(
        line.contains(
            "config.toml line 1: listen = \"localhost:8642\": expected an address in numbers and a port"
        ),
        "{line}"
    );
}

#[test]
fn without_a_daemon_and_leave_to_start_one_a_command_fails() {
    let home = tempfile::tempdir().unwrap();
    let (code, stdout, stderr) = run(home.path(), &["status", "--no-start"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("no daemon runs for") && stderr.contains("lcctl serve"), "{stderr}");
    assert!(!home.path().join("root").exists());
}

#[test]
fn stopping_what_does_not_run_is_done_already() {
    let home = tempfile::tempdir().unwrap();
    let (code, stdout, _) = run(home.path(), &["stop"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("no daemon runs for"), "{stdout}");
    let (_, stdout, _) = run(home.path(), &["stop", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(value["running"], false);
}

#[test]
fn a_tilde_that_no_shell_has_replaced_is_the_home() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join(".config/lcctl");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "root = \"~/of-file\"\nworker = \"~/worker\"\n").unwrap();
    let root = |lcctl: &mut Command| {
        let output = lcctl.args(["stop", "--json"]).output().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        value["root"].as_str().unwrap().to_owned()
    };
    let of = |name: &str| home.path().join(name).display().to_string();
    assert_eq!(root(lcctl(home.path()).env_remove("LC_ROOT")), of("of-file"));
    assert_eq!(root(lcctl(home.path()).env("LC_ROOT", "~/of-variable")), of("of-variable"));
    let (_, stdout, _) = run(home.path(), &["doctor"]);
    assert!(stdout.contains(&format!("{} is not a program", of("worker"))), "{stdout}");
    let line = refused(home.path(), &["sweep", "--depth", "1", "--dataset", "~/texts"]);
    assert!(line.starts_with("error: --dataset ~/texts: no such file or folder"), "{line}");
    std::fs::write(home.path().join("s.toml"), "[data]\ndataset = \"~/texts\"\n").unwrap();
    let line = refused(home.path(), &["sweep", "s.toml"]);
    assert!(line.contains(&format!("data.dataset = \"{}\"", of("texts"))), "{line}");
}

#[test]
fn help_names_examples_and_exit_codes() {
    let home = tempfile::tempdir().unwrap();
    let (code, stdout, stderr) = run(home.path(), &["--help"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for needed in ["Examples:", "Exit codes:", "wrong use", "LC_ROOT", "completions"] {
        assert!(stdout.contains(needed), "{needed}: {stdout}");
    }
    assert!(run(home.path(), &["sweep", "--help"]).1.contains("--max-grad-norm"));
    assert_eq!(run(home.path(), &[]).0, 2);
}

#[test]
fn completions_depend_on_no_file() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join(".config/lcctl");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "broken = [").unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (code, stdout, _) = run(home.path(), &["completions", shell]);
        assert_eq!(code, 0);
        assert!(stdout.contains("lcctl") && stdout.contains("max-grad-norm"), "{shell}");
    }
}

#[test]
fn what_is_no_json_is_not_asked_for_as_json() {
    let home = tempfile::tempdir().unwrap();
    assert!(refused(home.path(), &["completions", "bash", "--json"]).contains("leave out --json"));
    let line = refused(home.path(), &["logs", "01x0032_01d00", "--follow", "--json"]);
    assert!(line.contains("leave one of them out"), "{line}");
}

#[test]
fn a_bad_value_of_a_variable_names_the_variable() {
    let home = tempfile::tempdir().unwrap();
    let refused = |variable: &str, value: &str, args: &[&str]| {
        let output = lcctl(home.path()).env(variable, value).args(args).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(!home.path().join("root").exists(), "{args:?} started something");
        stderr.trim_end().to_owned()
    };
    let line = refused("LC_SLOTS", "many", &["serve"]);
    assert!(line.starts_with("error: invalid value 'many' for LC_SLOTS: "), "{line}");
    let line = refused("LC_SLOTS", "many", &["serve", "--slots", "few"]);
    assert!(line.starts_with("error: invalid value 'few' for '--slots <N>': "), "{line}");
    for address in ["localhost:8642", "abc"] {
        let line = refused("LC_LISTEN", address, &["serve"]);
        let told = format!(
            "error: invalid value '{address}' for LC_LISTEN: expected an address in numbers and a port, "
        );
        assert!(line.starts_with(&told), "{line}");
    }
    let line = refused("LC_DEVICE", "gpu", &["sweep", "--depth", "1"]);
    assert!(line.starts_with("error: invalid value 'gpu' for LC_DEVICE: "), "{line}");
    for args in [&["serve"][..], &["status"]] {
        let line = refused("LC_PROFILE", "nowhere.toml", args);
        assert!(
            line.starts_with("error: LC_PROFILE: nowhere.toml: no such file; accepted: a file, generic"),
            "{line}"
        );
    }
    let output = lcctl(home.path()).env("LC_WORKER", "/nowhere").arg("doctor").output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("LC_WORKER: /nowhere is not a program"), "{stdout}");
}

#[test]
fn an_unknown_word_in_a_file_is_no_key() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("s.toml"), "[[resources.rules]]\nstages = [\"trian\"]\n").unwrap();
    let line = refused(home.path(), &["sweep", "s.toml"]);
    let told = "s.toml line 2: stages = [\"trian\"]: unknown variant 'trian'; accepted: 'prepare', 'train'";
    assert!(line.contains(told), "{line}");
}

#[test]
fn doctor_checks_the_study_and_the_root() {
    let home = tempfile::tempdir().unwrap();
    let doctor = |args: &[&str]| {
        let output =
            lcctl(home.path()).env("LC_WORKER", "/bin/true").arg("doctor").args(args).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let study = |text: &str| std::fs::write(home.path().join("s.toml"), text).unwrap();
    study("[grid]\nwidth = \"64..256\"\nseed = \"0..4\"\n");
    let (code, stdout) = doctor(&["s.toml"]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("ok       study       s: 15 runs"), "{stdout}");
    study("[grid]\nwidth = 30\n[training]\norder = \"random\"\n");
    let (code, stdout) = doctor(&["s.toml"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("PROBLEM  study       s.toml: grid.width: 30 is not divisible"), "{stdout}");
    assert!(stdout.contains("PROBLEM  study       s.toml: training.order"), "{stdout}");
    study("[data]\ndataset = \"nowhere\"\n");
    let (code, stdout) = doctor(&["s.toml"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("data.dataset = ") && stdout.contains("no such file or folder"), "{stdout}");

    std::fs::write(home.path().join("file"), "").unwrap();
    let (code, stdout) = doctor(&["--root", "file"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("PROBLEM  root") && stdout.contains("is no folder"), "{stdout}");
    assert!(!home.path().join("root").exists(), "nothing is changed");
}

#[test]
fn one_order_decides_which_worker_is_used() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join(".config/lcctl");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(home.path().join("p.toml"), "worker = \"/bin/false\"\n").unwrap();
    let told = |args: &[&str]| {
        let stdout = run(home.path(), &[&["doctor", "--profile", "p.toml"], args].concat()).1;
        stdout.lines().find(|line| line.contains(" worker ")).unwrap().to_owned()
    };
    assert!(told(&[]).contains(" /bin/false"), "the profile's");
    std::fs::write(config.join("config.toml"), "worker = \"/bin/true\"\n").unwrap();
    assert!(told(&[]).contains(" /bin/true"), "the configuration goes over it");
    assert!(told(&["--worker", "/bin/cat"]).contains(" /bin/cat"), "a flag over both");
    std::fs::remove_file(config.join("config.toml")).unwrap();
    std::fs::write(home.path().join("p.toml"), "worker = \"/nowhere\"\n").unwrap();
    let line = told(&[]);
    assert!(
        line.starts_with("PROBLEM") && line.contains("p.toml: worker = \"/nowhere\" is not a program"),
        "{line}"
    );
}
