//! Stages: as the API shows them, as the engine sees them, and their changes of state.

use super::{Result, Store, StoreError, Tx, row};
use crate::domain::{
    transition,
    work::{Settings, Work},
};
use protocol::{
    attempt::Progress,
    ids::{RunId, StageId},
    output::StageOutput,
    stage::{StageKind, StageState},
    view::StageView,
};
use sqlx::SqliteConnection;

/// A stage, as the engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageRow {
    /// Id.
    pub id: StageId,
    /// Its run; none for a shared `prepare`.
    pub run: Option<RunId>,
    /// Kind.
    pub kind: StageKind,
    /// Checkpoint index, where the kind has one.
    pub checkpoint: Option<u32>,
    /// State.
    pub state: StageState,
    /// Failed attempts that count.
    pub failures: u32,
    /// How many may fail.
    pub allowed: u32,
}

/// Stages by id as the API shows them, in order of checkpoint and kind.
pub(super) async fn views(conn: &mut SqliteConnection, ids: &[i64]) -> Result<Vec<StageView>> {
    let ids = row::to_json(&ids)?;
    let rows = sqlx::query!(
        r#"SELECT s.id AS "id!: i64", s.run_id AS "run?: i64", s.kind AS "kind!: String",
                  s.checkpoint AS "checkpoint?: i64", s.state AS "state!: String", s.reason AS "reason?: String",
                  s.started AS "started?: i64", min(s.finished, ifnull(good.finished, s.finished)) AS "finished?: i64",
                  ifnull(live.started, good.started) AS "attempt_started?: i64",
                  (SELECT count(*) FROM attempts a WHERE a.stage_id = s.id) AS "attempts!: i64",
                  live.progress_done AS "done?: i64", live.progress_total AS "total?: i64",
                  live.progress_unit AS "unit?: String", live.waits AS "waits?: String",
                  live.submission_id IS NOT NULL AS "in_queue!: bool",
                  (SELECT group_concat(p.kind, ', ') FROM stage_parents sp JOIN stages p ON p.id = sp.parent_id
                   WHERE sp.stage_id = s.id AND p.state <> 'done') AS "missing?: String"
           FROM stages s LEFT JOIN attempts live ON live.stage_id = s.id AND live.live = 1
           LEFT JOIN attempts good ON good.stage_id = s.id AND good.state = 'succeeded'
           WHERE s.id IN (SELECT value FROM json_each(?))"#,
        ids
    );
    let mut views = Vec::new();
    for found in rows.fetch_all(conn).await? {
        let state: StageState = row::word("a stage's state", &found.state)?;
        let reason = found.reason.or_else(|| match state {
            StageState::Queued if found.in_queue => match (found.waits, found.missing) {
                (Some(why), _) => Some(why),
                (None, Some(kinds)) => Some(format!("in the queue, behind {kinds}")),
                (None, None) => Some("in the queue".to_owned()),
            },
            StageState::Waiting => found.missing.map(|kinds| format!("waits for {kinds}")),
            StageState::Ready => Some("waits for room".to_owned()),
            _ => None,
        });
        let progress = match (state, found.done, found.total, found.unit) {
            (StageState::Running, Some(done), Some(total), Some(unit)) => {
                Some(Progress { done: row::unsigned(done), total: row::unsigned(total), unit })
            }
            _ => None,
        };
        views.push(StageView {
            id: StageId(found.id),
            run: found.run.map(RunId),
            kind: row::word("a stage's kind", &found.kind)?,
            checkpoint: found.checkpoint.map(row::small),
            state,
            progress,
            attempts: row::small(found.attempts),
            started: found.started.map(row::time),
            attempt_started: found.attempt_started.map(row::time),
            finished: found.finished.map(row::time),
            reason,
        });
    }
    views.sort_by_key(|view| (view.checkpoint, view.kind, view.id));
    Ok(views)
}

/// The run of a stage; none for a shared `prepare`.
pub(super) async fn run_of(conn: &mut SqliteConnection, stage: StageId) -> Result<Option<RunId>> {
    let run = sqlx::query_scalar!("SELECT run_id FROM stages WHERE id = ?", stage.0);
    Ok(run.fetch_optional(conn).await?.flatten().map(RunId))
}

