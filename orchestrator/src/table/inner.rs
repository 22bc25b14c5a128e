//! All runs, and keeping up with the record.

use super::{
    Result,
    entry::{Entry, Settings},
};
use crate::store::{Moves, Store, TableNews, TableRun, TableStage, TableStudy};
use protocol::ids::RunId;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// So many runs are read at once: a question about others need not wait for all.
const AT_ONCE: usize = 2_000;

/// All runs.
#[derive(Default)]
pub(super) struct Inner {
    /// The version of the record that this is; none before it was read.
    version: Option<u64>,
    runs: HashMap<RunId, Arc<Entry>>,
    studies: HashMap<String, Vec<RunId>>,
    prepares: HashMap<String, TableStage>,
    settings: HashMap<String, Arc<Settings>>,
    /// Columns of measures, in the order in which they were first seen.
    measures: Vec<Arc<str>>,
}

/// A study's runs, in order.
pub(super) struct Study<'a> {
    pub runs: Vec<&'a Entry>,
    /// The settings that occur, each once.
    pub settings: Vec<&'a Settings>,
    pub measures: &'a [Arc<str>],
}

impl Inner {
    /// Whether nothing moved since the last look.
    pub fn is_current(&self, store: &Store) -> bool {
        self.version == Some(*store.watch().borrow())
    }

    /// Reads what moved since the last look.
    pub async fn catch_up(&mut self, store: &Store) -> Result<()> {
        let moves = match self.version {
            Some(version) => store.moves_since(version),
            None => Moves { studies: true, shared: true, ..store.moves_since(u64::MAX) },
        };
        // With a study that was removed, the `prepare` of its data may be gone.
        if moves.shared || moves.studies {
            self.prepares = store.table_prepares().await?;
        }
        let mut stale: HashSet<RunId> = moves.runs.iter().copied().collect();
        if moves.studies {
            let studies = store.table_studies().await?;
            let all = studies.iter().flat_map(|study: &TableStudy| study.runs.iter().copied());
            stale.extend(all.filter(|run| !self.runs.contains_key(run)));
            let held: HashSet<RunId> = studies.iter().flat_map(|study| study.runs.iter().copied()).collect();
            self.runs.retain(|run, _| held.contains(run));
            self.studies = studies.into_iter().map(|study| (study.name, study.runs)).collect();
        }
        let mut stale: Vec<RunId> = stale.into_iter().collect();
        stale.sort_unstable();
        for ids in stale.chunks(AT_ONCE) {
            let mut news = store.table_news(ids).await?;
            for run in store.table_runs(ids).await? {
                let news = news.remove(&run.id).unwrap_or_default();
                let entry = self.entry(run, news);
                self.runs.insert(entry.id, Arc::new(entry));
            }
        }
        if moves.shared {
            self.share_prepares();
        }
        self.version = Some(moves.version);
        Ok(())
    }

    fn entry(&mut self, run: TableRun, news: TableNews) -> Entry {
        let settings = Settings::of(&run.config);
        let settings = Arc::clone(
            self.settings.entry(format!("{:?}", settings.0)).or_insert_with(|| Arc::new(settings)),
        );
        let mut stages = news.stages;
        stages.extend(self.prepares.get(&run.data_hash));
        stages.sort_by_key(|stage| (stage.checkpoint, stage.kind));
        let mut measures = std::collections::BTreeMap::new();
        for (checkpoint, (columns, row)) in news.measures {
            for column in columns {
                if !self.measures.iter().any(|known| **known == *column) {
                    self.measures.push(column.into());
                }
            }
            let value = |column: &Arc<str>| row.values.get(&**column).map_or(f64::NAN, |value| value.0);
            measures.insert(checkpoint, self.measures.iter().map(value).collect());
        }
        Entry {
            id: run.id,
            identifier: run.identifier.into(),
            name: run.name.into(),
            data_hash: run.data_hash.into(),
            layers: run.config.layers,
            width: run.config.width,
            seed: run.config.seed,
            epochs: run.config.epochs,
            weight_decay: run.config.weight_decay,
            decay: run.config.decay,
            priority: run.priority,
            settings,
            stages,
            device_ms: news.device_ms,
            took_ms: news.took_ms,
            running: news.running,
            loss: news.loss,
            measures,
        }
    }

    fn share_prepares(&mut self) {
        for entry in self.runs.values_mut() {
            let Some(prepare) = self.prepares.get(&*entry.data_hash) else { continue };
            if entry.stages.first() == Some(prepare) {
                continue;
            }
            let entry = Arc::make_mut(entry);
            entry.stages.retain(|stage| stage.kind != prepare.kind);
            entry.stages.insert(0, *prepare);
        }
    }

    /// A study; none if there is no such.
    pub fn study(&self, name: &str) -> Option<Study<'_>> {
        let runs = self.studies.get(name)?;
        let runs: Vec<&Entry> = runs.iter().filter_map(|run| self.runs.get(run).map(|run| &**run)).collect();
        let mut seen = HashSet::new();
        let settings = runs.iter().map(|run| &run.settings);
        let settings =
            settings.filter(|settings| seen.insert(Arc::as_ptr(settings))).map(|one| &**one).collect();
        Some(Study { runs, settings, measures: &self.measures })
    }
}
