//! Results that were published elsewhere.

use super::{Result, Store, Tx, row};
use protocol::{output::MeasureRow, report::Import, view::Results};

impl Store {
    /// Imported results; none if there are none of this name.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn imported(&self, name: &str) -> Result<Option<Results>> {
        let found = sqlx::query!("SELECT columns, rows FROM imports WHERE name = ?", name);
        let Some(found) = found.fetch_optional(&self.readers).await? else { return Ok(None) };
        let rows: Vec<MeasureRow> = row::json("imported rows", &found.rows)?;
        Ok(Some(Results { columns: row::json("imported columns", &found.columns)?, rows }))
    }
}

impl Tx {
    /// The hash of the results that were imported under a name.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn import_hash(&mut self, name: &str) -> Result<Option<String>> {
        let found = sqlx::query_scalar!("SELECT sha256 FROM imports WHERE name = ?", name);
        Ok(found.fetch_optional(self.conn()).await?)
    }

    /// Keeps results under a name that is free.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn keep_import(&mut self, import: &Import, sha256: &str) -> Result<()> {
        let (columns, rows) = (row::to_json(&import.columns)?, row::to_json(&import.rows)?);
        let (count, now) = (row::signed(import.rows.len() as u64), self.now_ms());
        sqlx::query!(
            "INSERT INTO imports (name, file, sha256, columns, rows, count, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
            import.name,
            import.file,
            sha256,
            columns,
            rows,
            count,
            now
        )
        .execute(self.conn())
        .await?;
        self.tell_study(&import.name);
        Ok(())
    }

    /// Forgets imported results. Answers whether there were any.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn remove_import(&mut self, name: &str) -> Result<bool> {
        let gone = sqlx::query!("DELETE FROM imports WHERE name = ?", name);
        let gone = gone.execute(self.conn()).await?.rows_affected() == 1;
        self.tell_study(name);
        Ok(gone)
    }
}
