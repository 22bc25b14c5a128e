//! Opens the record and brings it up to date.

use super::{Feed, Result, Store, StoreError};
use crate::{domain::layout::Layout, files::settle};
use sqlx::{
    ConnectOptions as _, SqliteExecutor, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;

/// How long a transaction waits for those before it: longer than the plan of the largest study takes.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

impl Store {
    /// Opens the record of a root, makes it if there is none, and runs the migrations it lacks; before them it is copied to
    /// `backups/before-<migration>.sqlite`.
    ///
    /// # Errors
    /// When the file can't be used or copied, or was written by a newer version.
    pub async fn open(layout: &Layout) -> Result<Self> {
        let file = layout.database();
        let options = options(&file).create_if_missing(true);
        // 64 MiB: what a large plan or a large cancellation changes is not spilled to the disk and read again.
        let writing = options.clone().pragma("cache_size", "-65536");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(LONGEST_WAIT)
            .connect_lazy_with(writing);
        let keep = keep_copy(&writer, layout).await;
        keep.map_err(|error| StoreError::Unusable { file: file.clone(), source: error.into() })?;
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

    /// Copies the record, as it is at one moment, into a new file. Nobody who writes waits for that.
    ///
    /// # Errors
    /// When the copy can't be written, or there is such a file already.
    pub async fn copy_to(&self, file: &Path) -> Result<()> {
        let mut own = options(&self.layout.database()).connect().await?;
        let file = file.to_string_lossy();
        sqlx::query!("VACUUM INTO ?", file).execute(&mut own).await?;
        Ok(())
    }

    /// Closes all connections; the write-ahead log is folded into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// How every connection to a record is opened.
pub(super) fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
}

/// Whether a record has a table.
pub(super) async fn has_table(record: impl SqliteExecutor<'_>, name: &str) -> Result<bool, sqlx::Error> {
    let tables = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!: i64" FROM sqlite_master WHERE type = 'table' AND name = ?"#,
        name
    );
    Ok(tables.fetch_one(record).await? > 0)
}

/// Copies a record that lacks migrations, as it is before them.
async fn keep_copy(record: &SqlitePool, layout: &Layout) -> Result<(), sqlx::Error> {
    if !has_table(record, "_sqlx_migrations").await? {
        return Ok(());
    }
    // The table is of the migrations themselves: no statement that names it can be checked against them.
    let newest = sqlx::query_scalar::<_, Option<i64>>("SELECT max(version) FROM _sqlx_migrations");
    let Some(newest) = newest.fetch_one(record).await? else { return Ok(()) };
    let Some(next) = MIGRATIONS.iter().find(|migration| migration.version > newest) else { return Ok(()) };
    let folder = layout.backups();
    fs::create_dir_all(&folder)?;
    let (unfinished, copy) =
        (folder.join(".before"), folder.join(format!("before-{:04}.sqlite", next.version)));
    if unfinished.exists() {
        fs::remove_file(&unfinished)?;
    }
    let text = unfinished.to_string_lossy();
    sqlx::query!("VACUUM INTO ?", text).execute(record).await?;
    Ok(settle(&unfinished, &copy)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_record_is_copied_before_the_migrations_that_it_lacks() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        // As the version before the last migration left it.
        let mut migrations: Vec<_> = MIGRATIONS.iter().cloned().collect();
        let last = migrations.pop().unwrap().version;
        let older = SqlitePool::connect_lazy_with(options(&layout.database()).create_if_missing(true));
        Migrator::with_migrations(migrations).run(&older).await.unwrap();
        older.close().await;

        let copies = || std::fs::read_dir(layout.backups()).map_or(0, Iterator::count);
        for _ in 0..2 {
            Store::open(&layout).await.unwrap().close().await;
            assert_eq!(copies(), 1, "once");
        }
        let copy = layout.backups().join(format!("before-{last:04}.sqlite"));
        let mut copy = options(&copy).connect().await.unwrap();
        let newest = sqlx::query_scalar::<_, i64>("SELECT max(version) FROM _sqlx_migrations");
        assert!(newest.fetch_one(&mut copy).await.unwrap() < last);
    }
}
