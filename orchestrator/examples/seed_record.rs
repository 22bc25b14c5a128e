//! Fills a new root with a large study, as if it had been run: for trying the dashboard and for
//! `bench/dashboard`. Nothing in it was measured.
//!
//!     cargo run -p orchestrator --example seed_record -- ROOT [RUNS [POINTS]]
//!
//! RUNS runs (10,000 if missing, rounded to whole grids of 25) and POINTS points per training curve (1,000).

use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use orchestrator::{
    config::executor::ExecutorName,
    domain::layout::Layout,
    engine::Engine,
    executor::{Capabilities, Executor, Job, Order, SubmitError, Survey},
    store::Store,
};
use protocol::{
    axis::{Counted, Doubled},
    ids::SubmissionId,
    study::StudySpec,
};
use sqlx::{ConnectOptions as _, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{error::Error, path::PathBuf, sync::Arc, time::Instant};
use tokio::sync::Notify;

const DEPTHS: [u32; 5] = [1, 2, 4, 8, 12];
const WIDTHS: [u32; 5] = [64, 128, 256, 512, 1024];
const STUDY: &str = "large";

/// Nothing is started while a record is seeded.
struct Nowhere;

#[async_trait]
impl Executor for Nowhere {
    fn capabilities(&self) -> Capabilities {
        Capabilities { name: ExecutorName::Local, slots: 0, queue: false }
    }

    async fn submit(&self, _order: &Order) -> Result<u64, SubmitError> {
        Err(SubmitError::Refused { message: "nothing is started here".into(), permanent: false })
    }

    async fn survey(&self, _jobs: &[Job], _unclear: &[(SubmissionId, Vec<Job>)]) -> Survey {
        Survey::default()
    }

    async fn stop(&self, _jobs: &[Job], _force: bool) {}
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let root = PathBuf::from(arguments.next().ok_or("usage: seed_record ROOT [RUNS [POINTS]]")?);
    let runs: u32 = arguments.next().map_or(Ok(10_000), |runs| runs.parse())?;
    let points: u32 = arguments.next().map_or(Ok(1_000), |points| points.parse())?;
    std::fs::create_dir_all(&root)?;
    let layout = Layout::new(root.canonicalize()?);
    if layout.database().exists() {
        return Err(format!("{} exists already; name a new folder", layout.database().display()).into());
    }
    let begun = Instant::now();
    let store = Store::open(&layout).await?;
    let engine = Engine::new(store.clone(), Arc::new(Nowhere), layout.clone(), Arc::new(Notify::new()));
    engine.plan(study(runs), false).await?;
    store.close().await;
    println!("planned after {:.1} s", begun.elapsed().as_secs_f64());

    let options = SqliteConnectOptions::new().filename(layout.database());
    let mut record = options.pragma("synchronous", "OFF").pragma("journal_mode", "WAL").connect().await?;
    states(&mut record).await?;
    println!("stages after {:.1} s", begun.elapsed().as_secs_f64());
    attempts(&mut record, &layout).await?;
    results(&mut record).await?;
    println!("attempts and results after {:.1} s", begun.elapsed().as_secs_f64());
    curves(&mut record, points).await?;
    println!("training curves after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

fn study(runs: u32) -> StudySpec {
    let mut spec = StudySpec::named(STUDY);
    spec.grid.depth = Counted(DEPTHS.to_vec());
    spec.grid.width = Doubled(WIDTHS.to_vec());
    spec.grid.seed = Counted((0..(runs / 25).max(1)).collect());
    spec
}

/// A number from 0 to 999 that belongs to a run: runs of a study in progress differ, and always in the same way.
const LOT: &str = "((runs.id * 2654435761) / 7 % 1000)";

/// Most runs are done; some failed in training, some at a later stage, the rest wait.
async fn states(record: &mut SqliteConnection) -> sqlx::Result<()> {
    let now = Utc::now().timestamp_millis();
    let begun = now - TimeDelta::days(3).num_milliseconds();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "UPDATE stages SET state = 'done', started = {begun}, finished = {begun} + 60000 WHERE kind = 'prepare';
         UPDATE stages SET state = (SELECT CASE
               WHEN {LOT} < 900 THEN 'done'
               WHEN {LOT} < 930 THEN CASE stages.kind WHEN 'train' THEN 'failed' ELSE 'skipped' END
               WHEN {LOT} < 950 THEN CASE stages.kind WHEN 'vars' THEN 'failed' WHEN 'analyze' THEN 'skipped' ELSE 'done' END
               WHEN {LOT} < 955 THEN 'cancelled'
               ELSE CASE stages.kind WHEN 'train' THEN 'ready' ELSE 'waiting' END END
             FROM runs WHERE runs.id = stages.run_id) WHERE kind <> 'prepare';
         UPDATE stages SET started = {begun} + (id * 4001) % 200000000 WHERE kind <> 'prepare' AND state IN ('done', 'failed');
         UPDATE stages SET finished = started + (SELECT 30000 + runs.id % 50000 +
               json_extract(runs.config, '$.layers') * json_extract(runs.config, '$.width') * CASE stages.kind WHEN 'train' THEN 900 ELSE 150 END
             FROM runs WHERE runs.id = stages.run_id) WHERE kind <> 'prepare' AND state IN ('done', 'failed');
         UPDATE stages SET finished = {now} WHERE state IN ('skipped', 'cancelled');
         UPDATE stages SET reason = CASE kind WHEN 'train' THEN 'loss is NaN at step ' || (id % 900 + 100) ELSE 'ran out of memory' END, failures = 3
             WHERE state = 'failed';
         UPDATE stages SET reason = CASE WHEN kind = 'analyze' THEN 'vars failed' ELSE 'train failed' END WHERE state = 'skipped';"
    )))
    .execute(record)
    .await?;
    Ok(())
}

