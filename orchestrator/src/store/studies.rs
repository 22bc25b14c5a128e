//! Studies: as the API shows them, and which there are.

use super::{Result, Store, Tx, row, runs};
use crate::domain::layout::Layout;
use chrono::{DateTime, Utc};
use protocol::{
    report::Origin,
    study::StudySpec,
    view::{StageCounts, StudyDetail, StudyPage, StudyState, StudySummary},
};
use sqlx::SqliteExecutor;

impl Store {
    /// Whether a stage of a run of a study is not over.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn is_open(&self, study: &str) -> Result<bool> {
        let open = sqlx::query_scalar!(
            r#"SELECT s.id FROM stages s CROSS JOIN study_runs sr ON sr.run_id = s.run_id
               WHERE s.state IN ('waiting', 'ready', 'queued', 'running')
               AND sr.study_id = (SELECT id FROM studies WHERE name = ?) LIMIT 1"#,
            study
        );
        Ok(open.fetch_optional(&self.readers).await?.is_some())
    }

    /// Names of all studies.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn study_names(&self) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar!("SELECT name FROM studies ORDER BY id").fetch_all(&self.readers).await?)
    }

    /// A page of studies and imported results, newest first, after a cursor. Their stages are not counted.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn study_page(&self, cursor: Option<&str>, limit: u32) -> Result<StudyPage> {
        // A cursor that is none of ours has nothing after it.
        let (created, origin, id) =
            cursor.map_or((i64::MAX, 0, 0), |cursor| position(cursor).unwrap_or((i64::MIN, 0, 0)));
        let most = i64::from(limit) + 1;
        let rows = sqlx::query!(
            r#"SELECT id AS "id!: i64", origin AS "origin!: i64", name AS "name!: String", created AS "created!: i64",
                      file AS "file?: String", count AS "count!: i64",
                      EXISTS (SELECT 1 FROM study_runs JOIN results ON results.run_id = study_runs.run_id
                              WHERE study_runs.study_id = all_of_them.id AND origin = 0) AS "results!: bool"
               FROM (SELECT id, 0 AS origin, name, created, NULL AS file, 0 AS count FROM studies
                     UNION ALL SELECT id, -1, name, created, file, count FROM imports) AS all_of_them
               WHERE (created, origin, id) < (?, ?, ?) ORDER BY created DESC, origin DESC, id DESC LIMIT ?"#,
            created,
            origin,
            id,
            most
        );
        let mut rows = rows.fetch_all(&self.readers).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more);
        let next = next.map(|study| format!("{}.{}.{}", study.created, study.origin, study.id));
        let items = rows.into_iter().map(|study| StudySummary {
            origin: study.file.map(|file| Origin { file, rows: row::unsigned(study.count) }),
            ..head(&self.layout, study.name, study.created, study.results)
        });
        Ok(StudyPage { items: items.collect(), next })
    }

    /// When the first study was recorded, or the first results imported.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn first_study(&self) -> Result<Option<DateTime<Utc>>> {
        let first = sqlx::query_scalar!(
            r#"SELECT min(created) AS "first?: i64"
               FROM (SELECT created FROM studies UNION ALL SELECT created FROM imports)"#
        );
        Ok(first.fetch_one(&self.readers).await?.map(row::time))
    }

    /// A study without its runs, or imported results: what it was created with. Its stages are not counted.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn study_head(&self, name: &str) -> Result<Option<(StudySummary, Option<StudySpec>)>> {
        let Some((_, summary, spec)) = recorded(&self.readers, &self.layout, name).await? else {
            let found = sqlx::query!("SELECT file, count, created FROM imports WHERE name = ?", name);
            return Ok(found.fetch_optional(&self.readers).await?.map(|found| {
                let origin = Some(Origin { file: found.file, rows: row::unsigned(found.count) });
                let summary = head(&self.layout, name.to_owned(), found.created, false);
                (StudySummary { origin, ..summary }, None)
            }));
        };
        Ok(Some((summary, Some(spec))))
    }

    /// One study with its runs and their stages. In its summary they are not counted.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn study_detail(&self, name: &str) -> Result<Option<StudyDetail>> {
        // One transaction, so that all parts are of the same moment.
        let mut tx = self.readers.begin().await?;
        let Some((id, summary, spec)) = recorded(&mut *tx, &self.layout, name).await? else {
            return Ok(None);
        };
        Ok(Some(StudyDetail { summary, spec, runs: runs::of_study(&mut tx, id).await? }))
    }
}

impl Tx {
    /// Whether there is a study of a name.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn study_exists(&mut self, name: &str) -> Result<bool> {
        let found = sqlx::query_scalar!(r#"SELECT 1 AS "one!: i64" FROM studies WHERE name = ?"#, name);
        Ok(found.fetch_optional(self.conn()).await?.is_some())
    }
}

/// The key of a study, its summary without counts, and what it was created with.
async fn recorded(
    record: impl SqliteExecutor<'_>,
    layout: &Layout,
    name: &str,
) -> Result<Option<(i64, StudySummary, StudySpec)>> {
    let found = sqlx::query!(
        r#"SELECT id AS "id!: i64", spec, created,
                  EXISTS (SELECT 1 FROM study_runs JOIN results ON results.run_id = study_runs.run_id
                          WHERE study_runs.study_id = studies.id) AS "results!: bool"
           FROM studies WHERE name = ?"#,
        name
    );
    let Some(found) = found.fetch_optional(record).await? else { return Ok(None) };
    let summary = head(layout, name.to_owned(), found.created, found.results);
    Ok(Some((found.id, summary, row::json("a study", &found.spec)?)))
}

/// Where a page of the list ended: when it was created, 0 for a study and -1 for imported results, id.
fn position(cursor: &str) -> Option<(i64, i64, i64)> {
    let mut parts = cursor.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
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
