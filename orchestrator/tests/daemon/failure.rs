//! Stages that fail, and what happens to those behind them.

use super::bench::{Bench, labels, progress, states, study};
use orchestrator::executor::Exit;
use protocol::{
    attempt::Outcome,
    view::{Changed, StudyState},
};

#[tokio::test]
async fn a_permanent_failure_skips_what_depends_on_it_and_retry_brings_it_back() {
    let bench = Bench::new(100).await;
    bench.plan(&study("s", &[32], &[0, 1])).await;
    bench.started().await.remove(0).succeed(&bench).await;
    let trains = bench.started().await;
    assert_eq!(labels(&trains), ["train 01x0032_01d00", "train 01x0032_01d01"]);
    let failing = trains.iter().find(|worker| worker.label() == "train 01x0032_01d00").unwrap();
    failing.fail(&bench, true).await;
    trains.iter().find(|worker| worker.id() != failing.id()).unwrap().succeed(&bench).await;
    assert_eq!(bench.finish().await, 5, "the other run goes on, this one does not");
    let detail = bench.study("s").await;
    assert_eq!(
        states(&detail.runs[0].stages),
        [
            "prepare done",
            "train failed",
            "evaluate skipped",
            "means skipped",
            "vars skipped",
            "decs skipped",
            "analyze skipped"
        ]
    );
    assert_eq!(detail.summary.state, StudyState::Failed);
    let reasons: Vec<_> = detail.runs[0].stages.iter().filter_map(|stage| stage.reason.clone()).collect();
    assert_eq!(reasons[..4], ["it broke", "train failed", "train failed", "means was skipped"]);

    let train = detail.runs[0].stages[1].id;
    let (_, changed) = bench.post::<()>(&format!("/stages/{train}/retry?dry_run=true"), None).await;
    let changed: Changed = serde_json::from_value(changed).unwrap();
    assert_eq!(states(&changed.stages)[..2], ["train ready", "evaluate waiting"]);
    assert_eq!(bench.study("s").await.summary.state, StudyState::Failed, "a dry run changes nothing");
    bench.post::<()>(&format!("/stages/{train}/retry"), None).await;
    assert_eq!(bench.finish().await, 6);
    assert_eq!(bench.study("s").await.summary.state, StudyState::Done);
    let (_, changed) = bench.post::<()>("/studies/s/retry", None).await;
    assert_eq!(changed["stages"], serde_json::json!([]), "what is done is never done again");
}

#[tokio::test]
async fn retrying_a_skipped_stage_retries_what_it_waits_for() {
    let bench = Bench::new(100).await;
    bench.plan(&study("s", &[32], &[0])).await;
    bench.started().await.remove(0).fail(&bench, true).await;
    let detail = bench.study("s").await;
    assert_eq!(detail.summary.stages.skipped, 6);
    let analyze = detail.runs[0].stages[6].id;
    bench.post::<()>(&format!("/stages/{analyze}/retry"), None).await;
    assert_eq!(bench.finish().await, 7);
    assert_eq!(bench.study("s").await.summary.state, StudyState::Done);
}

#[tokio::test]
async fn a_failure_is_tried_again_as_often_as_the_study_says() {
    let bench = Bench::new(1).await;
    let mut spec = study("s", &[32], &[0]);
    spec.resources.attempts = 2;
    bench.plan(&spec).await;
    bench.started().await.remove(0).fail(&bench, false).await;
    let second = bench.started().await.remove(0);
    second.claim(&bench).await;
    second.ends(&bench, &Outcome::Interrupted { message: "asked to".into() }).await;
    let third = bench.started().await.remove(0);
    third.claim(&bench).await;
    bench.hands.is_gone(third.id(), Exit { code: Some(1), signal: None, ..Exit::default() });
    assert!(bench.started().await.is_empty(), "an interruption does not count, the second failure does");
    let detail = bench.study("s").await;
    assert_eq!(states(&detail.runs[0].stages)[0], "prepare failed");
    let run = bench.run(&detail.runs[0]).await;
    let attempts: Vec<_> =
        run.attempts.iter().map(|attempt| (attempt.number, attempt.state.as_str())).collect();
    assert_eq!(attempts, [(1, "failed"), (2, "preempted"), (3, "failed")]);
    assert_eq!(run.attempts[2].exit_code, Some(1));
}

#[tokio::test]
async fn failures_count_anew_once_an_attempt_comes_further() {
    let bench = Bench::new(1).await;
    let mut spec = study("s", &[32], &[0]);
    spec.resources.attempts = 2;
    bench.plan(&spec).await;
    for done in [5, 10, 15, 15] {
        let worker = bench.started().await.remove(0);
        worker.claim(&bench).await;
        worker.events(&bench, &[progress(1, done)]).await;
        bench.hands.is_gone(worker.id(), Exit { signal: Some(9), ..Exit::default() });
    }
    assert!(bench.started().await.is_empty(), "the fourth came no further than the third");
    assert_eq!(states(&bench.study("s").await.runs[0].stages)[0], "prepare failed");
}

#[tokio::test]
async fn what_went_wrong_is_read_as_of_one_moment() {
    let bench = Bench::new(1).await;
    bench.plan(&study("a", &[32], &[0])).await;
    let worker = bench.started().await.remove(0);
    worker.fail(&bench, true).await;
    let mut record = bench.store.failures().await.unwrap();
    let failed = record.outcomes(None).await.unwrap().attempts.remove(0);
    // Another study takes it up meanwhile.
    bench.plan(&study("b", &[32], &[0])).await;
    assert_eq!(record.studies(&[failed.stage]).await.unwrap(), ["a"]);
    assert_eq!(record.details(&[failed.row]).await.unwrap()[&failed.row].id, worker.id());
    let mut later = bench.store.failures().await.unwrap();
    assert_eq!(later.studies(&[failed.stage]).await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn wrong_input_is_not_tried_again() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0])).await;
    let worker = bench.started().await.remove(0);
    worker.leave(&[], None);
    bench.hands.is_gone(worker.id(), Exit { code: Some(2), signal: None, ..Exit::default() });
    assert!(bench.started().await.is_empty());
    let stage = bench.study("s").await.runs[0].stages[0].clone();
    assert_eq!(stage.reason.as_deref(), Some("the worker refused its input (exit code 2)"));
}

#[tokio::test]
async fn a_new_study_on_data_that_failed_before_tries_it_again() {
    let bench = Bench::new(1).await;
    bench.plan(&study("a", &[32], &[0])).await;
    bench.started().await.remove(0).fail(&bench, true).await;
    bench.plan(&study("b", &[64], &[0])).await;
    assert_eq!(bench.finish().await, 13);
}

#[tokio::test]
async fn what_could_not_be_recorded_leaves_no_folder() {
    use sqlx::ConnectOptions as _;
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0])).await;
    let file = bench.root.path().join("lc.sqlite");
    let mut record = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    let full =
        "CREATE TRIGGER full BEFORE INSERT ON attempts BEGIN SELECT raise(ABORT, 'the disk is full'); END";
    sqlx::query(full).execute(&mut record).await.unwrap();
    assert!(bench.engine.reconcile().await.is_err());
    assert_eq!(std::fs::read_dir(bench.root.path().join("logs/prepare")).unwrap().count(), 0);
    sqlx::query("DROP TRIGGER full").execute(&mut record).await.unwrap();
    assert_eq!(bench.finish().await, 7);
}
