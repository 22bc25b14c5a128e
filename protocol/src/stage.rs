//! Stage kinds, how stages of a run are named, and the states of stages, attempts and submissions.

use crate::words::words;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

words!(
    /// A unit of work of a run. `Prepare` is shared by all runs on the same data; all but
    /// `Prepare` and `Train` are done once per checkpoint.
    StageKind {
        /// Tokenize and chunk the texts.
        Prepare = "prepare",
        /// Train the model, one checkpoint per epoch.
        Train = "train",
        /// Loss, accuracy and perplexity on the validation split.
        Evaluate = "evaluate",
        /// Class means over the train split.
        Means = "means",
        /// Squared distances to the class means over the train split.
        Vars = "vars",
        /// Agreement of the linear and the nearest-mean decision over the validation split.
        Decs = "decs",
        /// The neural-collapse measures.
        Analyze = "analyze",
    }
);

impl StageKind {
    /// The stages of the same run (and checkpoint, where they have one) that must be done first.
    #[must_use]
    pub const fn parents(self) -> &'static [Self] {
        match self {
            Self::Prepare => &[],
            Self::Train => &[Self::Prepare],
            Self::Evaluate | Self::Means => &[Self::Train],
            Self::Vars | Self::Decs => &[Self::Means],
            Self::Analyze => &[Self::Evaluate, Self::Means, Self::Vars, Self::Decs],
        }
    }

    /// Whether the stage is done once per checkpoint.
    #[must_use]
    pub const fn per_checkpoint(self) -> bool {
        !matches!(self, Self::Prepare | Self::Train)
    }
}

/// Stages of a run: `train`, `means@2`, or `means` for those of all checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageRef {
    /// Kind.
    pub kind: StageKind,
    /// Checkpoint index; all if missing.
    pub checkpoint: Option<u32>,
}

/// Why a text is not a [`StageRef`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAStage(String);

impl StageRef {
    /// Whether the stage of a kind and checkpoint is one of them.
    #[must_use]
    pub fn means(self, kind: StageKind, checkpoint: Option<u32>) -> bool {
        self.kind == kind && (self.checkpoint.is_none() || self.checkpoint == checkpoint)
    }
}

impl From<StageKind> for StageRef {
    fn from(kind: StageKind) -> Self {
        Self { kind, checkpoint: None }
    }
}

impl fmt::Display for StageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.checkpoint {
            Some(checkpoint) => write!(f, "{}@{checkpoint}", self.kind),
            None => write!(f, "{}", self.kind),
        }
    }
}

impl FromStr for StageRef {
    type Err = NotAStage;

    fn from_str(text: &str) -> Result<Self, NotAStage> {
        let (kind, checkpoint) = match text.split_once('@') {
            Some((kind, index)) => (
                kind,
                Some(index.parse().map_err(|_| {
                    NotAStage(format!("'{index}' is not a checkpoint index; expected for example means@0"))
                })?),
            ),
            None => (text, None),
        };
        let kind: StageKind = kind.parse().map_err(|_| {
            let kinds: Vec<_> = StageKind::ALL.iter().map(|kind| kind.as_str()).collect();
            NotAStage(format!(
                "'{kind}' is not a stage; accepted: {}, each but prepare and train also with @CHECKPOINT",
                kinds.join(", ")
            ))
        })?;
        if checkpoint.is_some() && !kind.per_checkpoint() {
            return Err(NotAStage(format!("'{kind}' has no checkpoints; write {kind} alone")));
        }
        Ok(Self { kind, checkpoint })
    }
}

impl Serialize for StageRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StageRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

words!(
    /// Where a stage stands.
    StageState {
        /// A parent is not done yet.
        Waiting = "waiting",
        /// All parents are done; may start as soon as there is room.
        Ready = "ready",
        /// An attempt was handed to the executor.
        Queued = "queued",
        /// A worker has claimed it.
        Running = "running",
        /// Succeeded.
        Done = "done",
        /// Its attempts are used up.
        Failed = "failed",
        /// A person stopped it.
        Cancelled = "cancelled",
        /// An ancestor failed or was cancelled.
        Skipped = "skipped",
    }
);

