//! Cancelling.

use super::bench::{Bench, progress, states, study};
use axum::http::StatusCode;
use orchestrator::{
    executor::{Cause, Exit},
    store::Terms,
};
use protocol::{
    attempt::Outcome,
    stage::StageKind,
    view::{Changed, StudyState},
};
use serde_json::json;

#[tokio::test]
async fn cancelling_stops_the_worker_and_starts_nothing_more() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0])).await;
    bench.started().await.remove(0).succeed(&bench).await;
    let worker = bench.started().await.remove(0);
    worker.claim(&bench).await;

    let (_, would) = bench.post::<()>("/studies/s/cancel?dry_run=true", None).await;
    assert_eq!(worker.events(&bench, &[progress(1, 1)]).await["stop"], false);
    let (_, changed) = bench.post::<()>("/studies/s/cancel", None).await;
    assert_eq!(would["stages"].as_array().unwrap().len(), changed["stages"].as_array().unwrap().len());
    let changed: Changed = serde_json::from_value(changed).unwrap();
    assert!(states(&changed.stages).iter().all(|state| state.ends_with(" cancelled")));
    assert_eq!(changed.stages.len(), 6);
    assert_eq!(worker.events(&bench, &[progress(2, 2)]).await["stop"], true);
    assert!(bench.started().await.is_empty());
    assert_eq!(*bench.hands.stops.lock().unwrap(), [(worker.id(), false)]);
    worker.ends(&bench, &Outcome::Interrupted { message: "asked to".into() }).await;
    assert!(bench.started().await.is_empty());
    let detail = bench.study("s").await;
    assert_eq!(detail.summary.state, StudyState::Cancelled);
    assert_eq!(bench.run(&detail.runs[0]).await.attempts[1].state.as_str(), "cancelled");

    bench.post::<()>("/studies/s/retry", None).await;
    assert_eq!(bench.finish().await, 6);
    assert_eq!(bench.study("s").await.summary.state, StudyState::Done);
}

#[tokio::test]
async fn a_stage_is_tried_again_only_when_its_old_worker_is_gone() {
    let bench = Bench::new(2).await;
    bench.plan(&study("s", &[32], &[0])).await;
    let worker = bench.started().await.remove(0);
    worker.claim(&bench).await;
    bench.post::<()>("/studies/s/cancel", None).await;
    bench.post::<()>("/studies/s/retry", None).await;
    assert!(bench.started().await.is_empty(), "two workers must never be at one stage");
    bench.hands.is_gone(worker.id(), Exit { code: None, signal: Some(15), ..Exit::default() });
    assert_eq!(bench.labels().await, ["prepare"]);
}

#[tokio::test]
async fn a_cancelled_worker_that_was_not_claimed_yet_is_refused() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0])).await;
    let worker = bench.started().await.remove(0);
    bench.post::<()>("/studies/s/cancel", None).await;
    assert_eq!(worker.try_claim(&bench).await.0, StatusCode::CONFLICT);
    bench.hands.forget(worker.id());
    assert!(bench.started().await.is_empty());
    assert_eq!(bench.study("s").await.summary.state, StudyState::Cancelled);
}

#[tokio::test]
async fn what_another_study_needs_goes_on_until_that_one_is_cancelled_too() {
    let bench = Bench::new(1).await;
    bench.plan(&study("a", &[32], &[0, 1])).await;
    bench.plan(&study("b", &[32], &[1, 2])).await;
    bench.post::<()>("/studies/a/cancel", None).await;
    let a = bench.study("a").await;
    assert_eq!(states(&a.runs[0].stages)[..2], ["prepare ready", "train cancelled"]);
    assert_eq!(states(&a.runs[1].stages)[1], "train waiting");
    assert_eq!(bench.study("b").await.summary.stages.cancelled, 0);
    bench.post::<()>("/studies/b/cancel", None).await;
    assert_eq!(bench.study("a").await.summary.state, StudyState::Cancelled);
    assert_eq!(bench.study("b").await.summary.state, StudyState::Cancelled);
    assert!(bench.labels().await.is_empty());
}

