//! Many runs at once: the runs table, the heat map, actions on a selection, saved views, failures.

use super::bench::{Bench, TOKEN, metric, progress, study};
use axum::http::{Method, StatusCode};
use protocol::{
    attempt::Outcome,
    axis::Counted,
    output::{AnalyzeOutput, MeasureRow, StageOutput},
    real::Real,
    report::Report,
    spec::StageSpec,
    stage::{AttemptState, StageKind, StageState},
    study::Checkpoints,
    table::{Acted, Cell, Failures, HeatMap, RunsPage, SavedView, Spread, StudyBoard},
    view::{RunDetail, StudyPage, StudyState},
};
use serde_json::json;

/// Two depths, two widths, two seeds.
async fn eight() -> Bench {
    let bench = Bench::new(8).await;
    let mut spec = study("s", &[32, 64], &[0, 1]);
    spec.grid.depth = Counted(vec![1, 2]);
    bench.plan(&spec).await;
    bench
}

/// Lets all stages of a study succeed, with a validation loss of its own for each run.
async fn measured() -> Bench {
    let bench = eight().await;
    all_done(&bench, |name, _| {
        // 01x0032_01d00: depth, width and seed are told apart by their digits.
        let digit = |at: std::ops::Range<usize>| name[at].parse::<f64>().unwrap();
        4.0 - digit(0..2) - digit(3..7) / 100.0 + digit(11..13) / 10.0
    })
    .await;
    bench
}

/// Lets all stages succeed, with the validation loss of each run and checkpoint; the analysis fails where it is NaN.
async fn all_done(bench: &Bench, loss: impl Fn(&str, u32) -> f64) {
    loop {
        let workers = bench.started().await;
        if workers.is_empty() {
            return;
        }
        for worker in workers {
            worker.claim(bench).await;
            let outcome = match &worker.file.spec {
                StageSpec::Analyze(spec) => {
                    let (name, checkpoint) = spec.only.as_ref().unwrap();
                    let loss = loss(name, *checkpoint);
                    let output = StageOutput::Analyze(AnalyzeOutput {
                        columns: vec!["val_loss".into(), "cdnv".into()],
                        rows: vec![MeasureRow {
                            model: "any".into(),
                            values: [("val_loss".to_owned(), Real(loss))].into(),
                        }],
                    });
                    let failed = Outcome::Failed { message: "no".into(), permanent: true };
                    if loss.is_nan() { failed } else { Outcome::Succeeded { output } }
                }
                _ => worker.success(),
            };
            worker.ends(bench, &outcome).await;
        }
    }
}

async fn page(bench: &Bench, query: &str) -> RunsPage {
    bench.get(&format!("/studies/s/runs?{query}")).await
}

/// The first column of a page.
async fn names(bench: &Bench, query: &str) -> Vec<String> {
    let text = |cell: &Cell| match cell {
        Cell::Text(text) => text.clone(),
        other => format!("{other:?}"),
    };
    page(bench, query).await.rows.iter().map(|row| text(&row.cells[0])).collect()
}

#[tokio::test]
async fn runs_are_filtered_sorted_and_cut_into_pages() {
    let bench = measured().await;
    let all = page(&bench, "").await;
    assert_eq!((all.total, all.runs, all.rows.len()), (8, 8, 8));
    let shown: Vec<_> = all.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(&shown[..4], ["run", "depth", "width", "seed"]);
    assert!(shown.contains(&"val_loss"), "{shown:?}");

    assert_eq!(names(&bench, "filter=depth%3D2%20width%3E32%20seed%3D0").await, ["02x0064_01d00"]);
    assert_eq!(names(&bench, "filter=seed%3D0..1%20x0032&limit=2").await.len(), 2);
    assert_eq!(names(&bench, "filter=val_loss%3C1.4").await, ["02x0064_01d00"]);
    assert_eq!(names(&bench, "filter=train%3Dfailed").await, Vec::<String>::new());
    let sorted = names(&bench, "sort=-val_loss").await;
    assert_eq!((sorted[0].as_str(), sorted[7].as_str()), ("01x0032_01d01", "02x0064_01d00"));
    assert_eq!(names(&bench, "sort=-val_loss&offset=6&limit=5").await, sorted[6..]);
    assert_eq!(names(&bench, "sort=seed,-width&limit=1").await, ["01x0064_01d00"]);
}

