//! What follows from an event for a stage and its live attempt: state and event in, effects out.

use crate::{executor::Exit, store::Ending};
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
    /// Failed attempts that count.
    pub failures: u32,
    /// How many may fail.
    pub allowed: u32,
    /// Its attempt that is not over, if there is one.
    pub live: Option<Live>,
}

/// An attempt that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its state.
    pub state: AttemptState,
    /// Whether a person asked it to stop.
    pub stopping: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// There is room for the stage.
    Start,
    /// The executor has the attempt.
    Submitted,
    /// The executor could not take the attempt.
    NotSubmitted {
        /// One line.
        message: String,
        /// Trying again is pointless.
        permanent: bool,
    },
    /// A worker took the attempt.
    Claimed,
    /// The worker told how the attempt ended.
    Reported(Outcome),
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
    /// Keep what the stage returned.
    Keep(StageOutput),
    /// Look at what waits for this stage.
    SettleChildren,
    /// Look at what this stage waits for.
    Settle,
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
        Event::Start => start(now),
        Event::Cancel => Ok(cancel(now)),
        Event::Retry => Ok(retry(now)),
        Event::Submitted => {
            let live = live(now)?;
            let first = live.state == AttemptState::Intended;
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
        Event::Reported(outcome) => reported(now, outcome),
        Event::Gone(exit) => gone(now, exit),
    }
}

fn live(now: &Situation) -> Result<Live, Refused> {
    now.live.ok_or_else(|| Refused("the attempt is over".to_owned()))
}

fn start(now: &Situation) -> Result<Vec<Effect>, Refused> {
    if now.stage != StageState::Ready || now.live.is_some() {
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

fn reported(now: &Situation, outcome: Outcome) -> Result<Vec<Effect>, Refused> {
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
            failed(now, live, AttemptState::Failed, said(&message), permanent)
        }
        Outcome::Interrupted { message } => again(AttemptState::Preempted, said(&message), None),
    })
}

fn gone(now: &Situation, exit: Exit) -> Result<Vec<Effect>, Refused> {
    let live = live(now)?;
    let (state, message) = match (exit.code, exit.signal) {
        (Some(exit::USAGE), _) => {
            (AttemptState::Failed, "the worker refused its input (exit code 2)".to_owned())
        }
        (Some(exit::RESUMABLE), _) => {
            (AttemptState::Preempted, "the worker was interrupted (exit code 75)".to_owned())
        }
        (Some(exit::SUCCESS), _) => (AttemptState::Lost, "the worker ended without a result".to_owned()),
        (Some(code), _) => (AttemptState::Failed, format!("the worker ended with exit code {code}")),
        (None, Some(signal)) => (AttemptState::Lost, format!("the worker was killed by signal {signal}")),
        (None, None) => (AttemptState::Lost, "the worker is gone without a result".to_owned()),
    };
    let ending = Ending { message: Some(message), exit_code: exit.code, signal: exit.signal };
    if live.stopping {
        return Ok(vec![Effect::Attempt(AttemptState::Cancelled, ending)]);
    }
    if state == AttemptState::Preempted {
        return Ok(again(state, ending, None));
    }
    let permanent = exit.code == Some(exit::USAGE);
    Ok(failed(now, live, state, ending, permanent))
}

/// The attempt failed: try again as often as allowed, unless that is pointless.
fn failed(now: &Situation, live: Live, state: AttemptState, ending: Ending, permanent: bool) -> Vec<Effect> {
    if live.stopping {
        return vec![Effect::Attempt(AttemptState::Cancelled, ending)];
    }
    let failures = now.failures.saturating_add(1);
    if !permanent && failures < now.allowed {
        return again(state, ending, Some(failures));
    }
    let reason = ending.message.clone();
    vec![
        Effect::Attempt(state, ending),
        Effect::Failures(failures),
        Effect::Stage(StageState::Failed, reason),
        Effect::SettleChildren,
    ]
}

fn again(state: AttemptState, ending: Ending, failures: Option<u32>) -> Vec<Effect> {
    let reason = ending.message.as_ref().map(|message| format!("to be tried again: {message}"));
    let mut effects = vec![Effect::Attempt(state, ending)];
    effects.extend(failures.map(Effect::Failures));
    effects.push(Effect::Stage(StageState::Ready, reason));
    effects
}

fn cancel(now: &Situation) -> Vec<Effect> {
    if now.stage.is_final() {
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
    match now.stage {
        StageState::Failed | StageState::Cancelled | StageState::Skipped => {
            vec![Effect::Failures(0), Effect::Stage(StageState::Waiting, None), Effect::Settle]
        }
        _ => Vec::new(),
    }
}
