//! Which stages a person means, and who else needs them.

use super::{Result, Tx, row};
use protocol::{
    ids::{RunId, StageId},
    stage::{StageKind, StageRef, StageState},
    target::Target,
};

impl Tx {
    /// The stages that a person means, in topological order; none if there is no such thing.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn in_scope(&mut self, target: &Target) -> Result<Option<Vec<StageId>>> {
        let ids = match target {
            Target::Study(name) => {
                sqlx::query_scalar!(
                    r#"SELECT study_stages.stage_id AS "id!: i64" FROM study_stages
                       JOIN studies ON studies.id = study_stages.study_id WHERE studies.name = ? ORDER BY 1"#,
                    name
                )
                .fetch_all(self.conn())
                .await?
            }
            Target::Run(run) => {
                sqlx::query_scalar!("SELECT id FROM stages WHERE run_id = ? ORDER BY id", run.0)
                    .fetch_all(self.conn())
                    .await?
            }
            Target::Stage(stage) => {
                sqlx::query_scalar!("SELECT id FROM stages WHERE id = ?", stage.0)
                    .fetch_all(self.conn())
                    .await?
            }
        };
        Ok((!ids.is_empty()).then(|| ids.into_iter().map(StageId).collect()))
    }

    /// Some stages of runs or, with none named, all but the `prepare` that they share; in topological order.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn stages_of(&mut self, runs: &[RunId], named: &[StageRef]) -> Result<Vec<StageId>> {
        let runs = row::to_json(&runs)?;
        let all = StageKind::ALL.iter().filter(|&&kind| kind != StageKind::Prepare).copied();
        let named =
            if named.is_empty() { row::to_json(&all.collect::<Vec<_>>())? } else { row::to_json(&named)? };
        let ids = sqlx::query_scalar!(
            r#"SELECT s.id AS "id!: i64" FROM stages s
               WHERE s.id IN (
                   SELECT own.id FROM json_each(?1) ids JOIN stages own ON own.run_id = ids.value
                   UNION SELECT shared.id FROM json_each(?1) ids JOIN runs ON runs.id = ids.value
                         JOIN stages shared ON shared.data_hash = runs.data_hash)
               AND (s.kind IN (SELECT value FROM json_each(?2))
                    OR s.kind || '@' || s.checkpoint IN (SELECT value FROM json_each(?2)))
               ORDER BY s.id"#,
            runs,
            named
        );
        Ok(ids.fetch_all(self.conn()).await?.into_iter().map(StageId).collect())
    }

    /// Kind and state of the stages of runs that are not over.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn open_stages_of(&mut self, runs: &[RunId]) -> Result<Vec<(StageKind, StageState)>> {
        let runs = row::to_json(&runs)?;
        let rows = sqlx::query!(
            r#"SELECT s.kind AS "kind!: String", s.state AS "state!: String"
               FROM json_each(?) ids JOIN stages s ON s.run_id = ids.value
               WHERE s.state IN ('waiting', 'ready', 'queued', 'running')"#,
            runs
        );
        let rows = rows.fetch_all(self.conn()).await?;
        rows.into_iter()
            .map(|found| {
                let kind = row::word("a stage's kind", &found.kind)?;
                Ok((kind, row::word("a stage's state", &found.state)?))
            })
            .collect()
    }

    /// Whether a study other than `study`, not cancelled itself, holds the stage.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn needed_elsewhere(&mut self, stage: StageId, study: &str) -> Result<bool> {
        let found = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!: i64" FROM study_stages
               JOIN studies ON studies.id = study_stages.study_id
               WHERE study_stages.stage_id = ? AND studies.name <> ? AND studies.cancelled IS NULL"#,
            stage.0,
            study
        );
        Ok(found.fetch_one(self.conn()).await? > 0)
    }
}
