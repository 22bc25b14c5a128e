//! Runs: as the API shows them, by identifier, and which go first.

use super::{Result, Store, Tx, row, stages};
use crate::domain::forecast::on_device;
use chrono::{DateTime, Utc};
use protocol::{
    ids::{RunId, StageId},
    output::MeasureRow,
    run::RunConfig,
    table::Compared,
    view::{AttemptView, RunDetail, RunSummary, StageResult, StageView},
};
use sqlx::SqliteConnection;
use std::collections::{BTreeSet, HashMap};

/// A run as it is recorded.
struct Recorded {
    id: i64,
    hash: String,
    name: String,
    identifier: String,
    config: String,
    priority: i32,
    /// The `prepare` stage of its data.
    prepare: Option<i64>,
}

impl Recorded {
    fn with(self, stages: Vec<StageView>) -> Result<(RunSummary, RunConfig)> {
        let config: RunConfig = row::json("a run's configuration", &self.config)?;
        let summary = RunSummary {
            id: RunId(self.id),
            identifier: self.identifier,
            name: self.name,
            hash: self.hash,
            layers: config.layers,
            width: config.width,
            seed: config.seed,
            epochs: config.epochs,
            weight_decay: config.weight_decay,
            priority: self.priority,
            stages,
        };
        Ok((summary, config))
    }
}

/// A run with its stages, and its configuration.
async fn summary(conn: &mut SqliteConnection, id: RunId) -> Result<Option<(RunSummary, RunConfig)>> {
    let found = sqlx::query_as!(
        Recorded,
        r#"SELECT r.id AS "id!: i64", r.hash AS "hash!", r.name AS "name!", r.identifier AS "identifier!",
                  r.config AS "config!", r.priority AS "priority!: i32", p.id AS "prepare?: i64"
           FROM runs r LEFT JOIN stages p ON p.data_hash = r.data_hash WHERE r.id = ?"#,
        id.0
    );
    let Some(found) = found.fetch_optional(&mut *conn).await? else { return Ok(None) };
    let stages = sqlx::query_scalar!(r#"SELECT id AS "id!: i64" FROM stages WHERE run_id = ?"#, id.0);
    let mut stages = stages.fetch_all(&mut *conn).await?;
    stages.extend(found.prepare);
    found.with(stages::views(conn, &stages).await?).map(Some)
}

/// The runs of a study with their stages, in order. Ten thousand runs take as many statements as one.
pub(super) async fn of_study(conn: &mut SqliteConnection, study: i64) -> Result<Vec<RunSummary>> {
    let found = sqlx::query_as!(
        Recorded,
        r#"SELECT r.id AS "id!: i64", r.hash AS "hash!", r.name AS "name!", r.identifier AS "identifier!",
                  r.config AS "config!", r.priority AS "priority!: i32", p.id AS "prepare?: i64"
           FROM study_runs sr CROSS JOIN runs r ON r.id = sr.run_id LEFT JOIN stages p ON p.data_hash = r.data_hash
           WHERE sr.study_id = ? ORDER BY sr.position"#,
        study
    );
    let found = found.fetch_all(&mut *conn).await?;
    let stages = sqlx::query_scalar!(
        r#"SELECT s.id AS "id!: i64" FROM study_runs sr CROSS JOIN stages s ON s.run_id = sr.run_id
           WHERE sr.study_id = ?"#,
        study
    );
    let mut stages = stages.fetch_all(&mut *conn).await?;
    let shared: BTreeSet<i64> = found.iter().filter_map(|run| run.prepare).collect();
    stages.extend(&shared);
    let (mut own, mut prepares) = (HashMap::<RunId, Vec<StageView>>::new(), HashMap::new());
    for stage in stages::views(conn, &stages).await? {
        match stage.run {
            Some(run) => own.entry(run).or_default().push(stage),
            None => _ = prepares.insert(stage.id.0, stage),
        }
    }
    found
        .into_iter()
        .map(|run| {
            let prepare = run.prepare.and_then(|id| prepares.get(&id).cloned());
            let stages = prepare.into_iter().chain(own.remove(&RunId(run.id)).unwrap_or_default()).collect();
            run.with(stages).map(|(summary, _)| summary)
        })
        .collect()
}

impl Store {
    /// One run with everything known about it. `now` ends what still runs.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn run_detail(&self, id: RunId, now: DateTime<Utc>) -> Result<Option<RunDetail>> {
        // One transaction, so that all parts are of the same moment.
        let mut tx = self.readers.begin().await?;
        let Some((summary, config)) = summary(&mut tx, id).await? else { return Ok(None) };
        let studies = super::changes::studies_of_run(&mut tx, id).await?;
        let ids: Vec<_> = summary.stages.iter().map(|stage| stage.id.0).collect();
        let detail = RunDetail {
            outputs: outputs(&mut tx, &ids).await?,
            attempts: attempts(&mut tx, &ids, now).await?,
            measures: measures(&mut tx, id, &summary.identifier).await?,
            summary,
            studies,
            config,
        };
        Ok(Some(detail))
    }

    /// The runs of a study by identifier.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn run_ids(&self, study: &str) -> Result<HashMap<String, RunId>> {
        let rows = sqlx::query!(
            r#"SELECT runs.identifier AS "identifier!: String", runs.id AS "id!: i64"
               FROM studies JOIN study_runs ON study_runs.study_id = studies.id
               JOIN runs ON runs.id = study_runs.run_id WHERE studies.name = ?"#,
            study
        );
        let rows = rows.fetch_all(&self.readers).await?;
        Ok(rows.into_iter().map(|run| (run.identifier, RunId(run.id))).collect())
    }

    /// A run's configuration; none if there is no such run.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn compared(&self, id: RunId) -> Result<Option<Compared>> {
        let mut tx = self.readers.begin().await?;
        let found = sqlx::query!("SELECT identifier, config FROM runs WHERE id = ?", id.0);
        let Some(found) = found.fetch_optional(&mut *tx).await? else { return Ok(None) };
        Ok(Some(Compared {
            run: id,
            identifier: found.identifier,
            studies: super::changes::studies_of_run(&mut tx, id).await?,
            config: row::json("a run's configuration", &found.config)?,
        }))
    }

    /// The name of a run's folders and the last checkpoint that was analysed; none if there is no such run.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn analysed(&self, id: RunId) -> Result<Option<(String, Option<u32>)>> {
        let found = sqlx::query!(
            r#"SELECT name, (SELECT max(checkpoint) FROM results WHERE run_id = runs.id) AS "last?: i64"
               FROM runs WHERE id = ?"#,
            id.0
        );
        let found = found.fetch_optional(&self.readers).await?;
        Ok(found.map(|found| (found.name, found.last.map(row::small))))
    }
}

