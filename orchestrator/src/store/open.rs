//! Opens the record and brings it up to date.

use super::{Feed, Result, Store, StoreError};
use crate::domain::layout::Layout;
use sqlx::{
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;

/// How long a transaction waits for those before it: longer than the plan of the largest study takes.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

impl Store {
    /// Opens the record of a root, makes it if there is none, and runs the migrations it lacks.
    ///
    /// # Errors
    /// When the file can't be used, or was written by a newer version.
    pub async fn open(layout: &Layout) -> Result<Self> {
        let file = layout.database();
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        // 64 MiB: what a large plan or a large cancellation changes is not spilled to the disk and read again.
        let writing = options.clone().pragma("cache_size", "-65536");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(LONGEST_WAIT)
            .connect_lazy_with(writing);
        MIGRATIONS.run(&writer).await.map_err(|error| match error {
            MigrateError::VersionMissing(version) => StoreError::Newer { file: file.clone(), version },
            source => StoreError::Unusable { file: file.clone(), source },
        })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_lazy_with(options.create_if_missing(false).pragma("query_only", "ON"));
        let feed =
            Feed { version: watch::Sender::new(0), progress: Mutex::default(), moved: Mutex::default() };
        Ok(Self { readers, writer, layout: layout.clone(), feed: Arc::new(feed) })
    }

    /// Copies the record, as it is at one moment, into a new file.
    ///
    /// # Errors
    /// When the copy can't be written, or there is such a file already.
    pub async fn copy_to(&self, file: &Path) -> Result<()> {
        let file = file.to_string_lossy();
        sqlx::query!("VACUUM INTO ?", file).execute(&self.writer).await?;
        Ok(())
    }

    /// Closes all connections; the write-ahead log is folded into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
