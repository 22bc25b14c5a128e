//! What attempts teach about the next ones: how long their stages take.

use super::bench::{Bench, study};
use chrono::{TimeDelta, Utc};
use orchestrator::{executor::Exit, store::Terms};
use sqlx::{ConnectOptions as _, SqliteConnection};

/// The record under the daemon, for what takes hours.
async fn record(bench: &Bench) -> SqliteConnection {
    let file = bench.root.path().join("lc.sqlite");
    sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap()
}

#[tokio::test]
async fn an_attempt_ended_when_its_worker_says_so_and_not_when_the_daemon_came_back() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0])).await;
    let worker = bench.started().await.remove(0);
    worker.claim(&bench).await;
    let started = Utc::now() - TimeDelta::hours(9);
    sqlx::query("UPDATE attempts SET started = ? WHERE live = 1")
        .bind(started.timestamp_millis())
        .execute(&mut record(&bench).await)
        .await
        .unwrap();
    let mut report = worker.report(&worker.success());
    report["time"] = serde_json::json!(started + TimeDelta::hours(2));
    std::fs::write(worker.folder.join("result.json"), report.to_string()).unwrap();
    bench.hands.is_gone(worker.id(), Exit { code: Some(0), ..Exit::default() });
    bench.engine.reconcile().await.unwrap();
    let attempt = bench.run(&bench.study("s").await.runs[0]).await.attempts.remove(0);
    assert_eq!(attempt.state.as_str(), "succeeded");
    let ended = started + TimeDelta::hours(2);
    assert_eq!(attempt.finished.unwrap().timestamp_millis(), ended.timestamp_millis());
}

#[tokio::test]
async fn time_is_planned_from_the_slowest_of_the_newest_attempts() {
    let bench = Bench::new(100).await;
    bench.plan(&study("s", &[32], &[0, 1, 2, 3, 4, 5, 6])).await;
    bench.finish().await;
    let mut record = record(&bench).await;
    let submission = "INSERT INTO submissions (id, kind, state, request, folder, due, created)
                      VALUES ('00000000-0000-0000-0000-000000000001', 'train', 'submitted', '{}', 'f', 0, 0)";
    sqlx::query(submission).execute(&mut record).await.unwrap();
    // In the order of the runs, an hour each.
    let train = "UPDATE attempts SET submission_id = '00000000-0000-0000-0000-000000000001', task = 0,
                        progress_done = 40, progress_total = 40, started = stage_id * 100000000,
                        finished = stage_id * 100000000 + 3600000
                 WHERE stage_id IN (SELECT id FROM stages WHERE kind = 'train')";
    sqlx::query(train).execute(&mut record).await.unwrap();
    let stages: Vec<_> = bench.study("s").await.runs.iter().map(|run| run.stages[1].id).collect();
    let mut slow = async |run: usize, hours: i64| {
        sqlx::query("UPDATE attempts SET finished = started + ? * 3600000 WHERE stage_id = ?")
            .bind(hours)
            .bind(stages[run].0)
            .execute(&mut record)
            .await
            .unwrap();
        let asked =
            bench.store.requests_of(&stages[..1], &Terms::default()).await.unwrap()[&stages[0]].clone();
        asked.1.minutes
    };
    assert_eq!(slow(1, 20).await, Some(120), "that was long ago");
    assert_eq!(slow(2, 2).await, Some(240), "one of the newest five");
}
