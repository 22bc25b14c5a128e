//! The states of jobs, and what each one means for a run.

/// A state of a job, of all versions up to 24.11 (`man squeue`, "Job State Codes"), and `EXPEDITING`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlurmState {
    /// Nodes failed while they booted for the job.
    BootFail,
    /// Cancelled by its owner or an administrator, before or after it started.
    Cancelled,
    /// Ended with exit code 0.
    Completed,
    /// Has its nodes, which are being made ready.
    Configuring,
    /// Ending: processes or an epilogue may still be there.
    Completing,
    /// Ended by its deadline.
    Deadline,
    /// Queued again, to be started before all others.
    Expediting,
    /// Ended with another exit code, or could not start.
    Failed,
    /// Could not be launched on its nodes.
    LaunchFailed,
    /// One of its nodes failed.
    NodeFail,
    /// Ended because it ran out of memory.
    OutOfMemory,
    /// In the queue.
    Pending,
    /// Has nodes that are being powered up.
    PowerUpNode,
    /// Ended to make room for another job. Where jobs are requeued, it comes back to the queue under the
    /// same id.
    Preempted,
    /// The reconfiguration of its nodes failed.
    ReconfigFail,
    /// Queued again by the federation.
    RequeueFed,
    /// Queued again and held.
    RequeueHold,
    /// Queued again; also the record of the run that ended by it.
    Requeued,
    /// Changing its size.
    Resizing,
    /// Held because its reservation was deleted.
    ResvDelHold,
    /// Taken away: another cluster of the federation runs it.
    Revoked,
    /// Running.
    Running,
    /// Being signalled.
    Signaling,
    /// Queued again and held after a special exit code.
    SpecialExit,
    /// Copying files out.
    StageOut,
    /// Stopped by a signal; keeps its CPUs.
    Stopped,
    /// Suspended; its CPUs are given to others.
    Suspended,
    /// Ended by its time limit.
    Timeout,
    /// A mark for the accounting daemon that hides the real state.
    UpdateDb,
    /// A word that this program doesn't know.
    Unknown,
}

/// What a state means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// Has not started, and may.
    Waiting,
    /// Has started, and processes may live.
    Running,
    /// Ended.
    Over(SlurmCause),
    /// Nothing can be said.
    Unknown,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlurmCause {
    /// With exit code 0.
    Completed,
    /// With another one, or by a signal, or without a start.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// By its time limit or deadline.
    TimedOut,
    /// It used more memory than it asked for.
    OutOfMemory,
    /// By a fault of the machines, not its own.
    NodeFailed,
    /// It made room for another job.
    Preempted,
}

impl SlurmState {
    /// Every state but [`SlurmState::Unknown`].
    pub const ALL: [Self; 29] = [
        Self::BootFail,
        Self::Cancelled,
        Self::Completed,
        Self::Configuring,
        Self::Completing,
        Self::Deadline,
        Self::Expediting,
        Self::Failed,
        Self::LaunchFailed,
        Self::NodeFail,
        Self::OutOfMemory,
        Self::Pending,
        Self::PowerUpNode,
        Self::Preempted,
        Self::ReconfigFail,
        Self::RequeueFed,
        Self::RequeueHold,
        Self::Requeued,
        Self::Resizing,
        Self::ResvDelHold,
        Self::Revoked,
        Self::Running,
        Self::Signaling,
        Self::SpecialExit,
        Self::StageOut,
        Self::Stopped,
        Self::Suspended,
        Self::Timeout,
        Self::UpdateDb,
    ];