impl Tx {
    /// Sets the priority of runs.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn set_priority(&mut self, runs: &[RunId], priority: i32) -> Result<()> {
        let ids = row::to_json(&runs)?;
        sqlx::query!(
            "UPDATE runs SET priority = ? WHERE id IN (SELECT value FROM json_each(?))",
            priority,
            ids
        )
        .execute(self.conn())
        .await?;
        for &run in runs {
            self.touch_run(run);
        }
        Ok(())
    }
}

async fn outputs(conn: &mut SqliteConnection, stages: &[i64]) -> Result<Vec<StageResult>> {
    let stages = row::to_json(&stages)?;
    let rows = sqlx::query!(
        r#"SELECT id AS "id!: i64", checkpoint AS "checkpoint?: i64", output AS "output!: String" FROM stages
           WHERE output IS NOT NULL AND id IN (SELECT value FROM json_each(?)) ORDER BY checkpoint, id"#,
        stages
    );
    let rows = rows.fetch_all(conn).await?;
    rows.into_iter()
        .map(|found| {
            Ok(StageResult {
                stage: StageId(found.id),
                checkpoint: found.checkpoint.map(row::small),
                output: row::json("a stage's output", &found.output)?,
            })
        })
        .collect()
}

async fn measures(conn: &mut SqliteConnection, run: RunId, identifier: &str) -> Result<Vec<MeasureRow>> {
    let rows =
        sqlx::query!("SELECT checkpoint, measures FROM results WHERE run_id = ? ORDER BY checkpoint", run.0);
    let rows = rows.fetch_all(conn).await?;
    rows.into_iter()
        .map(|found| {
            let values = row::json("measures", &found.measures)?;
            Ok(MeasureRow { model: format!("{identifier}@{}", found.checkpoint), values })
        })
        .collect()
}

async fn attempts(
    conn: &mut SqliteConnection,
    stages: &[i64],
    now: DateTime<Utc>,
) -> Result<Vec<AttemptView>> {
    let stages = row::to_json(&stages)?;
    let rows = sqlx::query!(
        r#"SELECT a.id AS "id!: String", a.stage_id AS "stage!: i64", s.kind AS "kind!: String",
                  s.checkpoint AS "checkpoint?: i64", a.number AS "number!: i64", a.state AS "state!: String",
                  a.place AS "place?: String", a.created AS "created!: i64", a.started AS "started?: i64",
                  a.finished AS "finished?: i64", a.message AS "message?: String", a.exit_code AS "exit_code?: i32",
                  a.signal AS "signal?: i32", a.folder AS "folder!: String",
                  a.task / u.pack AS "task?: i64", ifnull(u.pack, 1) AS "pack!: i64",
                  a.node AS "node?: String", a.waits AS "waits?: String", a.slurm_state AS "slurm_state?: String",
                  a.heard AS "heard?: i64", nullif(u.job_id, 0) AS "job?: i64"
           FROM attempts a JOIN stages s ON s.id = a.stage_id LEFT JOIN submissions u ON u.id = a.submission_id
           WHERE a.stage_id IN (SELECT value FROM json_each(?)) ORDER BY a.created, a.id"#,
        stages
    );
    let rows = rows.fetch_all(conn).await?;
    rows.into_iter()
        .map(|found| {
            let kind = row::word("a stage's kind", &found.kind)?;
            Ok(AttemptView {
                id: row::word("an attempt's id", &found.id)?,
                stage: StageId(found.stage),
                kind,
                checkpoint: found.checkpoint.map(row::small),
                number: row::small(found.number),
                state: row::word("an attempt's state", &found.state)?,
                place: found.place,
                created: row::time(found.created),
                started: found.started.map(row::time),
                finished: found.finished.map(row::time),
                message: found.message,
                exit_code: found.exit_code,
                signal: found.signal,
                folder: found.folder,
                job: found.job.map(|job| match found.task {
                    Some(task) => format!("{job}_{task}"),
                    None => job.to_string(),
                }),
                node: found.node,
                waits: found.waits,
                slurm_state: found.slurm_state,
                heard: found.heard.map(row::time),
                gpu_hours: found.started.filter(|_| on_device(kind)).map(|started| {
                    let end = found.finished.unwrap_or_else(|| now.timestamp_millis());
                    (end - started).max(0) as f64 / 3_600_000.0 / found.pack.max(1) as f64
                }),
            })
        })
        .collect()
}
