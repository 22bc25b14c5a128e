//! The commands one after the other, as a person or a script uses them.

mod daemon;

use assert_cmd::Command;
use daemon::Daemon;
use protocol::{
    attempt::{AttemptFile, EventBody, Outcome},
    output::{AnalyzeOutput, CollectOutput, EvaluateOutput, PrepareOutput, StageOutput, TrainOutput},
    spec::{EvaluateSpec, StageSpec},
};
use serde::de::DeserializeOwned;
use std::path::Path;

const CHUNKING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/chunking");

/// Runs a command in `folder` and gives its standard output.
fn succeed(folder: &Path, arguments: &str) -> String {
    let output = Command::cargo_bin("lc-worker")
        .unwrap()
        .env_remove("LC_LOG")
        .current_dir(folder)
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The same with `--json`: one value on one line.
fn json<T: DeserializeOwned>(folder: &Path, arguments: &str) -> T {
    let text = succeed(folder, &format!("{arguments} --json"));
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Prepares data and trains a small model in `folder`.
fn prepare_and_train(folder: &Path) -> (PrepareOutput, TrainOutput) {
    let prepared = json(
        folder,
        &format!(
            "prepare --dataset {CHUNKING}/texts_train.jsonl --validation {CHUNKING}/texts_validation.jsonl \
             --tokenizer {CHUNKING}/tokenizer.json --block-size 64 --out data"
        ),
    );
    let config =
        r#"{"hidden_size": 16, "num_layers": 1, "num_heads": 2, "attention_types": [[["global"], 1]]}"#;
    std::fs::write(folder.join("config.json"), config).unwrap();
    let trained = json(
        folder,
        "train --config config.json --data data --out models/01x0016_01n00 --max-steps 3 --batch-size 4 \
         --device cpu",
    );
    (prepared, trained)
}

#[test]
fn a_study_can_be_done_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let (prepared, trained) = prepare_and_train(here);
    assert_eq!(prepared.block_size, 64);
    assert_eq!(prepared.splits.keys().collect::<Vec<_>>(), ["train", "validation"]);
    assert_eq!((trained.steps, trained.checkpoints.len()), (3, 1));

    let model = "--model models/01x0016_01n00 --checkpoint 0 --data data --device cpu";
    let evaluated: EvaluateOutput = json(here, &format!("evaluate {model}"));
    assert_eq!(evaluated.eval_samples, prepared.splits["validation"].sequences);
    let collected = ["means", "vars", "decs"].map(|stage| -> CollectOutput {
        json(here, &format!("collect --stage {stage} {model} --stats stats --batch-size 8"))
    });
    assert_eq!(collected[0].tokens, prepared.splits["train"].targets);
    assert!(collected.iter().all(|output| output.hash == collected[0].hash));

    let analyze = "analyze --stats stats --models models";
    let progress: serde_json::Value = json(here, &format!("{analyze} --progress"));
    assert_eq!(progress[0]["model"], "01x0016_01n00@0");
    assert_eq!(progress[0]["means"], prepared.splits["train"].sequences);
    assert!(succeed(here, &format!("{analyze} --progress")).contains("01x0016_01n00@0"));
    let analyzed: AnalyzeOutput =
        json(here, &format!("{analyze} --measures loss,nor --measures decs --out results.csv"));
    assert_eq!(analyzed.rows.len(), 1);
    let header = std::fs::read_to_string(here.join("results.csv")).unwrap();
    let header: Vec<_> = header.lines().next().unwrap().split(',').skip(1).map(str::to_owned).collect();
    assert_eq!(header, analyzed.columns);
    assert!(header.contains(&"hits".to_owned()) && !header.contains(&"cdnv".to_owned()), "{header:?}");
}

#[test]
fn a_perplexity_beyond_all_numbers_is_written_as_python_does() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    prepare_and_train(here);
    let config = r#"{"hidden_size": 16, "num_layers": 1, "num_heads": 2, "attention_types": [[["global"], 1]],
                     "initializer_range": 1000}"#;
    std::fs::write(here.join("config.json"), config).unwrap();
    succeed(
        here,
        "train --config config.json --data data --out models/large --max-steps 1 --batch-size 4 --learning-rate 0 \
         --device cpu",
    );
    let model = "--model models/large --data data --device cpu";
    let evaluated: EvaluateOutput = json(here, &format!("evaluate {model}"));
    assert!(evaluated.eval_loss.0.is_finite() && evaluated.perplexity.0 == f64::INFINITY, "{evaluated:?}");
    let text = std::fs::read_to_string(here.join("models/large/checkpoint-1/eval_results.json")).unwrap();
    assert!(text.contains("\"perplexity\": Infinity"), "{text}");
    succeed(here, &format!("collect --stage means {model} --stats stats"));
    let analyze = "analyze --stats stats --models models --measures loss";
    let analyzed: AnalyzeOutput = json(here, analyze);
    assert_eq!(analyzed.rows[0].values["perplex"], evaluated.perplexity);
    assert_eq!(analyzed.rows[0].values["val_loss"], evaluated.eval_loss);
}

#[test]
fn an_attempt_that_succeeds_reports_progress_and_its_output() {
    let folder = tempfile::tempdir().unwrap();
    prepare_and_train(folder.path());
    let daemon = Daemon::start();
    daemon.announce(folder.path());
    let path = daemon::attempt(folder.path());
    let mut attempt: AttemptFile = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    attempt.spec = StageSpec::Evaluate(EvaluateSpec {
        model: folder.path().join("models/01x0016_01n00"),
        checkpoint: None,
        data: folder.path().join("data"),
        split: "train".into(),
        batch_size: 16,
        device: "cpu".into(),
    });
    std::fs::write(&path, serde_json::to_vec(&attempt).unwrap()).unwrap();
    let printed: EvaluateOutput = json(folder.path(), "run --attempt attempt.json");

    daemon.with(|record| {
        assert_eq!((record.claims.len(), record.results.len()), (1, 1));
        let output = StageOutput::Evaluate(printed.clone());
        assert_eq!(record.results[0].outcome, Outcome::Succeeded { output });
        let last = record.events.values().rev().find_map(|event| match &event.body {
            EventBody::Progress(progress) => Some(progress.clone()),
            _ => None,
        });
        let last = last.expect("a progress event");
        assert_eq!(
            (last.done, last.total, last.unit.as_str()),
            (printed.eval_samples, printed.eval_samples, "sequences")
        );
        assert!(record.wrong.is_empty(), "{:?}", record.wrong);
    });
}
