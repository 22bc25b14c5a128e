//! Taking studies out of the record.

use super::bench::{Bench, TOKEN, metric, states, study};
use axum::http::{Method, StatusCode};
use protocol::{
    table::{Failures, RunsPage, SavedView},
    view::{RemovedStudy, StudyPage},
};
use serde_json::Value;

async fn remove(bench: &Bench, path: &str) -> (StatusCode, Value) {
    bench.call::<()>(Method::DELETE, path, TOKEN, None).await
}

async fn removed(bench: &Bench, path: &str) -> RemovedStudy {
    let (status, answer) = remove(bench, path).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    serde_json::from_value(answer).unwrap()
}

/// Why a study is not removed.
async fn kept(bench: &Bench, path: &str) -> String {
    let (status, problem) = remove(bench, path).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert_eq!(problem["type"], "kept");
    problem["detail"].as_str().unwrap().to_owned()
}

async fn names(bench: &Bench) -> Vec<String> {
    bench.get::<StudyPage>("/studies").await.items.into_iter().map(|study| study.name).collect()
}

#[tokio::test]
async fn the_name_of_a_study_whose_data_was_wrong_is_free_again() {
    let bench = Bench::new(100).await;
    let view = SavedView { name: "mine".into(), query: "sort=loss".into() };
    bench.plan(&study("s", &[32, 64], &[0])).await;
    bench.call(Method::PUT, "/studies/s/views/mine", TOKEN, Some(&view)).await;
    bench.started().await.remove(0).fail(&bench, true).await;
    let run = bench.study("s").await.runs.remove(0);
    assert_eq!(bench.get::<RunsPage>("/studies/s/runs").await.total, 2);

    let mut right = study("s", &[32, 64], &[0]);
    right.data.block_size = 64;
    let (status, problem) = bench.post("/studies", Some(&right)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().ends_with("lcctl remove s"), "{problem}");

    let would = removed(&bench, "/studies/s?dry_run=true").await;
    assert_eq!((would.runs, would.shared), (2, 0));
    assert_eq!(bench.study("s").await.runs.len(), 2, "a dry run changes nothing");
    assert_eq!(removed(&bench, "/studies/s").await, would);
    assert!(names(&bench).await.is_empty());
    for path in ["/studies/s", "/studies/s/board", "/studies/s/runs", &format!("/runs/{}", run.id)] {
        assert_eq!(bench.call::<()>(Method::GET, path, TOKEN, None).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(remove(&bench, "/studies/s").await.0, StatusCode::NOT_FOUND);
    assert!(bench.get::<Failures>("/failures").await.groups.is_empty());

    let bench = bench.restarted().await;
    let plan = bench.plan(&right).await;
    assert_eq!((plan.new_stages, plan.existing_stages), (13, 0));
    assert_eq!(plan.runs[0].name, "01x0032_01d00", "the plain name is free again, too");
    assert_eq!(bench.finish().await, 13);
    assert_eq!(bench.get::<RunsPage>("/studies/s/runs").await.total, 2);
    // The settings that were wrong can be asked for once more as well.
    assert_eq!(bench.plan(&study("t", &[32], &[0])).await.new_stages, 7);
    assert_eq!(bench.finish().await, 7);
}

#[tokio::test]
async fn a_study_that_is_not_over_is_cancelled_first() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0])).await;
    assert!(kept(&bench, "/studies/s").await.ends_with("7 stages of it are not over; first: lcctl cancel s"));
    let worker = bench.started().await.remove(0);
    worker.claim(&bench).await;
    bench.post::<()>("/studies/s/cancel", None).await;
    let told = kept(&bench, "/studies/s").await;
    assert!(told.contains("1 stage of it is not over"), "its worker is still there: {told}");
    bench.hands.forget(worker.id());
    assert!(bench.started().await.is_empty());
    assert_eq!(removed(&bench, "/studies/s").await.runs, 1);
}

#[tokio::test]
async fn nothing_that_was_computed_is_removed() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0, 1])).await;
    bench.started().await.remove(0).succeed(&bench).await;
    let train = bench.started().await.remove(0);
    train.claim(&bench).await;
    train.events(&bench, &[metric(1, 1, 2.0)]).await;
    bench.post::<()>("/studies/s/cancel", None).await;
    bench.hands.forget(train.id());
    bench.started().await;
    let told = kept(&bench, "/studies/s").await;
    assert!(
        told.contains("1 run of it") && told.contains("nothing that was computed is ever removed"),
        "{told}"
    );
    let mut other = study("s", &[32], &[0]);
    other.training.learning_rate = 1e-3;
    let (_, problem) = bench.post("/studies", Some(&other)).await;
    assert!(problem["detail"].as_str().unwrap().ends_with("choose another name"), "{problem}");
    assert_eq!(bench.study("s").await.runs.len(), 2);
}

#[tokio::test]
async fn data_that_was_prepared_stays_for_the_next_study() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0])).await;
    bench.started().await.remove(0).succeed(&bench).await;
    bench.started().await.remove(0).fail(&bench, true).await;
    assert_eq!(removed(&bench, "/studies/s").await.runs, 1);
    let mut other = study("s", &[32], &[0]);
    other.training.learning_rate = 1e-3;
    let plan = bench.plan(&other).await;
    assert_eq!((plan.new_stages, plan.existing_stages), (6, 1));
    assert_eq!(states(&bench.study("s").await.runs[0].stages)[..2], ["prepare done", "train ready"]);
    assert_eq!(bench.finish().await, 6);
}

#[tokio::test]
async fn runs_that_other_studies_hold_stay_with_these() {
    let bench = Bench::new(1).await;
    bench.plan(&study("a", &[32], &[0, 1])).await;
    bench.plan(&study("b", &[32], &[1, 2])).await;
    bench.post::<()>("/studies/a/cancel", None).await;
    // What goes on is needed by the other study.
    let gone = removed(&bench, "/studies/a").await;
    assert_eq!((gone.runs, gone.shared), (1, 1));
    assert_eq!(names(&bench).await, ["b"]);
    let b = bench.study("b").await;
    assert_eq!(bench.run(&b.runs[0]).await.studies, ["b"]);
    assert_eq!(bench.finish().await, 13);
    assert_eq!(bench.get::<RunsPage>("/studies/b/runs").await.total, 2);
}

#[tokio::test]
async fn attempts_in_a_queue_are_removed_with_their_submissions() {
    let bench = Bench::with_queue().await;
    bench.plan(&study("s", &[32], &[0, 1])).await;
    let workers = bench.started().await;
    workers.iter().find(|worker| worker.label() == "prepare").unwrap().fail(&bench, true).await;
    for worker in &workers {
        bench.hands.forget(worker.id());
    }
    bench.started().await;
    assert_eq!(removed(&bench, "/studies/s").await.runs, 2);
    assert!(bench.started().await.is_empty());
    assert_eq!(bench.plan(&study("s", &[32], &[0, 1])).await.new_stages, 13);
    assert!(!bench.started().await.is_empty());
}
