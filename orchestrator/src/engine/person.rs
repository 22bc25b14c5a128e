//! What people ask for: stop, try again, go first; views to keep.

use super::{Engine, EngineError, Result, apply::happen, decide::Event};
use crate::store::Tx;
use chrono::Utc;
use protocol::{
    ids::{RunId, StageId},
    stage::{StageKind, StageState},
    table::{Acted, Action, ActionVerb, SavedView},
    target::Target,
    view::Changed,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

impl Engine {
    /// Stops the stages that are not over; workers get ten seconds to write a checkpoint. A stage that another
    /// study, not cancelled, still needs goes on. `study` is the study for which a run or stage is cancelled; without
    /// one, nothing goes on. With `dry_run`, only says what would be stopped.
    ///
    /// # Errors
    /// When there is no such thing, or the record can't be used.
    pub async fn cancel(&self, target: &Target, study: Option<&str>, dry_run: bool) -> Result<Changed> {
        let mut tx = self.store.begin(Utc::now).await?;
        let stages = scope(&mut tx, target).await?;
        let study = match target {
            Target::Study(name) => Some(name.as_str()),
            Target::Run(_) | Target::Stage(_) => {
                if let Some(study) = study {
                    scope(&mut tx, &Target::Study(study.to_owned())).await?;
                }
                study
            }
        };
        let left = cancel_all(&mut tx, &stages, study).await?;
        if let Target::Study(name) = target {
            tx.cancel_study(name).await?;
        }
        self.finish(tx, left, dry_run).await
    }

    /// Tries failed, cancelled and skipped stages again, with what they wait for and what was skipped
    /// because of them. With `dry_run`, only says which.
    ///
    /// # Errors
    /// When there is no such thing, or the record can't be used.
    pub async fn retry(&self, target: &Target, dry_run: bool) -> Result<Changed> {
        let mut tx = self.store.begin(Utc::now).await?;
        let stages = scope(&mut tx, target).await?;
        retry_all(&mut tx, stages.into_iter().collect()).await?;
        self.finish(tx, 0, dry_run).await
    }

    /// Does what a person wants with the stages of some runs of a study, only of some kinds where `action` names
    /// them. Stages that another study needs go on when they are cancelled. With `dry_run`, only says what would
    /// change.
    ///
    /// # Errors
    /// When the priority is out of range, or the record can't be used.
    pub async fn act(&self, study: &str, runs: &[RunId], action: &Action, dry_run: bool) -> Result<Acted> {
        let mut tx = self.store.begin(Utc::now).await?;
        let (mut acted, mut note) = (Vec::new(), None);
        if action.verb == ActionVerb::Prioritise {
            let priority = action.priority.unwrap_or_default();
            if !(-100..=100).contains(&priority) {
                let detail = format!("priority: {priority} is out of range; take -100 to 100, 0 is usual");
                return Err(EngineError::Invalid(vec![detail]));
            }
            tx.set_priority(runs, priority).await?;
            acted = tx.open_stages_of(runs).await?;
            let queued = acted.iter().filter(|(_, state)| *state == StageState::Queued).count();
            if queued > 0 && self.executor.capabilities().queue {
                note =
                    Some(format!("{queued} stages are in the cluster's queue already and keep their place"));
            }
        } else {
            let stages = tx.stages_of(runs, &action.kinds).await?;
            if action.verb == ActionVerb::Cancel {
                let left = cancel_all(&mut tx, &stages, Some(study)).await?;
                if left > 0 {
                    note = Some(format!("{left} more go on: another study needs them"));
                }
            } else {
                retry_all(&mut tx, stages.into_iter().collect()).await?;
            }
            for stage in tx.changed_stages().await? {
                acted.push((stage.kind, stage.state));
            }
        }
        let mut kinds = BTreeMap::<StageKind, u64>::new();
        for (kind, _) in &acted {
            *kinds.entry(*kind).or_default() += 1;
        }
        if !dry_run {
            self.remember()?;
            tx.commit().await?;
            self.wake.notify_one();
        }
        let kinds = kinds.into_iter().collect();
        Ok(Acted { runs: runs.len() as u64, stages: acted.len() as u64, kinds, note })
    }

    /// Keeps a view of a study's runs table.
    ///
    /// # Errors
    /// When there is no such study, the name is not one, or the record can't be used.
    pub async fn save_view(&self, study: &str, view: &SavedView) -> Result<()> {
        let name = view.name.trim();
        if name.is_empty() || name.chars().count() > 80 || view.query.len() > 4096 {
            let detail = "a view's name has 1 to 80 characters, and what it keeps at most 4,096".to_owned();
            return Err(EngineError::Invalid(vec![detail]));
        }
        let mut tx = self.store.begin(Utc::now).await?;
        if !tx.save_view(study, view).await? {
            return Err(EngineError::Missing("study", study.to_owned()));
        }
        Ok(tx.commit().await?)
    }

    /// Forgets a view.
    ///
    /// # Errors
    /// When there is none, or the record can't be used.
    pub async fn remove_view(&self, study: &str, view: &str) -> Result<()> {
        let mut tx = self.store.begin(Utc::now).await?;
        if !tx.remove_view(study, view).await? {
            return Err(EngineError::Missing("view", view.to_owned()));
        }
        Ok(tx.commit().await?)
    }

    async fn finish(&self, mut tx: Tx, left: u64, dry_run: bool) -> Result<Changed> {
        let changed = Changed { stages: tx.changed_stages().await?, left };
        if !dry_run {
            self.remember()?;
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

/// Cancels stages, but those that another study than `study` needs; answers how many of these are not over.
async fn cancel_all(tx: &mut Tx, stages: &[StageId], study: Option<&str>) -> Result<u64> {
    let mut left = 0;
    // From the last to the first, so that each is cancelled rather than skipped.
    for &id in stages.iter().rev() {
        let Some(stage) = tx.stage(id).await? else { continue };
        if let Some(study) = study
            && tx.needed_elsewhere(id, study).await?
        {
            left += u64::from(!stage.state.is_final());
            continue;
        }
        happen(tx, &stage, Event::Cancel, None).await?;
    }
    Ok(left)
}

/// Tries those of the stages again that failed, were cancelled or skipped, with their ancestors in such
/// a state and their skipped descendants. Answers all of these.
///
/// # Errors
/// When the record can't be used.
pub(super) async fn retry_all(tx: &mut Tx, stages: BTreeSet<StageId>) -> Result<BTreeSet<StageId>> {
    let mut chosen = BTreeSet::new();
    let mut queue = VecDeque::from_iter(stages);
    while let Some(id) = queue.pop_front() {
        let Some(stage) = tx.stage(id).await? else { continue };
        if !stage.state.may_retry() || !chosen.insert(id) {
            continue;
        }
        queue.extend(tx.parents(id).await?.into_iter().map(|(parent, _, _)| parent));
        for child in tx.children(id).await? {
            let skipped = tx.stage(child).await?.is_some_and(|child| child.state == StageState::Skipped);
            queue.extend(skipped.then_some(child));
        }
    }
    // Ids rise from parents to children: no stage comes back before what it waits for.
    for &id in &chosen {
        if let Some(stage) = tx.stage(id).await? {
            happen(tx, &stage, Event::Retry, None).await?;
            tx.revive_studies(id).await?;
        }
    }
    Ok(chosen)
}
