//! What a cluster's queue makes of an attempt: started ahead of its parents' end, interrupted and started again,
//! lost with its node. The work itself is fake, everything around it real.

mod daemon;
mod fake_work;
#[path = "fake_work/pack.rs"]
mod pack;
mod waiting;

use assert_cmd::cargo::CommandCargoExt as _;
use daemon::Daemon;
use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use protocol::{
    attempt::{AttemptFile, Event, NotedExit, Outcome, ResultReport},
    ids::ClaimId,
    output::{EvaluateOutput, StageOutput},
    real::Real,
};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};
use waiting::eventually;

/// Long enough to be interrupted.
const LONG: &str = "600";

/// Starts on the attempt in `folder` with fake work and `arguments`.
fn worker(folder: &Path, seconds: &str, arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("lc-worker").unwrap();
    for name in ["LC_LOG", "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT"]
    {
        command.env_remove(name);
    }
    command
        .args(["run", "--fake-work", seconds, "--attempt"])
        .arg(folder.join("attempt.json"))
        .args(arguments)
        .envs([("LC_CLAIM_WAIT", "0"), ("LC_RESULT_WAIT", "0"), ("LC_PARENTS_WAIT", "0")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The same, started by the cluster once more.
fn restarted(folder: &Path, seconds: &str) -> Command {
    let mut command = worker(folder, seconds, &[]);
    command.envs([("SLURM_JOB_ID", "4242"), ("SLURM_RESTART_COUNT", "1")]);
    command
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Writes an attempt file that says something else than the usual one.
fn write_attempt(folder: &Path, change: impl FnOnce(&mut AttemptFile)) {
    let path = daemon::attempt(folder);
    let mut file: AttemptFile = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut file);
    fs::write(path, serde_json::to_vec(&file).unwrap()).unwrap();
}

/// Puts a result into the folder of an attempt, as its worker does.
fn write_result(folder: &Path, outcome: Outcome) {
    let report = ResultReport {
        attempt: protocol::ids::AttemptId("5f0c1f6e-0000-7000-8000-000000000001".parse().unwrap()),
        claim: ClaimId("5f0c1f6e-0000-4000-8000-000000000002".parse().unwrap()),
        restarts: 0,
        time: "2026-01-01T00:00:00Z".parse().unwrap(),
        outcome,
    };
    fs::create_dir_all(folder).unwrap();
    worker::files::write_json(&folder.join("result.json"), &report).unwrap();
}

fn succeeded() -> Outcome {
    let [eval_loss, eval_accuracy, perplexity] = [1.0, 0.5, 1f64.exp()].map(Real);
    let output = EvaluateOutput { eval_loss, eval_accuracy, perplexity, eval_samples: 1 };
    Outcome::Succeeded { output: StageOutput::Evaluate(output) }
}

fn failed() -> Outcome {
    Outcome::Failed { message: "the loss is not finite".into(), permanent: false }
}

fn result(folder: &Path) -> ResultReport {
    serde_json::from_slice(&fs::read(folder.join("result.json")).unwrap()).unwrap()
}

fn has(folder: &Path, name: &str) -> bool {
    folder.join(name).exists()
}

fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the ledger of a root tells, as stage and what happened.
fn ledger(root: &Path) -> Vec<(String, String)> {
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap().to_owned();
    let entries: Vec<Value> = lines(&root.join("fake-work.jsonl"));
    entries.iter().map(|entry| (text(entry, "stage"), text(entry, "what"))).collect()
}

fn whats(root: &Path) -> Vec<String> {
    ledger(root).into_iter().map(|(_, what)| what).collect()
}

fn terminate(child: &Child) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
}

/// Holds the lock of an attempt's folder, as its worker does.
fn hold(folder: &Path) -> Flock<File> {
    let file = File::create(folder.join("lock")).unwrap();
    Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap()
}

/// A worker that is a child of two others.
fn child_of(parents: &[PathBuf], folder: &Path) {
    write_attempt(folder, |file| file.parents = parents.to_vec());
}

#[test]
fn without_a_daemon_a_worker_starts_only_after_its_parents_succeeded() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path();
    let parents = ["a", "b"].map(|name| folder.join(name));
    child_of(&parents, folder);
    write_result(&parents[0], succeeded());
    let interrupted = Outcome::Interrupted { message: "stopped after step 3".into() };
    for (outcome, why) in [
        (failed(), "it failed: the loss is not finite"),
        (interrupted, "it was interrupted: stopped after step 3"),
    ] {
        write_result(&parents[1], outcome);
        let output = worker(folder, "0", &[]).output().unwrap();
        let line = stderr(&output);
        assert_eq!(code(&output), Some(75), "{line}");
        assert!(line.starts_with("error: nothing was done: no daemon answers, and "), "{line}");
        assert!(line.contains(parents[1].to_str().unwrap()) && line.contains(why), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!has(folder, "result.json") && !has(folder, "events.jsonl") && whats(folder).is_empty());
    }

    write_result(&parents[1], succeeded());
    let output = worker(folder, "0", &[]).output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert!(matches!(result(folder).outcome, Outcome::Succeeded { .. }));
    assert_eq!(whats(folder), ["started", "finished"]);
}

#[test]
fn a_parent_without_a_result_has_not_succeeded() {
    let root = tempfile::tempdir().unwrap();
    let parent = root.path().join("a");
    child_of(std::slice::from_ref(&parent), root.path());
    let output = worker(root.path(), "0", &[]).output().unwrap();
    let line = stderr(&output);
    assert_eq!(code(&output), Some(75), "{line}");
    assert!(line.contains(parent.join("result.json").to_str().unwrap()), "{line}");
    assert!(!has(root.path(), "result.json") && whats(root.path()).is_empty());
}

#[test]
fn a_parents_result_may_appear_a_little_late() {
    let root = tempfile::tempdir().unwrap();
    let parent = root.path().join("a");
    child_of(std::slice::from_ref(&parent), root.path());
    let child = worker(root.path(), "0", &[]).env("LC_PARENTS_WAIT", LONG).spawn().unwrap();
    eventually("the lock", || has(root.path(), "lock"));
    thread::sleep(Duration::from_millis(500));
    write_result(&parent, succeeded());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert_eq!(whats(root.path()), ["started", "finished"]);
}

#[test]
fn a_granted_claim_needs_no_look_at_the_parents() {
    let root = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(root.path());
    let parent = root.path().join("a");
    write_result(&parent, failed());
    child_of(&[parent], root.path());
    let output = worker(root.path(), "0", &[]).env("LC_RESULT_WAIT", "60").output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    daemon.with(|record| assert_eq!((record.claims.len(), record.results.len()), (1, 1)));
}

#[test]
fn a_stranger_at_the_daemons_address_is_named_and_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(root.path());
    let answer = daemon::problem(401, "the token is not valid here");
    daemon.with(|record| record.stranger = Some((401, answer)));
    write_attempt(root.path(), |_| {});
    let output = worker(root.path(), "0", &[]).output().unwrap();
    let text = stderr(&output);
    assert_eq!(code(&output), Some(0), "{text}");
    assert!(matches!(result(root.path()).outcome, Outcome::Succeeded { .. }));
    let warned = "not the daemon of this attempt: http://127.0.0.1:";
    assert!(text.contains(warned) && text.contains("the token is not valid here"), "{text}");
}

