//! Studies, as the API shows them.

use super::{Result, Store, row, runs};
use crate::domain::layout::Layout;
use protocol::{
    ids::RunId,
    stage::StageState,
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
        *slot(&mut stages, row::word("a stage's state", &group.state)?) += row::unsigned(group.count);
        finished = finished.max(group.finished);
    }
    let state = state_of(&stages);
    let summary = StudySummary {
        results: (study.results != 0).then(|| layout.results_csv(&study.name).display().to_string()),
        name: study.name,
        state,
        created: row::time(study.created),
        finished: finished.filter(|_| state != StudyState::Active).map(row::time),
        runs: row::unsigned(study.runs),
        stages,
    };
    Ok((summary, study.spec))
}

fn slot(counts: &mut StageCounts, state: StageState) -> &mut u64 {
    match state {
        StageState::Waiting => &mut counts.waiting,
        StageState::Ready => &mut counts.ready,
        StageState::Queued => &mut counts.queued,
        StageState::Running => &mut counts.running,
        StageState::Done => &mut counts.done,
        StageState::Failed => &mut counts.failed,
        StageState::Cancelled => &mut counts.cancelled,
        StageState::Skipped => &mut counts.skipped,
    }
}

fn state_of(counts: &StageCounts) -> StudyState {
    if counts.waiting + counts.ready + counts.queued + counts.running > 0 {
        StudyState::Active
    } else if counts.failed > 0 {
        StudyState::Failed
    } else if counts.cancelled + counts.skipped > 0 {
        StudyState::Cancelled
    } else {
        StudyState::Done
    }
}
