//! Where attempts run. [`local`] starts processes on this machine, [`slurm`] hands job arrays to a cluster's
//! queue. Both have one shape: hand over, ask what became of it, stop it.
//!
//! An executor keeps no record. It can be asked at any time about any attempt, also one that an
//! earlier daemon handed over.

pub mod folder;
pub mod local;
pub mod slurm;

use crate::{
    config::executor::ExecutorName,
    domain::{
        queue::{How, Queued},
        resources::{Ceiling, Request, Wall},
    },
};
use async_trait::async_trait;
use protocol::{
    ids::{AttemptId, SubmissionId},
    resources::ResourceRule,
    stage::StageKind,
    view::ClusterView,
};
use std::{collections::HashMap, path::PathBuf, time::Duration};

/// Name of an array's batch script in its folder.
pub const SCRIPT_FILE: &str = "job.sh";

/// What an executor offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Its name.
    pub name: ExecutorName,
    /// Attempts that may run at once; 0 where a queue decides.
    pub slots: u32,
    /// Whether it has a queue, which takes stages as arrays and ahead of their parents' end.
    pub queue: bool,
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
    /// Its place in a queue.
    pub queued: Option<Queued>,
    /// How often the queue had started it again before the worker that holds it.
    pub restarts: u32,
}

/// What is handed over at once: one attempt, or an array of them.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its name; none without a queue.
    pub submission: Option<SubmissionId>,
    /// Kind of the stages.
    pub kind: StageKind,
    /// Folder of the array.
    pub folder: PathBuf,
    /// The attempts.
    pub jobs: Vec<Job>,
    /// What each asks for.
    pub request: Request,
    /// Arrays in the queue that it waits for.
    pub after: Vec<(u64, How)>,
}

/// How an attempt ended, as the executor saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Exit code.
    pub code: Option<i32>,
    /// Signal.
    pub signal: Option<i32>,
    /// What the queue says.
    pub cause: Cause,
    /// The same in the queue's own word.
    pub word: Option<&'static str>,
    /// Where, if the queue tells: a worker that could not even start tells nobody.
    pub node: Option<String>,
}

/// Why an attempt ended, in a queue's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// Nothing is known but exit code and signal.
    #[default]
    Unknown,
    /// Cancelled, by a person or for a reason that is not told.
    Cancelled,
    /// Cancelled before it started, as a job that it waited for did not end well.
    Orphaned,
    /// Ran into its time limit.
    TimedOut,
    /// Ran out of memory.
    OutOfMemory,
    /// Its node went away.
    NodeFailed,
    /// Made room for another job.
    Preempted,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It waits in the queue.
    Waits {
        /// Why, in plain words.
        reason: Option<String>,
        /// It can't start any more, because what it waits for failed.
        never: bool,
    },
    /// It runs.
    Alive {
        /// Where, if the queue tells.
        node: Option<String>,
    },
    /// It does not run; it may never have.
    Gone(Exit),
    /// Its job has ended or is forgotten, and whoever knows how it ended can't be asked now.
    Unexplained,
}

/// What became of a submission whose answer was unclear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is, or was, in the queue.
    Here(u64),
    /// It is proven not to be there.
    Absent,
}

/// What an executor found out. What is missing is unknown at the moment.
#[derive(Debug, Default)]
pub struct Survey {
    /// Attempts.
    pub jobs: HashMap<AttemptId, Liveness>,
    /// Submissions that were asked about.
    pub submissions: HashMap<SubmissionId, Presence>,
}

/// Why something could not be handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// It certainly does not run.
    #[error("{message}")]
    Refused {
        /// One line with what to do.
        message: String,
        /// Trying again is pointless until a person changes something.
        permanent: bool,
    },
    /// It certainly does not run, and is to be handed over again later.
    #[error("{message}")]
    Later {
        /// One line.
        message: String,
        /// When.
        after: Duration,
    },
    /// It certainly does not run: the queue does not take so many attempts now, and perhaps never so many at once.
    #[error("{message}")]
    TooMany {
        /// One line.
        message: String,
        /// When to hand over again.
        after: Duration,
    },
    /// It certainly does not run: the queue never takes so many attempts in one array.
    #[error("{message}")]
    TooLarge {
        /// One line.
        message: String,
    },
    /// It may or may not be in the queue.
    #[error("{message}")]
    Unclear {
        /// One line.
        message: String,
    },
}

/// Room in a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Attempts that may be queued now.
    pub attempts: u32,
    /// Largest array.
    pub array: u32,
}

/// Where attempts run.
#[async_trait]
pub trait Executor: Send + Sync {
    /// What it offers.
    fn capabilities(&self) -> Capabilities;

    /// Hands over, and answers the process id or the id in the queue.
    ///
    /// # Errors
    /// When it could not be handed over, or the answer is unclear.
    async fn submit(&self, order: &Order) -> Result<u64, SubmitError>;

    /// What became of these attempts, and of submissions whose answer was unclear (with the folders of their
    /// attempts).
    async fn survey(&self, jobs: &[Job], unclear: &[(SubmissionId, Vec<Job>)]) -> Survey;

    /// Whether anything can be handed over now. What can't be waits, which is nobody's failure.
    fn can_start(&self) -> bool {
        true
    }

    /// Why nothing could be started lately, in one line; none where nothing stands in the way, or a queue tells of each
    /// attempt why it waits.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Asks attempts to stop, with `force` in a way that can't be ignored. Repeating it is harmless.
    async fn stop(&self, jobs: &[Job], force: bool);

    /// How much may be queued, with so many attempts in the queue.
    async fn room(&self, queued: u32) -> Room {
        let _ = queued;
        Room::default()
    }

    /// Whether something of this request may be handed over: false for a while after the queue had too many like it.
    async fn takes(&self, request: &Request) -> bool {
        let _ = request;
        true
    }

    /// Rules that go before those of every study.
    fn rules(&self) -> &[ResourceRule] {
        &[]
    }

    /// The most that the cluster gives, by partition; none where that is unknown.
    async fn ceilings(&self) -> Vec<Ceiling> {
        Vec::new()
    }

    /// The longest time limits of the user's accounts and qualities of service; none where they are unknown.
    async fn walls(&self) -> Vec<Wall> {
        Vec::new()
    }

    /// Whether the queue starts interrupted attempts again by itself.
    fn requeues(&self) -> bool {
        false
    }

    /// What the cluster does not have of what is asked for, one line each.
    async fn missing(&self, requests: &[Request]) -> Vec<String> {
        let _ = requests;
        Vec::new()
    }

    /// The script and options that would be handed over.
    ///
    /// # Errors
    /// When the template can't be rendered, or there is no queue.
    fn script(&self, order: &Order) -> Result<String, String> {
        let _ = order;
        Err("stages run as processes of this machine: there is no script".to_owned())
    }

    /// Whether something was seen that only counts after a while: another look is needed soon.
    async fn is_unsettled(&self) -> bool {
        false
    }

    /// The cluster, as the API shows it; none without a queue.
    async fn cluster(&self) -> Option<ClusterView> {
        None
    }
}
