//! What the table in memory ([`crate::table`]) reads: studies, and of runs all that it shows, read anew for
//! those that moved.

use super::{Feed, Result, Store, row};
use protocol::{
    ids::{RunId, StageId},
    output::MeasureRow,
    run::RunConfig,
    stage::{StageKind, StageState},
};
use sqlx::SqliteConnection;
use std::{
    collections::{BTreeMap, HashMap},
    sync::PoisonError,
};

/// A study and its runs, in order.
#[derive(Clone, Debug)]
pub struct TableStudy {
    /// Name.
    pub name: String,
    /// Its runs.
    pub runs: Vec<RunId>,
}

/// A run without its stages: what seldom changes.
#[derive(Clone, Debug)]
pub struct TableRun {
    /// Id.
    pub id: RunId,
    /// Identifier.
    pub identifier: String,
    /// Name of its folders.
    pub name: String,
    /// Hash of its data.
    pub data_hash: String,
    /// Canonical configuration.
    pub config: RunConfig,
    /// Runs of higher priority start first.
    pub priority: i32,
}

/// A stage in the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableStage {
    /// Id.
    pub id: StageId,
    /// Kind.
    pub kind: StageKind,
    /// Checkpoint index.
    pub checkpoint: Option<u32>,
    /// State.
    pub state: StageState,
    /// When its first attempt started, in milliseconds.
    pub started: Option<i64>,
    /// When the attempt that runs, or that succeeded, started, in milliseconds.
    pub attempt_started: Option<i64>,
    /// When it became final, in milliseconds.
    pub finished: Option<i64>,
    /// What is done of its running attempt, from 0 to 1.
    pub progress: Option<f64>,
}

/// What moves in a run.
#[derive(Clone, Debug, Default)]
pub struct TableNews {
    /// Its stages, without the shared `prepare`.
    pub stages: Vec<TableStage>,
    /// Milliseconds that its attempts that are over held a device. One of four that shared it held a quarter.
    pub device_ms: f64,
    /// Milliseconds that these attempts took.
    pub took_ms: i64,
    /// Devices that its attempts hold now, and the sum of their starts in milliseconds, each times what it holds.
    pub running: (f64, f64),
    /// Newest training loss and its step.
    pub loss: Option<(u64, f64)>,
    /// Measures by checkpoint, with their columns in order.
    pub measures: BTreeMap<u32, (Vec<String>, MeasureRow)>,
}

/// What moved after a version.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    /// The version up to which this is complete.
    pub version: u64,
    /// Runs.
    pub runs: Vec<RunId>,
    /// Whether a study was created, extended or removed.
    pub studies: bool,
    /// Whether a `prepare` that runs share moved.
    pub shared: bool,
}

/// When, in versions of [`Feed`], runs and studies last moved.
#[derive(Default)]
pub(super) struct Moved {
    /// Runs, in whatever way.
    pub runs: HashMap<i64, u64>,
    /// Runs with new points of their training curve.
    pub curves: HashMap<i64, u64>,
    /// Studies, in whatever way.
    pub studies: HashMap<String, u64>,
    /// A study was created, extended or removed.
    pub created: u64,
    /// A `prepare` that runs share.
    pub shared: u64,
}

impl Feed {
    fn moved(&self) -> std::sync::MutexGuard<'_, Moved> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// What moved after a version of [`Store::watch`].
    #[must_use]
    pub fn moves_since(&self, version: u64) -> Moves {
        // The version first: what moves in between is told again, never left out.
        let now = *self.feed.version.borrow();
        let moved = self.feed.moved();
        let runs = moved.runs.iter().filter(|&(_, &at)| at > version).map(|(&run, _)| RunId(run)).collect();
        Moves { version: now, runs, studies: moved.created > version, shared: moved.shared > version }
    }

