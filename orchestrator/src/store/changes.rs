//! The stream of changes for live views. State changes are kept, so that a view that was away can
//! catch up; progress is told as it is now.

use super::{Result, Store, row, stages};
use protocol::{
    ids::{ChangeId, RunId, StageId},
    view::{Change, ChangeBody, StageView},
};
use sqlx::SqliteConnection;
use std::sync::PoisonError;
use tokio::sync::watch;

/// How many changes are kept.
pub const KEPT_CHANGES: i64 = 50_000;

pub(super) async fn insert(conn: &mut SqliteConnection, studies: &[String], body: &ChangeBody) -> Result<()> {
    let (studies, body) = (row::to_json(&studies)?, row::to_json(body)?);
    sqlx::query!("INSERT INTO changes (studies, body) VALUES (?, ?)", studies, body).execute(conn).await?;
    Ok(())
}

pub(super) async fn studies_of_stage(conn: &mut SqliteConnection, stage: StageId) -> Result<Vec<String>> {
    let rows = sqlx::query_scalar!(
        r#"SELECT studies.name FROM study_stages JOIN studies ON studies.id = study_stages.study_id
           WHERE study_stages.stage_id = ? ORDER BY studies.id"#,
        stage.0
    );
    Ok(rows.fetch_all(conn).await?)
}

pub(super) async fn studies_of_run(conn: &mut SqliteConnection, run: RunId) -> Result<Vec<String>> {
    let rows = sqlx::query_scalar!(
        r#"SELECT studies.name FROM study_runs JOIN studies ON studies.id = study_runs.study_id
           WHERE study_runs.run_id = ? ORDER BY studies.id"#,
        run.0
    );
    Ok(rows.fetch_all(conn).await?)
}

impl Store {
    /// Tells when there is something new; the value itself is for [`Store::progress_since`].
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.feed.version.subscribe()
    }

    /// The newest change, 0 for none, and the oldest one kept.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn change_range(&self) -> Result<(i64, i64)> {
        let row = sqlx::query!(
            r#"SELECT ifnull(max(id), 0) AS "newest!: i64", ifnull(min(id), 0) AS "oldest!: i64" FROM changes"#
        );
        let row = row.fetch_one(&self.readers).await?;
        Ok((row.newest, row.oldest))
    }

    /// The changes after one of them, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn changes_after(&self, after: i64, limit: u32) -> Result<Vec<Change>> {
        let rows = sqlx::query!(
            "SELECT id, studies, body FROM changes WHERE id > ? ORDER BY id LIMIT ?",
            after,
            limit
        );
        let rows = rows.fetch_all(&self.readers).await?;
        rows.into_iter()
            .map(|change| {
                Ok(Change {
                    id: ChangeId(change.id),
                    studies: row::json("the studies of a change", &change.studies)?,
                    body: row::json("the body of a change", &change.body)?,
                })
            })
            .collect()
    }

    /// The stages whose progress moved after a version of [`Store::watch`], as they are now.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn progress_since(&self, version: u64) -> Result<Vec<(StageView, Vec<String>)>> {
        let ids: Vec<i64> = {
            let progress = self.feed.progress.lock().unwrap_or_else(PoisonError::into_inner);
            progress.iter().filter(|&(_, &moved)| moved > version).map(|(&stage, _)| stage).collect()
        };
        self.with_studies(&ids).await
    }

    /// The stages that run, as they are now.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn running_stages(&self) -> Result<Vec<(StageView, Vec<String>)>> {
        let ids = sqlx::query_scalar!("SELECT id FROM stages WHERE state = 'running'");
        let ids = ids.fetch_all(&self.readers).await?;
        self.with_studies(&ids).await
    }

    async fn with_studies(&self, ids: &[i64]) -> Result<Vec<(StageView, Vec<String>)>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut conn = self.readers.acquire().await?;
        let mut found = Vec::with_capacity(ids.len());
        for stage in stages::views(&mut conn, ids).await? {
            let studies = studies_of_stage(&mut conn, stage.id).await?;
            found.push((stage, studies));
        }
        Ok(found)
    }

    /// Drops the oldest changes beyond [`KEPT_CHANGES`], and sessions that are over.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn trim(&self, now: chrono::DateTime<chrono::Utc>) -> Result<()> {
        let mut tx = self.begin(|| now).await?;
        let now = tx.now_ms();
        sqlx::query!("DELETE FROM changes WHERE id <= (SELECT max(id) FROM changes) - ?", KEPT_CHANGES)
            .execute(tx.conn())
            .await?;
        sqlx::query!("DELETE FROM sessions WHERE expires <= ?", now).execute(tx.conn()).await?;
        tx.commit().await
    }
}
