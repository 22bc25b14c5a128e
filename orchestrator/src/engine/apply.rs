//! Carries effects into a transaction.

use super::{
    EngineError, Result,
    decide::{Effect, Event, Lesson, Live, Refused, Situation, decide},
};
use crate::{
    domain::dag,
    store::{AttemptRow, NewAttempt, StageRow, Tx},
};
use protocol::{
    ids::StageId,
    output::StageOutput,
    stage::{AttemptState, StageState},
};
use std::collections::VecDeque;

/// Decides about an event at a stage and records what follows. Answers whether anything did.
///
/// # Errors
/// When the event does not fit, or the record can't be used.
pub(super) async fn happen(
    tx: &mut Tx,
    stage: &StageRow,
    event: Event,
    opening: Option<&NewAttempt>,
) -> Result<bool> {
    let live = tx.live_attempt(stage.id).await?;
    let situation = Situation {
        stage: stage.state,
        failures: stage.failures,
        allowed: stage.allowed,
        parents_done: stage.state == StageState::Ready || tx.parents_done(stage.id).await?,
        live: match &live {
            Some(live) => Some(Live {
                state: live.state,
                stopping: live.stop.is_some(),
                queued: live.queued.is_some(),
                outdated: live.queued.is_some() && tx.is_outdated(live.id).await?,
                progressed: tx.progressed(live).await?,
            }),
            None => None,
        },
    };
    let effects = decide(&situation, event).map_err(|Refused(why)| EngineError::Refused(why))?;
    let any = !effects.is_empty();
    for effect in effects {
        apply(tx, stage, live.as_ref(), opening, effect).await?;
    }
    Ok(any)
}

async fn apply(
    tx: &mut Tx,
    stage: &StageRow,
    live: Option<&AttemptRow>,
    opening: Option<&NewAttempt>,
    effect: Effect,
) -> Result<()> {
    let over = || EngineError::Refused("the attempt is over".to_owned());
    match effect {
        Effect::OpenAttempt => tx.open_attempt(opening.ok_or_else(over)?).await?,
        Effect::Attempt(to, ending) => tx.move_attempt(live.ok_or_else(over)?, to, &ending).await?,
        Effect::StopAttempt => tx.ask_to_stop(live.ok_or_else(over)?.id).await?,
        Effect::Stage(to, reason) => tx.move_stage(stage.id, stage.state, to, reason.as_deref()).await?,
        Effect::Learn(Lesson::Memory) => tx.double_memory(stage.id).await?,
        Effect::Learn(Lesson::Time) => tx.double_time(stage.id).await?,
        Effect::Failures(failures) => tx.set_failures(stage.id, failures).await?,
        Effect::Keep(output) => keep(tx, stage, &output).await?,
        Effect::SettleChildren => {
            let children = tx.children(stage.id).await?;
            settle(tx, children).await?;
        }
        Effect::Settle => settle(tx, vec![stage.id]).await?,
    }
    Ok(())
}

async fn keep(tx: &mut Tx, stage: &StageRow, output: &StageOutput) -> Result<()> {
    tx.keep_output(stage.id, output).await?;
    if let (StageOutput::Analyze(analysis), Some(run), Some(checkpoint)) =
        (output, stage.run, stage.checkpoint)
        && let Some(row) = analysis.rows.first()
    {
        tx.keep_measures(run, checkpoint, &analysis.columns, row).await?;
    }
    Ok(())
}

/// Lets stages that wait, or were queued ahead, follow their parents, and theirs follow them.
///
/// # Errors
/// When the record can't be used.
pub(super) async fn settle(tx: &mut Tx, stages: Vec<StageId>) -> Result<()> {
    let mut queue = VecDeque::from(stages);
    while let Some(id) = queue.pop_front() {
        let Some(stage) = tx.stage(id).await? else { continue };
        let parents = tx.parents(id).await?;
        let states: Vec<_> = parents.iter().map(|&(_, _, state)| state).collect();
        let Some(to) = dag::settled(stage.state, &states) else { continue };
        let cause = parents.iter().find_map(|(_, kind, state)| match state {
            StageState::Failed => Some(format!("{kind} failed")),
            StageState::Cancelled => Some(format!("{kind} was cancelled")),
            StageState::Skipped => Some(format!("{kind} was skipped")),
            _ => None,
        });
        tx.move_stage(id, stage.state, to, cause.as_deref()).await?;
        if to == StageState::Skipped {
            if let Some(live) = tx.live_attempt(id).await? {
                // It was queued ahead.
                tx.ask_to_stop(live.id).await?;
            }
            queue.extend(tx.children(id).await?);
        }
    }
    Ok(())
}

/// The attempt, if it is its stage's live one.
///
/// # Errors
/// When it is over or unknown, or the record can't be used.
pub(super) async fn current(tx: &mut Tx, id: protocol::ids::AttemptId) -> Result<(AttemptRow, StageRow)> {
    let attempt = tx.attempt(id).await?.ok_or_else(|| EngineError::Missing("attempt", id.to_string()))?;
    if attempt.state.is_final() {
        return Err(EngineError::Refused(format!("attempt {id} is over: it {}", ended(attempt.state))));
    }
    let stage = tx.stage(attempt.stage).await?;
    let stage = stage.ok_or_else(|| EngineError::Missing("stage", attempt.stage.to_string()))?;
    Ok((attempt, stage))
}

fn ended(state: AttemptState) -> &'static str {
    match state {
        AttemptState::Succeeded => "succeeded",
        AttemptState::Failed => "failed",
        AttemptState::Cancelled => "was cancelled",
        AttemptState::Preempted => "was interrupted",
        AttemptState::TimedOut => "ran into its time limit",
        AttemptState::OutOfMemory => "ran out of memory",
        AttemptState::NodeFailed => "lost its node",
        _ => "was given up as lost",
    }
}
