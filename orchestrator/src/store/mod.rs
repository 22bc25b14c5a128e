//! The record: one SQLite file, and all SQL of the program, checked against the migrations when the
//! program is compiled (the committed `.sqlx`; `orchestrator/sqlx-prepare.sh` renews it).
//!
//! One connection writes, with `BEGIN IMMEDIATE`, through [`Tx`]; a pool of others reads. What a
//! transaction touched is told to live views in the same transaction ([`changes`]).

mod attempts;
mod changes;
mod claims;
mod failures;
mod imports;
pub mod lease;
mod metrics;
mod open;
mod plan;
#[cfg(test)]
mod query_plans;
mod queue;
mod remove;
mod results;
mod row;
mod runs;
mod scope;
mod sessions;
mod stages;
mod studies;
mod submissions;
mod table;
mod tx;
mod views;

pub use attempts::{AttemptRow, Ending, NewAttempt};
pub use changes::KEPT_CHANGES;
pub use failures::{FailureDetail, FailureReader, Outcomes};
pub use plan::RunRow;
pub use queue::{Queueable, Terms};
pub use remove::Holding;
pub use stages::StageRow;
pub use submissions::{NewSubmission, OpenSubmission, UNEXPLAINED};
pub use table::{Moves, TableNews, TableRun, TableStage, TableStudy};
pub use tx::Tx;

use crate::domain::{layout::Layout, transition::IllegalTransition};
use sqlx::SqlitePool;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tokio::sync::watch;

/// The record of a root. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    readers: SqlitePool,
    writer: SqlitePool,
    layout: Layout,
    feed: Arc<Feed>,
}

/// What tells live views that there is something new to read.
struct Feed {
    /// Rises with every change.
    version: watch::Sender<u64>,
    /// When, in versions, the progress of a stage last moved. Progress is not kept in the stream.
    progress: Mutex<HashMap<i64, u64>>,
    /// When, in versions, runs and studies last moved.
    moved: Mutex<table::Moved>,
}

/// Why the record can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file belongs to a later version of the program.
    #[error("{}: was written by a newer version of lcctl (migration {version} is unknown to {}); use that version, or another LC_ROOT", file.display(), env!("CARGO_PKG_VERSION"))]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its first unknown migration.
        version: i64,
    },
    /// The file can't be opened or brought up to date.
    #[error("{}: can't be used as the record: {source}; check that it is a database of lcctl on a local disk with free space", file.display())]
    Unusable {
        /// The database.
        file: PathBuf,
        /// What went wrong.
        source: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("the record could not be read or written: {0}")]
    Sql(#[from] sqlx::Error),
    /// A value in the record is not what this program writes.
    #[error("the record holds {value:?} as {what}, which is not understood")]
    Corrupt {
        /// Which value.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// A value has no JSON form.
    #[error("not recordable as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A state changed in between, or must not follow.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// The guard of a statement did not hold.
    #[error("{what} {id} changed in between")]
    Stale {
        /// Stage, attempt or submission.
        what: &'static str,
        /// Which.
        id: String,
    },
}

/// Result of a use of the record.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
