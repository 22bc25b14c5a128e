//! A whole study, from plan to table.

use super::bench::{Bench, states, study};
use protocol::view::{Results, StudyState};

#[tokio::test]
async fn a_study_runs_in_dependency_order_and_nothing_else_is_started() {
    let bench = Bench::new(100).await;
    bench.plan(&study("s", &[32, 64], &[0, 1])).await;

    let prepare = bench.started().await;
    assert_eq!(super::bench::labels(&prepare), ["prepare"]);
    assert!(bench.labels().await.is_empty());
    prepare[0].claim(&bench).await;
    assert!(bench.labels().await.is_empty(), "nothing starts before its parents are done");
    prepare[0].ends(&bench, &prepare[0].success()).await;

    let trains = bench.started().await;
    let names = ["01x0032_01d00", "01x0032_01d01", "01x0064_01d00", "01x0064_01d01"];
    assert_eq!(super::bench::labels(&trains), names.map(|name| format!("train {name}")));
    assert!(bench.labels().await.is_empty());

    let first = trains.iter().find(|worker| worker.label() == "train 01x0032_01d00").unwrap();
    first.succeed(&bench).await;
    let second = bench.started().await;
    assert_eq!(super::bench::labels(&second), ["evaluate 01x0032_01d00@0", "means 01x0032_01d00@0"]);
    let (evaluate, means) = if second[0].label().starts_with("means") {
        (&second[1], &second[0])
    } else {
        (&second[0], &second[1])
    };
    means.succeed(&bench).await;
    let third = bench.started().await;
    assert_eq!(super::bench::labels(&third), ["decs 01x0032_01d00@0", "vars 01x0032_01d00@0"]);
    third[0].succeed(&bench).await;
    third[1].succeed(&bench).await;
    assert!(bench.labels().await.is_empty(), "analyze waits for evaluate");
    evaluate.succeed(&bench).await;
    let last = bench.started().await;
    assert_eq!(super::bench::labels(&last), ["analyze 01x0032_01d00@0"]);
    last[0].succeed(&bench).await;
    bench.engine.reconcile().await.unwrap();
    assert_eq!(bench.read("results/s.csv"), "model,n_params,perplex,cdnv\n01x0032_01d00@0,9,inf,\n");

    for train in trains.iter().filter(|worker| worker.id() != first.id()) {
        train.succeed(&bench).await;
    }
    assert_eq!(bench.finish().await, 3 * 5);
    let study = bench.study("s").await;
    assert_eq!((study.summary.state, study.summary.stages.done), (StudyState::Done, 1 + 4 * 6));
    for run in &study.runs {
        let detail = bench.run(run).await;
        assert!(detail.attempts.iter().all(|attempt| attempt.number == 1), "every stage was tried once");
        assert_eq!(detail.outputs.len(), 7);
        assert_eq!(detail.measures.len(), 1);
    }
    let rows: Vec<_> =
        bench.read("results/s.csv").lines().skip(1).map(|line| line[..15].to_owned()).collect();
    assert_eq!(rows, names.map(|name| format!("{name}@0")));
    let results: Results = bench.get("/studies/s/results").await;
    assert_eq!((results.columns.len(), results.rows.len()), (3, 4));
    let (_, csv) =
        bench.call::<()>(axum::http::Method::GET, "/studies/s/results.csv", super::bench::TOKEN, None).await;
    assert_eq!(csv.as_str(), Some(bench.read("results/s.csv").as_str()));
}

#[tokio::test]
async fn one_slot_runs_one_worker_at_a_time_and_finishes_a_run_before_the_next() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0, 1])).await;
    let mut order = Vec::new();
    loop {
        let workers = bench.started().await;
        let [worker] = workers.as_slice() else {
            assert!(workers.is_empty());
            break;
        };
        assert!(bench.labels().await.is_empty());
        order.push(worker.label());
        worker.succeed(&bench).await;
    }
    assert_eq!(order.len(), 1 + 2 * 6);
    assert_eq!(order[0], "prepare");
    assert_eq!(order[6], "analyze 01x0032_01d00@0");
    assert_eq!(order[7], "train 01x0032_01d01");
}

#[tokio::test]
async fn every_epoch_has_its_own_chain() {
    let bench = Bench::new(100).await;
    let mut spec = study("s", &[32], &[0]);
    spec.grid.epochs = protocol::axis::Counted(vec![2]);
    bench.plan(&spec).await;
    assert_eq!(bench.finish().await, 2 + 2 * 5);
    let study = bench.study("s").await;
    assert!(states(&study.runs[0].stages).iter().all(|state| state.ends_with(" done")));
    assert_eq!(bench.read("results/s.csv").lines().count(), 3);
}
