//! The daemon dies in every state that an attempt can be in, and another one goes on.

use super::bench::{Bench, Worker, labels, metric, states, study};
use axum::http::StatusCode;
use orchestrator::executor::Exit;
use protocol::{table::Curve, view::StudyState};

async fn planned() -> Bench {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0])).await;
    bench
}

async fn attempts(bench: &Bench) -> Vec<String> {
    let run = bench.run(&bench.study("s").await.runs[0]).await;
    run.attempts
        .iter()
        .map(|attempt| format!("{} {} {}", attempt.kind, attempt.number, attempt.state))
        .collect()
}

/// Dies while it hands the attempt over: the intent is recorded, the answer is not.
async fn dies_while_starting(bench: Bench) -> (Bench, Worker) {
    *bench.hands.dies.lock().unwrap() = true;
    let engine = bench.engine.clone();
    let reconcile = tokio::spawn(async move { engine.reconcile().await });
    while bench.hands.submitted.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    reconcile.abort();
    assert!(reconcile.await.unwrap_err().is_cancelled());
    let job = bench.hands.submitted.lock().unwrap().remove(0);
    assert_eq!(attempts(&bench).await, ["prepare 1 intended"]);
    (bench.restarted().await, Worker::at(&job.folder))
}

#[tokio::test]
async fn an_attempt_that_was_only_intended_is_started() {
    let (bench, worker) = dies_while_starting(planned().await).await;
    bench.hands.forget(worker.id());
    let started = bench.started().await;
    assert_eq!((started.len(), started[0].id()), (1, worker.id()), "the same attempt, with the same token");
    assert!(bench.started().await.is_empty());
    assert_eq!(attempts(&bench).await, ["prepare 1 submitted"]);
    started[0].succeed(&bench).await;
    assert_eq!(bench.finish().await, 6);
}

#[tokio::test]
async fn an_attempt_that_was_only_intended_is_started_also_when_its_folder_is_gone() {
    let (bench, worker) = dies_while_starting(planned().await).await;
    bench.hands.forget(worker.id());
    std::fs::remove_dir_all(&worker.folder).unwrap();
    let started = bench.started().await;
    assert_eq!((started.len(), started[0].id()), (1, worker.id()));
    assert_eq!(worker.try_claim(&bench).await.0, StatusCode::UNAUTHORIZED, "the token that was lost");
    started[0].succeed(&bench).await;
    assert_eq!(bench.finish().await, 6);
}

#[tokio::test]
async fn an_attempt_that_started_just_before_the_end_is_not_started_again() {
    let (bench, worker) = dies_while_starting(planned().await).await;
    assert!(bench.started().await.is_empty());
    assert_eq!(attempts(&bench).await, ["prepare 1 submitted"]);
    worker.succeed(&bench).await;
    assert_eq!(bench.finish().await, 6);
    assert_eq!(bench.study("s").await.summary.state, StudyState::Done);
}

#[tokio::test]
async fn an_attempt_that_started_and_ended_unseen_counts() {
    let (bench, worker) = dies_while_starting(planned().await).await;
    worker.leave(&[], Some(&worker.success()));
    bench.hands.forget(worker.id());
    assert_eq!(bench.labels().await, ["train 01x0032_01d00"]);
    assert_eq!(attempts(&bench).await[0], "prepare 1 succeeded");
}

#[tokio::test]
async fn an_attempt_that_entered_its_folder_and_died_is_lost_and_tried_again() {
    let (bench, worker) = dies_while_starting(planned().await).await;
    worker.leave(&[], None);
    bench.hands.forget(worker.id());
    assert_eq!(bench.labels().await, ["prepare"]);
    assert_eq!(attempts(&bench).await, ["prepare 1 lost", "prepare 2 submitted"]);
}

#[tokio::test]
async fn a_submitted_attempt_is_waited_for() {
    let bench = planned().await;
    let worker = bench.started().await.remove(0);
    let bench = bench.restarted().await;
    assert!(bench.started().await.is_empty());
    worker.succeed(&bench).await;
    assert_eq!(bench.finish().await, 6);
}

#[tokio::test]
async fn a_submitted_attempt_that_is_gone_is_lost() {
    let bench = planned().await;
    let worker = bench.started().await.remove(0);
    let bench = bench.restarted().await;
    bench.hands.forget(worker.id());
    assert_eq!(bench.labels().await, ["prepare"]);
    assert_eq!(attempts(&bench).await, ["prepare 1 lost", "prepare 2 submitted"]);
}