    /// Reads the long form, as of `squeue -o %T` and `sacct -o State`; what follows the first word
    /// (`CANCELLED by 1000`) and the mark of a cut column (`CANCELLED+`) don't matter.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let word = text.split_whitespace().next().unwrap_or_default().trim_end_matches('+');
        Self::ALL.into_iter().find(|state| state.word().eq_ignore_ascii_case(word)).unwrap_or(Self::Unknown)
    }

    /// Slurm's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::BootFail => "BOOT_FAIL",
            Self::Cancelled => "CANCELLED",
            Self::Completed => "COMPLETED",
            Self::Configuring => "CONFIGURING",
            Self::Completing => "COMPLETING",
            Self::Deadline => "DEADLINE",
            Self::Expediting => "EXPEDITING",
            Self::Failed => "FAILED",
            Self::LaunchFailed => "LAUNCH_FAILED",
            Self::NodeFail => "NODE_FAIL",
            Self::OutOfMemory => "OUT_OF_MEMORY",
            Self::Pending => "PENDING",
            Self::PowerUpNode => "POWER_UP_NODE",
            Self::Preempted => "PREEMPTED",
            Self::ReconfigFail => "RECONFIG_FAIL",
            Self::RequeueFed => "REQUEUE_FED",
            Self::RequeueHold => "REQUEUE_HOLD",
            Self::Requeued => "REQUEUED",
            Self::Resizing => "RESIZING",
            Self::ResvDelHold => "RESV_DEL_HOLD",
            Self::Revoked => "REVOKED",
            Self::Running => "RUNNING",
            Self::Signaling => "SIGNALING",
            Self::SpecialExit => "SPECIAL_EXIT",
            Self::StageOut => "STAGE_OUT",
            Self::Stopped => "STOPPED",
            Self::Suspended => "SUSPENDED",
            Self::Timeout => "TIMEOUT",
            Self::UpdateDb => "UPDATE_DB",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// What the state means: the one table of it.
    #[must_use]
    pub const fn meaning(self) -> Meaning {
        match self {
            Self::Pending
            | Self::Configuring
            | Self::PowerUpNode
            | Self::Requeued
            | Self::RequeueFed
            | Self::RequeueHold
            | Self::Expediting
            | Self::ResvDelHold
            | Self::SpecialExit => Meaning::Waiting,
            Self::Running
            | Self::Suspended
            | Self::Stopped
            | Self::Signaling
            | Self::Completing
            | Self::StageOut
            | Self::Resizing => Meaning::Running,
            Self::Completed => Meaning::Over(SlurmCause::Completed),
            Self::Failed => Meaning::Over(SlurmCause::Failed),
            Self::Cancelled => Meaning::Over(SlurmCause::Cancelled),
            Self::Timeout | Self::Deadline => Meaning::Over(SlurmCause::TimedOut),
            Self::OutOfMemory => Meaning::Over(SlurmCause::OutOfMemory),
            Self::NodeFail | Self::BootFail | Self::LaunchFailed | Self::ReconfigFail => {
                Meaning::Over(SlurmCause::NodeFailed)
            }
            Self::Preempted => Meaning::Over(SlurmCause::Preempted),
            // What becomes of it the other cluster knows.
            Self::Revoked | Self::UpdateDb | Self::Unknown => Meaning::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_word_has_its_meaning() {
        let table = [
            (Meaning::Waiting, "PENDING CONFIGURING POWER_UP_NODE REQUEUED REQUEUE_FED REQUEUE_HOLD"),
            (Meaning::Waiting, "EXPEDITING RESV_DEL_HOLD SPECIAL_EXIT"),
            (Meaning::Running, "RUNNING SUSPENDED STOPPED SIGNALING COMPLETING STAGE_OUT RESIZING"),
            (Meaning::Over(SlurmCause::Completed), "COMPLETED"),
            (Meaning::Over(SlurmCause::Failed), "FAILED"),
            (Meaning::Over(SlurmCause::Cancelled), "CANCELLED"),
            (Meaning::Over(SlurmCause::TimedOut), "TIMEOUT DEADLINE"),
            (Meaning::Over(SlurmCause::OutOfMemory), "OUT_OF_MEMORY"),
            (Meaning::Over(SlurmCause::NodeFailed), "NODE_FAIL BOOT_FAIL LAUNCH_FAILED RECONFIG_FAIL"),
            (Meaning::Over(SlurmCause::Preempted), "PREEMPTED"),
            (Meaning::Unknown, "REVOKED UPDATE_DB"),
        ];
        let mut seen = HashSet::new();
        for (meaning, words) in table {
            for word in words.split(' ') {
                let state = SlurmState::parse(word);
                assert_ne!(state, SlurmState::Unknown, "{word}");
                assert_eq!(state.word(), word);
                assert_eq!(state.meaning(), meaning, "{word}");
                assert!(seen.insert(state), "{word} is twice in the table");
            }
        }
        assert_eq!(seen, HashSet::from(SlurmState::ALL));
    }

    #[test]
    fn what_follows_the_word_does_not_matter() {
        assert_eq!(SlurmState::parse("CANCELLED by 1000"), SlurmState::Cancelled);
        assert_eq!(SlurmState::parse(" CANCELLED+\n"), SlurmState::Cancelled);
    }

    #[test]
    fn an_unknown_word_is_unknown() {
        for word in ["", " ", "PEND", "PENDINGS", "CANCELLEDby", "UNKNOWN", "+", "100"] {
            assert_eq!(SlurmState::parse(word), SlurmState::Unknown, "{word:?}");
        }
        assert_eq!(SlurmState::Unknown.meaning(), Meaning::Unknown);
    }
}
