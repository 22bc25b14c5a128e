//! The worker's endpoints: claims, events, results.

use super::bench::{Bench, Worker, metric, progress, study};
use axum::http::StatusCode;
use orchestrator::executor::Exit;
use protocol::{attempt::Outcome, ids::ClaimId, table::Curve, view::StageView};
use serde_json::json;

/// A bench whose only run is in training, and its worker.
async fn training() -> (Bench, Worker) {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0])).await;
    bench.started().await.remove(0).succeed(&bench).await;
    let worker = bench.started().await.remove(0);
    assert_eq!(worker.label(), "train 01x0032_01d00");
    (bench, worker)
}

async fn train_stage(bench: &Bench) -> StageView {
    bench.study("s").await.runs[0].stages[1].clone()
}

async fn curve(bench: &Bench, points: u32) -> Vec<(u64, f64)> {
    let run = bench.study("s").await.runs[0].id;
    let curve: Curve = bench.get(&format!("/runs/{run}/curve?points={points}")).await;
    curve.step.into_iter().zip(curve.value.into_iter().map(|value| value.0)).collect()
}

#[tokio::test]
async fn an_attempt_belongs_to_the_worker_that_asks_first() {
    let (bench, worker) = training().await;
    worker.claim(&bench).await;
    worker.claim(&bench).await;
    let copy = Worker { claim: ClaimId(uuid::Uuid::new_v4()), ..Worker::at(&worker.folder) };
    assert_eq!(copy.try_claim(&bench).await.0, StatusCode::CONFLICT);
    assert_eq!(copy.try_events(&bench, &[progress(1, 1)]).await.0, StatusCode::CONFLICT);
    assert_eq!(copy.try_result(&bench, &copy.success()).await.0, StatusCode::CONFLICT);
    let stage = train_stage(&bench).await;
    assert_eq!((stage.state.as_str(), stage.attempts), ("running", 1));
}

