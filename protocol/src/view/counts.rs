//! How many stages are in each state, and what that makes of a study.

use super::views;
use crate::stage::StageState;
use serde::{Deserialize, Serialize};

/// Where a study stands, derived from its stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StudyState {
    /// Some stage is not final.
    Active,
    /// Every stage is done.
    Done,
    /// Every stage is final, at least one failed.
    Failed,
    /// Every stage is final, none failed, at least one was cancelled.
    Cancelled,
}

impl StudyState {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

views! {
    /// How many stages are in each state.
    #[derive(Copy, Default, Eq)]
    StageCounts {
        /// A parent is not done.
        waiting: u64,
        /// May start.
        ready: u64,
        /// Handed to the executor.
        queued: u64,
        /// Claimed by a worker.
        running: u64,
        /// Succeeded.
        done: u64,
        /// Failed.
        failed: u64,
        /// Stopped by a person.
        cancelled: u64,
        /// An ancestor failed or was cancelled.
        skipped: u64,
    }
}

impl StageCounts {
    /// Counts one more stage.
    pub const fn add(&mut self, state: StageState) {
        *self.of_mut(state) += 1;
    }

    /// How many are in a state.
    pub const fn of_mut(&mut self, state: StageState) -> &mut u64 {
        match state {
            StageState::Waiting => &mut self.waiting,
            StageState::Ready => &mut self.ready,
            StageState::Queued => &mut self.queued,
            StageState::Running => &mut self.running,
            StageState::Done => &mut self.done,
            StageState::Failed => &mut self.failed,
            StageState::Cancelled => &mut self.cancelled,
            StageState::Skipped => &mut self.skipped,
        }
    }

    /// Where a study with these stages stands.
    #[must_use]
    pub const fn study_state(&self) -> StudyState {
        if self.waiting + self.ready + self.queued + self.running > 0 {
            StudyState::Active
        } else if self.failed > 0 {
            StudyState::Failed
        } else if self.cancelled + self.skipped > 0 {
            StudyState::Cancelled
        } else {
            StudyState::Done
        }
    }
}
