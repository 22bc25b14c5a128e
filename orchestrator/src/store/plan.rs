//! Records studies, their runs, and the stages of these.

use super::{Result, Tx, row};
use crate::domain::work::Settings;
use protocol::{
    ids::{RunId, StageId},
    run::RunConfig,
    stage::StageKind,
    study::{CollectionSpec, DataSpec, StudySpec},
};

/// A run that is recorded already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Id.
    pub id: RunId,
    /// Name of its folders.
    pub name: String,
}

impl Tx {
    /// Records a study as asked for, anew or again, and answers its key.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn save_study(&mut self, spec: &StudySpec) -> Result<i64> {
        let (text, now) = (row::to_json(spec)?, self.now_ms());
        let id = sqlx::query_scalar!(
            r#"INSERT INTO studies (name, spec, created) VALUES (?, ?, ?)
               ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, cancelled = NULL
               RETURNING id AS "id!: i64""#,
            spec.name,
            text,
            now
        );
        let id = id.fetch_one(self.conn()).await?;
        self.touch_study(&spec.name);
        Ok(id)
    }

    /// Notes that a person cancelled a study.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn cancel_study(&mut self, name: &str) -> Result<()> {
        let now = self.now_ms();
        sqlx::query!("UPDATE studies SET cancelled = ? WHERE name = ?", now, name)
            .execute(self.conn())
            .await?;
        self.touch_study(name);
        Ok(())
    }

    /// Studies that hold the stage's run are wanted again. Data that studies share says nothing about them.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn revive_studies(&mut self, stage: StageId) -> Result<()> {
        sqlx::query!(
            "UPDATE studies SET cancelled = NULL
             WHERE cancelled IS NOT NULL AND id IN (SELECT sr.study_id FROM study_runs sr
                   JOIN stages s ON s.run_id = sr.run_id WHERE s.id = ?)",
            stage.0
        )
        .execute(self.conn())
        .await?;
        Ok(())
    }

    /// The run with this configuration.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn run_by_hash(&mut self, hash: &str) -> Result<Option<RunRow>> {
        let found = sqlx::query!(r#"SELECT id AS "id!: i64", name FROM runs WHERE hash = ?"#, hash);
        let found = found.fetch_optional(self.conn()).await?;
        Ok(found.map(|run| RunRow { id: RunId(run.id), name: run.name }))
    }

    /// Whether folders of this name belong to a run already.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn name_taken(&mut self, name: &str) -> Result<bool> {
        let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!: i64" FROM runs WHERE name = ?"#, name);
        Ok(count.fetch_one(self.conn()).await? > 0)
    }

    /// The hash of the run that a study holds under an identifier.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn hash_in_study(&mut self, study: i64, identifier: &str) -> Result<Option<String>> {
        // A cross join keeps its order: from the study, each run that is planned would look at all of its runs.
        let hash = sqlx::query_scalar!(
            "SELECT runs.hash FROM runs CROSS JOIN study_runs ON study_runs.run_id = runs.id
             WHERE runs.identifier = ? AND study_runs.study_id = ?",
            identifier,
            study
        );
        Ok(hash.fetch_optional(self.conn()).await?)
    }

    /// Records a run.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn insert_run(
        &mut self,
        name: &str,
        hash: &str,
        data_hash: &str,
        config: &RunConfig,
        settings: &Settings,
    ) -> Result<RunId> {
        let (identifier, now) = (config.identifier().to_string(), self.now_ms());
        let (config, settings) = (row::to_json(config)?, row::to_json(settings)?);
        let id = sqlx::query_scalar!(
            r#"INSERT INTO runs (hash, name, identifier, config, settings, data_hash, created)
               VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id AS "id!: i64""#,
            hash,
            name,
            identifier,
            config,
            settings,
            data_hash,
            now
        );
        Ok(RunId(id.fetch_one(self.conn()).await?))
    }

    /// Lets a study hold a run, at its end; answers whether it did not before.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn hold_run(&mut self, study: i64, run: RunId) -> Result<bool> {
        let added = sqlx::query!(
            "INSERT INTO study_runs (study_id, run_id, position)
             VALUES (?1, ?2, (SELECT ifnull(max(position) + 1, 0) FROM study_runs WHERE study_id = ?1))
             ON CONFLICT (study_id, run_id) DO NOTHING",
            study,
            run.0
        );
        Ok(added.execute(self.conn()).await?.rows_affected() == 1)
    }

    /// How variances of a run were collected, and at which checkpoint first; none if they are not there yet.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn collected(&mut self, run: RunId) -> Result<Option<(u32, CollectionSpec)>> {
        let found = sqlx::query!(
            r#"SELECT s.checkpoint AS "checkpoint!: i64", r.settings FROM stages s JOIN runs r ON r.id = s.run_id
               WHERE s.run_id = ? AND s.kind = 'vars' AND s.state = 'done' ORDER BY s.checkpoint LIMIT 1"#,
            run.0
        );
        let Some(found) = found.fetch_optional(self.conn()).await? else { return Ok(None) };
        let settings: Settings = row::json("settings of a run", &found.settings)?;
        Ok(Some((row::small(found.checkpoint), settings.collection)))
    }

    /// Carries a run's future attempts out in this way.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn set_settings(&mut self, run: RunId, settings: &Settings) -> Result<()> {
        let text = row::to_json(settings)?;
        let rules = row::to_json(&settings.resources.rules)?;
        // What earlier attempts taught was over other rules.
        sqlx::query!(
            "UPDATE stages SET memory_doublings = 0, time_doublings = 0
             WHERE (run_id = ?1 OR data_hash = (SELECT data_hash FROM runs WHERE id = ?1))
               AND (SELECT ifnull(json_extract(settings, '$.resources.rules'), '[]') FROM runs WHERE id = ?1)
                   <> json(?2)",
            run.0,
            rules
        )
        .execute(self.conn())
        .await?;
        sqlx::query!("UPDATE runs SET settings = ? WHERE id = ?", text, run.0).execute(self.conn()).await?;
        let allowed = settings.resources.attempts;
        sqlx::query!(
            "UPDATE stages SET allowed = ?1 WHERE run_id = ?2
             OR data_hash = (SELECT data_hash FROM runs WHERE id = ?2)",
            allowed,
            run.0
        )
        .execute(self.conn())
        .await?;
        Ok(())
    }

    /// The `prepare` of this data, recorded if it was not; answers whether it is new.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn prepare_stage(
        &mut self,
        data: &DataSpec,
        data_hash: &str,
        allowed: u32,
    ) -> Result<(StageId, bool)> {
        let found =
            sqlx::query_scalar!(r#"SELECT id AS "id!: i64" FROM stages WHERE data_hash = ?"#, data_hash);
        if let Some(id) = found.fetch_optional(self.conn()).await? {
            return Ok((StageId(id), false));
        }
        let data = row::to_json(data)?;
        let id = sqlx::query_scalar!(
            r#"INSERT INTO stages (kind, data_hash, data, state, allowed) VALUES ('prepare', ?, ?, 'waiting', ?)
               RETURNING id AS "id!: i64""#,
            data_hash,
            data,
            allowed
        );
        Ok((StageId(id.fetch_one(self.conn()).await?), true))
    }

    /// Records a stage of a run, waiting for its parents.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn insert_stage(
        &mut self,
        run: RunId,
        kind: StageKind,
        checkpoint: Option<u32>,
        allowed: u32,
        parents: &[StageId],
    ) -> Result<StageId> {
        let kind = kind.as_str();
        let id = sqlx::query_scalar!(
            r#"INSERT INTO stages (kind, run_id, checkpoint, state, allowed) VALUES (?, ?, ?, 'waiting', ?)
               RETURNING id AS "id!: i64""#,
            kind,
            run.0,
            checkpoint,
            allowed
        );
        let id = id.fetch_one(self.conn()).await?;
        for parent in parents {
            sqlx::query!("INSERT INTO stage_parents (stage_id, parent_id) VALUES (?, ?)", id, parent.0)
                .execute(self.conn())
                .await?;
        }
        Ok(StageId(id))
    }
}
