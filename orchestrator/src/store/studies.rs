//! Studies, as the API shows them.

use super::{Result, Store, row, runs};
use crate::domain::layout::Layout;
use protocol::{
    ids::RunId,
    study::StudySpec,
    view::{StageCounts, StudyDetail, StudyPage, StudyState, StudySummary},
};
use sqlx::SqliteConnection;

impl Store {
    /// A page of studies, newest first, after a cursor.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn study_page(&self, cursor: Option<&str>, limit: u32) -> Result<StudyPage> {
        // A cursor that is none of ours has nothing after it.
        let before = cursor.map_or(i64::MAX, |cursor| cursor.parse().unwrap_or(0));
        let most = i64::from(limit) + 1;
        let mut tx = self.readers.begin().await?;
        let ids = sqlx::query_scalar!(
            r#"SELECT id AS "id!: i64" FROM studies WHERE id < ? ORDER BY id DESC LIMIT ?"#,
            before,
            most
        );
        let mut ids = ids.fetch_all(&mut *tx).await?;
        let more = ids.len() > limit as usize;
        ids.truncate(limit as usize);
        let mut items = Vec::with_capacity(ids.len());
        for &id in &ids {
            items.push(summary(&mut tx, &self.layout, id).await?.0);
        }
        Ok(StudyPage { items, next: ids.last().filter(|_| more).map(i64::to_string) })
    }

    /// A study without its runs: what it was created with. Its stages are not counted.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn study_head(&self, name: &str) -> Result<Option<(StudySummary, Option<StudySpec>)>> {
        let found = sqlx::query!(
            r#"SELECT id AS "id!: i64", spec, created,
                      EXISTS (SELECT 1 FROM study_runs JOIN results ON results.run_id = study_runs.run_id
                              WHERE study_runs.study_id = studies.id) AS "results!: bool"
               FROM studies WHERE name = ?"#,
            name
        );
        let Some(found) = found.fetch_optional(&self.readers).await? else { return Ok(None) };
        let summary = head(&self.layout, name.to_owned(), found.created, found.results);
        Ok(Some((summary, Some(row::json("a study", &found.spec)?))))
    }

    /// One study with its runs and their stages.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn study_detail(&self, name: &str) -> Result<Option<StudyDetail>> {
        let mut tx = self.readers.begin().await?;
        let id = sqlx::query_scalar!(r#"SELECT id AS "id!: i64" FROM studies WHERE name = ?"#, name);
        let Some(id) = id.fetch_optional(&mut *tx).await? else { return Ok(None) };
        let (summary, spec) = summary(&mut tx, &self.layout, id).await?;
        let ids =
            sqlx::query_scalar!("SELECT run_id FROM study_runs WHERE study_id = ? ORDER BY position", id);
        let mut runs = Vec::new();
        for run in ids.fetch_all(&mut *tx).await? {
            runs.extend(runs::summary(&mut tx, RunId(run)).await?.map(|(run, _)| run));
        }
        Ok(Some(StudyDetail { summary, spec: row::json("a study", &spec)?, runs }))
    }
}

/// A summary that counts nothing yet.
fn head(layout: &Layout, name: String, created: i64, results: bool) -> StudySummary {
    StudySummary {
        results: results.then(|| layout.results_csv(&name).display().to_string()),
        name,
        state: StudyState::Done,
        created: row::time(created),
        finished: None,
        runs: 0,
        stages: StageCounts::default(),
        gpu_hours: 0.0,
        gpu_hours_left: None,
        expected_end: None,
        origin: None,
    }
}

/// A study by its key, and its specification as JSON.
async fn summary(conn: &mut SqliteConnection, layout: &Layout, id: i64) -> Result<(StudySummary, String)> {
    let study = sqlx::query!(
        r#"SELECT name, spec, created, (SELECT count(*) FROM study_runs WHERE study_id = studies.id) AS "runs!: i64",
                  EXISTS (SELECT 1 FROM study_runs JOIN results ON results.run_id = study_runs.run_id
                          WHERE study_runs.study_id = studies.id) AS "results!: i64"
           FROM studies WHERE id = ?"#,
        id
    );
    let study = study.fetch_one(&mut *conn).await?;
    let states = sqlx::query!(
        r#"SELECT s.state AS "state!: String", count(*) AS "count!: i64", max(s.finished) AS "finished?: i64"
           FROM study_stages JOIN stages s ON s.id = study_stages.stage_id
           WHERE study_stages.study_id = ? GROUP BY s.state"#,
        id
    );
    let mut stages = StageCounts::default();
    let mut finished = None;
    for group in states.fetch_all(conn).await? {
        *stages.of_mut(row::word("a stage's state", &group.state)?) += row::unsigned(group.count);
        finished = finished.max(group.finished);
    }
    let state = stages.study_state();
    let summary = StudySummary {
        state,
        finished: finished.filter(|_| state != StudyState::Active).map(row::time),
        runs: row::unsigned(study.runs),
        stages,
        ..head(layout, study.name, study.created, study.results != 0)
    };
    Ok((summary, study.spec))
}