#[test]
fn an_interruption_of_a_requeued_attempt_is_no_result_and_the_next_start_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path();
    let daemon = Daemon::start();
    daemon.announce(folder);
    write_attempt(folder, |file| file.requeued = true);
    let child = worker(folder, LONG, &[]).env("LC_RESULT_WAIT", "60").spawn().unwrap();
    eventually("the start", || whats(folder) == ["started"]);
    terminate(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(75), "{}", stderr(&output));
    assert!(!has(folder, "result.json"));
    let note: NotedExit = serde_json::from_slice(&fs::read(folder.join("exit.json")).unwrap()).unwrap();
    assert_eq!(note, NotedExit { code: Some(75), ..NotedExit::default() });
    let first: Vec<Event> = lines(&folder.join("events.jsonl"));
    daemon.with(|record| {
        assert!(record.results.is_empty());
        assert!(record.events.values().eq(&first), "the daemon has every event");
    });

    let output = restarted(folder, "0").env("LC_RESULT_WAIT", "60").output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert_eq!(whats(folder), ["started", "interrupted", "started", "finished"]);
    assert!(!has(folder, "exit.json"), "it is the earlier start's");
    let entries: Vec<Value> = lines(&folder.join("fake-work.jsonl"));
    assert_eq!(entries.iter().map(|entry| &entry["restart_count"]).collect::<Vec<_>>(), [0, 0, 1, 1]);
    daemon.with(|record| {
        let restarts = |claim: &protocol::attempt::ClaimRequest| {
            claim.process.slurm.as_ref().map(|job| job.restart_count)
        };
        assert_eq!(record.claims.iter().map(restarts).collect::<Vec<_>>(), [None, Some(1)]);
        assert_eq!(record.results.len(), 1);
        assert_eq!(record.results[0].claim, record.claims[1].claim);
        assert!(record.wrong.is_empty(), "{:?}", record.wrong);
    });
}

