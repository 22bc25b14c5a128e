//! What follows from an event for a stage and its live attempt: state and event in, effects out.

use crate::{
    executor::{Cause, Exit},
    store::Ending,
};
use protocol::{
    attempt::Outcome,
    exit,
    output::StageOutput,
    stage::{AttemptState, StageState},
};

/// A stage as it is when something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// Its state.
    pub stage: StageState,
    /// Failed attempts since one came further than all before.
    pub failures: u32,
    /// How many may fail.
    pub allowed: u32,
    /// Whether all that it waits for is done.
    pub parents_done: bool,
    /// Its attempt that is not over, if there is one.
    pub live: Option<Live>,
}

/// An attempt that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its state.
    pub state: AttemptState,
    /// Whether it was asked to stop.
    pub stopping: bool,
    /// Whether it is in a cluster's queue.
    pub queued: bool,
    /// Whether an attempt that it was queued behind, or one in the same job, ended without success.
    pub outdated: bool,
    /// Whether it came further than every attempt before.
    pub progressed: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// There is room for the stage.
    Start,
    /// There is room in the queue, and all that the stage waits for is there or done.
    Queue,
    /// The executor has the attempt.
    Submitted,
    /// What the attempt was queued behind ended without success.
    Outdated,
    /// The queue lost the attempt before it started.
    Vanished,
    /// The queue cancelled the attempt before it started, for a job that it waited for.
    Orphaned,
    /// The queue started the attempt although its parents are not done.
    Premature,
    /// The queue does not take so many attempts at once; this one is to be handed over with fewer.
    Split,
    /// What the stage asks for has changed while the attempt was not in the queue.
    Changed,
    /// The executor could not take the attempt.
    NotSubmitted {
        /// One line.
        message: String,
        /// Trying again is pointless.
        permanent: bool,
    },
    /// A worker took the attempt.
    Claimed,
    /// The worker told how the attempt ended; with what the executor saw of that end, as far as it matters.
    Reported(Outcome, Exit),
    /// The worker is gone without a word.
    Gone(Exit),
    /// A person wants the stage stopped.
    Cancel,
    /// A person wants the stage tried again.
    Retry,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Record a new attempt.
    OpenAttempt,
    /// Move the live attempt.
    Attempt(AttemptState, Ending),
    /// Ask the live attempt to stop.
    StopAttempt,
    /// Move the stage, with the reason to show.
    Stage(StageState, Option<String>),
    /// Set the number of failed attempts that count.
    Failures(u32),
    /// The next attempt needs more of this.
    Learn(Lesson),
    /// Keep what the stage returned.
    Keep(StageOutput),
    /// Look at what waits for this stage.
    SettleChildren,
    /// Look at what this stage waits for.
    Settle,
}

/// What an attempt taught about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// It needs twice the memory.
    Memory,
    /// It needs twice the time.
    Time,
}

/// The event does not fit the situation: it came too late, or twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// What follows from an event.
///
/// # Errors
/// When the event does not fit; then nothing changes.
pub fn decide(now: &Situation, event: Event) -> Result<Vec<Effect>, Refused> {
    match event {
        Event::Start => start(now, now.stage == StageState::Ready),
        Event::Queue => start(now, matches!(now.stage, StageState::Ready | StageState::Waiting)),
        Event::Outdated => Ok(outdated(now)),
        Event::Vanished => vanished(now),
        Event::Orphaned => without_work(
            now,
            "the cluster's queue cancelled it, as a job before it did not end well",
            open(now),
        ),
        // It exits without work, and is queued again behind what it really waits for.
        Event::Premature => {
            without_work(now, "the queue started it before its parents were done", StageState::Waiting)
        }
        Event::Split => without_work(
            now,
            "handed over in a smaller array: the queue does not take so many jobs at once",
            open(now),
        ),
        Event::Changed => without_work(now, "what it asks for has changed: handed over anew", open(now)),
        Event::Cancel => Ok(cancel(now)),
        Event::Retry => Ok(retry(now)),
        Event::Submitted => {
            let live = live(now)?;
            let first = matches!(live.state, AttemptState::Intended | AttemptState::Ambiguous);
            Ok(if first {
                vec![Effect::Attempt(AttemptState::Submitted, Ending::default())]
            } else {
                Vec::new()
            })
        }
        Event::Claimed => claimed(now),
        Event::NotSubmitted { message, permanent } => {
            let live = live(now)?;
            let ending = Ending { message: Some(message), ..Ending::default() };
            Ok(failed(now, live, AttemptState::Failed, ending, permanent))
        }
        Event::Reported(outcome, exit) => reported(now, outcome, exit),
        Event::Gone(exit) => gone(now, exit),
    }
}

fn live(now: &Situation) -> Result<Live, Refused> {
    now.live.ok_or_else(|| Refused("the attempt is over".to_owned()))
}

