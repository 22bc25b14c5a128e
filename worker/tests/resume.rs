//! Interrupted work ends in the bytes of uninterrupted work: real processes, real signals.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const CONFIG: &str = r#"{"model_type": "gpt_neo", "hidden_size": 32, "num_layers": 2, "num_heads": 4,
    "attention_types": [[["global", "local"], 1]], "window_size": 8, "resid_dropout": 0.1, "vocab_size": 512}"#;

fn worker(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lc-worker"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn finish(arguments: &[&str]) {
    let output = worker(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Small data from the golden texts, in `root/data`.
fn prepare(root: &Path) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chunking");
    let file = |name: &str| golden.join(name).to_str().unwrap().to_owned();
    finish(&[
        "prepare",
        "--dataset",
        &file("texts_train.jsonl"),
        "--validation",
        &file("texts_validation.jsonl"),
        "--tokenizer",
        &file("tokenizer.json"),
        "--block-size",
        "64",
        "--out",
        root.join("data").to_str().unwrap(),
    ]);
    fs::write(root.join("config.json"), CONFIG).unwrap();
}

fn train_arguments(root: &Path, out: &str) -> Vec<String> {
    let text = |path: &str| root.join(path).to_str().unwrap().to_owned();
    [
        ["--config", &text("config.json")],
        ["--data", &text("data")],
        ["--out", &text(out)],
        ["--epochs", "4"],
        ["--max-steps", "150"],
        ["--batch-size", "32"],
        ["--learning-rate", "1e-3"],
        ["--seed", "3"],
        ["--device", "cpu"],
    ]
    .concat()
    .iter()
    .map(ToString::to_string)
    .fold(vec!["train".to_owned(), "--resume".to_owned()], |mut all, word| {
        all.push(word);
        all
    })
}

/// Waits until the log has `lines` lines; false if the process ended before.
fn reached(child: &mut Child, log: &Path, lines: usize) -> bool {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if fs::read_to_string(log).is_ok_and(|text| text.lines().count() >= lines) {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(Instant::now() < deadline, "no {lines} lines in {}", log.display());
        sleep(Duration::from_millis(2));
    }
}

/// Everything a later stage reads, by file.
fn results(model: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders: Vec<_> = fs::read_dir(model).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    for folder in folders.into_iter().filter(|path| path.is_dir()) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name.starts_with("checkpoint-"), "{name} was left behind");
        for file in ["config.json", "model.safetensors", "optimizer.safetensors", "trainer_state.json"] {
            all.push((format!("{name}/{file}"), fs::read(folder.join(file)).unwrap()));
        }
    }
    all
}

#[test]
fn training_ends_the_same_however_it_was_interrupted() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    prepare(root);
    let arguments = |out| train_arguments(root, out);
    let borrowed = |words: &[String]| words.to_vec();
    let whole = borrowed(&arguments("whole"));
    finish(&whole.iter().map(String::as_str).collect::<Vec<_>>());
    let expected = results(&root.join("whole"));
    assert_eq!(expected.len(), 4 * 4, "one checkpoint per epoch, of four files each");

    let words = borrowed(&arguments("interrupted"));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let log = root.join("interrupted/train_log.jsonl");
    // A stop writes a checkpoint first; a kill loses the steps since the last one and nothing else.
    for (lines, signal, code) in [
        (7, Signal::SIGTERM, Some(75)),
        (30, Signal::SIGKILL, None),
        (60, Signal::SIGUSR1, Some(75)),
        (100, Signal::SIGKILL, None),
    ] {
        let mut child = worker(&words).spawn().unwrap();
        assert!(reached(&mut child, &log, lines), "ended before step {lines}");
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), code, "{signal}");
    }
    finish(&words);
    let found = results(&root.join("interrupted"));
    assert_eq!(found.len(), expected.len());
    for ((name, bytes), (expected_name, expected_bytes)) in found.iter().zip(&expected) {
        assert_eq!(name, expected_name);
        assert!(bytes == expected_bytes, "{name} differs");
    }
    let steps: Vec<u64> = fs::read_to_string(&log)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, (1..=150).collect::<Vec<_>>(), "every step is logged once");
}

#[test]
fn other_settings_do_not_resume() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    prepare(root);
    let mut words = train_arguments(root, "model");
    words.extend(["--max-steps".to_owned(), "2".to_owned()]);
    words.retain(|word| word != "150");
    words.remove(words.iter().position(|word| word == "--max-steps").unwrap());
    finish(&words.iter().map(String::as_str).collect::<Vec<_>>());
    words.extend(["--weight-decay".to_owned(), "0.1".to_owned()]);
    let output = worker(&words.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("weight_decay 0.0, asked to resume with 0.1"), "{error}");
    assert_eq!(error.trim().lines().count(), 1, "{error}");
}
