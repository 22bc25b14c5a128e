//! What people ask for: stop, and try again.

use super::{Engine, EngineError, Result, Target, apply::happen, decide::Event};
use crate::store::Tx;
use chrono::Utc;
use protocol::{ids::StageId, stage::StageState, view::Changed};
use std::collections::{BTreeSet, VecDeque};

impl Engine {
    /// Stops the stages that are not over; workers get ten seconds to write a checkpoint. Stages that
    /// another study needs go on. With `dry_run`, only says what would be stopped.
    ///
    /// # Errors
    /// When there is no such thing, or the record can't be used.
    pub async fn cancel(&self, target: &Target, dry_run: bool) -> Result<Changed> {
        let mut tx = self.store.begin(Utc::now()).await?;
        let stages = scope(&mut tx, target).await?;
        // From the last to the first, so that each is cancelled rather than skipped.
        for id in stages.into_iter().rev() {
            if let Target::Study(name) = target
                && tx.needed_elsewhere(id, name).await?
            {
                continue;
            }
            if let Some(stage) = tx.stage(id).await? {
                happen(&mut tx, &stage, Event::Cancel, None).await?;
            }
        }
        if let Target::Study(name) = target {
            tx.cancel_study(name).await?;
        }
        self.finish(tx, dry_run).await
    }

    /// Tries failed, cancelled and skipped stages again, with what they wait for and what was skipped
    /// because of them. With `dry_run`, only says which.
    ///
    /// # Errors
    /// When there is no such thing, or the record can't be used.
    pub async fn retry(&self, target: &Target, dry_run: bool) -> Result<Changed> {
        let mut tx = self.store.begin(Utc::now()).await?;
        let stages = scope(&mut tx, target).await?;
        retry_all(&mut tx, stages.into_iter().collect()).await?;
        self.finish(tx, dry_run).await
    }

    async fn finish(&self, mut tx: Tx, dry_run: bool) -> Result<Changed> {
        let changed = Changed { stages: tx.changed_stages().await? };
        if !dry_run {
            tx.commit().await?;
            self.wake.notify_one();
        }
        Ok(changed)
    }
}

async fn scope(tx: &mut Tx, target: &Target) -> Result<Vec<StageId>> {
    tx.in_scope(target).await?.ok_or_else(|| match target {
        Target::Study(name) => EngineError::Missing("study", name.clone()),
        Target::Run(run) => EngineError::Missing("run", run.to_string()),
        Target::Stage(stage) => EngineError::Missing("stage", stage.to_string()),
    })
}

const fn is_open_to_retry(state: StageState) -> bool {
    matches!(state, StageState::Failed | StageState::Cancelled | StageState::Skipped)
}

/// Tries those of the stages again that failed, were cancelled or skipped, with their ancestors in such
/// a state and their skipped descendants.
///
/// # Errors
/// When the record can't be used.
pub(super) async fn retry_all(tx: &mut Tx, stages: BTreeSet<StageId>) -> Result<()> {
    let mut chosen = BTreeSet::new();
    let mut queue = VecDeque::from_iter(stages);
    while let Some(id) = queue.pop_front() {
        let Some(stage) = tx.stage(id).await? else { continue };
        if !is_open_to_retry(stage.state) || !chosen.insert(id) {
            continue;
        }
        queue.extend(tx.parents(id).await?.into_iter().map(|(parent, _, _)| parent));
        for child in tx.children(id).await? {
            let skipped = tx.stage(child).await?.is_some_and(|child| child.state == StageState::Skipped);
            queue.extend(skipped.then_some(child));
        }
    }
    // Ids rise from parents to children: no stage comes back before what it waits for.
    for id in chosen {
        if let Some(stage) = tx.stage(id).await? {
            happen(tx, &stage, Event::Retry, None).await?;
            tx.revive_studies(id).await?;
        }
    }
    Ok(())
}