    /// Studies in which something moved after a version.
    #[must_use]
    pub fn studies_moved_since(&self, version: u64) -> Vec<String> {
        let moved = self.feed.moved();
        let mut names: Vec<_> =
            moved.studies.iter().filter(|&(_, &at)| at > version).map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// Whether a run moved after a version, and if so, whether its training curve did. A `prepare` that moved
    /// counts for every run.
    #[must_use]
    pub fn run_moved_since(&self, run: RunId, version: u64) -> Option<bool> {
        let moved = self.feed.moved();
        let since = |at: Option<&u64>| at.is_some_and(|&at| at > version);
        let curve = since(moved.curves.get(&run.0));
        (curve || since(moved.runs.get(&run.0)) || moved.shared > version).then_some(curve)
    }

    /// All studies with their runs.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn table_studies(&self) -> Result<Vec<TableStudy>> {
        let rows = sqlx::query!(
            r#"SELECT studies.name AS "name!: String", study_runs.run_id AS "run?: i64"
               FROM studies LEFT JOIN study_runs ON study_runs.study_id = studies.id
               ORDER BY studies.id, study_runs.position"#
        );
        let mut studies: Vec<TableStudy> = Vec::new();
        for found in rows.fetch_all(&self.readers).await? {
            if studies.last().is_none_or(|study| study.name != found.name) {
                studies.push(TableStudy { name: found.name, runs: Vec::new() });
            }
            if let (Some(study), Some(run)) = (studies.last_mut(), found.run) {
                study.runs.push(RunId(run));
            }
        }
        Ok(studies)
    }

    /// The `prepare` stages by the hash of their data.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn table_prepares(&self) -> Result<HashMap<String, TableStage>> {
        let rows = sqlx::query!(
            r#"SELECT s.id AS "id!: i64", s.data_hash AS "data_hash!: String", s.state AS "state!: String",
                      s.started AS "started?: i64", min(s.finished, ifnull(good.finished, s.finished)) AS "finished?: i64",
                      ifnull(live.started, good.started) AS "attempt_started?: i64",
                      live.progress_done AS "done?: i64", live.progress_total AS "total?: i64"
               FROM stages s LEFT JOIN attempts live ON live.stage_id = s.id AND live.live = 1
               LEFT JOIN attempts good ON good.stage_id = s.id AND good.state = 'succeeded'
               WHERE s.data_hash IS NOT NULL"#
        );
        let rows = rows.fetch_all(&self.readers).await?;
        rows.into_iter()
            .map(|found| {
                let state = row::word("a stage's state", &found.state)?;
                let stage = TableStage {
                    id: StageId(found.id),
                    kind: StageKind::Prepare,
                    checkpoint: None,
                    state,
                    started: found.started,
                    attempt_started: found.attempt_started,
                    finished: found.finished,
                    progress: progress(state, found.done, found.total),
                };
                Ok((found.data_hash, stage))
            })
            .collect()
    }

    /// Runs by id; those that don't exist are left out.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn table_runs(&self, ids: &[RunId]) -> Result<Vec<TableRun>> {
        let ids = row::to_json(&ids)?;
        let rows = sqlx::query!(
            r#"SELECT id AS "id!: i64", identifier, name, data_hash, config, priority AS "priority!: i32"
               FROM runs WHERE id IN (SELECT value FROM json_each(?))"#,
            ids
        );
        let rows = rows.fetch_all(&self.readers).await?;
        rows.into_iter()
            .map(|found| {
                Ok(TableRun {
                    id: RunId(found.id),
                    identifier: found.identifier,
                    name: found.name,
                    data_hash: found.data_hash,
                    config: row::json("a run's configuration", &found.config)?,
                    priority: found.priority,
                })
            })
            .collect()
    }

    /// What moves in runs, as of one moment.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn table_news(&self, ids: &[RunId]) -> Result<HashMap<RunId, TableNews>> {
        let mut news: HashMap<RunId, TableNews> = ids.iter().map(|&id| (id, TableNews::default())).collect();
        let ids = row::to_json(&ids)?;
        let mut tx = self.readers.begin().await?;
        stages(&mut tx, &ids, &mut news).await?;
        device_time(&mut tx, &ids, &mut news).await?;
        losses(&mut tx, &ids, &mut news).await?;
        measures(&mut tx, &ids, &mut news).await?;
        Ok(news)
    }
}

fn progress(state: StageState, done: Option<i64>, total: Option<i64>) -> Option<f64> {
    match (state, done, total) {
        (StageState::Running, Some(done), Some(total)) if total > 0 => Some(done as f64 / total as f64),
        _ => None,
    }
}

