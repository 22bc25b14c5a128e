//! Attempts that went wrong, for the page that groups them by cause.

use super::{Result, Store, row};
use crate::domain::failures::FailedAttempt;
use chrono::{DateTime, Utc};
use protocol::ids::{AttemptId, RunId, StageId};
use sqlx::{Sqlite, Transaction};
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

/// The newest so many attempts are looked at.
const MOST: i64 = 5_000;

/// What else is known about an attempt that went wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureDetail {
    /// Id.
    pub id: AttemptId,
    /// Counts from 1 within the stage.
    pub number: u32,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// Signal.
    pub signal: Option<i32>,
    /// The cluster's word for its end.
    pub slurm_state: Option<String>,
    /// Host and process or job.
    pub place: Option<String>,
    /// The cluster's node.
    pub node: Option<String>,
    /// When the worker was last heard of.
    pub heard: Option<DateTime<Utc>>,
    /// Folder with its log.
    pub folder: PathBuf,
    /// The stage's checkpoint index.
    pub checkpoint: Option<u32>,
    /// The stage's run.
    pub run: Option<RunId>,
    /// The run's identifier.
    pub identifier: Option<String>,
}

/// What went wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
    /// Attempts, the newest first.
    pub attempts: Vec<FailedAttempt>,
    /// How many stages were skipped because of each stage that failed.
    pub skipped: HashMap<StageId, u64>,
}

/// Reads what went wrong, all of it as of one moment.
pub struct FailureReader(Transaction<'static, Sqlite>);

impl Store {
    /// Begins to read what went wrong.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn failures(&self) -> Result<FailureReader> {
        Ok(FailureReader(self.readers.begin().await?))
    }
}

impl FailureReader {
    /// Attempts that went wrong, of a study or of all.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn outcomes(&mut self, study: Option<&str>) -> Result<Outcomes> {
        // There may be thousands: only what their groups are made of.
        let rows = sqlx::query!(
            r#"SELECT a.rowid AS "row!: i64", a.state AS "state!: String", a.message AS "message?: String",
                      ifnull(a.finished, a.created) AS "finished!: i64", s.id AS "stage!: i64",
                      s.kind AS "kind!: String", s.state AS "stage_state!: String"
               FROM attempts a JOIN stages s ON s.id = a.stage_id
               WHERE a.state IN ('failed', 'timed_out', 'out_of_memory', 'node_failed', 'lost', 'preempted')
               AND (?1 IS NULL
                    OR s.run_id IN (SELECT run_id FROM study_runs JOIN studies ON studies.id = study_runs.study_id
                                    WHERE studies.name = ?1)
                    OR s.data_hash IN (SELECT r.data_hash FROM runs r JOIN study_runs ON study_runs.run_id = r.id
                                       JOIN studies ON studies.id = study_runs.study_id WHERE studies.name = ?1))
               ORDER BY a.finished DESC, a.number DESC, a.id LIMIT ?2"#,
            study,
            MOST
        );
        let mut found = Outcomes::default();
        let mut seen = HashSet::new();
        for attempt in rows.fetch_all(&mut *self.0).await? {
            found.attempts.push(FailedAttempt {
                row: attempt.row,
                // One attempt of a stage follows the other.
                newest: seen.insert(attempt.stage),
                state: row::word("an attempt's state", &attempt.state)?,
                message: attempt.message,
                finished: row::time(attempt.finished),
                stage: StageId(attempt.stage),
                kind: row::word("a stage's kind", &attempt.kind)?,
                stage_state: row::word("a stage's state", &attempt.stage_state)?,
            });
        }
        let skipped = sqlx::query!(
            r#"WITH RECURSIVE below (root, id) AS (
                   SELECT s.id, sp.stage_id FROM stages s JOIN stage_parents sp ON sp.parent_id = s.id
                   WHERE s.state = 'failed'
                   UNION SELECT below.root, sp.stage_id FROM below JOIN stage_parents sp ON sp.parent_id = below.id)
               SELECT root AS "root!: i64", count(*) AS "count!: i64" FROM below JOIN stages ON stages.id = below.id
               WHERE stages.state = 'skipped' GROUP BY root"#
        );
        for group in skipped.fetch_all(&mut *self.0).await? {
            found.skipped.insert(StageId(group.root), row::unsigned(group.count));
        }
        Ok(found)
    }

    /// What else is known about attempts, by [`FailedAttempt::row`].
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn details(&mut self, rows: &[i64]) -> Result<HashMap<i64, FailureDetail>> {
        let rows = row::to_json(&rows)?;
        let rows = sqlx::query!(
            r#"SELECT a.rowid AS "row!: i64", a.id AS "id!: String", a.number AS "number!: i64",
                      a.exit_code AS "exit_code?: i32", a.signal AS "signal?: i32",
                      a.slurm_state AS "slurm_state?: String", a.place AS "place?: String", a.node AS "node?: String",
                      a.heard AS "heard?: i64", a.folder AS "folder!: String", s.checkpoint AS "checkpoint?: i64",
                      s.run_id AS "run?: i64", r.identifier AS "identifier?: String"
               FROM json_each(?) ids JOIN attempts a ON a.rowid = ids.value
               JOIN stages s ON s.id = a.stage_id LEFT JOIN runs r ON r.id = s.run_id"#,
            rows
        );
        let rows = rows.fetch_all(&mut *self.0).await?;
        rows.into_iter()
            .map(|attempt| {
                let detail = FailureDetail {
                    id: row::word("an attempt's id", &attempt.id)?,
                    number: row::small(attempt.number),
                    exit_code: attempt.exit_code,
                    signal: attempt.signal,
                    slurm_state: attempt.slurm_state,
                    place: attempt.place,
                    node: attempt.node,
                    heard: attempt.heard.map(row::time),
                    folder: attempt.folder.into(),
                    checkpoint: attempt.checkpoint.map(row::small),
                    run: attempt.run.map(RunId),
                    identifier: attempt.identifier,
                };
                Ok((attempt.row, detail))
            })
            .collect()
    }

    /// Names of the studies that hold any of the stages.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn studies(&mut self, stages: &[StageId]) -> Result<Vec<String>> {
        let stages = row::to_json(&stages)?;
        let names = sqlx::query_scalar!(
            r#"WITH wanted AS (SELECT run_id, data_hash FROM json_each(?) ids JOIN stages ON stages.id = ids.value)
               SELECT name FROM studies WHERE id IN (
                   SELECT study_id FROM wanted JOIN study_runs ON study_runs.run_id = wanted.run_id
                   UNION SELECT study_id FROM wanted JOIN runs ON runs.data_hash = wanted.data_hash
                         JOIN study_runs ON study_runs.run_id = runs.id WHERE wanted.run_id IS NULL)
               ORDER BY name"#,
            stages
        );
        Ok(names.fetch_all(&mut *self.0).await?)
    }
}