#[test]
fn a_requeued_attempt_without_a_daemon_keeps_its_events_in_the_file() {
    let root = tempfile::tempdir().unwrap();
    write_attempt(root.path(), |file| file.requeued = true);
    let child = worker(root.path(), LONG, &[]).spawn().unwrap();
    eventually("the start", || whats(root.path()) == ["started"]);
    terminate(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(75), "{}", stderr(&output));
    assert!(!has(root.path(), "result.json"));
    let events = || lines::<Event>(&root.path().join("events.jsonl"));
    let first = events();
    assert!(!first.is_empty());

    // What the next start tells can't be mistaken for what a daemon may have heard and the disk has lost.
    let output = restarted(root.path(), "0").output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let all = events();
    assert_eq!(all[..first.len()], first);
    assert!(all.len() > first.len() && all[first.len()..].iter().all(|event| event.seq > 1 << 32), "{all:?}");
}

#[test]
fn a_requeued_worker_that_lost_its_attempt_says_so() {
    let root = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(root.path());
    daemon.with(|record| record.refusing = vec!["events"]);
    write_attempt(root.path(), |file| file.requeued = true);
    let output = worker(root.path(), LONG, &[]).output().unwrap();
    let text = stderr(&output);
    assert_eq!(code(&output), Some(1), "{text}");
    assert!(text.contains("fenced"), "{text}");
    assert!(!has(root.path(), "result.json") && !has(root.path(), "exit.json"));
}

#[test]
fn a_requeued_attempt_that_the_daemon_gives_up_is_over_at_once() {
    let root = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(root.path());
    daemon.with(|record| record.stop = true);
    write_attempt(root.path(), |file| file.requeued = true);
    let output = worker(root.path(), LONG, &[]).env("LC_RESULT_WAIT", "60").output().unwrap();
    assert_eq!(code(&output), Some(75), "{}", stderr(&output));
    daemon.with(|record| {
        assert_eq!(record.results.len(), 1);
        assert!(matches!(record.results[0].outcome, Outcome::Interrupted { .. }));
    });
    assert!(!has(root.path(), "exit.json"));
}

#[test]
fn a_worker_that_starts_again_claims_before_it_waits_for_the_earlier_one() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path();
    let daemon = Daemon::start();
    daemon.announce(folder);
    write_attempt(folder, |file| file.requeued = true);
    let lock = hold(folder);
    let child = restarted(folder, "0").env("LC_RESULT_WAIT", "60").spawn().unwrap();
    eventually("the claim", || daemon.with(|record| record.claims.len() == 1));
    assert!(!has(folder, "events.jsonl") && whats(folder).is_empty());
    // The earlier one's last word comes too late.
    write_result(folder, failed());
    drop(lock);
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert_eq!(whats(folder), ["started", "finished"]);
    let written = result(folder);
    assert!(matches!(written.outcome, Outcome::Succeeded { .. }));
    daemon.with(|record| {
        assert_eq!(record.claims.len(), 1);
        assert_eq!(record.claims[0].claim, written.claim);
        assert_eq!(record.results, [written]);
        assert!(record.wrong.is_empty(), "{:?}", record.wrong);
    });
}

#[test]
fn nobody_works_without_the_lock() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path();
    let daemon = Daemon::start();
    daemon::attempt(folder);
    let _lock = hold(folder);
    let nothing_done = |output: &Output| {
        let text = stderr(output);
        assert_eq!(code(output), Some(1), "{text}");
        assert!(text.starts_with("error: another worker holds this attempt"), "{text}");
        assert!(!has(folder, "result.json") && !has(folder, "events.jsonl") && whats(folder).is_empty());
    };
    // Without a daemon, with one, and for the first time: then not even the claim is touched.
    nothing_done(&restarted(folder, "0").env("LC_LOCK_WAIT", "0").output().unwrap());
    daemon.announce(folder);
    nothing_done(&restarted(folder, "0").env("LC_LOCK_WAIT", "0").output().unwrap());
    nothing_done(&worker(folder, "0", &[]).output().unwrap());
    daemon.with(|record| assert_eq!(record.claims.len(), 1));
}

#[test]
fn a_worker_that_waits_for_the_earlier_one_can_be_stopped() {
    let root = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(root.path());
    daemon::attempt(root.path());
    let _lock = hold(root.path());
    let child = restarted(root.path(), "0").env("LC_LOCK_WAIT", LONG).spawn().unwrap();
    eventually("the claim", || daemon.with(|record| record.claims.len() == 1));
    terminate(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(75), "{}", stderr(&output));
    assert!(!has(root.path(), "result.json") && !has(root.path(), "events.jsonl"));
}

#[test]
fn a_worker_that_starts_again_after_the_result_does_nothing() {
    let root = tempfile::tempdir().unwrap();
    let daemon = Daemon::start();
    daemon.announce(root.path());
    daemon::attempt(root.path());
    write_result(root.path(), failed());
    let _lock = hold(root.path());
    let output = restarted(root.path(), "0").output().unwrap();
    assert_eq!((code(&output), stderr(&output).as_str()), (Some(0), ""));
    daemon.with(|record| assert!(record.claims.is_empty()));
}
