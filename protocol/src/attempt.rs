//! The messages between a worker and the daemon, and the files that stand in for them.
//!
//! An attempt has a folder of its own, shared by both sides. The daemon writes `attempt.json`
//! (mode 0600) and starts the worker on it. The worker appends every event to `events.jsonl` before
//! sending it, and writes `result.json` (a [`ResultReport`]) before reporting it. The daemon takes
//! events by (attempt, sequence number), so that what came over HTTP and what is read from the files
//! never counts twice, and nothing is lost while it is away.

use crate::{
    ids::{AttemptId, ClaimId},
    output::StageOutput,
    real::Real,
    spec::StageSpec,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Name of the file that a worker is started on.
pub const ATTEMPT_FILE: &str = "attempt.json";
/// Name of the file that holds an attempt's events, one JSON object a line.
pub const EVENTS_FILE: &str = "events.jsonl";
/// Name of the file that holds an attempt's [`ResultReport`].
pub const RESULT_FILE: &str = "result.json";
/// Name of the file that a worker keeps locked (`flock`) as long as it lives.
pub const LOCK_FILE: &str = "lock";
/// Name of the file that receives a worker's standard output and error.
pub const LOG_FILE: &str = "worker.log";
/// Name of the file that holds the [`NotedExit`] of an attempt that left no result: one that shared its job with
/// others, or one that was interrupted and that the cluster may start again.
pub const EXIT_FILE: &str = "exit.json";

/// The content of `attempt.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptFile {
    /// Version of this format and of the worker API.
    pub api_version: u32,
    /// The attempt.
    pub attempt: AttemptId,
    /// Where the daemon writes its current address ([`DaemonFile`]); read again when a call fails.
    pub daemon: PathBuf,
    /// Bearer token of this attempt alone.
    pub token: String,
    /// Folders of the attempts that must have succeeded before, where this one was queued ahead of their end. A
    /// worker that reaches no daemon looks there itself.
    #[serde(default)]
    pub parents: Vec<PathBuf>,
    /// The cluster starts this attempt again by itself when it is interrupted: then an interruption is no result.
    #[serde(default)]
    pub requeued: bool,
    /// What to do.
    pub spec: StageSpec,
}

/// The content of `exit.json`: how the process of an attempt ended. The queue tells that of a whole job alone, and the
/// exit code only where there is accounting. It counts only if the start that ended is the one that holds the attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedExit {
    /// Exit code.
    pub code: Option<i32>,
    /// Signal.
    pub signal: Option<i32>,
    /// The kernel killed it because the job's memory ran out.
    #[serde(default)]
    pub out_of_memory: bool,
    /// The job that it ran in, that of the array if it is one; none outside of a queue.
    #[serde(default)]
    pub job: Option<u64>,
    /// How often the cluster had started the job again before.
    #[serde(default)]
    pub restarts: u32,
}

/// The content of `LC_ROOT/daemon.json`, written (mode 0600) when the daemon listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonFile {
    /// Base address, for example `http://127.0.0.1:43117`.
    pub url: String,
    /// Process id on `host`.
    pub pid: u32,
    /// The daemon's host.
    pub host: String,
    /// Version of the program.
    pub version: String,
}

/// `POST /api/v1/worker/claim`: a worker takes its attempt before it touches the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClaimRequest {
    /// [`crate::API_VERSION`] of the worker.
    pub api_version: u32,
    /// The attempt.
    pub attempt: AttemptId,
    /// Made by the worker at its start, so that a repeated request gets the same answer.
    pub claim: ClaimId,
    /// The worker's process.
    pub process: Process,
}

/// Where a worker runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Process {
    /// Host name.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// Version of the worker program.
    pub version: String,
    /// The Slurm job, on a cluster.
    pub slurm: Option<SlurmJob>,
}

/// The Slurm job that a worker runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SlurmJob {
    /// `SLURM_JOB_ID`.
    pub job_id: u64,
    /// `SLURM_ARRAY_JOB_ID`.
    pub array_job_id: Option<u64>,
    /// `SLURM_ARRAY_TASK_ID`.
    pub array_task: Option<u32>,
    /// `SLURM_RESTART_COUNT`.
    pub restart_count: u32,
    /// `SLURMD_NODENAME`: the node as Slurm names it, which may not be its host name.
    #[serde(default)]
    pub node: Option<String>,
}

/// The daemon's answer to a claim that it grants. A refusal is a problem with status 409: the worker
/// exits without work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClaimResponse {
    /// The claim, as asked for.
    pub claim: ClaimId,
    /// The highest event sequence number that the daemon holds for this attempt, 0 for none.
    pub accepted_through: u64,
}

/// `POST /api/v1/worker/events`: what happened, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventBatch {
    /// The attempt.
    pub attempt: AttemptId,
    /// The worker's claim.
    pub claim: ClaimId,
    /// How often the cluster had started the attempt again before this worker: a later start holds it against an earlier.
    #[serde(default)]
    pub restarts: u32,
    /// At most 1,000 events with rising sequence numbers.
    pub events: Vec<Event>,
}

/// The daemon's answer to a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventsAccepted {
    /// The highest sequence number that the daemon holds for this attempt.
    pub accepted_through: u64,
    /// A person asked to stop: write a checkpoint and exit.
    pub stop: bool,
}

/// One event of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// Rises within the attempt, from 1; each time that the cluster starts it again leaves numbers out.
    pub seq: u64,
    /// When it happened, by the worker's clock.
    pub time: DateTime<Utc>,
    /// What happened.
    pub body: EventBody,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventBody {
    /// The stage's progress; sent at most twice a second, and at least every 10 seconds as a sign of life.
    Progress(Progress),
    /// New points of the training curve.
    Metrics {
        /// Oldest first.
        points: Vec<MetricPoint>,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Position among the saved checkpoints; none for one that only serves to resume.
        index: Option<u32>,
        /// Optimizer step.
        step: u64,
    },
    /// A line for people.
    Log {
        /// `info`, `warn` or `error`.
        level: String,
        /// The line.
        message: String,
    },
}

/// How far a stage is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all; 0 while unknown.
    pub total: u64,
    /// The unit: `texts`, `steps`, `sequences`, `models`.
    pub unit: String,
}

/// One point of the training curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MetricPoint {
    /// Optimizer step, from 1.
    pub step: u64,
    /// Epochs seen, with fraction.
    pub epoch: f64,
    /// Mean loss of the step's batch before the update, nats per token.
    pub loss: Real,
    /// Learning rate used.
    pub learning_rate: f64,
    /// Global gradient norm before clipping.
    pub grad_norm: Real,
    /// Tokens per second.
    pub tokens_per_s: f64,
}

/// `POST /api/v1/worker/result`, and the content of `result.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResultReport {
    /// The attempt.
    pub attempt: AttemptId,
    /// The worker's claim.
    pub claim: ClaimId,
    /// How often the cluster had started the attempt again before this worker.
    #[serde(default)]
    pub restarts: u32,
    /// When it ended, by the worker's clock.
    pub time: DateTime<Utc>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an attempt ended, in the worker's own words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Succeeded {
        /// What the stage returns.
        output: StageOutput,
    },
    /// Failed; trying the same again may or may not help.
    Failed {
        /// One line.
        message: String,
        /// The input is wrong: trying again is pointless.
        permanent: bool,
    },
    /// Interrupted after writing a checkpoint; the next attempt goes on from it.
    Interrupted {
        /// One line.
        message: String,
    },
}
