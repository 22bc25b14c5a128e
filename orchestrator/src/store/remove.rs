//! Takes studies out of the record.

use super::{Result, StoreError, Tx, row};
use protocol::ids::RunId;

/// What there is of a study, as far as it decides whether it may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    id: i64,
    /// Runs that no other study holds.
    pub own: Vec<RunId>,
    /// Runs that other studies hold, too.
    pub shared: Vec<RunId>,
    /// Stages that are not over, or whose attempt is not, and that no other active study needs.
    pub alive: u64,
    /// Runs of its own of which anything was computed.
    pub computed: u64,
}

impl Tx {
    /// What there is of a study; none if there is no such study.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn holding(&mut self, study: &str) -> Result<Option<Holding>> {
        let id = sqlx::query_scalar!(r#"SELECT id AS "id!: i64" FROM studies WHERE name = ?"#, study);
        let Some(id) = id.fetch_optional(self.conn()).await? else { return Ok(None) };
        let runs = sqlx::query!(
            r#"SELECT sr.run_id AS "run!: i64",
                      EXISTS (SELECT 1 FROM study_runs other
                              WHERE other.run_id = sr.run_id AND other.study_id <> sr.study_id) AS "shared!: bool"
               FROM study_runs sr WHERE sr.study_id = ? ORDER BY sr.position"#,
            id
        );
        let (mut own, mut shared) = (Vec::new(), Vec::new());
        for found in runs.fetch_all(self.conn()).await? {
            if found.shared { &mut shared } else { &mut own }.push(RunId(found.run));
        }
        let alive = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!: i64" FROM study_stages mine JOIN stages s ON s.id = mine.stage_id
               WHERE mine.study_id = ?1
               AND (s.state IN ('waiting', 'ready', 'queued', 'running')
                    OR EXISTS (SELECT 1 FROM attempts a WHERE a.stage_id = s.id AND a.live = 1))
               AND NOT EXISTS (SELECT 1 FROM study_stages other JOIN studies ON studies.id = other.study_id
                               WHERE other.stage_id = s.id AND other.study_id <> ?1 AND studies.cancelled IS NULL)"#,
            id
        );
        let alive = row::unsigned(alive.fetch_one(self.conn()).await?);
        let ids = row::to_json(&own)?;
        // A step of training is work, although its stage came to no end.
        let computed = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!: i64" FROM json_each(?) ids
               WHERE EXISTS (SELECT 1 FROM metrics WHERE metrics.run_id = ids.value)
                  OR EXISTS (SELECT 1 FROM results WHERE results.run_id = ids.value)
                  OR EXISTS (SELECT 1 FROM stages s LEFT JOIN attempts a ON a.stage_id = s.id
                             WHERE s.run_id = ids.value
                             AND (s.state = 'done' OR a.state = 'succeeded' OR a.progress_done > 0))"#,
            ids
        );
        let computed = row::unsigned(computed.fetch_one(self.conn()).await?);
        Ok(Some(Holding { id, own, shared, alive, computed }))
    }

    /// Takes a study out, with the runs that only it holds, their stages and attempts, and a `prepare` of theirs that no
    /// other run needs and that is not done.
    ///
    /// # Errors
    /// When anything of it is not over or was computed, or the record can't be used.
    pub async fn remove_study(&mut self, name: &str, study: &Holding) -> Result<()> {
        for &run in study.own.iter().chain(&study.shared) {
            self.touch_run(run);
        }
        self.touch_study(name);
        let own = row::to_json(&study.own)?;
        let stages = sqlx::query_scalar!(
            r#"SELECT s.id AS "id!: i64" FROM json_each(?1) ids JOIN stages s ON s.run_id = ids.value
               UNION SELECT s.id FROM json_each(?1) ids JOIN runs r ON r.id = ids.value
                     JOIN stages s ON s.data_hash = r.data_hash
               WHERE s.state <> 'done' AND NOT EXISTS (
                   SELECT 1 FROM runs other WHERE other.data_hash = r.data_hash
                   AND other.id NOT IN (SELECT value FROM json_each(?1)))"#,
            own
        );
        let stages = stages.fetch_all(self.conn()).await?;
        let (stages, count) = (row::to_json(&stages)?, stages.len() as u64);
        let attempts = sqlx::query!(
            "SELECT a.id, a.submission_id FROM json_each(?) ids JOIN attempts a ON a.stage_id = ids.value",
            stages
        );
        let attempts = attempts.fetch_all(self.conn()).await?;
        let submissions: Vec<_> =
            attempts.iter().filter_map(|attempt| attempt.submission_id.as_deref()).collect();
        let submissions = row::to_json(&submissions)?;
        let attempts: Vec<_> = attempts.iter().map(|attempt| &attempt.id).collect();
        let attempts = row::to_json(&attempts)?;
        sqlx::query!(
            "DELETE FROM attempt_parents WHERE attempt_id IN (SELECT value FROM json_each(?1))
             OR parent_id IN (SELECT value FROM json_each(?1))",
            attempts
        )
        .execute(self.conn())
        .await?;
        // What is not over, or has rows that are not named here, is held by what refers to it.
        sqlx::query!(
            "DELETE FROM attempts WHERE id IN (SELECT value FROM json_each(?)) AND live = 0 AND state <> 'succeeded'",
            attempts
        )
        .execute(self.conn())
        .await?;
        sqlx::query!(
            "DELETE FROM submissions WHERE id IN (SELECT value FROM json_each(?))
             AND NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.submission_id = submissions.id)",
            submissions
        )
        .execute(self.conn())
        .await?;
        sqlx::query!("DELETE FROM stage_parents WHERE stage_id IN (SELECT value FROM json_each(?))", stages)
            .execute(self.conn())
            .await?;
        let gone = sqlx::query!(
            "DELETE FROM stages WHERE id IN (SELECT value FROM json_each(?))
             AND state IN ('failed', 'cancelled', 'skipped')",
            stages
        );
        if gone.execute(self.conn()).await?.rows_affected() != count {
            return Err(StoreError::Stale { what: "study", id: name.to_owned() });
        }
        sqlx::query!("DELETE FROM study_runs WHERE study_id = ?", study.id).execute(self.conn()).await?;
        sqlx::query!("DELETE FROM runs WHERE id IN (SELECT value FROM json_each(?))", own)
            .execute(self.conn())
            .await?;
        sqlx::query!("DELETE FROM views WHERE study_id = ?", study.id).execute(self.conn()).await?;
        sqlx::query!("DELETE FROM studies WHERE id = ?", study.id).execute(self.conn()).await?;
        Ok(())
    }
}
