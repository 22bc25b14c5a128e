//! Where attempts run. [`local`] starts processes on this machine; a cluster's queue has the same
//! shape: hand over, ask what became of it, stop it.
//!
//! An executor keeps no record. It can be asked at any time about any attempt, also one that an
//! earlier daemon handed over.

pub mod folder;
pub mod local;

use async_trait::async_trait;
use protocol::ids::AttemptId;
use std::{collections::HashMap, path::PathBuf};

/// What an executor offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// `local` or `slurm`.
    pub name: &'static str,
    /// Attempts that may run at once.
    pub slots: u32,
}

/// An attempt, as an executor knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Id.
    pub attempt: AttemptId,
    /// Its folder, with `attempt.json` in it.
    pub folder: PathBuf,
    /// The slot that it takes.
    pub slot: u32,
    /// Its process, where known.
    pub pid: Option<u32>,
}

/// How a process ended, where known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Exit code.
    pub code: Option<i32>,
    /// Signal.
    pub signal: Option<i32>,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It runs.
    Alive,
    /// It does not run; it may never have.
    Gone(Exit),
}

/// Why an attempt could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SubmitError {
    /// One line with what to do.
    pub message: String,
    /// Trying again is pointless until a person changes something.
    pub permanent: bool,
}

/// Where attempts run.
#[async_trait]
pub trait Executor: Send + Sync {
    /// What it offers.
    fn capabilities(&self) -> Capabilities;

    /// Starts an attempt and answers its process id.
    ///
    /// # Errors
    /// When it could not be started; then it certainly does not run.
    async fn submit(&self, job: &Job) -> Result<u32, SubmitError>;

    /// What became of these attempts.
    async fn poll(&self, jobs: &[Job]) -> HashMap<AttemptId, Liveness>;

    /// Asks an attempt to stop, with `force` in a way that can't be ignored. Repeating it is harmless.
    async fn stop(&self, job: &Job, force: bool);
}