#[tokio::test]
async fn a_running_attempt_goes_on_and_what_it_wrote_meanwhile_is_read() {
    let bench = planned().await;
    bench.started().await.remove(0).succeed(&bench).await;
    let worker = bench.started().await.remove(0);
    worker.claim(&bench).await;
    worker.events(&bench, &[metric(1, 1, 5.0)]).await;
    let bench = bench.restarted().await;
    worker.leave(&[metric(1, 1, 99.0), metric(2, 2, 4.0)], None);
    assert!(bench.started().await.is_empty());
    let run = bench.study("s").await.runs[0].id;
    let curve: Curve = bench.get(&format!("/runs/{run}/curve")).await;
    let points: Vec<_> = curve.step.into_iter().zip(curve.value.into_iter().map(|value| value.0)).collect();
    assert_eq!(points, [(1, 5.0), (2, 4.0)]);
    assert_eq!(worker.events(&bench, &[metric(2, 2, 98.0), metric(3, 3, 3.0)]).await["accepted_through"], 3);
    worker.ends(&bench, &worker.success()).await;
    assert_eq!(labels(&bench.started().await), ["means 01x0032_01d00@0"]);
}

#[tokio::test]
async fn a_running_attempt_that_ended_meanwhile_counts() {
    let bench = planned().await;
    bench.started().await.remove(0).succeed(&bench).await;
    let worker = bench.started().await.remove(0);
    worker.claim(&bench).await;
    let bench = bench.restarted().await;
    worker.leave(&[metric(1, 1, 5.0)], Some(&worker.success()));
    bench.hands.forget(worker.id());
    assert_eq!(bench.finish().await, 5);
    let detail = bench.study("s").await;
    assert!(states(&detail.runs[0].stages).iter().all(|state| state.ends_with(" done")));
    let curve: Curve = bench.get(&format!("/runs/{}/curve", detail.runs[0].id)).await;
    assert_eq!((curve.total_steps, curve.step.len()), (Some(40), 1));
    assert!(attempts(&bench).await.iter().all(|attempt| attempt.ends_with(" 1 succeeded")));
}

#[tokio::test]
async fn a_running_attempt_that_died_meanwhile_is_tried_again() {
    let bench = planned().await;
    let worker = bench.started().await.remove(0);
    worker.claim(&bench).await;
    let bench = bench.restarted().await;
    bench.hands.is_gone(worker.id(), Exit { code: None, signal: Some(9), ..Exit::default() });
    assert_eq!(bench.labels().await, ["prepare"]);
    assert_eq!(attempts(&bench).await, ["prepare 1 lost", "prepare 2 submitted"]);
    let run = bench.run(&bench.study("s").await.runs[0]).await;
    assert_eq!(run.attempts[0].signal, Some(9));
}

#[tokio::test]
async fn a_wish_to_stop_outlives_the_daemon() {
    let bench = planned().await;
    let worker = bench.started().await.remove(0);
    worker.claim(&bench).await;
    bench.post::<()>("/studies/s/cancel", None).await;
    let bench = bench.restarted().await;
    assert!(bench.started().await.is_empty());
    assert_eq!(*bench.hands.stops.lock().unwrap(), [(worker.id(), false)]);
    bench.hands.is_gone(worker.id(), Exit { code: Some(75), signal: None, ..Exit::default() });
    assert!(bench.started().await.is_empty());
    assert_eq!(attempts(&bench).await, ["prepare 1 cancelled"]);
}

#[tokio::test]
async fn a_worker_gets_its_time_to_stop_however_old_the_wish_is() {
    let bench = planned().await;
    let worker = bench.started().await.remove(0);
    worker.claim(&bench).await;
    let mut tx = bench.store.begin(|| chrono::Utc::now() - chrono::TimeDelta::hours(1)).await.unwrap();
    tx.ask_to_stop(worker.id()).await.unwrap();
    tx.commit().await.unwrap();
    assert!(bench.started().await.is_empty());
    let bench = bench.restarted().await;
    assert!(bench.started().await.is_empty());
    assert_eq!(*bench.hands.stops.lock().unwrap(), [(worker.id(), false), (worker.id(), false)]);
}

#[tokio::test]
async fn a_table_that_a_crash_left_behind_is_written_at_the_next_start() {
    let bench = planned().await;
    bench.finish().await;
    let table = bench.read("results/s.csv");
    for damage in ["missing", "stale"] {
        let path = bench.root.path().join("results/s.csv");
        if damage == "missing" { std::fs::remove_file(path) } else { std::fs::write(path, "model\n") }
            .unwrap();
    }
    let bench = bench.restarted().await;
    assert!(bench.started().await.is_empty(), "what is done stays done");
    assert_eq!(bench.read("results/s.csv"), table);
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_refused() {
    let bench = planned().await;
    let root = bench.root.clone();
    bench.store.close().await;
    drop(bench);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(root.path().join("lc.sqlite"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', 1, x'00', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    let layout = orchestrator::domain::layout::Layout::new(root.path());
    let Err(error) = orchestrator::store::Store::open(&layout).await else { panic!("must be refused") };
    let text = error.to_string();
    assert!(text.contains("newer version") && text.contains("9999") && !text.contains('\n'), "{text}");
    assert_eq!(orchestrator::daemon::ServeError::from(error).exit_code(), 2);
}
