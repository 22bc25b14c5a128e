//! A writing transaction, and the changes that it tells to live views when it commits.

use super::{Feed, Result, Store, changes, stages, table::Moved};
use chrono::{DateTime, Utc};
use protocol::{
    attempt::MetricPoint,
    ids::{RunId, StageId},
    view::{ChangeBody, StageView},
};
use sqlx::{Sqlite, SqliteConnection, Transaction};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    sync::{Arc, PoisonError},
};

/// A writing transaction. Dropped without [`Tx::commit`], it leaves no trace.
pub struct Tx {
    pub(super) inner: Transaction<'static, Sqlite>,
    pub(super) now: DateTime<Utc>,
    feed: Arc<Feed>,
    stages: BTreeSet<i64>,
    progress: BTreeSet<i64>,
    studies: BTreeSet<String>,
    metrics: BTreeMap<i64, Vec<MetricPoint>>,
    results: BTreeSet<i64>,
    runs: BTreeSet<i64>,
    told: BTreeSet<String>,
}

/// What a transaction moved.
#[derive(Default)]
struct Touched {
    runs: BTreeSet<i64>,
    curves: BTreeSet<i64>,
    studies: BTreeSet<String>,
    created: bool,
    shared: bool,
}

impl Touched {
    fn stage(&mut self, run: Option<RunId>, studies: &[String]) {
        match run {
            Some(run) => drop(self.runs.insert(run.0)),
            None => self.shared = true,
        }
        self.studies.extend(studies.iter().cloned());
    }

    fn tell(self, moved: &mut Moved, version: u64) {
        moved.runs.extend(self.runs.into_iter().map(|run| (run, version)));
        moved.curves.extend(self.curves.into_iter().map(|run| (run, version)));
        moved.studies.extend(self.studies.into_iter().map(|name| (name, version)));
        if self.created {
            moved.created = version;
        }
        if self.shared {
            moved.shared = version;
        }
    }
}

impl Store {
    /// Begins to write; waits for the transaction before. `clock` is read when that is over, and dates what is
    /// recorded.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn begin(&self, clock: impl FnOnce() -> DateTime<Utc>) -> Result<Tx> {
        let inner = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Tx {
            inner,
            now: clock(),
            feed: Arc::clone(&self.feed),
            stages: BTreeSet::new(),
            progress: BTreeSet::new(),
            studies: BTreeSet::new(),
            metrics: BTreeMap::new(),
            results: BTreeSet::new(),
            runs: BTreeSet::new(),
            told: BTreeSet::new(),
        })
    }
}

impl Tx {
    pub(super) fn conn(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }

    /// The moment that dates what is recorded.
    #[must_use]
    pub const fn now(&self) -> DateTime<Utc> {
        self.now
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.now.timestamp_millis()
    }

    pub(super) fn touch_stage(&mut self, stage: StageId) {
        self.stages.insert(stage.0);
    }

    pub(super) fn touch_progress(&mut self, stage: StageId) {
        self.progress.insert(stage.0);
    }

    pub(super) fn touch_study(&mut self, name: &str) {
        self.studies.insert(name.to_owned());
    }

    pub(super) fn touch_metrics(&mut self, run: RunId, points: &[MetricPoint]) {
        self.metrics.entry(run.0).or_default().extend_from_slice(points);
    }

    /// Wakes pages that show a study, without a change in the stream.
    pub(super) fn tell_study(&mut self, name: &str) {
        self.told.insert(name.to_owned());
    }

    pub(super) fn touch_run(&mut self, run: RunId) {
        self.runs.insert(run.0);
    }

    pub(super) fn touch_results(&mut self, run: RunId) {
        self.results.insert(run.0);
    }

    /// The stages that this transaction changed, as they are now.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn changed_stages(&mut self) -> Result<Vec<StageView>> {
        let ids: Vec<_> = self.stages.iter().copied().collect();
        stages::views(&mut self.inner, &ids).await
    }

    /// Commits, with one change per thing touched, and wakes live views.
    ///
    /// # Errors
    /// When the record can't be used; then nothing was recorded.
    pub async fn commit(mut self) -> Result<()> {
        let mut touched = Touched {
            created: !self.studies.is_empty(),
            studies: std::mem::take(&mut self.told),
            ..Touched::default()
        };
        for name in std::mem::take(&mut self.studies) {
            touched.studies.insert(name.clone());
            changes::insert(&mut self.inner, &[name], &ChangeBody::Study).await?;
        }
        let mut known = HashMap::new();
        for stage in self.changed_stages().await? {
            let studies = match (stage.run, known.entry(stage.run)) {
                // All stages of a run are held by the same studies.
                (Some(_), Entry::Occupied(studies)) => studies.into_mut(),
                (_, entry) => {
                    let studies = changes::studies_of_stage(&mut self.inner, stage.id).await?;
                    entry.insert_entry(studies).into_mut()
                }
            };
            touched.stage(stage.run, studies);
            changes::insert(&mut self.inner, studies, &ChangeBody::Stage { stage }).await?;
        }
        for &stage in self.progress.difference(&self.stages) {
            let run = stages::run_of(&mut self.inner, StageId(stage)).await?;
            touched.stage(run, &changes::studies_of_stage(&mut self.inner, StageId(stage)).await?);
        }
        for run in std::mem::take(&mut self.runs) {
            touched.stage(Some(RunId(run)), &changes::studies_of_run(&mut self.inner, RunId(run)).await?);
        }
        for (run, points) in std::mem::take(&mut self.metrics) {
            let studies = changes::studies_of_run(&mut self.inner, RunId(run)).await?;
            touched.stage(Some(RunId(run)), &studies);
            touched.curves.insert(run);
            changes::insert(&mut self.inner, &studies, &ChangeBody::Metrics { run: RunId(run), points })
                .await?;
        }
        for run in std::mem::take(&mut self.results) {
            let studies = changes::studies_of_run(&mut self.inner, RunId(run)).await?;
            touched.stage(Some(RunId(run)), &studies);
            changes::insert(&mut self.inner, &studies, &ChangeBody::Results { run: RunId(run) }).await?;
        }
        self.inner.commit().await?;
        self.feed.version.send_modify(|version| {
            *version += 1;
            touched.tell(&mut self.feed.moved.lock().unwrap_or_else(PoisonError::into_inner), *version);
            let mut progress = self.feed.progress.lock().unwrap_or_else(PoisonError::into_inner);
            for stage in &self.stages {
                progress.remove(stage);
            }
            for &stage in self.progress.difference(&self.stages) {
                progress.insert(stage, *version);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::layout::Layout;
    use std::{cell::Cell, task::Poll};

    #[tokio::test]
    async fn what_waits_for_the_record_is_dated_when_it_has_it() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&Layout::new(root.path())).await.unwrap();
        let busy = store.begin(Utc::now).await.unwrap();
        let asked = Cell::new(false);
        let mut waiting = Box::pin(store.begin(|| {
            asked.set(true);
            DateTime::UNIX_EPOCH
        }));
        for _ in 0..100 {
            assert!(matches!(futures_util::poll!(&mut waiting), Poll::Pending));
            assert!(!asked.get(), "what it waits for may take minutes");
            tokio::task::yield_now().await;
        }
        drop(busy);
        assert_eq!(waiting.await.unwrap().now(), DateTime::UNIX_EPOCH);
    }
}
