//! Fake work reports and ends as real work does, and says in a ledger that it ran.

use super::{
    LONG, code, daemon, eventually, has, ledger, lines, result, stderr, terminate, whats, worker,
    write_attempt,
};
use daemon::Daemon;
use protocol::{
    attempt::{Event, EventBody, Outcome},
    output::StageOutput,
    stage::StageKind,
};
use serde_json::{Value, json};
use std::{fs, os::unix::process::ExitStatusExt as _};

/// A small input of each kind of stage.
fn specs() -> [Value; 7] {
    let collect = |stage: &str| {
        json!({"stage": stage, "model": "models/TinyStories-02x0064_01d00", "checkpoint": 1, "data": "data",
               "stats": "stats", "batch_size": 8, "save_every": 4, "device": "cpu"})
    };
    [
        json!({"stage": "prepare", "dataset": "absent", "tokenizer": "builtin", "validation": null,
               "block_size": 16, "shards": 1, "out": "data"}),
        json!({"stage": "train", "config": {}, "data": "data", "out": "models/02x0064_02d00", "init": null,
               "seed": 0, "epochs": 2, "max_steps": null, "batch_size": 4, "learning_rate": 5e-5,
               "weight_decay": 0.1, "max_grad_norm": 1.0, "order": "shuffled", "device": "cpu", "dtype": "f32",
               "resume": true}),
        json!({"stage": "evaluate", "model": "models/02x0064_02d00", "checkpoint": 1, "data": "data",
               "split": "validation", "batch_size": 8, "device": "cpu"}),
        collect("means"),
        collect("vars"),
        collect("decs"),
        json!({"stage": "analyze", "stats": "stats", "models": "models", "only": ["02x0064_02d00", 1],
               "measures": ["loss", "decs"], "min_per_class": 1, "max_per_class": null, "out": null}),
    ]
}

#[test]
fn fake_work_of_every_stage_reports_progress_and_an_output_of_its_kind() {
    let root = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(root.path());
    for (spec, &kind) in specs().into_iter().zip(StageKind::ALL) {
        // All of them have the same root, and each a folder.
        let folder = root.path().join("logs").join(kind.as_str());
        fs::create_dir_all(&folder).unwrap();
        write_attempt(&folder, |file| {
            file.daemon = root.path().join("daemon.json");
            file.spec = serde_json::from_value(spec).unwrap();
        });
        let mut command = worker(&folder, "0.2", &["--json"]);
        let output = command.current_dir(root.path()).env("LC_RESULT_WAIT", "60").output().unwrap();
        assert_eq!(code(&output), Some(0), "{kind}: {}", stderr(&output));
        let Outcome::Succeeded { output: returned } = result(&folder).outcome else {
            panic!("{kind} failed")
        };
        assert_eq!(returned.kind(), kind);
        let mut expected = serde_json::to_value(&returned).unwrap();
        expected.as_object_mut().unwrap().remove("stage");
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), expected);
        let events: Vec<Event> = lines(&folder.join("events.jsonl"));
        let last = events.iter().rev().find_map(|event| match &event.body {
            EventBody::Progress(progress) => Some(progress),
            _ => None,
        });
        assert!(last.is_some_and(|last| last.done == last.total && last.total > 0), "{kind}: {last:?}");
        let curve = events.iter().any(|event| matches!(event.body, EventBody::Metrics { .. }));
        assert_eq!(curve, kind == StageKind::Train, "{kind}");
        if let StageOutput::Analyze(table) = &returned {
            let names: Vec<_> = table.columns.iter().map(String::as_str).collect();
            assert_eq!(names[..4], ["n_params", "val_acc", "val_loss", "perplex"]);
            assert!(names.contains(&"hits"), "{names:?}");
            assert_eq!(table.rows.len(), 1);
            assert_eq!(table.rows[0].model, "02x0064_02d00@1");
            assert!(table.columns.iter().all(|column| table.rows[0].values.contains_key(column)));
        }
        // The record of the daemon is for one attempt alone.
        daemon.with(|record| {
            assert_eq!(std::mem::take(&mut record.results).len(), 1);
            record.events.clear();
            assert!(record.wrong.is_empty(), "{:?}", record.wrong);
        });
    }
    let expected = StageKind::ALL
        .iter()
        .flat_map(|kind| ["started", "finished"].map(|what| (kind.to_string(), what.to_owned())));
    assert_eq!(ledger(root.path()), expected.collect::<Vec<_>>());
    let names: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "neither data nor models: {names:?}");
}

#[test]
fn an_interruption_of_fake_work_is_an_interruption() {
    let root = tempfile::tempdir().unwrap();
    daemon::attempt(root.path());
    let child = worker(root.path(), LONG, &[]).spawn().unwrap();
    eventually("the start", || whats(root.path()) == ["started"]);
    terminate(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(75), "{}", stderr(&output));
    assert!(matches!(result(root.path()).outcome, Outcome::Interrupted { .. }));
    assert_eq!(whats(root.path()), ["started", "interrupted"]);
}

#[test]
fn fake_work_can_end_badly() {
    for (end, code, signal) in [
        ("prepare=exit:3", Some(3), None),
        ("prepare=kill", None, Some(9)),
        ("prepare=fail:no: more disks", Some(1), None),
        ("train=kill", Some(0), None),
    ] {
        let root = tempfile::tempdir().unwrap();
        daemon::attempt(root.path());
        let output = worker(root.path(), "0", &["--fake-fail", end]).output().unwrap();
        assert_eq!(
            (output.status.code(), output.status.signal()),
            (code, signal),
            "{end}: {}",
            stderr(&output)
        );
        assert_eq!(has(root.path(), "result.json"), matches!(code, Some(0 | 1)), "{end}");
        let last = whats(root.path()).pop().unwrap();
        assert_eq!(last, if code == Some(0) { "finished" } else { "failed" }, "{end}");
        if code == Some(1) {
            let expected = Outcome::Failed { message: "no: more disks".into(), permanent: false };
            assert_eq!(result(root.path()).outcome, expected);
        }
    }
}
