//! Decides what follows from what happened, records it, and makes it so.
//!
//! * [`decide`]: state and event in, effects out; pure;
//! * `apply`: effects into a transaction;
//! * `plan`, `person`, `import`, `remove`, `worker`: what people and workers ask for, each one transaction;
//! * `slots`, `queue`: stages onto this machine, or into a cluster's queue;
//! * `reconcile`: rereads the record and the executor, compares, acts. Start-up, crash and everyday
//!   take this one path: whatever was interrupted is found again as a difference.

mod apply;
pub mod decide;
mod import;
mod person;
mod plan;
mod queue;
mod reconcile;
mod remove;
mod slots;
mod stops;
mod tables;
mod worker;

use crate::{
    config::executor::Served,
    domain::layout::Layout,
    executor::{Capabilities, Executor, Liveness},
    files,
    store::{Store, StoreError},
};
use chrono::{DateTime, Utc};
use protocol::ids::AttemptId;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Instant,
};
use tokio::sync::Notify;

/// The engine of a root.
pub struct Engine {
    store: Store,
    executor: Arc<dyn Executor>,
    layout: Layout,
    wake: Arc<Notify>,
    /// What the root is served with.
    served: Option<Served>,
    /// Studies whose table may be older than the record.
    stale: Mutex<BTreeSet<String>>,
    /// Studies whose table is being written.
    being_written: Mutex<BTreeSet<String>>,
    /// Held while a table is written.
    tables: tokio::sync::Mutex<()>,
    /// Attempts of an earlier daemon whose files were read.
    caught_up: Mutex<HashSet<AttemptId>>,
    /// Attempts that are to stop and have no `attempt.json` any more.
    withdrawn: Mutex<HashSet<AttemptId>>,
    /// Attempts that were asked to stop.
    stops: Mutex<stops::Stops>,
    /// What was last noted about attempts in a queue.
    noted: tokio::sync::Mutex<HashMap<AttemptId, Liveness>>,
    /// Until when nothing is queued, because it could not be recorded.
    queue_pauses: Mutex<Option<Instant>>,
}

/// Why the engine does not do what it is asked for.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The record can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The study is not valid: one line per violation.
    #[error("{}", .0.join("\n"))]
    Invalid(Vec<String>),
    /// There is no such thing.
    #[error("there is no {0} {1}")]
    Missing(&'static str, String),
    /// It contradicts what is recorded.
    #[error("{0}")]
    Conflict(String),
    /// It can't be taken out of the record as it is.
    #[error("{0}")]
    Kept(String),
    /// A worker's claim does not hold (any more): it must exit without work.
    #[error("{0}")]
    Refused(String),
    /// A worker speaks another version of the API.
    #[error(
        "the worker speaks version {theirs} of the worker API, this daemon {}; use programs of one build",
        protocol::API_VERSION
    )]
    Version {
        /// The worker's.
        theirs: u32,
    },
    /// A file of an attempt can't be written.
    #[error("{path}: {source}")]
    File {
        /// The file or folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

type Result<T, E = EngineError> = std::result::Result<T, E>;

impl Engine {
    /// An engine over a record. `wake` starts a reconciliation, also for the executor.
    #[must_use]
    pub fn new(store: Store, executor: Arc<dyn Executor>, layout: Layout, wake: Arc<Notify>) -> Self {
        Self {
            store,
            executor,
            layout,
            wake,
            served: None,
            stale: Mutex::default(),
            being_written: Mutex::default(),
            tables: tokio::sync::Mutex::default(),
            caught_up: Mutex::default(),
            withdrawn: Mutex::default(),
            stops: Mutex::default(),
            noted: tokio::sync::Mutex::default(),
            queue_pauses: Mutex::default(),
        }
    }

    /// As `self`, with what the root is served with: what [`Self::remember`] remembers.
    #[must_use]
    pub fn serving(self, served: Served) -> Self {
        Self { served: Some(served), ..self }
    }

    /// What the root is served with, where it was said.
    #[must_use]
    pub fn served(&self) -> Option<&Served> {
        self.served.as_ref()
    }

    /// Remembers in the root where its stages run, before the first of them may.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn remember(&self) -> Result<()> {
        let Some(served) =
            self.served.as_ref().filter(|served| Served::read(&self.layout).as_ref() != Some(*served))
        else {
            return Ok(());
        };
        let path = self.layout.executor_file();
        let written = serde_json::to_vec_pretty(served).map_err(std::io::Error::from);
        written
            .and_then(|text| files::write_private(&path, &text))
            .map_err(|source| EngineError::File { path: path.display().to_string(), source })
    }

    /// The executor.
    #[must_use]
    pub fn executor(&self) -> &dyn Executor {
        self.executor.as_ref()
    }

    /// What the executor offers.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.executor.capabilities()
    }

    /// `LC_ROOT`.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.layout.root()
    }

    /// Opens a browser's session.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn open_session(
        &self,
        secret_sha256: &str,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Result<()> {
        let mut tx = self.store.begin(|| now).await?;
        tx.open_session(secret_sha256, expires).await?;
        Ok(tx.commit().await?)
    }
}
