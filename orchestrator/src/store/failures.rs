//! Attempts that went wrong, for the page that groups them by cause.

use super::{Result, Store, changes, row};
use chrono::{DateTime, Utc};
use protocol::{
    ids::{AttemptId, RunId, StageId},
    stage::{AttemptState, StageKind, StageState},
};
use sqlx::SqliteConnection;
use std::{collections::HashMap, path::PathBuf};

/// The newest so many attempts are looked at.
const MOST: i64 = 5_000;

/// An attempt that went wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedAttempt {
    /// Id.
    pub id: AttemptId,
    /// Counts from 1 within the stage.
    pub number: u32,
    /// Whether it is the newest of the stage's attempts that went wrong.
    pub newest: bool,
    /// How it ended.
    pub state: AttemptState,
    /// One line.
    pub message: Option<String>,
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
    /// When it ended.
    pub finished: DateTime<Utc>,
    /// Folder with its log.
    pub folder: PathBuf,
    /// The stage.
    pub stage: StageId,
    /// Its kind.
    pub kind: StageKind,
    /// Its checkpoint index.
    pub checkpoint: Option<u32>,
    /// Its state now.
    pub stage_state: StageState,
    /// Its run.
    pub run: Option<RunId>,
    /// The run's identifier.
    pub identifier: Option<String>,
    /// Studies that hold it.
    pub studies: Vec<String>,
}

/// What went wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
    /// Attempts, the newest first.
    pub attempts: Vec<FailedAttempt>,
    /// How many stages were skipped because of each stage that failed.
    pub skipped: HashMap<StageId, u64>,
}

impl Store {
    /// Attempts that went wrong, of a study or of all.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn failures(&self, study: Option<&str>) -> Result<Outcomes> {
        let mut tx = self.readers.begin().await?;
        let rows = sqlx::query!(
            r#"SELECT a.id AS "id!: String", a.number AS "number!: i64", a.state AS "state!: String",
                      a.message AS "message?: String", a.exit_code AS "exit_code?: i32", a.signal AS "signal?: i32",
                      a.slurm_state AS "slurm_state?: String", a.place AS "place?: String", a.node AS "node?: String",
                      a.heard AS "heard?: i64", ifnull(a.finished, a.created) AS "finished!: i64",
                      a.folder AS "folder!: String", s.id AS "stage!: i64", s.kind AS "kind!: String",
                      s.checkpoint AS "checkpoint?: i64", s.state AS "stage_state!: String", s.run_id AS "run?: i64",
                      r.identifier AS "identifier?: String"
               FROM attempts a JOIN stages s ON s.id = a.stage_id LEFT JOIN runs r ON r.id = s.run_id
               WHERE a.state IN ('failed', 'timed_out', 'out_of_memory', 'node_failed', 'lost', 'preempted')
               AND (?1 IS NULL
                    OR s.run_id IN (SELECT run_id FROM study_runs JOIN studies ON studies.id = study_runs.study_id
                                    WHERE studies.name = ?1)
                    OR s.data_hash IN (SELECT r.data_hash FROM runs r JOIN study_runs ON study_runs.run_id = r.id
                                       JOIN studies ON studies.id = study_runs.study_id WHERE studies.name = ?1))
               ORDER BY a.finished DESC, a.id LIMIT ?2"#,
            study,
            MOST
        );
        let mut found = Outcomes::default();
        let rows = rows.fetch_all(&mut *tx).await?;
        let mut runs: Vec<RunId> = rows.iter().filter_map(|attempt| attempt.run).map(RunId).collect();
        runs.sort_unstable();
        runs.dedup();
        let of_runs = studies_of_runs(&mut tx, &runs).await?;
        let mut newest: HashMap<i64, i64> = HashMap::new();
        for attempt in &rows {
            let number = newest.entry(attempt.stage).or_default();
            *number = attempt.number.max(*number);
        }
        for attempt in rows {
            let studies = match attempt.run {
                Some(run) => of_runs.get(&RunId(run)).cloned().unwrap_or_default(),
                // Of a prepare that runs share; there are few of them.
                None => changes::studies_of_stage(&mut tx, StageId(attempt.stage)).await?,
            };
            found.attempts.push(FailedAttempt {
                id: row::word("an attempt's id", &attempt.id)?,
                number: row::small(attempt.number),
                newest: newest.get(&attempt.stage) == Some(&attempt.number),
                state: row::word("an attempt's state", &attempt.state)?,
                message: attempt.message,
                exit_code: attempt.exit_code,
                signal: attempt.signal,
                slurm_state: attempt.slurm_state,
                place: attempt.place,
                node: attempt.node,
                heard: attempt.heard.map(row::time),
                finished: row::time(attempt.finished),
                folder: attempt.folder.into(),
                stage: StageId(attempt.stage),
                kind: row::word("a stage's kind", &attempt.kind)?,
                checkpoint: attempt.checkpoint.map(row::small),
                stage_state: row::word("a stage's state", &attempt.stage_state)?,
                run: attempt.run.map(RunId),
                identifier: attempt.identifier,
                studies,
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
        for group in skipped.fetch_all(&mut *tx).await? {
            found.skipped.insert(StageId(group.root), row::unsigned(group.count));
        }
        Ok(found)
    }
}

/// Names of the studies that hold runs.
async fn studies_of_runs(conn: &mut SqliteConnection, runs: &[RunId]) -> Result<HashMap<RunId, Vec<String>>> {
    let runs = row::to_json(&runs)?;
    let rows = sqlx::query!(
        r#"SELECT study_runs.run_id AS "run!: i64", studies.name AS "name!: String"
           FROM json_each(?) ids JOIN study_runs ON study_runs.run_id = ids.value
           JOIN studies ON studies.id = study_runs.study_id ORDER BY studies.id"#,
        runs
    );
    let mut names: HashMap<RunId, Vec<String>> = HashMap::new();
    for found in rows.fetch_all(conn).await? {
        names.entry(RunId(found.run)).or_default().push(found.name);
    }
    Ok(names)
}