#[tokio::test]
async fn stages_of_one_kind_go_on_where_another_study_needs_them() {
    let bench = Bench::new(1).await;
    bench.plan(&study("a", &[32], &[0, 1])).await;
    bench.plan(&study("b", &[32], &[1, 2])).await;
    let cancel = |kind: &str| json!({"verb": "cancel", "kinds": [kind]});
    let (_, acted) = bench.post("/studies/a/actions", Some(&cancel("means@0"))).await;
    // The means of one run, and what needs them.
    assert_eq!((acted["runs"].clone(), acted["stages"].clone()), (json!(2), json!(4)));
    let a = bench.study("a").await;
    assert_eq!(states(&a.runs[0].stages)[3], "means cancelled");
    assert_eq!(states(&a.runs[1].stages)[3], "means waiting");
    let (_, acted) = bench.post("/studies/a/actions", Some(&cancel("means@1"))).await;
    assert_eq!(acted["stages"], 0, "there is no such checkpoint");
    let (_, acted) = bench.post("/studies/a/actions", Some(&cancel("prepare"))).await;
    assert_eq!(acted["stages"], 0);
    bench.post::<()>("/studies/b/cancel", None).await;
    let (_, acted) = bench.post("/studies/a/actions?dry_run=true", Some(&json!({"verb": "cancel"}))).await;
    assert!(acted["kinds"].as_array().unwrap().iter().all(|kind| kind[0] != "prepare"), "{acted}");
    let (_, acted) = bench.post("/studies/a/actions?dry_run=true", Some(&cancel("prepare"))).await;
    assert_eq!(acted["kinds"][0], json!(["prepare", 1]), "named, what all runs share is meant as well");
}

#[tokio::test]
async fn a_run_of_a_study_goes_on_where_another_study_needs_it() {
    let bench = Bench::new(1).await;
    bench.plan(&study("a", &[32], &[0])).await;
    bench.plan(&study("b", &[32], &[0])).await;
    let run = bench.study("a").await.runs.remove(0);
    let means = run.stages[3].id;
    for (path, left) in [(format!("/runs/{}", run.id), 6), (format!("/stages/{means}"), 1)] {
        let (_, changed) = bench.post::<()>(&format!("{path}/cancel?study=a"), None).await;
        assert_eq!(changed, json!({"stages": [], "left": left}), "{path}");
    }
    bench.post::<()>("/studies/b/cancel", None).await;
    let path = format!("/runs/{}/cancel", run.id);
    let (_, changed) = bench.post::<()>(&format!("{path}?study=a&dry_run=true"), None).await;
    assert_eq!((changed["stages"].as_array().unwrap().len(), changed["left"].clone()), (6, json!(0)));
    // Whoever names no study means the run.
    bench.plan(&study("b", &[32], &[0])).await;
    let (status, _) = bench.post::<()>(&format!("{path}?study=c"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (_, changed) = bench.post::<()>(&path, None).await;
    assert_eq!(changed["stages"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn one_stage_can_be_cancelled_alone() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0])).await;
    let means = bench.study("s").await.runs[0].stages[3].id;
    bench.post::<()>(&format!("/stages/{means}/cancel"), None).await;
    let stages = bench.study("s").await.runs[0].stages.clone();
    assert_eq!(states(&stages)[3..], ["means cancelled", "vars skipped", "decs skipped", "analyze skipped"]);
    assert_eq!(stages[4].reason.as_deref(), Some("means was cancelled"));
    assert_eq!(bench.finish().await, 3);
}

#[tokio::test]
async fn what_was_given_up_does_not_come_back_when_another_study_is_tried_again() {
    let bench = Bench::new(1).await;
    bench.plan(&study("a", &[32], &[0])).await;
    bench.plan(&study("b", &[32], &[1])).await;
    bench.started().await.remove(0).fail(&bench, true).await;
    let a = bench.study("a").await;
    assert_eq!(states(&a.runs[0].stages)[..2], ["prepare failed", "train skipped"]);
    bench.post::<()>("/studies/a/cancel", None).await;
    let a = bench.study("a").await;
    assert!(states(&a.runs[0].stages)[1..].iter().all(|state| state.ends_with(" cancelled")));
    // The data that both need is prepared; only b goes on.
    bench.post::<()>("/studies/b/retry", None).await;
    assert_eq!(bench.finish().await, 7);
    assert_eq!(bench.study("b").await.summary.state, StudyState::Done);
    assert_eq!(bench.study("a").await.summary.state, StudyState::Cancelled);
    bench.post::<()>("/studies/a/retry", None).await;
    assert_eq!(bench.finish().await, 6);
    assert_eq!(bench.study("a").await.summary.state, StudyState::Done);
}

#[tokio::test]
async fn data_is_prepared_with_the_priority_of_the_runs_that_wait_for_it() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0, 1])).await;
    let first = json!({"verb": "prioritise", "filter": "seed=1", "priority": 5});
    bench.post("/studies/s/actions", Some(&first)).await;
    let queueable = bench.store.queueable(&Terms::default(), usize::MAX).await.unwrap();
    let order: Vec<_> = queueable.candidates.iter().map(|found| (found.kind, found.priority)).collect();
    assert_eq!(order[..2], [(StageKind::Prepare, 5), (StageKind::Train, 5)]);
    assert!(order[7..].iter().all(|(_, priority)| *priority == 0), "{order:?}");
}

