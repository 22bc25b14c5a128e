//! Whatever happens in whatever order: no illegal state, and never two live attempts at a stage.

use orchestrator::{
    domain::transition,
    engine::decide::{Effect, Event, Lesson, Live, Situation, decide},
    executor::{Cause, Exit},
};
use proptest::prelude::*;
use protocol::{
    attempt::Outcome,
    output::{EvaluateOutput, StageOutput},
    real::Real,
    stage::{AttemptState, StageState},
};

fn success() -> Outcome {
    let output = EvaluateOutput {
        eval_loss: Real(1.0),
        eval_accuracy: Real(1.0),
        perplexity: Real(1.0),
        eval_samples: 1,
    };
    Outcome::Succeeded { output: StageOutput::Evaluate(output) }
}

fn interrupted() -> Outcome {
    Outcome::Interrupted { message: "m".into() }
}

const CAUSES: &[Cause] = &[
    Cause::Unknown,
    Cause::Cancelled,
    Cause::Orphaned,
    Cause::TimedOut,
    Cause::OutOfMemory,
    Cause::NodeFailed,
    Cause::Preempted,
];

fn event() -> impl Strategy<Value = Event> {
    let exit = || {
        (proptest::option::of(0..4_i32), proptest::option::of(1..16_i32), proptest::sample::select(CAUSES))
            .prop_map(|(code, signal, cause)| Exit { code, signal, cause, ..Exit::default() })
    };
    prop_oneof![
        3 => Just(Event::Start),
        3 => Just(Event::Submitted),
        3 => Just(Event::Claimed),
        1 => any::<bool>().prop_map(|permanent| Event::NotSubmitted { message: "m".into(), permanent }),
        1 => Just(Event::Reported(success(), Exit::default())),
        1 => any::<bool>()
            .prop_map(|permanent| Event::Reported(Outcome::Failed { message: "m".into(), permanent }, Exit::default())),
        1 => exit().prop_map(|exit| Event::Reported(interrupted(), exit)),
        3 => exit().prop_map(Event::Gone),
        3 => Just(Event::Queue),
        1 => Just(Event::Outdated),
        1 => Just(Event::Vanished),
        1 => Just(Event::Orphaned),
        1 => Just(Event::Premature),
        1 => Just(Event::Split),
        1 => Just(Event::Changed),
        1 => Just(Event::Cancel),
        2 => Just(Event::Retry),
    ]
}

/// Carries an effect out as the record does, and checks it as the record does.
fn carry_out(now: &mut Situation, effect: &Effect) {
    match effect {
        Effect::OpenAttempt => {
            assert_eq!(now.live, None, "two live attempts");
            now.live = Some(Live {
                state: AttemptState::Intended,
                stopping: false,
                queued: true,
                outdated: now.failures % 2 == 1,
                progressed: now.failures == 0,
            });
        }
        Effect::Attempt(to, _) => {
            let live = now.live.as_mut().expect("an attempt to move");
            transition::attempt(live.state, *to).unwrap();
            live.state = *to;
            if to.is_final() {
                now.live = None;
            }
        }
        Effect::StopAttempt => now.live.as_mut().expect("an attempt to stop").stopping = true,
        Effect::Stage(to, _) => {
            transition::stage(now.stage, *to).unwrap();
            now.stage = *to;
        }
        Effect::Failures(failures) => now.failures = *failures,
        // Its parents are done.
        Effect::Settle => now.stage = StageState::Ready,
        Effect::Keep(_) | Effect::SettleChildren | Effect::Learn(_) => {}
    }
}

/// A stage that runs in a cluster's queue, after a failure, and whose attempt came no further than that.
fn running() -> Situation {
    let live = Live {
        state: AttemptState::Running,
        stopping: false,
        queued: true,
        outdated: false,
        progressed: false,
    };
    Situation { stage: StageState::Running, failures: 1, allowed: 3, parents_done: true, live: Some(live) }
}

#[test]
fn what_an_interruption_counts_for_is_the_queues_to_say() {
    let after = |cause| {
        let mut now = running();
        let exit = Exit { code: Some(1), cause, ..Exit::default() };
        let effects = decide(&now, Event::Reported(interrupted(), exit)).unwrap();
        effects.iter().for_each(|effect| carry_out(&mut now, effect));
        let [Effect::Attempt(state, ending), ..] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(ending.message.as_deref(), Some("m"));
        (*state, now.stage, now.failures, effects.contains(&Effect::Learn(Lesson::Time)))
    };
    use {AttemptState as A, StageState as S};
    assert_eq!(after(Cause::Preempted), (A::Preempted, S::Ready, 1, false));
    assert_eq!(after(Cause::NodeFailed), (A::NodeFailed, S::Ready, 1, false));
    assert_eq!(after(Cause::Cancelled), (A::Cancelled, S::Cancelled, 1, false));
    assert_eq!(after(Cause::TimedOut), (A::TimedOut, S::Ready, 2, true));
    assert_eq!(after(Cause::Unknown), (A::Preempted, S::Ready, 2, true));
}

#[test]
fn failures_are_counted_anew_after_an_attempt_that_came_further() {
    let after = |event: Event, progressed| {
        let mut now = running();
        now.live.as_mut().unwrap().progressed = progressed;
        let effects = decide(&now, event).unwrap();
        effects.iter().for_each(|effect| carry_out(&mut now, effect));
        (now.stage, now.failures)
    };
    let gone = |cause, code| Event::Gone(Exit { cause, code, ..Exit::default() });
    let failed = Outcome::Failed { message: "m".into(), permanent: false };
    for (event, failures) in [
        (Event::Reported(interrupted(), Exit { cause: Cause::Preempted, ..Exit::default() }), 0),
        (Event::Reported(interrupted(), Exit::default()), 0),
        (gone(Cause::Preempted, None), 0),
        (gone(Cause::TimedOut, None), 0),
        (gone(Cause::NodeFailed, None), 1),
        (gone(Cause::Unknown, None), 1),
        (gone(Cause::Unknown, Some(1)), 1),
        (Event::Reported(failed, Exit::default()), 1),
    ] {
        assert_eq!(after(event.clone(), true), (StageState::Ready, failures), "{event:?}");
        let made_room = matches!(
            event,
            Event::Reported(_, Exit { cause: Cause::Preempted, .. })
                | Event::Gone(Exit { cause: Cause::Preempted, .. })
        );
        assert_eq!(after(event.clone(), false).1, if made_room { 1 } else { 2 }, "{event:?}");
    }
}

proptest! {
    #[test]
    fn no_sequence_of_events_leaves_an_illegal_state(
        events in proptest::collection::vec(event(), 0..60),
        allowed in 1..4_u32,
    ) {
        let mut now = Situation { stage: StageState::Ready, failures: 0, allowed, parents_done: true, live: None };
        for event in events {
            let before = now;
            match decide(&now, event.clone()) {
                Ok(effects) => effects.iter().for_each(|effect| carry_out(&mut now, effect)),
                Err(_) => prop_assert_eq!(before, now),
            }
            prop_assert!(before.stage != StageState::Done || now.stage == StageState::Done, "{:?}", event);
            prop_assert!(now.failures <= allowed);
            let busy = matches!(now.stage, StageState::Queued | StageState::Running);
            let working = now.live.is_some_and(|live| !live.stopping);
            prop_assert_eq!(busy, working, "after {:?}: {:?}", event, now);
            if now.stage == StageState::Running {
                prop_assert_eq!(now.live.map(|live| live.state), Some(AttemptState::Running));
            }
        }
    }
}
