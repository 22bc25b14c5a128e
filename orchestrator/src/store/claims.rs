//! Who works on an attempt: its token, the claim of its worker.

use super::{Result, Store, StoreError, Tx, row};
use protocol::ids::{AttemptId, ClaimId};

impl Store {
    /// The attempt that a token belongs to.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn attempt_by_token(&self, token_sha256: &str) -> Result<Option<AttemptId>> {
        let id = sqlx::query_scalar!("SELECT id FROM attempts WHERE token_sha256 = ?", token_sha256);
        let id = id.fetch_optional(&self.readers).await?;
        id.map(|id| row::word("an attempt's id", &id)).transpose()
    }
}

impl Tx {
    /// Gives an attempt that was not started another token.
    ///
    /// # Errors
    /// When it was started, or the record can't be used.
    pub async fn renew_token(&mut self, id: AttemptId, token_sha256: &str) -> Result<()> {
        let id = id.to_string();
        let changed = sqlx::query!(
            "UPDATE attempts SET token_sha256 = ? WHERE id = ? AND state = 'intended' AND claim IS NULL",
            token_sha256,
            id
        );
        if changed.execute(self.conn()).await?.rows_affected() != 1 {
            return Err(StoreError::Stale { what: "attempt", id });
        }
        Ok(())
    }

    /// Records who works on an attempt without having asked for it.
    ///
    /// # Errors
    /// When another worker holds it, or the record can't be used.
    pub async fn adopt(&mut self, id: AttemptId, claim: ClaimId, restarts: u32) -> Result<()> {
        let (id, claim) = (id.to_string(), claim.to_string());
        let changed = sqlx::query!(
            "UPDATE attempts SET claim = ?1, restarts = max(restarts, ?3)
             WHERE id = ?2 AND live = 1 AND (claim IS NULL OR restarts < ?3)",
            claim,
            id,
            restarts
        );
        if changed.execute(self.conn()).await?.rows_affected() != 1 {
            return Err(StoreError::Stale { what: "attempt", id });
        }
        Ok(())
    }

    /// Gives an attempt to a worker; to that of a later start in place of the one before.
    ///
    /// # Errors
    /// When another worker holds it, or the record can't be used.
    pub async fn set_claim(
        &mut self,
        id: AttemptId,
        claim: ClaimId,
        place: &str,
        (node, restarts): (&str, u32),
    ) -> Result<()> {
        let (id, claim, now) = (id.to_string(), claim.to_string(), self.now_ms());
        let changed = sqlx::query!(
            "UPDATE attempts SET claim = ?1, place = ?2, restarts = ?4, node = ifnull(node, ?5), waits = NULL, heard = ?6
             WHERE id = ?3 AND live = 1 AND (claim IS NULL OR claim = ?1 OR restarts < ?4)",
            claim,
            place,
            id,
            restarts,
            node,
            now
        );
        if changed.execute(self.conn()).await?.rows_affected() != 1 {
            return Err(StoreError::Stale { what: "attempt", id });
        }
        Ok(())
    }
}
