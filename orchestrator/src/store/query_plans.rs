//! How SQLite carries out what is asked for every run or in every round: a statement that begins at the wrong
//! end costs little in a small record and minutes in a large one.

use super::Store;
use crate::domain::layout::Layout;
use sqlx::{AssertSqlSafe, Row as _};
use std::{fs, path::Path};

/// The statement with these words, of those that were checked when the program was compiled.
fn statement(words: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx");
    let statements = fs::read_dir(folder).unwrap().map(|file| {
        let text = fs::read(file.unwrap().path()).unwrap();
        let statement: serde_json::Value = serde_json::from_slice(&text).unwrap();
        statement["query"].as_str().unwrap().to_owned()
    });
    let found: Vec<_> = statements.filter(|text| text.contains(words)).collect();
    let [one] = found.as_slice() else { panic!("{words:?}: {found:?}") };
    one.clone()
}

/// Where SQLite begins to look for what a statement asks for.
async fn begins(words: &str) -> String {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(&Layout::new(root.path())).await.unwrap();
    let explained = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", statement(words)));
    let steps = sqlx::query(explained).fetch_all(&store.readers).await.unwrap();
    steps[0].get("detail")
}

#[tokio::test]
async fn planning_a_run_does_not_look_at_all_runs_of_the_study() {
    let first = begins("SELECT runs.hash FROM runs").await;
    assert!(first.starts_with("SEARCH runs USING INDEX runs_by_identifier"), "{first}");
}

#[tokio::test]
async fn a_round_does_not_look_at_all_attempts_that_ever_were() {
    for words in [
        "EXISTS (SELECT 1 FROM attempt_parents ap",
        "WHERE a.live = 1 ORDER BY",
        "FROM attempts WHERE live = 1",
    ] {
        let first = begins(words).await;
        assert!(first.contains("INDEX one_live_attempt"), "{words}: {first}");
    }
    let first = begins("FROM stages s CROSS JOIN study_runs").await;
    assert!(first.starts_with("SEARCH s USING INDEX stages_by_state"), "{first}");
}