impl Store {
    /// Stages that may start: of higher priority first, then those nearest to a result. Data is prepared with the priority
    /// of the first run that waits for it.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn ready_stages(&self) -> Result<Vec<StageId>> {
        // A stage whose last attempt is still being stopped has to wait for its end.
        let ids = sqlx::query_scalar!(
            r#"SELECT s.id FROM stages s LEFT JOIN runs r ON r.id = s.run_id WHERE s.state = 'ready'
               AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.stage_id = s.id AND a.live = 1)
               ORDER BY coalesce(r.priority, (SELECT max(priority) FROM runs WHERE runs.data_hash = s.data_hash), 0) DESC,
                        CASE s.kind WHEN 'analyze' THEN 0 WHEN 'decs' THEN 1 WHEN 'vars' THEN 1
                        WHEN 'means' THEN 2 WHEN 'evaluate' THEN 3 WHEN 'train' THEN 4 ELSE 5 END, s.id"#
        );
        Ok(ids.fetch_all(&self.readers).await?.into_iter().map(StageId).collect())
    }

    /// Stages that count as waiting although none of their parents is open, or as queued although one failed.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn unsettled_stages(&self) -> Result<Vec<StageId>> {
        let ids = sqlx::query_scalar!(
            r#"SELECT s.id FROM stages s WHERE s.state IN ('waiting', 'queued') AND (
                 (s.state = 'waiting' AND NOT EXISTS (
                    SELECT 1 FROM stage_parents sp JOIN stages p ON p.id = sp.parent_id
                    WHERE sp.stage_id = s.id AND p.state <> 'done'))
                 OR EXISTS (SELECT 1 FROM stage_parents sp JOIN stages p ON p.id = sp.parent_id
                            WHERE sp.stage_id = s.id AND p.state IN ('failed', 'cancelled', 'skipped')))
               ORDER BY s.id"#
        );
        Ok(ids.fetch_all(&self.readers).await?.into_iter().map(StageId).collect())
    }

    /// How many stages are not over.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn open_stages(&self) -> Result<u64> {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!: i64" FROM stages WHERE state IN ('waiting', 'ready', 'queued', 'running')"#
        );
        Ok(row::unsigned(count.fetch_one(&self.readers).await?))
    }

    /// The work of a stage; none if there is no such stage.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn work(&self, stage: StageId) -> Result<Option<Work>> {
        let found = sqlx::query!(
            r#"SELECT s.kind AS "kind!: String", s.checkpoint AS "checkpoint?: i64", s.data AS "data?: String",
                      s.data_hash AS "prepared?: String", r.name AS "name?: String", r.config AS "config?: String",
                      r.settings AS "settings?: String", r.data_hash AS "data_hash?: String"
               FROM stages s LEFT JOIN runs r ON r.id = s.run_id WHERE s.id = ?"#,
            stage.0
        );
        let Some(found) = found.fetch_optional(&self.readers).await? else { return Ok(None) };
        if let (Some(data), Some(data_hash)) = (found.data, found.prepared) {
            return Ok(Some(Work::Prepare { data: row::json("data", &data)?, data_hash }));
        }
        let (Some(name), Some(config), Some(settings), Some(data_hash)) =
            (found.name, found.config, found.settings, found.data_hash)
        else {
            return Err(StoreError::Corrupt { what: "a stage without run", value: stage.to_string() });
        };
        let settings: Settings = row::json("a run's settings", &settings)?;
        Ok(Some(Work::Run {
            kind: row::word("a stage's kind", &found.kind)?,
            checkpoint: found.checkpoint.map(row::small),
            name,
            config: row::json("a run's configuration", &config)?,
            data_hash,
            settings,
        }))
    }
}