/// What was queued behind a failed attempt can't be saved: it is stopped, and queued again behind the next one.
fn outdated(now: &Situation) -> Vec<Effect> {
    match now.live {
        Some(live) if now.stage == StageState::Queued && !live.stopping => {
            vec![Effect::StopAttempt, Effect::Stage(StageState::Waiting, None)]
        }
        _ => Vec::new(),
    }
}

/// Nothing was done, and nobody is to blame: once more.
fn vanished(now: &Situation) -> Result<Vec<Effect>, Refused> {
    let live = live(now)?;
    let message = "the cluster's queue lost it before it started".to_owned();
    let ending = Ending { message: Some(message), ..Ending::default() };
    Ok(if live.stopping {
        vec![Effect::Attempt(AttemptState::Cancelled, ending)]
    } else {
        again(now, AttemptState::Lost, ending, None)
    })
}

/// Nothing was done, which is nobody's failure: the stage is to be queued once more, from `next`.
fn without_work(now: &Situation, message: &str, next: StageState) -> Result<Vec<Effect>, Refused> {
    let live = live(now)?;
    let ending = Ending { message: Some(message.to_owned()), ..Ending::default() };
    let mut effects = vec![Effect::Attempt(AttemptState::Cancelled, ending)];
    if !live.stopping {
        effects.push(Effect::Stage(next, None));
    }
    Ok(effects)
}

fn start(now: &Situation, may: bool) -> Result<Vec<Effect>, Refused> {
    if !may || now.live.is_some() {
        return Err(Refused(format!("the stage is {} and can't start", now.stage)));
    }
    Ok(vec![Effect::OpenAttempt, Effect::Stage(StageState::Queued, None)])
}

fn claimed(now: &Situation) -> Result<Vec<Effect>, Refused> {
    let live = live(now)?;
    if live.stopping {
        return Err(Refused("the attempt was cancelled".to_owned()));
    }
    let mut effects = Vec::new();
    if live.state != AttemptState::Running {
        effects.push(Effect::Attempt(AttemptState::Running, Ending::default()));
    }
    if now.stage == StageState::Queued {
        effects.push(Effect::Stage(StageState::Running, None));
    }
    Ok(effects)
}

fn reported(now: &Situation, outcome: Outcome, exit: Exit) -> Result<Vec<Effect>, Refused> {
    let live = live(now)?;
    let said = |message: &str| Ending { message: Some(message.to_owned()), ..Ending::default() };
    if live.stopping {
        // The stage was given up already; what it still achieved is found again by the next attempt.
        let ending = match &outcome {
            Outcome::Succeeded { .. } => Ending::default(),
            Outcome::Failed { message, .. } | Outcome::Interrupted { message } => said(message),
        };
        return Ok(vec![Effect::Attempt(AttemptState::Cancelled, ending)]);
    }
    Ok(match outcome {
        Outcome::Succeeded { output } => vec![
            Effect::Attempt(AttemptState::Succeeded, Ending::default()),
            Effect::Keep(output),
            Effect::Stage(StageState::Done, None),
            Effect::SettleChildren,
        ],
        Outcome::Failed { message, permanent } => {
            // What the worker exits with where its input is wrong: that it was is asked for later.
            let ending = Ending { exit_code: permanent.then_some(exit::USAGE), ..said(&message) };
            failed(now, live, AttemptState::Failed, ending, permanent)
        }
        Outcome::Interrupted { message } => {
            let ending = Ending { slurm_state: exit.word, node: exit.node, ..said(&message) };
            match exit.cause {
                Cause::Preempted => goes_on(now, live, AttemptState::Preempted, ending),
                Cause::NodeFailed => goes_on(now, live, AttemptState::NodeFailed, ending),
                Cause::Cancelled | Cause::Orphaned => cancelled(ending),
                Cause::TimedOut => interrupted(now, live, AttemptState::TimedOut, ending),
                Cause::OutOfMemory | Cause::Unknown => {
                    interrupted(now, live, AttemptState::Preempted, ending)
                }
            }
        }
    })
}

/// Somebody cancelled it in the queue, and wants it stopped.
fn cancelled(ending: Ending) -> Vec<Effect> {
    vec![
        Effect::Attempt(AttemptState::Cancelled, ending),
        Effect::Stage(StageState::Cancelled, Some("cancelled in the cluster's queue".to_owned())),
        Effect::SettleChildren,
    ]
}

/// It ended for no fault of its own, and goes on later.
fn goes_on(now: &Situation, live: Live, state: AttemptState, ending: Ending) -> Vec<Effect> {
    again(now, state, ending, live.progressed.then_some(0))
}

/// Going on later is no failure, unless a queue interrupts it again and again before it comes any further.
fn interrupted(now: &Situation, live: Live, state: AttemptState, ending: Ending) -> Vec<Effect> {
    if !live.queued || live.progressed {
        return goes_on(now, live, state, ending);
    }
    let mut effects = failed(now, live, state, ending, false);
    effects.push(Effect::Learn(Lesson::Time));
    effects
}

