//! Planning: what is recorded, and what only asked about.

use super::bench::{Bench, study};
use axum::http::StatusCode;
use chrono::Utc;
use protocol::{
    spec::StageSpec,
    view::{StudyPage, StudyPlan},
};

#[tokio::test]
async fn a_dry_run_records_nothing() {
    let bench = Bench::new(1).await;
    let (status, plan) = bench.post("/studies?dry_run=true", Some(&study("s", &[32], &[0]))).await;
    let plan: StudyPlan = serde_json::from_value(plan).unwrap();
    assert_eq!((status, plan.created, plan.new_stages, plan.runs.len()), (StatusCode::OK, false, 7, 1));
    assert!(bench.get::<StudyPage>("/studies").await.items.is_empty());
    assert!(bench.labels().await.is_empty());
}

#[tokio::test]
async fn a_plan_is_recorded_also_when_the_one_who_asked_has_left() {
    let bench = Bench::new(1).await;
    let busy = bench.store.begin(Utc::now).await.unwrap();
    let spec = study("s", &[32], &[0]);
    let mut asked = Box::pin(bench.post("/studies", Some(&spec)));
    for _ in 0..1000 {
        tokio::select! {
            biased;
            answer = &mut asked => panic!("the record is in use: {answer:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(asked);
    drop(busy);
    // Whoever asked first writes first.
    bench.store.begin(Utc::now).await.unwrap().commit().await.unwrap();
    assert_eq!(bench.study("s").await.runs.len(), 1);
}

#[tokio::test]
async fn posting_a_study_again_adds_only_what_is_new() {
    let bench = Bench::new(100).await;
    let first = bench.plan(&study("s", &[32], &[0, 1])).await;
    assert_eq!((first.new_stages, first.existing_stages), (13, 0));
    let again = bench.plan(&study("s", &[32], &[0, 1])).await;
    assert_eq!((again.new_stages, again.existing_stages), (0, 13));
    assert!(again.runs.iter().all(|run| !run.new));
    assert_eq!(bench.finish().await, 13);
    let larger = bench.plan(&study("s", &[32, 64], &[0, 1])).await;
    assert_eq!((larger.new_stages, larger.existing_stages), (12, 13));
    assert_eq!(bench.finish().await, 12);
    assert_eq!(bench.read("results/s.csv").lines().count(), 5);
}

#[tokio::test]
async fn a_model_is_trained_once_for_all_studies() {
    let bench = Bench::new(100).await;
    bench.plan(&study("a", &[32], &[0])).await;
    assert_eq!(bench.finish().await, 7);
    let plan = bench.plan(&study("b", &[32], &[0, 1])).await;
    assert_eq!((plan.new_stages, plan.existing_stages), (6, 7));
    assert_eq!(bench.finish().await, 6);
    assert_eq!(bench.read("results/b.csv").lines().count(), 3);
    let run = bench.run(&bench.study("a").await.runs[0]).await;
    assert_eq!(run.studies, ["a", "b"]);
}

#[tokio::test]
async fn what_a_new_study_tries_again_is_counted() {
    let bench = Bench::new(100).await;
    bench.plan(&study("a", &[32], &[0])).await;
    bench.post::<()>("/studies/a/cancel", None).await;
    let same = bench.plan(&study("a", &[32], &[0])).await;
    assert_eq!((same.existing_stages, same.retried_stages), (7, 0));
    let other = bench.plan(&study("b", &[32], &[0])).await;
    assert_eq!((other.new_stages, other.existing_stages, other.retried_stages), (0, 7, 7));
    assert_eq!(bench.finish().await, 7);
}

#[tokio::test]
async fn only_stages_that_the_study_had_before_count_as_tried_again() {
    let bench = Bench::new(100).await;
    for (name, seed) in [("a", 0), ("b", 1)] {
        bench.plan(&study(name, &[32], &[seed])).await;
    }
    bench.started().await.remove(0).fail(&bench, true).await;
    assert_eq!(bench.study("b").await.runs[0].stages[1].state.as_str(), "skipped");
    let plan = bench.plan(&study("b", &[32], &[1, 2])).await;
    assert_eq!((plan.new_stages, plan.existing_stages, plan.retried_stages), (6, 7, 7));
    assert_eq!(bench.started().await.len(), 1);

    let plan = bench.plan(&study("c", &[32], &[3])).await;
    assert_eq!((plan.new_stages, plan.existing_stages, plan.retried_stages), (6, 1, 0));
}

#[tokio::test]
async fn a_failed_stage_that_a_new_study_shares_is_all_that_it_tries_again() {
    let bench = Bench::new(100).await;
    bench.plan(&study("a", &[32], &[0])).await;
    bench.started().await.remove(0).fail(&bench, true).await;
    let plan = bench.plan(&study("b", &[32], &[1])).await;
    assert_eq!((plan.new_stages, plan.existing_stages, plan.retried_stages), (6, 1, 1));
    assert_eq!(bench.started().await.len(), 1);
}

#[tokio::test]
async fn a_table_is_there_at_once_when_all_of_a_study_is_known() {
    let bench = Bench::new(100).await;
    bench.plan(&study("a", &[32], &[0])).await;
    bench.finish().await;
    bench.plan(&study("b", &[32], &[0])).await;
    assert_eq!(bench.finish().await, 0);
    assert_eq!(bench.read("results/b.csv"), bench.read("results/a.csv"));
}

#[tokio::test]
async fn another_model_of_the_same_identifier_gets_folders_of_its_own() {
    let bench = Bench::new(100).await;
    bench.plan(&study("a", &[32], &[0])).await;
    let mut other = study("b", &[32], &[0]);
    other.training.learning_rate = 1e-3;
    let plan = bench.plan(&other).await;
    assert_eq!(plan.runs[0].name, "b-01x0032_01d00");
    let mut third = other.clone();
    third.name = "a".into();
    let (status, problem) = bench.post("/studies", Some(&third)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().starts_with(
        "name: study a has a run 01x0032_01d00 with other settings already (training.learning_rate = "
    ));
}

#[tokio::test]
async fn a_study_that_makes_no_sense_is_refused_with_every_reason() {
    let bench = Bench::new(1).await;
    let mut spec = study("s", &[33], &[0]);
    spec.training.dtype = "f16".into();
    let (status, problem) = bench.post("/studies", Some(&spec)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let lines: Vec<_> = problem["detail"].as_str().unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "{problem}");
    assert!(lines[0].starts_with("grid.width: 33 is not divisible by model.heads = 16"));
    let (status, problem) = bench.post("/studies", Some(&serde_json::json!({"name": "s", "gird": {}}))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(problem["detail"].as_str().unwrap().contains("gird"), "{problem}");
    assert!(bench.get::<StudyPage>("/studies").await.items.is_empty());
}

#[tokio::test]
async fn studies_come_in_pages_newest_first() {
    let bench = Bench::new(1).await;
    for name in ["a", "b", "c"] {
        bench.plan(&study(name, &[32], &[0])).await;
    }
    let first: StudyPage = bench.get("/studies?limit=2").await;
    let names = |page: &StudyPage| page.items.iter().map(|study| study.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&first), ["c", "b"]);
    let rest: StudyPage = bench.get(&format!("/studies?limit=2&cursor={}", first.next.unwrap())).await;
    assert_eq!((names(&rest), rest.next), (vec!["a".to_owned()], None));
}

#[tokio::test]
async fn covariance_that_files_lack_is_told_and_not_claimed() {
    let bench = Bench::new(100).await;
    bench.plan(&study("s", &[32], &[0])).await;
    bench.finish().await;
    let mut wider = study("s", &[32], &[0, 1]);
    wider.collection.covariance = true;
    for _ in 0..2 {
        let plan = bench.plan(&wider).await;
        let [note] = plan.notes.as_slice() else { panic!("{:?}", plan.notes) };
        assert!(note.starts_with("the variances of 1 run were collected without covariance"), "{note}");
        assert!(note.contains("/models/01x0032_01d00 --checkpoint 0 --data "), "{note}");
        assert!(!bench.study("s").await.spec.collection.covariance);
    }
    // What is collected from now on has it.
    let mut with = Vec::new();
    loop {
        let workers = bench.started().await;
        if workers.is_empty() {
            break;
        }
        for worker in workers {
            if let StageSpec::Vars(spec) = &worker.file.spec {
                with.push(spec.covariance);
            }
            worker.succeed(&bench).await;
        }
    }
    assert_eq!(with, [true]);
    assert!(bench.plan(&study("s", &[32], &[0, 1])).await.notes.is_empty());
    let mut new = study("t", &[32], &[1]);
    new.collection.covariance = true;
    assert!(bench.plan(&new).await.notes.is_empty(), "these have it, whatever was asked for since");
}

#[tokio::test]
async fn other_measures_of_what_is_there_need_no_other_study() {
    let bench = Bench::new(100).await;
    bench.plan(&study("s", &[32], &[0])).await;
    bench.finish().await;
    let mut more = study("s", &[32], &[0]);
    more.analysis.measures = vec!["all".into(), "rank".into()];
    more.analysis.min_per_class = 2;
    let (status, problem) = bench.post("/studies", Some(&more)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let root = bench.root.path().display();
    let command = format!(
        "lc-worker analyze --stats {root}/stats --models {root}/models --measures all,rank --min-per-class 2 --out FILE.csv"
    );
    assert!(problem["detail"].as_str().unwrap().ends_with(&command), "{problem}");
    more.training.learning_rate = 1e-3;
    let (_, problem) = bench.post("/studies", Some(&more)).await;
    assert!(problem["detail"].as_str().unwrap().ends_with("choose another name"), "{problem}");
}