/// One attempt for each stage that started, three where it failed.
async fn attempts(record: &mut SqliteConnection, layout: &Layout) -> sqlx::Result<()> {
    let folder = layout.root().join("logs").display().to_string();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "WITH tries (number) AS (VALUES (1), (2), (3))
         INSERT INTO attempts (id, stage_id, number, state, live, slot, token_sha256, folder, place, created, started,
                               finished, message, exit_code, heard, node)
         SELECT lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-7' || substr(hex(randomblob(2)), 2) || '-8' ||
                      substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))),
                s.id, tries.number,
                CASE s.state WHEN 'done' THEN 'succeeded'
                     ELSE CASE s.kind WHEN 'vars' THEN 'out_of_memory' ELSE 'failed' END END,
                0, 0, hex(randomblob(32)), '{folder}/' || s.kind || '/' || s.id,
                'gpu' || printf('%02d', s.id % 20), s.started - 1000, s.started, s.finished,
                s.reason, CASE s.state WHEN 'failed' THEN 1 END, ifnull(s.finished, s.started),
                'gpu' || printf('%02d', s.id % 20)
         FROM stages s JOIN tries ON tries.number = 1 OR s.state = 'failed'
         WHERE s.started IS NOT NULL;"
    )))
    .execute(record)
    .await?;
    Ok(())
}

/// Measures that go along with width, depth and seed, as published ones do.
async fn results(record: &mut SqliteConnection) -> sqlx::Result<()> {
    const COLUMNS: [&str; 23] = [
        "n_params",
        "val_acc",
        "val_loss",
        "perplex",
        "cdnv",
        "norms_mean",
        "norms_var",
        "etf_error",
        "interfere_mean",
        "interfere_var",
        "log_kern_mean",
        "log_kern_var",
        "dual_error",
        "simdot_mean",
        "simdot_var",
        "simcos_mean",
        "simcos_var",
        "dists_mean",
        "dists_var",
        "hits",
        "misses",
        "norms_log_mean",
        "norms_log_var",
    ];
    let columns = serde_json::to_string(&COLUMNS).unwrap_or_default();
    // x falls with width and depth; e is a run's own deviation.
    let value = |(at, name): (usize, &&str)| match *name {
        "n_params" => "'n_params', layers * width * width * 12 + width * 52305".to_owned(),
        "val_loss" => "'val_loss', 1.2 + 2.4 * x + 0.05 * e".to_owned(),
        "hits" => "'hits', 160740 + (1 - x) * 900000 + e * 1000".to_owned(),
        "misses" => "'misses', 4553451 - (1 - x) * 900000 - e * 1000".to_owned(),
        name => {
            format!("'{name}', {} + {} * x + 0.0{} * e", 0.1 * at as f64, 0.3 + 0.01 * at as f64, at + 10)
        }
    };
    let values: Vec<String> = COLUMNS.iter().enumerate().map(value).collect();
    let insert = format!(
        "INSERT INTO results (run_id, checkpoint, columns, measures)
         SELECT id, 0, '{columns}', json_object({})
         FROM (SELECT id, layers, width, 8.0 / (7.0 + sqrt_of * (1 + layers / 6.0)) AS x, ((id * 7919) % 1000) / 1000.0 - 0.5 AS e
               FROM (SELECT r.id, json_extract(r.config, '$.layers') AS layers, json_extract(r.config, '$.width') AS width,
                            json_extract(r.config, '$.width') / 64.0 AS sqrt_of
                     FROM runs r JOIN stages s ON s.run_id = r.id AND s.kind = 'analyze' WHERE s.state = 'done'))",
        values.join(", ")
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(record).await?;
    Ok(())
}

/// A falling loss with noise; a spike here and there.
async fn curves(record: &mut SqliteConnection, points: u32) -> sqlx::Result<()> {
    let runs: Vec<i64> = sqlx::query_scalar(
        "SELECT run_id FROM stages WHERE kind = 'train' AND state IN ('done', 'failed') ORDER BY run_id",
    )
    .fetch_all(&mut *record)
    .await?;
    for batch in runs.chunks(200) {
        sqlx::query("BEGIN").execute(&mut *record).await?;
        for run in batch {
            sqlx::query(
                "WITH RECURSIVE steps (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM steps WHERE n < ?2)
                 INSERT INTO metrics (run_id, step, epoch, loss, learning_rate, grad_norm, tokens_per_s)
                 SELECT ?1, n * 14, n * 1.0 / ?2,
                        1.5 + 9.0 / (1 + n / 12.0) + ((n * 2654435761 + ?1 * 40503) % 1000) / 2500.0
                          + CASE WHEN (n + ?1) % 613 = 0 THEN 2.5 ELSE 0 END,
                        5e-5 * (1 - n * 1.0 / ?2), 1.0 + ((n * 40503 + ?1) % 100) / 80.0, 250000 + (n * 7 + ?1) % 9000
                 FROM steps",
            )
            .bind(run)
            .bind(points)
            .execute(&mut *record)
            .await?;
        }
        sqlx::query("COMMIT").execute(&mut *record).await?;
    }
    Ok(())
}
