//! Keeps `results/<study>.csv` equal to the record. The record is first: a table that a crash left
//! behind is written at the next start. While a study is not over its table may be half a minute old.

use super::{Engine, Result};
use crate::results;
use std::sync::{Mutex, PoisonError};

impl Engine {
    /// Notes that a study's table may be older than the record.
    pub(super) fn make_stale(&self, study: &str) {
        self.stale.lock().unwrap_or_else(PoisonError::into_inner).insert(study.to_owned());
    }

    /// Notes that any table may be older than the record, as after a crash.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn distrust_tables(&self) -> Result<()> {
        for study in self.store.study_names().await? {
            self.make_stale(&study);
        }
        Ok(())
    }

    /// Writes the tables that are older than the record: all of them, or those of studies that are over.
    pub(super) async fn write_tables(&self, all: bool) -> Result<()> {
        let stale = self.stale.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for study in stale {
            if all || !self.store.is_open(&study).await? {
                self.write_table(&study).await?;
            }
        }
        Ok(())
    }

    /// Writes a study's table if it is older than the record. Who comes while it is written waits. Must be run to its end: who
    /// may hang up lets a task of its own do it.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn write_table(&self, study: &str) -> Result<()> {
        let held = |set| Mutex::lock(set).unwrap_or_else(PoisonError::into_inner);
        {
            let stale = held(&self.stale);
            if !stale.contains(study) && !held(&self.being_written).contains(study) {
                return Ok(());
            }
        }
        let _one_writes = self.tables.lock().await;
        {
            // What is recorded from here on makes it stale again.
            let mut stale = held(&self.stale);
            if !stale.remove(study) {
                return Ok(());
            }
            held(&self.being_written).insert(study.to_owned());
        }
        let written = self.write_stale_table(study).await;
        held(&self.being_written).remove(study);
        written
    }

    async fn write_stale_table(&self, study: &str) -> Result<()> {
        let table = match self.store.results(study).await {
            Ok(Some(table)) => table,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.make_stale(study);
                return Err(error.into());
            }
        };
        let path = self.layout.results_csv(study);
        let file = path.clone();
        let written = tokio::task::spawn_blocking(move || results::write_csv(&file, &table)).await;
        if let Ok(Err(error)) = written {
            tracing::error!(path = %path.display(), %error, "failed to write the results; trying again");
            self.make_stale(study);
        }
        Ok(())
    }
}
