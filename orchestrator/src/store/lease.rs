//! The lease on a root: one daemon at a time, also where two machines share its files.
//!
//! On one machine a lock on a file decides at once. Between machines such locks are not to be relied upon: whoever
//! serves writes down for how long, and renews it.

use super::{
    Result, Store, StoreError, Tx,
    open::{has_table, options},
    row,
};
use crate::domain::layout::Layout;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{ConnectOptions as _, SqliteConnection};
use uuid::Uuid;

/// For how long a lease is taken.
pub const TERM: TimeDelta = TimeDelta::seconds(60);

/// Who serves a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Made anew at every start.
    pub id: Uuid,
    /// Host name.
    pub host: String,
}

/// Another daemon's lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Who.
    pub holder: Holder,
    /// Until when.
    pub until: DateTime<Utc>,
}

impl Tx {
    /// Takes or renews the lease; answers whose it is, if it is another's that has not run out. One of a process of
    /// `holder`'s own host has: two there are kept apart by the lock.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn take_lease(&mut self, holder: &Holder) -> Result<Option<Taken>> {
        let now = self.now();
        if let Some(taken) = taken(self.conn(), holder, now).await? {
            return Ok(Some(taken));
        }
        let (id, until) = (holder.id.to_string(), (now + TERM).timestamp_millis());
        // For a person who looks for it.
        let pid = std::process::id();
        sqlx::query!(
            "INSERT INTO lease (one, holder, host, pid, until) VALUES (1, ?, ?, ?, ?)
             ON CONFLICT (one) DO UPDATE SET holder = excluded.holder, host = excluded.host, pid = excluded.pid,
                                             until = excluded.until",
            id,
            holder.host,
            pid,
            until
        )
        .execute(self.conn())
        .await?;
        Ok(None)
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn end_lease(&mut self, holder: &Holder) -> Result<()> {
        let id = holder.id.to_string();
        sqlx::query!("DELETE FROM lease WHERE holder = ?", id).execute(self.conn()).await?;
        Ok(())
    }
}

/// The lease that is in the way of `holder`.
async fn taken(record: &mut SqliteConnection, holder: &Holder, now: DateTime<Utc>) -> Result<Option<Taken>> {
    let found = sqlx::query!("SELECT holder, host, until FROM lease").fetch_optional(record).await?;
    let Some(found) = found else { return Ok(None) };
    let taken = Taken {
        holder: Holder { id: row::word("a lease's holder", &found.holder)?, host: found.host },
        until: row::time(found.until),
    };
    let is_in_the_way = taken.holder.id != holder.id && taken.holder.host != holder.host && taken.until > now;
    Ok(Some(taken).filter(|_| is_in_the_way))
}

impl Store {
    /// The lease that is in the way of `holder`, before the record is opened: an older program on another machine may
    /// be writing it, which must not find it migrated.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn taken(layout: &Layout, holder: &Holder, now: DateTime<Utc>) -> Result<Option<Taken>> {
        let file = layout.database();
        if !file.exists() {
            return Ok(None);
        }
        let unusable = |error: sqlx::Error| StoreError::Unusable { file: file.clone(), source: error.into() };
        let mut record = options(&file).connect().await.map_err(unusable)?;
        if !has_table(&mut record, "lease").await.map_err(unusable)? {
            return Ok(None);
        }
        taken(&mut record, holder, now).await
    }

    /// Whether a holder still has the lease: false once another took it.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn renew_lease(&self, holder: &Holder) -> Result<bool> {
        let mut tx = self.begin(Utc::now).await?;
        let taken = tx.take_lease(holder).await?;
        tx.commit().await?;
        Ok(taken.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_host_at_a_time_has_the_lease() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&Layout::new(root.path())).await.unwrap();
        let holder = |n: u128, host: &str| Holder { id: Uuid::from_u128(n), host: host.into() };
        let (here, there) = (holder(1, "n1"), holder(2, "n2"));
        let now = Utc::now();
        let take = async |at: DateTime<Utc>, who: &Holder| {
            let mut tx = store.begin(|| at).await.unwrap();
            let taken = tx.take_lease(who).await.unwrap();
            tx.commit().await.unwrap();
            taken
        };
        assert_eq!(take(now, &here).await, None);
        assert_eq!(take(now, &here).await, None, "it is renewed");
        assert_eq!(take(now, &there).await.unwrap().holder, here);
        let layout = Layout::new(root.path());
        let unopened = async |who: &Holder| Store::taken(&layout, who, now).await.unwrap();
        assert_eq!(unopened(&there).await.unwrap().holder, here, "before it is opened");
        assert_eq!(unopened(&here).await, None);
        assert_eq!(take(now, &holder(3, "n1")).await, None, "on one host the lock decides");
        assert_eq!(take(now + TERM + TimeDelta::seconds(1), &there).await, None, "it has run out");
        assert!(!store.renew_lease(&here).await.unwrap(), "the first one notices");
        let mut tx = store.begin(|| now).await.unwrap();
        tx.end_lease(&there).await.unwrap();
        tx.commit().await.unwrap();
        assert!(store.renew_lease(&here).await.unwrap());
    }
}
