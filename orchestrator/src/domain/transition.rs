//! Which state may follow which. The SQL that changes a state repeats the guard.

use protocol::stage::{AttemptState, StageState, SubmissionState};

/// A change of state that must not happen: a bug, or an event that came too late.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IllegalTransition {
    /// Of a stage.
    #[error("a stage that is {from} can't become {to}")]
    Stage {
        /// State before.
        from: StageState,
        /// State asked for.
        to: StageState,
    },
    /// Of an attempt.
    #[error("an attempt that is {from} can't become {to}")]
    Attempt {
        /// State before.
        from: AttemptState,
        /// State asked for.
        to: AttemptState,
    },
    /// Of a submission.
    #[error("a submission that is {from} can't become {to}")]
    Submission {
        /// State before.
        from: SubmissionState,
        /// State asked for.
        to: SubmissionState,
    },
}

/// Whether a stage may go from one state to another.
///
/// # Errors
/// When it may not.
pub fn stage(from: StageState, to: StageState) -> Result<(), IllegalTransition> {
    use StageState as S;
    let legal = match from {
        // A cluster's queue takes stages ahead of their parents' end.
        S::Waiting => matches!(to, S::Ready | S::Queued | S::Skipped | S::Cancelled),
        S::Ready => matches!(to, S::Queued | S::Cancelled),
        S::Queued => to != S::Queued,
        S::Running => matches!(to, S::Waiting | S::Ready | S::Done | S::Failed | S::Cancelled),
        S::Skipped => matches!(to, S::Waiting | S::Cancelled),
        S::Failed | S::Cancelled => to == S::Waiting,
        S::Done => false,
    };
    if legal { Ok(()) } else { Err(IllegalTransition::Stage { from, to }) }
}

/// Whether an attempt may go from one state to another.
///
/// # Errors
/// When it may not.
pub fn attempt(from: AttemptState, to: AttemptState) -> Result<(), IllegalTransition> {
    use AttemptState as A;
    let legal = match from {
        _ if from.is_final() => false,
        A::Intended => to != A::Intended,
        // Proven absent, it is intended again.
        A::Ambiguous => to != A::Ambiguous,
        A::Submitted => matches!(to, A::Pending | A::Running | A::Intended | A::Ambiguous) || to.is_final(),
        // What a controller lost when it crashed has to be handed over again.
        A::Pending => matches!(to, A::Running | A::Intended | A::Ambiguous) || to.is_final(),
        _ => to.is_final(),
    };
    if legal { Ok(()) } else { Err(IllegalTransition::Attempt { from, to }) }
}

/// The states from which an attempt may go to this one.
pub fn attempt_from(to: AttemptState) -> impl Iterator<Item = AttemptState> {
    AttemptState::ALL.iter().copied().filter(move |&from| attempt(from, to).is_ok())
}

/// Whether a submission may go from one state to another.
///
/// # Errors
/// When it may not.
pub fn submission(from: SubmissionState, to: SubmissionState) -> Result<(), IllegalTransition> {
    use SubmissionState as S;
    let legal = match from {
        S::Intended => to != S::Intended,
        // Whatever was thought: a worker of it proves that it is in the queue.
        S::Held => matches!(to, S::Intended | S::Submitted),
        S::Ambiguous => matches!(to, S::Held | S::Submitted),
        S::Submitted => false,
    };
    if legal { Ok(()) } else { Err(IllegalTransition::Submission { from, to }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_stays_over() {
        for &to in StageState::ALL {
            assert!(stage(StageState::Done, to).is_err());
        }
        for &from in AttemptState::ALL.iter().filter(|state| state.is_final()) {
            for &to in AttemptState::ALL {
                assert!(attempt(from, to).is_err(), "{from} {to}");
            }
        }
    }

    #[test]
    fn nothing_is_queued_that_is_over_or_queued_already() {
        for &from in StageState::ALL {
            let legal = stage(from, StageState::Queued).is_ok();
            assert_eq!(legal, matches!(from, StageState::Ready | StageState::Waiting), "{from}");
        }
    }

    #[test]
    fn what_the_queue_says_moves_no_attempt_that_a_worker_has() {
        for to in
            [AttemptState::Intended, AttemptState::Submitted, AttemptState::Ambiguous, AttemptState::Pending]
        {
            assert!(attempt_from(to).all(|from| !from.is_final() && from != AttemptState::Running), "{to}");
        }
    }

    #[test]
    fn what_is_in_the_queue_is_not_handed_over_again() {
        for &to in SubmissionState::ALL {
            assert!(submission(SubmissionState::Submitted, to).is_err(), "{to}");
        }
        // Only what is certainly not in the queue is handed over.
        for &from in SubmissionState::ALL {
            let legal = submission(from, SubmissionState::Intended).is_ok();
            assert_eq!(legal, from == SubmissionState::Held, "{from}");
        }
    }
}