#[tokio::test]
async fn a_question_that_is_not_understood_is_answered_with_what_is() {
    let bench = eight().await;
    for (query, said) in [
        ("filter=widht%3D32", "widht is not a column"),
        ("filter=val%3D1", "val is not a column"),
        ("filter=width%3Cmany", "\"many\" is not a number"),
        ("filter=%3D3", "the column is missing"),
        ("filter=%22open", "not closed"),
        ("sort=nothing", "nothing is not a column"),
        ("columns=run,what", "what is not a column"),
    ] {
        let path = format!("/studies/s/runs?{query}");
        let (status, problem) = bench.call::<()>(Method::GET, &path, TOKEN, None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(problem["detail"].as_str().unwrap().contains(said), "{query}: {problem}");
    }
    let (status, _) = bench.call::<()>(Method::GET, "/studies/none/runs", TOKEN, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn runs_that_differ_only_in_the_seed_become_one_row() {
    let bench = measured().await;
    let pooled = page(&bench, "over=seed&columns=run,depth,width,val_loss,state&sort=val_loss").await;
    assert_eq!((pooled.total, pooled.runs), (4, 8));
    let best = &pooled.rows[0];
    assert_eq!(best.cells[0], Cell::Text("02x0064_01d".into()));
    assert_eq!((best.run, best.runs), (None, 2));
    let Cell::Spread(Spread { mean, se, n }) = best.cells[3] else { panic!("{:?}", best.cells[3]) };
    // 1.36 and 1.46: their standard deviation is 0.1 / sqrt(2), that of the mean 0.05.
    assert!((mean.0 - 1.41).abs() < 1e-12 && (se.unwrap().0 - 0.05).abs() < 1e-12 && n == 2);
    assert_eq!(best.cells[4], Cell::Text("done".into()));
    // Its filter selects the same runs.
    let filter = best.filter.replace(' ', "%20").replace('=', "%3D");
    assert_eq!(names(&bench, &format!("filter={filter}")).await, ["02x0064_01d00", "02x0064_01d01"]);
}

#[tokio::test]
async fn a_download_holds_exactly_what_is_shown() {
    let bench = measured().await;
    let query = "columns=run,val_loss&sort=-val_loss&filter=depth%3D1";
    let (_, csv) = bench.call::<()>(Method::GET, &format!("/studies/s/runs.csv?{query}"), TOKEN, None).await;
    let csv = csv.as_str().unwrap();
    let models: Vec<_> = csv.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(models, ["run", "01x0032_01d01", "01x0032_01d00", "01x0064_01d01", "01x0064_01d00"]);
    assert!(csv.contains("\n01x0032_01d00,2.68\n"), "{csv}");
}

#[tokio::test]
async fn two_axes_make_a_heat_map_of_states_or_of_means() {
    let bench = measured().await;
    let map: HeatMap = bench.get("/studies/s/grid?x=width&y=depth&value=val_loss").await;
    assert_eq!(map.x.values, [Real(32.0), Real(64.0)]);
    assert_eq!(map.runs, [2, 2, 2, 2]);
    assert!((map.mean[3].unwrap().0 - 1.41).abs() < 1e-12);
    assert_eq!(map.run, [None; 4]);
    let map: HeatMap = bench.get("/studies/s/grid?x=seed&y=width&value=state&filter=depth%3D2").await;
    assert_eq!(map.state, [Some(StageState::Done); 4]);
    assert!(map.run.iter().all(Option::is_some) && map.mixed.is_empty());
    let (status, problem) =
        bench.call::<()>(Method::GET, "/studies/s/grid?x=run&y=width&value=state", TOKEN, None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(problem["detail"].as_str().unwrap().contains("depth, width, seed"), "{problem}");
}

#[tokio::test]
async fn an_earlier_checkpoint_does_not_stand_in_for_one_that_is_not_analysed() {
    let bench = Bench::new(8).await;
    let mut spec = study("s", &[32], &[0, 1]);
    spec.grid.epochs = Counted(vec![2]);
    spec.collection.checkpoints = Checkpoints::All;
    bench.plan(&spec).await;
    // The losses are 6 and then 4; of one run, the last checkpoint is not analysed.
    let loss = |name: &str, checkpoint: u32| match checkpoint {
        0 => 6.0,
        _ if name.ends_with('1') => f64::NAN,
        _ => 4.0,
    };
    all_done(&bench, loss).await;
    let map: HeatMap = bench.get("/studies/s/grid?x=width&y=depth&value=val_loss").await;
    assert_eq!((map.runs, map.mean, map.se), (vec![2], vec![Some(Real(4.0))], vec![None]));
    let map: HeatMap = bench.get("/studies/s/grid?x=width&y=depth&value=val_loss&checkpoint=0").await;
    assert_eq!((map.mean, map.se), (vec![Some(Real(6.0))], vec![Some(Real(0.0))]));
    // So does a report, which counts what it leaves out.
    for (query, selected, left_out) in [("", 1, 1), ("?models=*00", 1, 0), ("?models=*@*", 3, 0)] {
        let report: Report = bench.get(&format!("/studies/s/report{query}")).await;
        assert_eq!((report.selected, report.left_out), (selected, left_out), "{query}");
    }
    let pooled = page(&bench, "over=seed&columns=val_loss").await;
    assert_eq!(pooled.rows[0].cells, [Cell::Spread(Spread { mean: Real(4.0), se: None, n: 1 })]);
    assert_eq!(names(&bench, "filter=val_loss%3C9").await, ["01x0032_02d00"]);
}

#[tokio::test]
async fn the_board_and_the_list_count_what_the_record_holds() {
    let bench = eight().await;
    let board: StudyBoard = bench.get("/studies/s/board").await;
    assert_eq!((board.summary.runs, board.summary.stages.waiting), (8, 48));
    assert_eq!(board.summary.stages.ready, 1, "the prepare that all share counts once");
    assert_eq!(board.kinds.iter().map(|kind| kind.counts.waiting + kind.counts.ready).sum::<u64>(), 49);
    assert_eq!(board.axes[1].values, [Real(32.0), Real(64.0)]);
    let width = board.columns.iter().find(|column| column.name == "width").unwrap();
    assert!(width.varies);
    bench.finish().await;
    // What was asked before is no older than what is asked now.
    let board: StudyBoard = bench.get("/studies/s/board").await;
    assert_eq!((board.summary.stages.done, board.summary.state), (49, StudyState::Done));
    assert_eq!(board.summary.gpu_hours_left, Some(0.0));
    let list: StudyPage = bench.get("/studies").await;
    assert_eq!(list.items[0].stages, bench.study("s").await.summary.stages);
}

#[tokio::test]
async fn a_study_says_of_itself_what_the_list_says_of_it() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32, 64], &[0])).await;
    bench.plan(&study("t", &[128], &[0])).await;
    bench.started().await.remove(0).succeed(&bench).await;
    for _ in 0..3 {
        let worker = bench.started().await.remove(0);
        worker.claim(&bench).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        worker.ends(&bench, &worker.success()).await;
    }
    for over in [false, true] {
        if over {
            bench.finish().await;
        }
        let list: StudyPage = bench.get("/studies").await;
        assert_eq!(list.items.len(), 2);
        for summary in list.items {
            let detail = bench.study(&summary.name).await;
            assert_eq!(detail.summary, summary);
            assert_eq!(detail.runs.len() as u64, summary.runs);
            let stages = detail.runs.iter().flat_map(|run| &run.stages);
            let finished = stages.filter_map(|stage| stage.finished).max();
            assert_eq!(summary.finished, finished.filter(|_| over), "{}", summary.name);
            assert!(summary.name == "t" || summary.gpu_hours > 0.0, "{summary:?}");
            assert_eq!(summary.gpu_hours_left, over.then_some(0.0), "{}", summary.name);
        }
    }
}