fn gone(now: &Situation, exit: Exit) -> Result<Vec<Effect>, Refused> {
    let live = live(now)?;
    let (state, message) = ended(&exit);
    let Exit { code, signal, cause, word, node } = exit;
    let ending = Ending { message: Some(message), exit_code: code, signal, slurm_state: word, node };
    if live.stopping {
        return Ok(vec![Effect::Attempt(AttemptState::Cancelled, ending)]);
    }
    Ok(match state {
        AttemptState::Preempted if cause == Cause::Preempted => goes_on(now, live, state, ending),
        AttemptState::Preempted | AttemptState::TimedOut => interrupted(now, live, state, ending),
        AttemptState::Cancelled if live.outdated => {
            vec![Effect::Attempt(state, ending), Effect::Stage(open(now), None)]
        }
        AttemptState::Cancelled => cancelled(ending),
        AttemptState::OutOfMemory => {
            let mut effects = failed(now, live, state, ending, false);
            effects.push(Effect::Learn(Lesson::Memory));
            effects
        }
        _ => failed(now, live, state, ending, code == Some(exit::USAGE)),
    })
}

/// The state of an attempt that ended without a result, and one line about it.
fn ended(exit: &Exit) -> (AttemptState, String) {
    let (state, message) = match exit.cause {
        Cause::Cancelled | Cause::Orphaned => (AttemptState::Cancelled, "cancelled in the cluster's queue"),
        Cause::TimedOut => (AttemptState::TimedOut, "ran into its time limit"),
        Cause::OutOfMemory => (AttemptState::OutOfMemory, "ran out of memory"),
        Cause::NodeFailed => (AttemptState::NodeFailed, "its node failed"),
        Cause::Preempted => (AttemptState::Preempted, "made room for another job"),
        Cause::Unknown => return by_exit(exit),
    };
    (state, message.to_owned())
}

fn by_exit(exit: &Exit) -> (AttemptState, String) {
    match (exit.code, exit.signal) {
        (_, Some(signal)) if signal > 0 => {
            (AttemptState::Lost, format!("the worker was killed by signal {signal}"))
        }
        (Some(exit::USAGE), _) => {
            (AttemptState::Failed, "the worker refused its input (exit code 2)".to_owned())
        }
        (Some(exit::RESUMABLE), _) => {
            (AttemptState::Preempted, "the worker was interrupted (exit code 75)".to_owned())
        }
        (Some(exit::SUCCESS), _) => (AttemptState::Lost, "the worker ended without a result".to_owned()),
        (Some(code), _) => (AttemptState::Failed, format!("the worker ended with exit code {code}")),
        (None, _) => (AttemptState::Lost, "the worker is gone without a result".to_owned()),
    }
}

/// The attempt failed: try again as often as allowed, unless that is pointless.
fn failed(now: &Situation, live: Live, state: AttemptState, ending: Ending, permanent: bool) -> Vec<Effect> {
    if live.stopping {
        return vec![Effect::Attempt(AttemptState::Cancelled, ending)];
    }
    // Whatever stood in the way of those before, this one got past it.
    let before = if live.progressed { 0 } else { now.failures };
    let failures = before.saturating_add(1);
    if !permanent && failures < now.allowed {
        return again(now, state, ending, Some(failures));
    }
    let reason = ending.message.clone();
    vec![
        Effect::Attempt(state, ending),
        Effect::Failures(failures),
        Effect::Stage(StageState::Failed, reason),
        Effect::SettleChildren,
    ]
}

fn again(now: &Situation, state: AttemptState, ending: Ending, failures: Option<u32>) -> Vec<Effect> {
    let reason = ending.message.as_ref().map(|message| format!("to be tried again: {message}"));
    let mut effects = vec![Effect::Attempt(state, ending)];
    effects.extend(failures.map(Effect::Failures));
    effects.push(Effect::Stage(open(now), reason));
    effects
}

/// The state of a stage that is to be queued once more.
const fn open(now: &Situation) -> StageState {
    if now.parents_done { StageState::Ready } else { StageState::Waiting }
}

/// Also what was skipped is given up: it does not come back when what it waited for is tried again.
fn cancel(now: &Situation) -> Vec<Effect> {
    if now.stage.is_final() && now.stage != StageState::Skipped {
        return Vec::new();
    }
    let mut effects = Vec::new();
    if now.live.is_some_and(|live| !live.stopping) {
        effects.push(Effect::StopAttempt);
    }
    effects.push(Effect::Stage(StageState::Cancelled, Some("cancelled by a person".to_owned())));
    effects.push(Effect::SettleChildren);
    effects
}

fn retry(now: &Situation) -> Vec<Effect> {
    if !now.stage.may_retry() {
        return Vec::new();
    }
    vec![Effect::Failures(0), Effect::Stage(StageState::Waiting, None), Effect::Settle]
}