impl StageState {
    /// Whether nothing further happens without a person.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled | Self::Skipped)
    }

    /// Whether a person may have it tried again.
    #[must_use]
    pub const fn may_retry(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled | Self::Skipped)
    }
}

words!(
    /// Where an attempt stands.
    AttemptState {
        /// Recorded, not handed over yet.
        Intended = "intended",
        /// Handed to the executor.
        Submitted = "submitted",
        /// The executor says that it waits.
        Pending = "pending",
        /// A worker has claimed it.
        Running = "running",
        /// The work was done.
        Succeeded = "succeeded",
        /// The work failed.
        Failed = "failed",
        /// Interrupted with a checkpoint; to be continued.
        Preempted = "preempted",
        /// Ran into its time limit.
        TimedOut = "timed_out",
        /// Ran out of memory.
        OutOfMemory = "out_of_memory",
        /// The node went away.
        NodeFailed = "node_failed",
        /// A person stopped it.
        Cancelled = "cancelled",
        /// It ended without a word.
        Lost = "lost",
        /// The executor's answer is unknown.
        Ambiguous = "ambiguous",
    }
);

impl AttemptState {
    /// Whether the attempt is over.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Intended | Self::Submitted | Self::Pending | Self::Running | Self::Ambiguous)
    }
}

words!(
    /// Where a submission stands.
    SubmissionState {
        /// The call is under way, or was when a daemon died.
        Intended = "intended",
        /// Certainly not in the queue; to be handed over.
        Held = "held",
        /// The call's answer is unknown.
        Ambiguous = "ambiguous",
        /// In the queue.
        Submitted = "submitted",
    }
);

#[cfg(test)]
mod tests {
    use super::{AttemptState, StageKind, StageRef, StageState, SubmissionState};

    #[test]
    fn words_round_trip() {
        for kind in StageKind::ALL {
            assert_eq!(kind.as_str().parse::<StageKind>().as_ref(), Ok(kind));
            assert_eq!(serde_json::to_string(kind).unwrap(), format!("\"{kind}\""));
        }
        for state in AttemptState::ALL {
            assert_eq!(state.as_str().parse::<AttemptState>().as_ref(), Ok(state));
            assert_eq!(serde_json::to_string(state).unwrap(), format!("\"{state}\""));
        }
        for state in StageState::ALL {
            assert_eq!(serde_json::to_string(state).unwrap(), format!("\"{state}\""));
        }
        for state in SubmissionState::ALL {
            assert_eq!(serde_json::to_string(state).unwrap(), format!("\"{state}\""));
        }
        let refused = "finished".parse::<StageState>().unwrap_err().to_string();
        assert!(refused.contains("waiting, ready, queued"), "{refused}");
    }

    #[test]
    fn stages_are_named_with_their_checkpoint() {
        for name in ["means@2", "means", "train"] {
            let json = format!("\"{name}\"");
            let stage: StageRef = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&stage).unwrap(), json);
        }
        let means: StageRef = "means".parse().unwrap();
        assert!(means.means(StageKind::Means, Some(4)) && !means.means(StageKind::Vars, Some(4)));
        let said = |name: &str| name.parse::<StageRef>().unwrap_err().to_string();
        assert_eq!(said("train@0"), "'train' has no checkpoints; write train alone");
        assert!(said("mean").contains("accepted: prepare, train, evaluate, means"), "{}", said("mean"));
    }

    #[test]
    fn the_order_of_kinds_is_topological() {
        for kind in StageKind::ALL {
            for parent in kind.parents() {
                assert!(parent < kind, "{parent} before {kind}");
            }
        }
    }
}