async fn stages(conn: &mut SqliteConnection, ids: &str, news: &mut HashMap<RunId, TableNews>) -> Result<()> {
    let rows = sqlx::query!(
        r#"SELECT s.id AS "id!: i64", s.run_id AS "run!: i64", s.kind AS "kind!: String",
                  s.checkpoint AS "checkpoint?: i64", s.state AS "state!: String", s.started AS "started?: i64",
                  min(s.finished, ifnull(good.finished, s.finished)) AS "finished?: i64",
                  ifnull(live.started, good.started) AS "attempt_started?: i64",
                  live.progress_done AS "done?: i64", live.progress_total AS "total?: i64"
           FROM json_each(?) ids JOIN stages s ON s.run_id = ids.value
           LEFT JOIN attempts live ON live.stage_id = s.id AND live.live = 1
           LEFT JOIN attempts good ON good.stage_id = s.id AND good.state = 'succeeded'"#,
        ids
    );
    for found in rows.fetch_all(conn).await? {
        let state = row::word("a stage's state", &found.state)?;
        let stage = TableStage {
            id: StageId(found.id),
            kind: row::word("a stage's kind", &found.kind)?,
            checkpoint: found.checkpoint.map(row::small),
            state,
            started: found.started,
            attempt_started: found.attempt_started,
            finished: found.finished,
            progress: progress(state, found.done, found.total),
        };
        if let Some(news) = news.get_mut(&RunId(found.run)) {
            news.stages.push(stage);
        }
    }
    Ok(())
}

/// Every job uses one device, which the workers in it share; preparing data and analysing need none.
async fn device_time(
    conn: &mut SqliteConnection,
    ids: &str,
    news: &mut HashMap<RunId, TableNews>,
) -> Result<()> {
    let rows = sqlx::query!(
        r#"SELECT run AS "run!: i64", total((finished - started) * share) AS "over!: f64",
                  ifnull(sum(finished - started), 0) AS "took!: i64", total(live * share) AS "running!: f64",
                  total(CASE WHEN live = 1 THEN started * share END) AS "starts!: f64"
           FROM (SELECT s.run_id AS run, a.started, a.finished, a.live,
                        1.0 / ifnull(u.pack, 1) AS share
                 FROM json_each(?) ids JOIN stages s ON s.run_id = ids.value JOIN attempts a ON a.stage_id = s.id
                 LEFT JOIN submissions u ON u.id = a.submission_id
                 WHERE a.started IS NOT NULL AND s.kind <> 'analyze')
           GROUP BY run"#,
        ids
    );
    for found in rows.fetch_all(conn).await? {
        if let Some(news) = news.get_mut(&RunId(found.run)) {
            news.device_ms = found.over;
            news.took_ms = found.took;
            news.running = (found.running, found.starts);
        }
    }
    Ok(())
}

async fn losses(conn: &mut SqliteConnection, ids: &str, news: &mut HashMap<RunId, TableNews>) -> Result<()> {
    let rows = sqlx::query!(
        r#"SELECT m.run_id AS "run!: i64", m.step AS "step!: i64", m.loss AS "loss?: f64"
           FROM json_each(?) ids JOIN metrics m ON m.run_id = ids.value
           AND m.step = (SELECT max(step) FROM metrics WHERE run_id = ids.value)"#,
        ids
    );
    for found in rows.fetch_all(conn).await? {
        if let Some(news) = news.get_mut(&RunId(found.run)) {
            news.loss = Some((row::unsigned(found.step), found.loss.unwrap_or(f64::NAN)));
        }
    }
    Ok(())
}

async fn measures(
    conn: &mut SqliteConnection,
    ids: &str,
    news: &mut HashMap<RunId, TableNews>,
) -> Result<()> {
    let rows = sqlx::query!(
        r#"SELECT r.run_id AS "run!: i64", r.checkpoint AS "checkpoint!: i64", r.columns AS "columns!: String",
                  r.measures AS "measures!: String"
           FROM json_each(?) ids JOIN results r ON r.run_id = ids.value"#,
        ids
    );
    for found in rows.fetch_all(conn).await? {
        let columns = row::json("columns of results", &found.columns)?;
        let values = row::json("measures", &found.measures)?;
        if let Some(news) = news.get_mut(&RunId(found.run)) {
            let measured = MeasureRow { model: String::new(), values };
            news.measures.insert(row::small(found.checkpoint), (columns, measured));
        }
    }
    Ok(())
}
