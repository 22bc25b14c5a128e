//! Takes studies out of the record of which nothing was computed: a mistake must not keep its name for ever.

use super::{Engine, EngineError, Result};
use crate::store::Holding;
use chrono::Utc;
use protocol::view::RemovedStudy;

impl Engine {
    /// Takes a study out of the record, with the runs that no other study holds. Its files stay. With `dry_run`, only says
    /// what would go.
    ///
    /// # Errors
    /// When there is no such study, a stage of it is not over, anything beyond `prepare` was computed for it alone, or
    /// the record can't be used.
    pub async fn remove_study(&self, name: &str, dry_run: bool) -> Result<RemovedStudy> {
        let mut tx = self.store.begin(Utc::now).await?;
        let Some(holding) = tx.holding(name).await? else {
            return Err(match tx.import_hash(name).await? {
                Some(_) => EngineError::Conflict(format!(
                    "{name} holds imported results; remove them with: lcctl import --remove {name}"
                )),
                None => EngineError::Missing("study", name.to_owned()),
            });
        };
        if let Some(why) = in_the_way(name, &holding) {
            return Err(EngineError::Kept(why));
        }
        tx.remove_study(name, &holding).await?;
        if !dry_run {
            tx.commit().await?;
        }
        let (runs, shared) = (holding.own.len() as u64, holding.shared.len() as u64);
        Ok(RemovedStudy { name: name.to_owned(), runs, shared })
    }
}

/// Why a study stays in the record.
pub(super) fn in_the_way(name: &str, holding: &Holding) -> Option<String> {
    let Holding { alive, computed, .. } = holding;
    if *alive > 0 {
        let are = if *alive == 1 { "stage of it is" } else { "stages of it are" };
        return Some(format!(
            "study {name} can't be removed: {alive} {are} not over; first: lcctl cancel {name}"
        ));
    }
    let (runs, were) = if *computed == 1 { ("run", "was") } else { ("runs", "were") };
    (*computed > 0).then(|| {
        format!(
            "study {name} can't be removed: {computed} {runs} of it, which no other study holds, {were} trained at least in \
             part; nothing that was computed is ever removed. For other settings choose another name"
        )
    })
}
