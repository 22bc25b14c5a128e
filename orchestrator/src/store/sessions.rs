//! Browsers that are signed in, by the SHA-256 of their cookie.

use super::{Result, Store, Tx};
use chrono::{DateTime, Utc};

impl Store {
    /// Whether a session is open.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn session_open(&self, secret_sha256: &str, now: DateTime<Utc>) -> Result<bool> {
        let now = now.timestamp_millis();
        let found = sqlx::query_scalar!(
            r#"SELECT 1 AS "one!: i64" FROM sessions WHERE secret_sha256 = ? AND expires > ?"#,
            secret_sha256,
            now
        );
        Ok(found.fetch_optional(&self.readers).await?.is_some())
    }
}

impl Tx {
    /// Opens a session.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn open_session(&mut self, secret_sha256: &str, expires: DateTime<Utc>) -> Result<()> {
        let expires = expires.timestamp_millis();
        sqlx::query!("INSERT INTO sessions (secret_sha256, expires) VALUES (?, ?)", secret_sha256, expires)
            .execute(self.conn())
            .await?;
        Ok(())
    }
}