impl Tx {
    /// A stage; none if there is no such stage.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn stage(&mut self, id: StageId) -> Result<Option<StageRow>> {
        let found = sqlx::query!(
            "SELECT id, run_id, kind, checkpoint, state, failures, allowed FROM stages WHERE id = ?",
            id.0
        );
        let Some(found) = found.fetch_optional(self.conn()).await? else { return Ok(None) };
        Ok(Some(StageRow {
            id,
            run: found.run_id.map(RunId),
            kind: row::word("a stage's kind", &found.kind)?,
            checkpoint: found.checkpoint.map(row::small),
            state: row::word("a stage's state", &found.state)?,
            failures: row::small(found.failures),
            allowed: row::small(found.allowed),
        }))
    }

    /// Moves a stage to another state.
    ///
    /// # Errors
    /// When the transition is illegal, the stage is not in `from` any more, or the record can't be used.
    pub async fn move_stage(
        &mut self,
        id: StageId,
        from: StageState,
        to: StageState,
        reason: Option<&str>,
    ) -> Result<()> {
        transition::stage(from, to)?;
        let (now, from, to_word) = (self.now_ms(), from.as_str(), to.as_str());
        let started = (to == StageState::Running).then_some(now);
        let finished = to.is_final().then_some(now);
        let changed = sqlx::query!(
            "UPDATE stages SET state = ?, reason = ?, started = ifnull(started, ?), finished = ?
             WHERE id = ? AND state = ?",
            to_word,
            reason,
            started,
            finished,
            id.0,
            from
        );
        if changed.execute(self.conn()).await?.rows_affected() != 1 {
            return Err(StoreError::Stale { what: "stage", id: id.to_string() });
        }
        self.touch_stage(id);
        Ok(())
    }

    /// Sets how many failed attempts count.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn set_failures(&mut self, id: StageId, failures: u32) -> Result<()> {
        sqlx::query!("UPDATE stages SET failures = ? WHERE id = ?", failures, id.0)
            .execute(self.conn())
            .await?;
        Ok(())
    }

    /// Keeps what a stage returned.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn keep_output(&mut self, id: StageId, output: &StageOutput) -> Result<()> {
        let output = row::to_json(output)?;
        sqlx::query!("UPDATE stages SET output = ? WHERE id = ?", output, id.0).execute(self.conn()).await?;
        Ok(())
    }

    /// Whether all that a stage waits for is done.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn parents_done(&mut self, id: StageId) -> Result<bool> {
        let open = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!: i64" FROM stage_parents sp JOIN stages p ON p.id = sp.parent_id
               WHERE sp.stage_id = ? AND p.state <> 'done'"#,
            id.0
        );
        Ok(open.fetch_one(self.conn()).await? == 0)
    }

    /// The next attempt at a stage asks for twice the memory.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn double_memory(&mut self, id: StageId) -> Result<()> {
        sqlx::query!("UPDATE stages SET memory_doublings = memory_doublings + 1 WHERE id = ?", id.0)
            .execute(self.conn())
            .await?;
        Ok(())
    }

    /// The next attempt at a stage asks for twice the time.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn double_time(&mut self, id: StageId) -> Result<()> {
        sqlx::query!("UPDATE stages SET time_doublings = time_doublings + 1 WHERE id = ?", id.0)
            .execute(self.conn())
            .await?;
        Ok(())
    }

    /// The stages that wait for this one.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn children(&mut self, id: StageId) -> Result<Vec<StageId>> {
        let ids = sqlx::query_scalar!(
            "SELECT stage_id FROM stage_parents WHERE parent_id = ? ORDER BY stage_id",
            id.0
        );
        Ok(ids.fetch_all(self.conn()).await?.into_iter().map(StageId).collect())
    }

    /// The stages that this one waits for, with their states.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn parents(&mut self, id: StageId) -> Result<Vec<(StageId, StageKind, StageState)>> {
        let rows = sqlx::query!(
            "SELECT p.id, p.kind, p.state FROM stage_parents sp JOIN stages p ON p.id = sp.parent_id
             WHERE sp.stage_id = ? ORDER BY p.id",
            id.0
        );
        let rows = rows.fetch_all(self.conn()).await?;
        rows.into_iter()
            .map(|parent| {
                let kind = row::word("a stage's kind", &parent.kind)?;
                Ok((StageId(parent.id), kind, row::word("a stage's state", &parent.state)?))
            })
            .collect()
    }
}