#[tokio::test]
async fn data_of_runs_that_go_first_is_prepared_first() {
    let bench = Bench::new(1).await;
    bench.plan(&study("usual", &[32], &[0])).await;
    bench.started().await.remove(0).succeed(&bench).await;
    let mut urgent = study("urgent", &[32], &[0]);
    urgent.data.block_size /= 2;
    bench.plan(&urgent).await;
    let first = json!({"verb": "prioritise", "priority": 5});
    bench.post("/studies/urgent/actions", Some(&first)).await;
    assert_eq!(bench.labels().await, ["prepare"], "before the training of the other study");
}

#[tokio::test]
async fn new_rules_undo_what_was_learned_over_the_old_ones() {
    let bench = Bench::new(1).await;
    let rules = |mem: &str| {
        let mut spec = study("s", &[32], &[0]);
        spec.resources.rules = vec![serde_json::from_value(json!({"mem": mem})).unwrap()];
        spec
    };
    bench.plan(&rules("1G")).await;
    bench.started().await.remove(0).succeed(&bench).await;
    let worker = bench.started().await.remove(0);
    worker.claim(&bench).await;
    let exit = Exit { cause: Cause::OutOfMemory, ..Exit::default() };
    bench.hands.is_gone(worker.id(), exit);
    let asked = async || {
        let stage = bench.study("s").await.runs[0].stages[1].id;
        bench.store.requests_of(&[stage], &Terms::default()).await.unwrap()[&stage].1.memory_mb
    };
    bench.started().await;
    assert_eq!(asked().await, Some(2048));
    bench.plan(&rules("1G")).await;
    assert_eq!(asked().await, Some(2048));
    bench.plan(&rules("3G")).await;
    assert_eq!(asked().await, Some(3072));
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let bench = Bench::new(1).await;
    for path in [
        "/studies/x/cancel",
        "/studies/x/retry",
        "/runs/7/cancel",
        "/runs/7/retry",
        "/stages/7/cancel",
        "/stages/7/retry",
    ] {
        let (status, problem) = bench.post::<()>(path, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(problem["detail"].as_str().unwrap().starts_with("there is no "), "{problem}");
    }
}
