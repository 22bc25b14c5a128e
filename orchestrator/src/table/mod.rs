//! All runs in memory, for questions about many of them at once: the runs table, the heat map, summaries.
//!
//! The record answers what is asked about one run; ten thousand of them are filtered, sorted and averaged
//! here. The table is a copy that can be made anew at any time: before every answer it reads again what
//! moved since the last one ([`crate::store::Moves`]), so an answer is never older than its question.
//!
//! * [`entry`]: a run in memory; [`inner`]: all of them, and keeping up with the record;
//! * [`field`]: columns and their values; [`filter`]: which runs;
//! * [`page`], [`pool`]: the runs table, of single runs and averaged over some;
//! * [`grid`]: the heat map; [`board`]: a study without its runs; [`mod@file`]: downloads.
//!
//! Nothing here changes the record.

mod board;
mod entry;
mod field;
mod file;
mod filter;
mod grid;
mod inner;
mod page;
mod pool;

pub use file::{csv, parquet};
pub use grid::GridQuery;
pub use page::RunsQuery;

use crate::store::{Store, StoreError};
use chrono::Utc;
use inner::Inner;
use protocol::{
    ids::RunId,
    table::{HeatMap, RunsPage, StudyBoard},
    view::StudySummary,
};
use tokio::sync::{RwLock, RwLockReadGuard};

/// All runs in memory.
pub struct Table {
    store: Store,
    inner: RwLock<Inner>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The record can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The question is not understood: one line that says what is.
    #[error("{0}")]
    Query(String),
}

type Result<T, E = TableError> = std::result::Result<T, E>;

impl Table {
    /// An empty table; it is filled when it is first asked.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, inner: RwLock::default() }
    }

    /// The table as the record is now.
    async fn current(&self) -> Result<RwLockReadGuard<'_, Inner>> {
        let inner = self.inner.read().await;
        if inner.is_current(&self.store) {
            return Ok(inner);
        }
        drop(inner);
        let mut inner = self.inner.write().await;
        inner.catch_up(&self.store).await?;
        Ok(inner.downgrade())
    }

    /// Reads what moved, so that the next question need not.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn warm_up(&self) -> Result<()> {
        self.current().await.map(drop)
    }

    /// A study without its runs; none if there is no such study.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn board(&self, name: &str) -> Result<Option<StudyBoard>> {
        let Some((summary, spec)) = self.store.study_head(name).await? else { return Ok(None) };
        if summary.origin.is_some() {
            return Ok(Some(board::without_runs(summary)));
        }
        let views = self.store.saved_views(name).await?;
        let inner = self.current().await?;
        let Some(study) = inner.study(name) else { return Ok(None) };
        Ok(Some(board::board(&study, summary, spec, views, Utc::now())))
    }

    /// Fills in what a summary says about its stages.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn complete(&self, summaries: &mut [StudySummary]) -> Result<()> {
        let inner = self.current().await?;
        for summary in summaries {
            if let Some(study) = inner.study(&summary.name) {
                board::summarise(&study, summary, Utc::now());
            }
        }
        Ok(())
    }

    /// Rows of the runs table; none if there is no such study.
    ///
    /// # Errors
    /// When the question is not understood, or the record can't be used.
    pub async fn page(&self, name: &str, query: &RunsQuery) -> Result<Option<RunsPage>> {
        let inner = self.current().await?;
        inner.study(name).map(|study| page::page(&study, query, Utc::now())).transpose()
    }

    /// The heat map; none if there is no such study.
    ///
    /// # Errors
    /// When the question is not understood, or the record can't be used.
    pub async fn grid(&self, name: &str, query: &GridQuery) -> Result<Option<HeatMap>> {
        let inner = self.current().await?;
        inner.study(name).map(|study| grid::grid(&study, query, Utc::now())).transpose()
    }

    /// The runs that a filter selects at a checkpoint (each run's last one if missing), in the study's order; none if
    /// there is no such study.
    ///
    /// # Errors
    /// When the filter is not understood, or the record can't be used.
    pub async fn selected(
        &self,
        name: &str,
        filter: &str,
        checkpoint: Option<u32>,
    ) -> Result<Option<Vec<RunId>>> {
        let inner = self.current().await?;
        let Some(study) = inner.study(name) else { return Ok(None) };
        let filter = filter::Filter::parse(filter, &study)?;
        let moment = field::Moment { checkpoint, now: Utc::now().timestamp_millis() };
        Ok(Some(study.runs.iter().filter(|run| filter.fits(run, moment)).map(|run| run.id).collect()))
    }
}