#[tokio::test]
async fn what_is_left_counts_no_time_between_attempts() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0, 1])).await;
    bench.started().await.remove(0).succeed(&bench).await;
    let first = bench.started().await.remove(0);
    first.claim(&bench).await;
    first.ends(&bench, &Outcome::Interrupted { message: "asked to".into() }).await;
    // What a queue may take until it goes on.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    // All of the first run: what is nearest to a result goes first.
    for _ in 0..6 {
        bench.started().await.remove(0).succeed(&bench).await;
    }
    let run = bench.run(&bench.study("s").await.runs[0]).await;
    let succeeded = run.attempts.iter().filter(|attempt| attempt.state == AttemptState::Succeeded);
    let hours: f64 = succeeded.filter_map(|attempt| attempt.gpu_hours).sum();
    let left = bench.get::<StudyBoard>("/studies/s/board").await.summary.gpu_hours_left.unwrap();
    assert!((left - hours).abs() < 1e-12, "{left} {hours}");
    let train = &run.summary.stages[1];
    assert_eq!((train.started, train.attempt_started), (run.attempts[1].started, run.attempts[2].started));
}

#[tokio::test]
async fn a_selection_is_cancelled_and_tried_again_and_a_dry_run_changes_nothing() {
    let bench = eight().await;
    let cancel = json!({"verb": "cancel", "filter": "depth=1 width=32", "kinds": ["evaluate"]});
    let (_, would) = bench.post("/studies/s/actions?dry_run=true", Some(&cancel)).await;
    let would: Acted = serde_json::from_value(would).unwrap();
    // The evaluation of two runs, and the analysis that needs it.
    assert_eq!((would.runs, would.stages), (2, 4));
    assert_eq!(names(&bench, "filter=evaluate%3Dcancelled").await.len(), 0);
    let (_, did) = bench.post("/studies/s/actions", Some(&cancel)).await;
    assert_eq!(serde_json::from_value::<Acted>(did).unwrap(), would);
    assert_eq!(
        names(&bench, "filter=evaluate%3Dcancelled%20analyze%3Dskipped").await,
        ["01x0032_01d00", "01x0032_01d01"]
    );
    let retry = json!({"verb": "retry", "filter": "evaluate=cancelled"});
    bench.post("/studies/s/actions", Some(&retry)).await;
    assert_eq!(names(&bench, "filter=evaluate%3Dcancelled").await.len(), 0);
    let bad = json!({"verb": "retry", "filter": "nonsense=1"});
    assert_eq!(bench.post("/studies/s/actions", Some(&bad)).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_action_takes_the_runs_that_the_table_shows_at_the_checkpoint() {
    let bench = Bench::new(8).await;
    let mut spec = study("s", &[32], &[0, 1]);
    spec.grid.epochs = Counted(vec![2]);
    spec.collection.checkpoints = Checkpoints::All;
    bench.plan(&spec).await;
    // The loss of one run falls from 6 to 4, that of the other rises from 4 to 6.
    let loss = |name: &str, checkpoint: u32| {
        if name.ends_with('1') == (checkpoint == 0) { 4.0 } else { 6.0 }
    };
    all_done(&bench, loss).await;
    let at_first = names(&bench, "checkpoint=0&filter=val_loss%3C5").await;
    assert_eq!(at_first, ["01x0032_02d01"]);
    let first = json!({"verb": "prioritise", "filter": "val_loss<5", "checkpoint": 0, "priority": 5});
    bench.post("/studies/s/actions", Some(&first)).await;
    assert_eq!(names(&bench, "filter=priority%3D5").await, at_first);
    let last = json!({"verb": "prioritise", "filter": "val_loss<5", "priority": 7});
    bench.post("/studies/s/actions", Some(&last)).await;
    assert_eq!(names(&bench, "filter=priority%3D7").await, ["01x0032_02d00"]);
}

#[tokio::test]
async fn a_stage_that_failed_at_any_checkpoint_is_found_and_tried_again() {
    let bench = Bench::new(8).await;
    let mut spec = study("s", &[32], &[0]);
    spec.grid.epochs = Counted(vec![2]);
    spec.collection.checkpoints = Checkpoints::All;
    bench.plan(&spec).await;
    for _ in 0..2 {
        bench.started().await.remove(0).succeed(&bench).await;
    }
    let workers = bench.started().await;
    workers.iter().find(|worker| worker.label() == "means 01x0032_02d00@0").unwrap().fail(&bench, true).await;
    workers.iter().find(|worker| worker.label() == "means 01x0032_02d00@1").unwrap().succeed(&bench).await;
    let found: Failures = bench.get("/failures?study=s").await;
    assert_eq!((found.groups[0].kind, found.groups[0].failed), (StageKind::Means, 1));
    assert_eq!(names(&bench, "filter=means%3Dfailed").await.len(), 1);
    assert_eq!(names(&bench, "filter=means!%3Dfailed").await.len(), 0);
    assert_eq!(names(&bench, "filter=means%3Dfailed&checkpoint=1").await.len(), 0);
    let retry = json!({"verb": "retry", "filter": "means=failed", "kinds": ["means"]});
    let (_, would) = bench.post("/studies/s/actions?dry_run=true", Some(&retry)).await;
    // With what was skipped because of it.
    assert_eq!((would["runs"].clone(), would["stages"].clone()), (json!(1), json!(4)));
}

#[tokio::test]
async fn runs_of_higher_priority_start_first() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32, 64], &[0, 1])).await;
    bench.started().await.remove(0).succeed(&bench).await;
    let first = json!({"verb": "prioritise", "filter": "width=64 seed=1", "priority": 5});
    let (_, did) = bench.post("/studies/s/actions", Some(&first)).await;
    assert_eq!(did["stages"], 6);
    for _ in 0..2 {
        let worker = bench.started().await.remove(0);
        assert!(worker.label().contains("01x0064_01d01"), "{}", worker.label());
        worker.succeed(&bench).await;
    }
    assert_eq!(names(&bench, "filter=priority%3E0").await, ["01x0064_01d01"]);
    let bad = json!({"verb": "prioritise", "filter": "", "priority": 1000});
    assert_eq!(bench.post("/studies/s/actions", Some(&bad)).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_saved_view_is_kept_until_it_is_removed() {
    let bench = eight().await;
    let view = SavedView { name: "best".into(), query: "sort=val_loss&over=seed".into() };
    let put = bench.call(Method::PUT, "/studies/s/views/best", TOKEN, Some(&view)).await;
    assert_eq!(put.0, StatusCode::OK);
    let bench = bench.restarted().await;
    assert_eq!(bench.get::<StudyBoard>("/studies/s/board").await.views, std::slice::from_ref(&view));
    assert_eq!(
        bench.call(Method::PUT, "/studies/x/views/best", TOKEN, Some(&view)).await.0,
        StatusCode::NOT_FOUND
    );
    let gone = bench.call::<()>(Method::DELETE, "/studies/s/views/best", TOKEN, None).await;
    assert_eq!(gone.0, StatusCode::NO_CONTENT);
    assert!(bench.get::<StudyBoard>("/studies/s/board").await.views.is_empty());
    let again = bench.call::<()>(Method::DELETE, "/studies/s/views/best", TOKEN, None).await;
    assert_eq!(again.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn failures_of_one_cause_are_one_group_with_its_evidence() {
    let bench = eight().await;
    bench.started().await.remove(0).succeed(&bench).await;
    let workers = bench.started().await;
    for (i, worker) in workers.iter().take(3).enumerate() {
        worker.claim(&bench).await;
        worker.events(&bench, &[progress(1, 1), metric(2, 1, 5.0)]).await;
        std::fs::write(worker.folder.join("worker.log"), "one\ntwo\nthe last line\n").unwrap();
        let message = format!("loss is NaN at step {}", 100 + i);
        worker.ends(&bench, &Outcome::Failed { message, permanent: true }).await;
    }
    let found: Failures = bench.get("/failures?study=s").await;
    assert_eq!(found.groups.len(), 1, "{found:?}");
    let group = &found.groups[0];
    assert_eq!((group.failed, group.retried, group.skipped), (3, 0, 15));
    assert_eq!(group.cause, "loss is NaN at step <n>");
    assert!(group.suggestion.contains("learning_rate") && !group.transient);
    assert_eq!(group.cases[0].log.last().unwrap(), "the last line");
    assert!(group.cases[0].heard.is_some());
    assert_eq!(bench.get::<Failures>("/failures?study=other").await.groups.len(), 0);
    let run = group.cases[0].run.unwrap();
    let detail: RunDetail = bench.get(&format!("/runs/{run}")).await;
    let counted: Vec<_> = detail.attempts.iter().map(|one| (one.kind, one.gpu_hours.is_some())).collect();
    assert_eq!(counted, [(StageKind::Prepare, false), (StageKind::Train, true)]);
}
