//! Runs, as the API shows them.

use super::{Result, Store, row, stages};
use protocol::{
    ids::{RunId, StageId},
    output::MeasureRow,
    run::RunConfig,
    view::{AttemptView, RunDetail, RunSummary, StageResult},
};
use sqlx::SqliteConnection;

/// A run with its stages, and its configuration.
pub(super) async fn summary(
    conn: &mut SqliteConnection,
    id: RunId,
) -> Result<Option<(RunSummary, RunConfig)>> {
    let found = sqlx::query!("SELECT hash, name, identifier, config FROM runs WHERE id = ?", id.0);
    let Some(found) = found.fetch_optional(&mut *conn).await? else { return Ok(None) };
    let config: RunConfig = row::json("a run's configuration", &found.config)?;
    let stages = sqlx::query_scalar!(
        r#"SELECT s.id AS "id!: i64" FROM runs r JOIN stages s ON s.run_id = r.id OR s.data_hash = r.data_hash
           WHERE r.id = ?"#,
        id.0
    );
    let stages = stages.fetch_all(&mut *conn).await?;
    let summary = RunSummary {
        id,
        identifier: found.identifier,
        name: found.name,
        hash: found.hash,
        layers: config.layers,
        width: config.width,
        seed: config.seed,
        epochs: config.epochs,
        weight_decay: config.weight_decay,
        stages: stages::views(conn, &stages).await?,
    };
    Ok(Some((summary, config)))
}

impl Store {
    /// One run with everything known about it.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn run_detail(&self, id: RunId) -> Result<Option<RunDetail>> {
        // One transaction, so that all parts are of the same moment.
        let mut tx = self.readers.begin().await?;
        let Some((summary, config)) = summary(&mut tx, id).await? else { return Ok(None) };
        let studies = super::changes::studies_of_run(&mut tx, id).await?;
        let ids: Vec<_> = summary.stages.iter().map(|stage| stage.id.0).collect();
        let detail = RunDetail {
            outputs: outputs(&mut tx, &ids).await?,
            attempts: attempts(&mut tx, &ids).await?,
            measures: measures(&mut tx, id, &summary.identifier).await?,
            summary,
            studies,
            config,
        };
        Ok(Some(detail))
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

async fn attempts(conn: &mut SqliteConnection, stages: &[i64]) -> Result<Vec<AttemptView>> {
    let stages = row::to_json(&stages)?;
    let rows = sqlx::query!(
        r#"SELECT a.id AS "id!: String", a.stage_id AS "stage!: i64", s.kind AS "kind!: String",
                  s.checkpoint AS "checkpoint?: i64", a.number AS "number!: i64", a.state AS "state!: String",
                  a.place AS "place?: String", a.created AS "created!: i64", a.started AS "started?: i64",
                  a.finished AS "finished?: i64", a.message AS "message?: String", a.exit_code AS "exit_code?: i32",
                  a.signal AS "signal?: i32", a.folder AS "folder!: String"
           FROM attempts a JOIN stages s ON s.id = a.stage_id
           WHERE a.stage_id IN (SELECT value FROM json_each(?)) ORDER BY a.created, a.id"#,
        stages
    );
    let rows = rows.fetch_all(conn).await?;
    rows.into_iter()
        .map(|found| {
            Ok(AttemptView {
                id: row::word("an attempt's id", &found.id)?,
                stage: StageId(found.stage),
                kind: row::word("a stage's kind", &found.kind)?,
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
            })
        })
        .collect()
}
