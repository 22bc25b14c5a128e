//! The local executor with processes that misbehave in ways the real worker does not.

use super::bench::{Bench, states, study};
use orchestrator::{
    domain::{layout::Layout, resources::Request},
    engine::Engine,
    executor::{
        Executor as _, Exit, Job, Liveness, Order, SubmitError,
        local::{Local, find_worker},
    },
    store::Store,
};
use protocol::{
    ids::AttemptId,
    stage::StageKind,
    view::{Health, StageView},
};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;

fn program(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("worker.sh");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn job(root: &Path) -> Job {
    let attempt = AttemptId(uuid::Uuid::new_v4());
    let folder = root.join(attempt.to_string());
    fs::create_dir(&folder).unwrap();
    Job { attempt, folder, slot: 0, queued: None, restarts: 0 }
}

fn order(job: &Job) -> Order {
    Order {
        submission: None,
        kind: StageKind::Train,
        folder: job.folder.clone(),
        jobs: vec![job.clone()],
        request: Request::default(),
        after: Vec::new(),
    }
}

async fn liveness(local: &Local, job: &Job) -> Liveness {
    local.survey(std::slice::from_ref(job), &[]).await.jobs[&job.attempt].clone()
}

fn local(root: &Path, worker: &Path) -> Local {
    Local::new(worker.to_owned(), root.to_owned(), Some(2), Arc::new(Notify::new()))
}

async fn until_gone(local: &Local, job: &Job) -> Exit {
    loop {
        if let Liveness::Gone(exit) = liveness(local, job).await {
            return exit;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn until_written(path: &Path) -> String {
    loop {
        match fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

#[tokio::test]
async fn how_a_worker_ended_is_known_to_the_daemon_that_started_it() {
    let root = tempfile::tempdir().unwrap();
    for (script, expected) in [
        ("echo out; echo err >&2; exit 2", Exit { code: Some(2), signal: None, ..Exit::default() }),
        ("kill -9 $$", Exit { code: None, signal: Some(9), ..Exit::default() }),
    ] {
        let local = local(root.path(), &program(root.path(), script));
        let job = job(root.path());
        local.submit(&order(&job)).await.unwrap();
        assert_eq!(until_gone(&local, &job).await, expected, "{script}");
        if expected.code.is_some() {
            assert_eq!(fs::read_to_string(job.folder.join("worker.log")).unwrap(), "out\nerr\n");
        }
    }
}

#[tokio::test]
async fn a_worker_is_found_and_stopped_with_all_it_started_by_a_later_daemon() {
    let root = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; sleep 600 & echo $! >\"$3.child\"; wait; wait";
    let worker = program(root.path(), script);
    let job = job(root.path());
    local(root.path(), &worker).submit(&order(&job)).await.unwrap();
    let child = until_written(&job.folder.join("attempt.json.child")).await;

    let later = local(root.path(), &worker);
    assert_eq!(liveness(&later, &job).await, Liveness::Alive { node: None });
    later.stop(std::slice::from_ref(&job), false).await;
    assert_eq!(liveness(&later, &job).await, Liveness::Alive { node: None }, "it ignores SIGTERM");
    later.stop(std::slice::from_ref(&job), true).await;
    assert_eq!(until_gone(&later, &job).await, Exit::default());
    let stat = PathBuf::from(format!("/proc/{}/stat", child.trim()));
    loop {
        // Gone, or dead and not collected yet.
        match fs::read_to_string(&stat) {
            Ok(text) if !text.contains(") Z ") => tokio::time::sleep(Duration::from_millis(5)).await,
            _ => break,
        }
    }
}

#[tokio::test]
async fn a_start_that_fails_is_made_up_for_later() {
    let root = tempfile::tempdir().unwrap();
    let worker = program(root.path(), "exit 0");
    fs::write(&worker, "#!/no/such/shell\n").unwrap();
    let local = local(root.path(), &worker);
    assert!(local.can_start());
    let error = local.submit(&order(&job(root.path()))).await.unwrap_err();
    let SubmitError::Later { message, .. } = error else { panic!("{error}") };
    assert!(message.contains("worker.sh: could not be started"), "{message}");
    assert!(!local.can_start(), "not at once");
    let missing = root.path().join("no-such-worker");
    let error = find_worker(Some(&missing)).unwrap_err().to_string();
    assert!(error.contains("no-such-worker is not a program") && error.contains("LC_WORKER"), "{error}");
}

#[tokio::test]
async fn a_worker_program_that_is_missing_for_a_moment_costs_nothing() {
    let root = tempfile::tempdir().unwrap();
    let layout = Layout::new(root.path());
    let store = Store::open(&layout).await.unwrap();
    let local = Arc::new(local(root.path(), &root.path().join("worker.sh")));
    let engine = Engine::new(store.clone(), local.clone(), layout, Arc::new(Notify::new()));
    engine.plan(study("s", &[32], &[0]), false).await.unwrap();
    for _ in 0..4 {
        engine.reconcile().await.unwrap();
    }
    let stages = explained(&engine, &store).await;
    assert_eq!(states(&stages)[..2], ["prepare ready", "train waiting"]);
    assert_eq!((stages[0].attempts, local.can_start()), (0, false));
    let why = stages[0].reason.as_deref().unwrap();
    assert!(why.contains("worker.sh: is not a program"), "{why}");
    assert_eq!(stages[1].reason.as_deref(), Some("waits for prepare"));

    program(root.path(), "exit 75");
    engine.reconcile().await.unwrap();
    assert_eq!(local.trouble(), None);
    let attempt = store.live_attempts().await.unwrap().remove(0);
    assert!(attempt.folder.join("attempt.json").exists());
}

/// The stages of the only run, with the reasons that the daemon tells.
async fn explained(engine: &Engine, store: &Store) -> Vec<StageView> {
    let mut stages = store.study_detail("s").await.unwrap().unwrap().runs.remove(0).stages;
    engine.explain(&mut stages);
    stages
}

#[tokio::test]
async fn an_attempt_that_can_not_be_started_tells_why() {
    let root = tempfile::tempdir().unwrap();
    let layout = Layout::new(root.path());
    let store = Store::open(&layout).await.unwrap();
    let worker = program(root.path(), "exit 0");
    fs::write(&worker, "#!/no/such/shell\n").unwrap();
    let engine =
        Engine::new(store.clone(), Arc::new(local(root.path(), &worker)), layout, Arc::new(Notify::new()));
    engine.plan(study("s", &[32], &[0]), false).await.unwrap();
    engine.reconcile().await.unwrap();
    let stages = explained(&engine, &store).await;
    assert_eq!(states(&stages)[..2], ["prepare queued", "train waiting"]);
    let why = stages[0].reason.as_deref().unwrap();
    assert!(why.contains("worker.sh: could not be started"), "{why}");
}

#[tokio::test]
async fn a_program_that_is_none_for_this_machine_fails_in_the_end() {
    let root = tempfile::tempdir().unwrap();
    let no_shell = root.path().join("no-shell");
    fs::write(&no_shell, "").unwrap();
    for text in ["\x7fELF, and no more".to_owned(), format!("#!{}\n", no_shell.display())] {
        let worker = program(root.path(), "exit 0");
        fs::write(&worker, text).unwrap();
        let (local, job) = (local(root.path(), &worker), job(root.path()));
        let first = local.submit(&order(&job)).await.unwrap_err();
        assert!(matches!(first, SubmitError::Later { .. }), "it may be just being written: {first}");
        let mut tries = 1;
        let last = loop {
            tries += 1;
            match local.submit(&order(&job)).await.unwrap_err() {
                SubmitError::Later { .. } if tries < 100 => {}
                error => break error,
            }
        };
        let SubmitError::Refused { message, permanent: true } = last else { panic!("{last}") };
        assert!(message.contains("worker.sh: can't be executed on this machine"), "{message}");
        program(root.path(), "exit 0");
        local.submit(&order(&job)).await.unwrap();
        assert_eq!(local.trouble(), None);
        until_gone(&local, &job).await;
    }
}

#[tokio::test]
async fn what_keeps_everything_from_being_started_is_shown_wherever_stages_are() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0])).await;
    let why = Some("there is no worker".to_owned());
    bench.hands.trouble.lock().unwrap().clone_from(&why);
    assert!(bench.labels().await.is_empty());
    let study = bench.study("s").await;
    assert_eq!(study.runs[0].stages[0].reason, why);
    assert_eq!(bench.run(&study.runs[0]).await.summary.stages[0].reason, why);
    assert_eq!(bench.get::<Health>("/health").await.trouble, why);

    *bench.hands.trouble.lock().unwrap() = None;
    assert_eq!(bench.study("s").await.runs[0].stages[0].reason.as_deref(), Some("waits for room"));
    assert_eq!(bench.labels().await, ["prepare"]);
}

#[test]
fn a_link_to_a_worker_stays_one() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("1")).unwrap();
    program(&root.path().join("1"), "exit 0");
    std::os::unix::fs::symlink("1", root.path().join("current")).unwrap();
    let worker = root.path().join("current/worker.sh");
    assert_eq!(find_worker(Some(&worker)).unwrap(), worker, "the next version is found where this one was");
}

#[tokio::test]
async fn a_worker_gets_no_token_and_its_share_of_the_cores() {
    let root = tempfile::tempdir().unwrap();
    let worker = program(root.path(), "env; pwd; exit 0");
    let (job, local) = (job(root.path()), local(root.path(), &worker));
    local.submit(&order(&job)).await.unwrap();
    until_gone(&local, &job).await;
    let log = fs::read_to_string(job.folder.join("worker.log")).unwrap();
    assert!(!log.contains("LC_TOKEN=") && log.contains("RAYON_NUM_THREADS="), "{log}");
    assert!(log.lines().any(|line| Path::new(line) == root.path()), "{log}");
}
