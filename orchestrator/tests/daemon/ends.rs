//! How attempts in a cluster's queue end.

use super::bench::{Bench, Worker, labels, states, study};
use axum::http::StatusCode;
use orchestrator::executor::{Cause, Exit, Liveness};
use protocol::{attempt::Outcome, view::StageView};

/// A bench whose only run is in training in a cluster, and its worker.
async fn training() -> (Bench, Worker) {
    let (bench, worker, _) = training_before_others().await;
    (bench, worker)
}

/// As [`training`], with the workers that are queued behind it.
async fn training_before_others() -> (Bench, Worker, Vec<Worker>) {
    let bench = Bench::with_queue().await;
    bench.plan(&study("s", &[32], &[0])).await;
    let mut workers = bench.started().await;
    assert_eq!(workers.len(), 7, "everything is queued at once");
    let mut take = |kind: &str| {
        let found = workers.iter().position(|worker| worker.label().starts_with(kind)).unwrap();
        workers.remove(found)
    };
    take("prepare").succeed(&bench).await;
    let worker = take("train");
    worker.claim(&bench).await;
    (bench, worker, workers)
}

fn interrupted() -> Outcome {
    Outcome::Interrupted { message: "stopped after step 5 of 40".into() }
}

fn exit(cause: Cause, word: &'static str) -> Exit {
    Exit { cause, word: Some(word), ..Exit::default() }
}

/// The training, and its attempts.
async fn train(bench: &Bench) -> (StageView, Vec<String>) {
    let detail = bench.study("s").await;
    let run = bench.run(&detail.runs[0]).await;
    let stage = detail.runs[0].stages[1].clone();
    let of_it = run.attempts.iter().filter(|attempt| attempt.stage == stage.id);
    let attempts = of_it
        .map(|attempt| {
            let word = attempt.slurm_state.as_deref().unwrap_or("-");
            format!("{} {word} {}", attempt.state, attempt.message.as_deref().unwrap_or("-"))
        })
        .collect();
    (stage, attempts)
}

