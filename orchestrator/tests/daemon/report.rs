//! Measures against validation loss, of studies and of imported results.

use super::bench::{Bench, TOKEN, study};
use axum::http::{Method, StatusCode};
use protocol::{
    output::MeasureRow,
    real::Real,
    report::{Import, Report},
    table::StudyBoard,
    view::{Results, StudyPage},
};
use std::path::{Path, PathBuf};

/// Twelve models in which `cdnv` follows the loss and the cosine does not.
fn import(name: &str) -> Import {
    let row = |i: u32| {
        let x = f64::from(i);
        let values = [
            ("val_loss", 2.0 + x / 10.0),
            ("cdnv", 0.5 + x / 7.0 + f64::from(i % 2) / 50.0),
            ("simcos_mean", f64::from(i * 5 % 12)),
        ];
        MeasureRow {
            model: format!("02x0768_01d{i:02}@0"),
            values: values.into_iter().map(|(name, value)| (name.to_owned(), Real(value))).collect(),
        }
    };
    let columns = ["val_loss", "cdnv", "simcos_mean"].map(str::to_owned).to_vec();
    Import {
        name: name.to_owned(),
        file: "published.csv".to_owned(),
        columns,
        rows: (0..12).map(row).collect(),
    }
}

async fn imported(name: &str) -> Bench {
    let bench = Bench::new(1).await;
    let (status, answer) = bench.post("/imports", Some(&import(name))).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
    bench
}

#[tokio::test]
async fn imported_results_are_reported_like_a_study_and_survive_a_restart() {
    let bench = imported("published").await.restarted().await;
    let report: Report = bench.get("/studies/published/report").await;
    assert_eq!((report.selected, report.shuffles), (12, 1_000_000));
    let nc1 = &report.rows[0];
    assert!(nc1.r2.unwrap().0 > 0.99 && nc1.p.unwrap().0 < 1e-5, "{nc1:?}");
    let nc3 = report.rows.iter().find(|row| row.measure == "NC3").unwrap();
    assert!(nc3.p.unwrap().0 > 0.2, "{nc3:?}");
    // Two measures were tested: Holm doubles the smaller p.
    assert!((nc1.p_holm.unwrap().0 / nc1.p.unwrap().0 - 2.0).abs() < 1e-9);
    let part: Report = bench.get("/studies/published/report?models=*_01d0?").await;
    assert_eq!(part.selected, 10);
    let results: Results = bench.get("/studies/published/results").await;
    assert_eq!(results.rows.len(), 12);
    let board: StudyBoard = bench.get("/studies/published/board").await;
    assert_eq!(board.summary.origin.unwrap().rows, 12);
}

