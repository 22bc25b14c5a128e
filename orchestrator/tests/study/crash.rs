//! Killed processes lose nothing and repeat nothing.

use super::{place::Place, waiting};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use protocol::{
    attempt::AttemptFile,
    stage::{AttemptState, StageKind, StageState},
};
use std::{fs, thread::sleep, time::Duration};

fn kill_9(pid: u32) {
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
}

/// Waits until `found` gives something.
fn wait<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    waiting::wait(what, Duration::from_secs(180), Duration::from_millis(20), found, String::new)
}

#[test]
fn a_study_survives_the_death_of_its_daemon_and_of_a_worker() {
    let place = Place::new();
    place.run(&[
        "sweep",
        "--name",
        "crash",
        "--width",
        "16,32",
        "--seed",
        "0,1",
        "--heads",
        "4",
        "--block-size",
        "64",
        "--batch-size",
        "8",
        "--learning-rate",
        "1e-3",
        "--max-steps",
        "400",
        "--device",
        "cpu",
    ]);

    // A worker dies in the middle of its training, and the daemon with it.
    let log = |run: &str| place.root().join("models").join(run).join("train_log.jsonl");
    let steps = |run: &str| fs::read_to_string(log(run)).map_or(0, |text| text.lines().count());
    let first = "01x0016_01d00";
    wait("step of the first run", || (steps(first) > 10).then_some(()));
    let worker = *place.workers("train").first().expect("a worker in training");
    kill_9(place.daemon());
    kill_9(worker);
    wait("end of the worker", || place.workers("train").is_empty().then_some(()));
    assert!(steps(first) < 400, "the worker was killed in time");

    // The next client starts a daemon. It dies alone, with a worker at work that outlives it.
    place.run(&["status"]);
    let second = "01x0016_01d01";
    wait("step of the second run", || (steps(second) > 10).then_some(()));
    let survivor = *place.workers("train").first().expect("a worker in training");
    kill_9(place.daemon());
    sleep(Duration::from_millis(500));
    assert!(place.workers("train").contains(&survivor) || steps(second) == 400, "the worker goes on alone");

    place.run(&["watch", "crash"]);

    let study = place.study("crash");
    assert_eq!(study.runs.len(), 4);
    for run in &study.runs {
        assert_eq!(run.stages.len(), 7);
        assert!(run.stages.iter().all(|stage| stage.state == StageState::Done), "{}", run.identifier);
        let detail = place.show(&run.name);
        for stage in &run.stages {
            let states: Vec<_> =
                detail.attempts.iter().filter(|a| a.stage == stage.id).map(|a| a.state).collect();
            // Killed was one worker alone: the first in training. Every other stage took one try.
            let expected = if run.name == first && stage.kind == StageKind::Train {
                vec![AttemptState::Lost, AttemptState::Succeeded]
            } else {
                vec![AttemptState::Succeeded]
            };
            assert_eq!(states, expected, "{} {}", run.name, stage.kind);
        }
        let lines = fs::read_to_string(log(&run.name)).unwrap();
        let logged: Vec<u64> = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap())
            .collect();
        assert_eq!(logged, (1..=400).collect::<Vec<_>>(), "{}", run.name);
    }
    let rows = place.results("crash");
    assert_eq!(rows.len(), 4);

    // What was interrupted ended as if it had not been: the same training, alone, gives the same bytes.
    let folders = fs::read_dir(place.root().join("logs/train")).unwrap();
    let attempt = folders
        .map(|entry| fs::read(entry.unwrap().path().join("attempt.json")).unwrap())
        .map(|bytes| serde_json::from_slice::<AttemptFile>(&bytes).unwrap())
        .find(|attempt| serde_json::to_string(&attempt.spec).unwrap().contains(first))
        .unwrap();
    let protocol::spec::StageSpec::Train(spec) = attempt.spec else { panic!("an attempt at training") };
    let alone = place.root().join("alone");
    let config = place.root().join("config.json");
    fs::write(&config, serde_json::to_vec(&spec.config).unwrap()).unwrap();
    let worker = std::path::Path::new(env!("CARGO_BIN_EXE_lcctl")).with_file_name("lc-worker");
    let output = std::process::Command::new(worker)
        .args(["train", "--max-steps", "400", "--batch-size", "8", "--learning-rate", "1e-3", "--seed", "0"])
        .args(["--weight-decay", &spec.weight_decay.to_string(), "--device", "cpu", "--data"])
        .arg(&spec.data)
        .arg("--config")
        .arg(&config)
        .arg("--out")
        .arg(&alone)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let weights = |model: &std::path::Path| fs::read(model.join("checkpoint-400/model.safetensors")).unwrap();
    assert!(weights(&alone) == weights(&spec.out), "the weights differ");
}
