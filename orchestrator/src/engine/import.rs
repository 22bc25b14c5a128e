//! Takes results in that were published elsewhere.

use super::{Engine, EngineError, Result};
use crate::{domain::validate, store::Tx};
use chrono::Utc;
use protocol::report::Import;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;

impl Engine {
    /// Keeps results under a name of their own. The same once more changes nothing. With `dry_run`, only finds out whether
    /// that could be done.
    ///
    /// # Errors
    /// When they are not valid, the name is taken by something else, or the record can't be used.
    pub async fn import(&self, import: &Import, dry_run: bool) -> Result<()> {
        let violations = violations(import);
        if !violations.is_empty() {
            return Err(EngineError::Invalid(violations));
        }
        let content =
            serde_json::to_vec(&(&import.columns, &import.rows)).map_err(crate::store::StoreError::from)?;
        let sha256 = hex::encode(Sha256::digest(content));
        let mut tx = self.store.begin(Utc::now).await?;
        if tx.study_exists(&import.name).await? {
            let detail = format!("name: {} is a study of this root; choose another name", import.name);
            return Err(EngineError::Conflict(detail));
        }
        match tx.import_hash(&import.name).await? {
            Some(known) if known == sha256 => return Ok(()),
            Some(_) => {
                return Err(EngineError::Conflict(format!(
                    "name: {} holds other results already; choose another name, or remove them first with: lcctl import --remove {}",
                    import.name, import.name
                )));
            }
            None => tx.keep_import(import, &sha256).await?,
        }
        Self::close(tx, dry_run).await
    }

    /// Forgets imported results, or with `dry_run` only finds out whether there are any.
    ///
    /// # Errors
    /// When there are none of this name, or the record can't be used.
    pub async fn remove_import(&self, name: &str, dry_run: bool) -> Result<()> {
        let mut tx = self.store.begin(Utc::now).await?;
        if !tx.remove_import(name).await? {
            return Err(EngineError::Missing("import", name.to_owned()));
        }
        Self::close(tx, dry_run).await
    }

    async fn close(tx: Tx, dry_run: bool) -> Result<()> {
        if dry_run { Ok(()) } else { Ok(tx.commit().await?) }
    }
}

/// What is wrong with results, one line each.
fn violations(import: &Import) -> Vec<String> {
    let mut found = Vec::new();
    validate::name(&import.name, &mut found);
    let mut models = HashSet::new();
    if let Some(twice) = import.rows.iter().find(|row| !models.insert(&row.model)) {
        found.push(format!("model: {} is there twice", twice.model));
    }
    if import.rows.is_empty() || import.columns.is_empty() {
        found.push("rows: a table of results has at least one row and one column of numbers".to_owned());
    }
    found
}