#[tokio::test]
async fn a_large_table_is_taken_in_and_a_larger_one_is_refused_with_what_to_do() {
    let bench = Bench::new(1).await;
    let padded = |bytes: usize| Import { file: "x".repeat(bytes), ..import("large") };
    let (status, answer) = bench.post("/imports", Some(&padded(5 << 20))).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
    let (status, problem) = bench.post("/imports", Some(&padded(65 << 20))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(problem["detail"].as_str().unwrap().contains("64 MiB of imported results"), "{problem}");
    assert!(problem["hint"].as_str().unwrap().starts_with("import a table in parts"), "{problem}");
    let (status, _) = bench.post("/studies", Some(&padded(5 << 20))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "other bodies stay small");
}

#[tokio::test]
async fn figures_are_drawn_for_what_there_is() {
    let bench = imported("published").await;
    for x in ["val_loss", "width", "depth"] {
        let path = format!("/studies/published/figures/nc1.svg?x={x}");
        let (status, svg) = bench.call::<()>(Method::GET, &path, TOKEN, None).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(svg.as_str().unwrap().matches("class=\"point\"").count(), 12);
    }
    for (path, said) in [
        ("figures/nc4.svg", "no model has both"),
        ("figures/nc9.svg", "there is no figure"),
        ("figures/nc1.svg?x=moon", "accepted: val_loss, width, depth"),
        ("report?models=zz*", "fits none of the 12 models"),
    ] {
        let (status, problem) =
            bench.call::<()>(Method::GET, &format!("/studies/published/{path}"), TOKEN, None).await;
        assert!(status.is_client_error());
        assert!(problem["detail"].as_str().unwrap().contains(said), "{path}: {problem}");
    }
}

#[tokio::test]
async fn a_name_belongs_to_one_thing() {
    let bench = imported("published").await;
    // The same once more changes nothing; something else is refused.
    assert_eq!(bench.post("/imports", Some(&import("published"))).await.0, StatusCode::NO_CONTENT);
    let mut other = import("published");
    other.rows.pop();
    assert_eq!(bench.post("/imports", Some(&other)).await.0, StatusCode::CONFLICT);
    assert_eq!(bench.post("/studies", Some(&study("published", &[32], &[0]))).await.0, StatusCode::CONFLICT);
    bench.plan(&study("mine", &[32], &[0])).await;
    assert_eq!(bench.post("/imports", Some(&import("mine"))).await.0, StatusCode::CONFLICT);
    assert_eq!(bench.post("/imports", Some(&import("no/name"))).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, _) = bench.call::<()>(Method::GET, "/studies/published", TOKEN, None).await;
    assert_eq!(status, StatusCode::CONFLICT, "it has no runs to show");
    // Both are in one list, page by page.
    let first: StudyPage = bench.get("/studies?limit=1").await;
    assert_eq!(first.items[0].name, "mine");
    let second: StudyPage = bench.get(&format!("/studies?limit=1&cursor={}", first.next.unwrap())).await;
    assert_eq!((second.items[0].name.as_str(), second.next), ("published", None));
    let gone = bench.call::<()>(Method::DELETE, "/imports/published", TOKEN, None).await;
    assert_eq!(gone.0, StatusCode::NO_CONTENT);
    bench.plan(&study("published", &[32], &[0])).await;
}

#[tokio::test]
async fn a_dry_run_checks_as_much_and_changes_nothing() {
    let bench = imported("published").await;
    bench.plan(&study("mine", &[32], &[0])).await;
    let dry = "/imports?dry_run=true";
    assert_eq!(bench.post(dry, Some(&import("new"))).await.0, StatusCode::NO_CONTENT);
    assert_eq!(bench.post(dry, Some(&import("published"))).await.0, StatusCode::NO_CONTENT);
    assert_eq!(bench.post(dry, Some(&import("mine"))).await.0, StatusCode::CONFLICT);
    assert_eq!(bench.post(dry, Some(&import("no/name"))).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    for (name, status) in [("published", StatusCode::NO_CONTENT), ("new", StatusCode::NOT_FOUND)] {
        let path = format!("/imports/{name}?dry_run=true");
        assert_eq!(bench.call::<()>(Method::DELETE, &path, TOKEN, None).await.0, status, "{name}");
    }
    let all: StudyPage = bench.get("/studies").await;
    let names: Vec<&str> = all.items.iter().map(|study| study.name.as_str()).collect();
    assert_eq!(names, ["mine", "published"]);
}

/// What the authors published: R² of the paper's table 1, and the p-value of its first line.
#[tokio::test]
async fn the_published_table_is_found_again() {
    let shared = std::env::var_os("LC_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let file = shared.join("artifacts/lc-2024_05_18.csv");
    let Ok(mut reader) = csv::Reader::from_path(&file) else {
        println!("skipped: no published tables in {} (set LC_SHARED)", shared.display());
        return;
    };
    let columns: Vec<String> = reader.headers().unwrap().iter().skip(2).map(str::to_owned).collect();
    let rows = reader.records().map(|record| {
        let record = record.unwrap();
        let cells = columns.iter().zip(record.iter().skip(2));
        let values = cells.filter_map(|(column, cell)| Some((column.clone(), Real(cell.parse().ok()?))));
        MeasureRow { model: record[1].to_owned(), values: values.collect() }
    });
    let rows = rows.collect();
    let bench = Bench::new(1).await;
    let import = Import { name: "may".into(), file: "lc-2024_05_18.csv".into(), columns, rows };
    assert_eq!(bench.post("/imports", Some(&import)).await.0, StatusCode::NO_CONTENT);
    let report: Report = bench.get("/studies/may/report?models=02x0768_01d*").await;
    let r2: Vec<String> = report.rows.iter().map(|row| format!("{:.6}", row.r2.unwrap().0)).collect();
    assert_eq!(r2, ["0.192011", "0.026174", "0.218574", "0.487935", "0.322210", "0.000036", "0.490278"]);
    assert!(report.rows.iter().all(|row| row.n == 21));
    assert!((report.rows[0].p.unwrap().0 - 0.047).abs() < 0.002);
}