#[tokio::test]
async fn a_token_opens_only_its_own_attempt() {
    let (bench, worker) = training().await;
    let mut thief = Worker::at(&worker.folder);
    thief.file.attempt = protocol::ids::AttemptId(uuid::Uuid::new_v4());
    assert_eq!(thief.try_claim(&bench).await.0, StatusCode::FORBIDDEN);
    let (status, _) = bench.call::<()>(axum::http::Method::GET, "/studies", &worker.file.token, None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_worker_of_another_version_is_refused() {
    let (bench, worker) = training().await;
    let body = json!({"api_version": 99, "attempt": worker.id(), "claim": worker.claim,
                      "process": {"host": "h", "pid": 1, "version": "9", "slurm": null}});
    let (status, problem) = worker.call(&bench, "claim", &body).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("version 99"), "{problem}");
}

#[tokio::test]
async fn events_count_once_in_whatever_order_they_come() {
    let (bench, worker) = training().await;
    worker.claim(&bench).await;
    let answer = worker.events(&bench, &[metric(2, 2, 4.0), progress(3, 2), metric(1, 1, 5.0)]).await;
    assert_eq!(answer, json!({"accepted_through": 3, "stop": false}));
    let answer = worker.events(&bench, &[metric(2, 2, 99.0), metric(4, 3, 3.0)]).await;
    assert_eq!(answer["accepted_through"], 4);
    assert_eq!(worker.events(&bench, &[]).await["accepted_through"], 4);
    assert_eq!(curve(&bench, 500).await, [(1, 5.0), (2, 4.0), (3, 3.0)]);
    let stage = train_stage(&bench).await;
    assert_eq!(stage.progress.unwrap().done, 2);
}

#[tokio::test]
async fn events_that_got_lost_on_the_way_are_read_from_the_workers_file() {
    let (bench, worker) = training().await;
    worker.claim(&bench).await;
    worker.leave(&[metric(1, 1, 5.0), metric(2, 2, 4.0), metric(3, 3, 3.0)], None);
    assert_eq!(worker.events(&bench, &[metric(3, 3, 3.0)]).await["accepted_through"], 3);
    assert_eq!(curve(&bench, 500).await.len(), 3);
}

#[tokio::test]
async fn steps_that_are_repeated_after_a_restart_replace_the_old_ones() {
    let (bench, worker) = training().await;
    worker.claim(&bench).await;
    worker.events(&bench, &[metric(1, 1, 5.0), metric(2, 2, f64::NAN)]).await;
    worker.ends(&bench, &Outcome::Interrupted { message: "asked to".into() }).await;
    let next = bench.started().await.remove(0);
    assert_eq!(next.label(), worker.label());
    next.claim(&bench).await;
    next.events(&bench, &[metric(1, 2, 4.5)]).await;
    assert_eq!(curve(&bench, 500).await, [(1, 5.0), (2, 4.5)]);
}

#[tokio::test]
async fn a_long_curve_is_thinned_and_keeps_its_ends() {
    let (bench, worker) = training().await;
    worker.claim(&bench).await;
    let events: Vec<_> = (1..=997).map(|step| metric(step, step, 1.0)).collect();
    worker.events(&bench, &events).await;
    for most in [2, 3, 100, 996] {
        let steps: Vec<_> = curve(&bench, most).await.iter().map(|point| point.0).collect();
        assert_eq!((steps[0], *steps.last().unwrap()), (1, 997), "{most}");
        assert!(steps.len() <= 2 * most as usize + 2 && steps.len() >= most as usize, "{most}: {steps:?}");
    }
    assert_eq!(curve(&bench, 1000).await.len(), 997);
    let too_many: Vec<_> = (1000..2001).map(|seq| progress(seq, 1)).collect();
    assert_eq!(worker.try_events(&bench, &too_many).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_result_may_be_told_twice_and_counts_once() {
    let (bench, worker) = training().await;
    worker.succeed(&bench).await;
    worker.ends(&bench, &worker.success()).await;
    let other = Outcome::Failed { message: "no".into(), permanent: true };
    assert_eq!(worker.try_result(&bench, &other).await.0, StatusCode::CONFLICT);
    assert_eq!(train_stage(&bench).await.state.as_str(), "done");
    assert_eq!(worker.try_claim(&bench).await.0, StatusCode::CONFLICT);
    assert_eq!(worker.try_events(&bench, &[progress(1, 1)]).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn the_output_of_another_kind_of_stage_is_refused() {
    let (bench, worker) = training().await;
    worker.claim(&bench).await;
    let output =
        json!({"stage": "evaluate", "eval_loss": 1, "eval_accuracy": 1, "perplexity": 1, "eval_samples": 1});
    let mut body = worker.report(&worker.success());
    body["outcome"]["output"] = output;
    let (status, problem) = worker.call(&bench, "result", &body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert_eq!(train_stage(&bench).await.state.as_str(), "running");
}

#[tokio::test]
async fn a_worker_that_was_given_up_can_do_no_harm() {
    let (bench, lost) = training().await;
    lost.claim(&bench).await;
    lost.leave(&[], None);
    bench.hands.is_gone(lost.id(), Exit { code: None, signal: Some(9), ..Exit::default() });
    let next = bench.started().await.remove(0);
    assert_ne!(next.id(), lost.id());
    assert_eq!(lost.try_claim(&bench).await.0, StatusCode::CONFLICT);
    assert_eq!(lost.try_events(&bench, &[metric(1, 1, 9.0)]).await.0, StatusCode::CONFLICT);
    assert_eq!(lost.try_result(&bench, &lost.success()).await.0, StatusCode::CONFLICT);
    assert!(curve(&bench, 500).await.is_empty());
    assert_eq!(train_stage(&bench).await.state.as_str(), "queued");
    next.succeed(&bench).await;
    assert_eq!(train_stage(&bench).await.state.as_str(), "done");
}

#[tokio::test]
async fn a_result_that_the_daemon_found_itself_may_be_told_by_a_worker_that_never_asked() {
    let (bench, worker) = training().await;
    worker.leave(&[metric(1, 1, 5.0)], Some(&worker.success()));
    let bench = bench.restarted().await;
    bench.engine.reconcile().await.unwrap();
    assert_eq!(train_stage(&bench).await.state.as_str(), "done");
    for _ in 0..2 {
        assert_eq!(worker.try_result(&bench, &worker.success()).await.0, StatusCode::NO_CONTENT);
    }
    let copy = Worker::at(&worker.folder);
    assert_eq!(copy.try_result(&bench, &copy.success()).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn who_goes_on_alone_after_the_cluster_started_it_again_holds_the_attempt() {
    let (bench, first) = training().await;
    first.claim(&bench).await;
    // No daemon answered the second one.
    let second = Worker { restarts: 1, ..Worker::at(&first.folder) };
    second.events(&bench, &[progress(1, 1)]).await;
    assert_eq!(first.try_events(&bench, &[progress(2, 2)]).await.0, StatusCode::CONFLICT);
    let third = Worker { restarts: 2, ..Worker::at(&first.folder) };
    third.leave(&[], Some(&third.success()));
    bench.hands.is_gone(third.id(), Exit::default());
    bench.engine.reconcile().await.unwrap();
    let stage = train_stage(&bench).await;
    assert_eq!((stage.state.as_str(), stage.attempts), ("done", 1));
}

#[tokio::test]
async fn a_result_that_can_not_be_read_now_is_waited_for() {
    let (bench, worker) = training().await;
    worker.claim(&bench).await;
    worker.leave(&[], None);
    let file = worker.folder.join("result.json");
    std::fs::create_dir(&file).unwrap();
    bench.hands.is_gone(worker.id(), Exit { code: Some(0), ..Exit::default() });
    bench.engine.reconcile().await.unwrap();
    assert_eq!(train_stage(&bench).await.state.as_str(), "running");
    std::fs::remove_dir(&file).unwrap();
    worker.leave(&[], Some(&worker.success()));
    bench.engine.reconcile().await.unwrap();
    let stage = train_stage(&bench).await;
    assert_eq!((stage.state.as_str(), stage.attempts), ("done", 1));
}

#[tokio::test]
async fn what_was_told_is_taken_though_the_worker_hangs_up() {
    let (bench, worker) = training().await;
    worker.claim(&bench).await;
    let success = worker.success();
    let mut telling = Box::pin(worker.try_result(&bench, &success));
    assert!(futures_util::poll!(&mut telling).is_pending());
    drop(telling);
    let done = async {
        while train_stage(&bench).await.state.as_str() != "done" {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), done).await.unwrap();
}