#[tokio::test]
async fn an_interrupted_attempt_goes_on_until_the_queue_says_what_for() {
    let (bench, worker) = training().await;
    worker.leave(&[], Some(&interrupted()));
    for _ in 0..2 {
        assert_eq!(worker.try_result(&bench, &interrupted()).await.0, StatusCode::NO_CONTENT);
        assert!(bench.started().await.is_empty());
        let (stage, attempts) = train(&bench).await;
        assert_eq!((stage.state.as_str(), &attempts[..]), ("running", &["running - -".to_owned()][..]));
    }
    bench.hands.is_gone(worker.id(), exit(Cause::Preempted, "PREEMPTED"));
    assert_eq!(labels(&bench.started().await), ["train 01x0032_01d00"]);
    let (_, attempts) = train(&bench).await;
    assert_eq!(attempts, ["preempted PREEMPTED stopped after step 5 of 40", "submitted - -"]);
    // The worker did not hear that it was heard.
    assert_eq!(worker.try_result(&bench, &interrupted()).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_worker_that_somebody_cancelled_in_the_queue_is_not_started_again() {
    // Whether a daemon was there to be told, or came back to find the result.
    for told in [true, false] {
        let (mut bench, worker) = training().await;
        worker.leave(&[], Some(&interrupted()));
        if told {
            assert_eq!(worker.try_result(&bench, &interrupted()).await.0, StatusCode::NO_CONTENT);
        } else {
            bench = bench.restarted().await;
            assert!(bench.started().await.is_empty());
            assert_eq!(train(&bench).await.0.state.as_str(), "running");
        }
        bench.hands.is_gone(worker.id(), exit(Cause::Cancelled, "CANCELLED"));
        assert!(bench.started().await.is_empty());
        let (stage, attempts) = train(&bench).await;
        assert_eq!(stage.reason.as_deref(), Some("cancelled in the cluster's queue"));
        assert_eq!(attempts, ["cancelled CANCELLED stopped after step 5 of 40"]);
        let detail = bench.study("s").await;
        assert_eq!(
            states(&detail.runs[0].stages)[1..4],
            ["train cancelled", "evaluate skipped", "means skipped"]
        );
    }
}

#[tokio::test]
async fn nothing_is_queued_behind_a_job_that_ended_nobody_knows_how() {
    let (bench, worker, others) = training_before_others().await;
    bench.hands.state.lock().unwrap().insert(worker.id(), Liveness::Unexplained);
    let evaluate = others.iter().find(|other| other.label().starts_with("evaluate")).unwrap();
    bench.hands.is_gone(evaluate.id(), Exit::default());
    for _ in 0..2 {
        assert!(bench.started().await.is_empty());
        let (stage, attempts) = train(&bench).await;
        assert_eq!((stage.state.as_str(), &attempts[..]), ("running", &["running - -".to_owned()][..]));
    }
    bench.hands.is_gone(worker.id(), exit(Cause::Preempted, "PREEMPTED"));
    assert_eq!(labels(&bench.started().await), ["evaluate 01x0032_01d00@0", "train 01x0032_01d00"]);
}

#[tokio::test]
async fn one_that_was_to_stop_is_over_when_its_job_is_however_that_ended() {
    let (bench, worker) = training().await;
    bench.post::<()>("/studies/s/cancel", None).await;
    bench.hands.state.lock().unwrap().insert(worker.id(), Liveness::Unexplained);
    assert!(bench.started().await.is_empty());
    let (_, attempts) = train(&bench).await;
    assert!(attempts.len() == 1 && attempts[0].starts_with("cancelled"), "{attempts:?}");
}

#[tokio::test]
async fn an_attempt_that_was_asked_to_stop_ends_with_its_workers_word() {
    let (bench, worker) = training().await;
    bench.post::<()>("/studies/s/cancel", None).await;
    worker.leave(&[], Some(&interrupted()));
    assert_eq!(worker.try_result(&bench, &interrupted()).await.0, StatusCode::NO_CONTENT);
    let (stage, attempts) = train(&bench).await;
    assert_eq!(stage.reason.as_deref(), Some("cancelled by a person"));
    assert_eq!(attempts, ["cancelled - stopped after step 5 of 40"]);
}

#[tokio::test]
async fn the_next_attempt_and_no_other_leaves_out_a_node_on_which_the_last_one_failed_at_once() {
    let (bench, worker) = training().await;
    assert!(bench.hands.left_out().is_empty());
    worker.fail(&bench, false).await;
    bench.plan(&study("t", &[64], &[0])).await;
    let started = labels(&bench.started().await);
    assert_eq!(started.len(), 7);
    assert!(started.contains(&"train 01x0032_01d00".to_owned()), "{started:?}");
    assert_eq!(bench.hands.left_out(), ["here"]);
}

#[tokio::test]
async fn a_node_is_left_out_until_an_attempt_elsewhere_had_its_chance() {
    let (bench, worker) = training().await;
    worker.fail(&bench, false).await;
    for _ in 0..3 {
        let started = bench.started().await;
        assert_eq!(labels(&started), ["train 01x0032_01d00"]);
        assert_eq!(bench.hands.left_out(), ["here"]);
        bench.hands.is_gone(started[0].id(), exit(Cause::Preempted, "PREEMPTED"));
    }
}

#[tokio::test]
async fn no_node_is_left_out_when_a_person_tries_wrong_input_again() {
    let (bench, worker) = training().await;
    worker.fail(&bench, true).await;
    assert!(bench.started().await.is_empty());
    bench.post::<()>("/studies/s/retry", None).await;
    assert_eq!(labels(&bench.started().await), ["train 01x0032_01d00"]);
    assert!(bench.hands.left_out().is_empty());
}

#[tokio::test]
async fn a_node_on_which_everything_fails_at_once_is_left_out_unless_the_input_is_to_blame() {
    for (permanent, attempts) in [(false, 1), (true, 2), (true, 1)] {
        let bench = Bench::with_queue().await;
        let mut spec = study("s", &[32], &[0, 1, 2]);
        spec.resources.attempts = attempts;
        bench.plan(&spec).await;
        let workers = bench.started().await;
        for worker in &workers {
            match worker.label().split(' ').next().unwrap() {
                "prepare" => worker.succeed(&bench).await,
                "train" => worker.fail(&bench, permanent).await,
                _ => {}
            }
        }
        let failing = async || bench.store.failing_nodes(chrono::Utc::now()).await.unwrap();
        assert!(failing().await.is_empty(), "all at one moment");
        let at_other_times = "UPDATE attempts SET finished = finished - CASE state WHEN 'failed' THEN 1000000 * rowid ELSE
                              50000000 END, started = started - CASE state WHEN 'failed' THEN 1000000 * rowid ELSE 0 END
                              WHERE live = 0";
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(bench.root.path().join("lc.sqlite"));
        let mut record = sqlx::ConnectOptions::connect(&options).await.unwrap();
        sqlx::query(at_other_times).execute(&mut record).await.unwrap();
        assert_eq!(failing().await.len(), usize::from(!permanent), "{permanent} {attempts}");
    }
}
