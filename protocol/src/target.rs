//! Which stages a person means.

use crate::ids::{RunId, StageId};

/// What is cancelled or tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every stage of a study.
    Study(String),
    /// Every stage of a run, but the `prepare` that it may share.
    Run(RunId),
    /// One stage.
    Stage(StageId),
}
