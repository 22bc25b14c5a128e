//! Keeps `results/<study>.csv` equal to the record. The record is first: a table that a crash left
//! behind is written at the next start.

use super::{Engine, Result};
use crate::results;
use std::sync::PoisonError;

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

    /// Writes the tables that are older than the record.
    pub(super) async fn write_tables(&self) -> Result<()> {
        let stale = std::mem::take(&mut *self.stale.lock().unwrap_or_else(PoisonError::into_inner));
        for study in stale {
            let Some(table) = self.store.results(&study).await? else { continue };
            let path = self.layout.results_csv(&study);
            let file = path.clone();
            let written = tokio::task::spawn_blocking(move || results::write_csv(&file, &table)).await;
            if let Ok(Err(error)) = written {
                tracing::error!(path = %path.display(), %error, "failed to write the results; trying again");
                self.make_stale(&study);
            }
        }
        Ok(())
    }
}
