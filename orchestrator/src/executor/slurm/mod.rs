//! Hands job arrays to Slurm.
//!
//! * [`parse`]: what Slurm's commands print;
//! * [`call`]: calling them, within a budget;
//! * [`script`]: the batch script;
//! * `hand_over`: handing arrays over and taking them back;
//! * `about`: what the cluster says about itself;
//! * `look`: looking at the queue, and what counts of what was seen;
//! * [`listing`]: the queue, and what it says about our attempts.
//!
//! Jobs are known by their name, which holds the submission's id: numbers can be given twice after a controller's
//! crash. One `squeue` tells about all jobs; `sacct` is asked only about those that are gone without a result, and about
//! those whose worker was interrupted and does not know what for.

mod about;
pub mod call;
mod hand_over;
pub mod listing;
mod look;
pub mod parse;
pub mod script;

pub use about::Cluster;

use super::{Capabilities, Cause, Executor, Exit, Job, Liveness, Order, Room, SubmitError, Survey, folder};
use crate::{
    config::{executor::ExecutorName, profile::Profile},
    domain::{
        resources::{self, Ceiling, Door, Request, Wall},
        window::Windows,
    },
};
use async_trait::async_trait;
use call::{Answer, Caller};
use chrono::Local;
use hand_over::Pause;
use listing::Said;
use parse::{config::Partition, state::SlurmCause};
use protocol::{
    ids::{AttemptId, SubmissionId},
    resources::ResourceRule,
    view::ClusterView,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ffi::OsString,
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// The Slurm executor.
pub struct Slurm {
    profile: Profile,
    windows: Windows,
    worker: PathBuf,
    root: PathBuf,
    caller: Caller,
    memory: Mutex<Memory>,
    /// Held while the cluster is asked about itself, which may take a minute.
    asking: Mutex<()>,
}

/// What is remembered between two looks. A daemon that starts anew knows nothing of it and learns it again.
#[derive(Default)]
struct Memory {
    /// When the queue was last asked, and how long the answer took.
    asked: Option<(Instant, Duration)>,
    /// Since when attempts are over without a result.
    over: HashMap<AttemptId, Instant>,
    /// Since when submissions are missing, and how often.
    absent: HashMap<SubmissionId, (Instant, u32)>,
    /// Attempts that were cancelled already.
    cancelled: HashSet<AttemptId>,
    pause: Option<Pause>,
    /// Pauses of what goes to one partition, account and quality of service alone: others have limits of their own.
    limits: HashMap<Door, Pause>,
    /// Why Slurm can't be asked.
    trouble: Option<String>,
    cluster: Option<(Instant, Cluster)>,
    /// When and why the cluster could not be asked about itself.
    silent: Option<(Instant, String)>,
}

impl Slurm {
    /// `worker` is the program, `root` where it runs.
    ///
    /// # Errors
    /// When the profile's submission windows are none: one line.
    pub fn new(profile: Profile, worker: PathBuf, root: PathBuf) -> Result<Self, String> {
        let windows = Windows::new(&profile.schedule.submit)?;
        let caller = Caller::new(Duration::from_secs(profile.call_seconds));
        let (memory, asking) = (Mutex::default(), Mutex::default());
        Ok(Self { profile, windows, worker, root, caller, memory, asking })
    }

    async fn ask(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let answer = self.caller.run(program, &arguments).await.map_err(|error| error.to_string())?;
        match answer.code {
            Some(0) => Ok(answer.stdout),
            _ => Err(format!("{program}: {}", said(&answer))),
        }
    }
}

#[async_trait]
impl Executor for Slurm {
    fn capabilities(&self) -> Capabilities {
        Capabilities { name: ExecutorName::Slurm, slots: 0, queue: true }
    }

    async fn submit(&self, order: &Order) -> Result<u64, SubmitError> {
        match self.sbatch(order).await {
            Err(SubmitError::Refused { message, .. }) if !order.request.exclude.is_empty() => {
                // Nodes are left out to be on the safe side; that is never what a job fails for.
                tracing::warn!(message, nodes = ?order.request.exclude, "refused; trying without leaving out nodes");
                let mut order = order.clone();
                order.request.exclude.clear();
                self.sbatch(&order).await
            }
            answer => answer,
        }
    }

    async fn survey(&self, jobs: &[Job], unclear: &[(SubmissionId, Vec<Job>)]) -> Survey {
        let mut survey = Survey::default();
        if jobs.is_empty() && unclear.is_empty() {
            return survey;
        }
        let Some(listing) = self.look().await else { return survey };
        let mut over = Vec::new();
        for job in jobs {
            match listing.said(job) {
                Said::Waits { reason, never } => {
                    survey.jobs.insert(job.attempt, Liveness::Waits { reason, never });
                }
                Said::Runs { node } => {
                    // Of a job that is shared the queue does not tell who has ended. Who was interrupted may yet be
                    // started again with it.
                    let ended = if is_shared(job) { noted_exit(job) } else { None };
                    let ended = ended.filter(|exit| exit.code != Some(protocol::exit::RESUMABLE));
                    let liveness = ended.map_or(Liveness::Alive { node }, Liveness::Gone);
                    survey.jobs.insert(job.attempt, liveness);
                }
                said @ (Said::Over(_) | Said::Orphaned | Said::Removed | Said::Nothing) => {
                    over.push((job.clone(), said))
                }
                Said::Unclear => {}
            }
        }
        self.ended(over, &mut survey).await;
        self.clear_up(&listing, unclear, &mut survey).await;
        let strangers = listing.strangers(jobs);
        if !strangers.is_empty() {
            tracing::warn!(?strangers, "jobs of the same name as others; cancelling them");
            self.scancel(&[], strangers).await;
        }
        survey
    }

    async fn stop(&self, jobs: &[Job], force: bool) {
        let mut by_array: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
        {
            let mut memory = self.memory.lock().await;
            for job in jobs {
                // 0 stands for an id that is forgotten.
                let known = job.queued.and_then(|queued| Some((queued, queued.job.filter(|&id| id > 0)?)));
                let Some((queued, array)) = known else { continue };
                if memory.cancelled.insert(job.attempt) || force {
                    by_array.entry(array).or_default().insert(queued.array_task());
                }
            }
        }
        let targets: Vec<_> = by_array
            .into_iter()
            .map(|(array, jobs)| format!("{array}_[{}]", script::task_list(&jobs)))
            .collect();
        if !targets.is_empty() {
            self.scancel(&[], targets).await;
        }
    }

    async fn room(&self, queued: u32) -> Room {
        if !self.windows.is_open(Local::now()) {
            return Room::default();
        }
        {
            let memory = self.memory.lock().await;
            if memory.pause.as_ref().is_some_and(|pause| !pause.is_over()) {
                return Room::default();
            }
        }
        let cluster = match self.describe().await {
            Ok(cluster) => cluster,
            Err(why) => {
                self.memory.lock().await.trouble = Some(why.clone());
                self.pause(why).await;
                return Room::default();
            }
        };
        let mut most = self.profile.max_queued.unwrap_or(u32::MAX).min(cluster.config.max_job_count / 10 * 9);
        let limits: Vec<_> = cluster.associations.iter().filter_map(|found| found.max_submit).collect();
        if limits.len() == cluster.associations.len()
            && let Some(&limit) = limits.iter().max()
        {
            most = most.min(limit);
        }
        let array = cluster.config.largest_array();
        Room {
            attempts: most.saturating_sub(queued),
            array: array.min(self.profile.max_array.unwrap_or(u32::MAX)),
        }
    }

    async fn takes(&self, request: &Request) -> bool {
        self.memory.lock().await.limits.get(&request.door()).is_none_or(|pause| pause.is_over())
    }

    fn rules(&self) -> &[ResourceRule] {
        &self.profile.rules
    }

    async fn ceilings(&self) -> Vec<Ceiling> {
        let Ok(cluster) = self.describe().await else { return Vec::new() };
        let of = |partition: &Partition| Ceiling {
            partition: partition.name.clone(),
            default: partition.default,
            nodes: partition.nodes,
            minutes: partition.limit.map(resources::minutes),
            memory_mb: Some(partition.memory_mb).filter(|&megabytes| megabytes > 0),
        };
        cluster.partitions.iter().map(of).collect()
    }

    async fn walls(&self) -> Vec<Wall> {
        self.describe().await.map(|cluster| cluster.walls()).unwrap_or_default()
    }

    fn requeues(&self) -> bool {
        self.profile.requeue
    }

    async fn missing(&self, requests: &[Request]) -> Vec<String> {
        // A controller that is away for an hour is no reason to refuse a study.
        let Ok(cluster) = self.describe().await else { return Vec::new() };
        let missing = listing::missing(&cluster, requests);
        if missing.is_empty() {
            return missing;
        }
        // What was missing may be there by now.
        match self.describe_within(about::JUST_NOW).await {
            Ok(cluster) => listing::missing(&cluster, requests),
            Err(_) => missing,
        }
    }

    fn script(&self, order: &Order) -> Result<String, String> {
        script::render(&self.profile, &self.worker, &self.root, order)
    }

    async fn is_unsettled(&self) -> bool {
        let memory = self.memory.lock().await;
        // What accounting has to explain, while it can't be asked, settles at another time.
        let settle = Duration::from_secs(self.profile.settle_seconds);
        memory.over.values().any(|since| since.elapsed() <= settle) || !memory.absent.is_empty()
    }

    async fn cluster(&self) -> Option<ClusterView> {
        // What is known: a page does not wait for a controller that is away.
        let memory = self.memory.lock().await;
        let (calls, last_minute, last_hour) = self.caller.counts();
        let now = Local::now();
        let pauses = memory.pause.iter().chain(memory.limits.values()).filter(|pause| !pause.is_over());
        let pause = pauses.max_by_key(|pause| pause.due);
        Some(ClusterView {
            name: memory.cluster.as_ref().map(|(_, cluster)| cluster.config.cluster.clone()),
            trouble: memory.trouble.clone(),
            paused: pause.map(|pause| pause.reason.clone()),
            paused_until: pause.map(|pause| pause.due),
            windows: self.profile.schedule.submit.clone(),
            open: self.windows.is_open(now),
            opens: self.windows.opens(now).map(|at| at.to_utc()),
            max_queued: self.profile.max_queued,
            max_running: self.profile.max_running,
            calls,
            calls_last_minute: last_minute,
            calls_last_hour: last_hour,
            tick_seconds: memory.asked.map(|(_, took)| took.as_secs_f64()),
            waits: BTreeMap::new(),
        })
    }
}

/// Whether an attempt shares its job with others.
fn is_shared(job: &Job) -> bool {
    job.queued.is_some_and(|queued| queued.pack > 1)
}

/// How an attempt ended, by what was noted in its folder. A start of another job, or one before that of the worker that
/// holds the attempt, was refused or lost it, and its end says nothing.
fn noted_exit(job: &Job) -> Option<Exit> {
    let exit = folder::noted_exit(&job.folder)?;
    let own = job.queued.and_then(|queued| queued.job).filter(|&id| id > 0);
    let is_strange = own.zip(exit.job).is_some_and(|(own, of)| own != of);
    if is_strange || exit.restarts < job.restarts {
        return None;
    }
    let cause = if exit.out_of_memory { Cause::OutOfMemory } else { Cause::Unknown };
    Some(Exit { code: exit.code, signal: exit.signal, cause, ..Exit::default() })
}

/// Who we are, as Slurm names users.
pub(crate) fn user() -> String {
    nix::unistd::User::from_uid(nix::unistd::geteuid())
        .ok()
        .flatten()
        .map_or_else(|| nix::unistd::geteuid().to_string(), |user| user.name)
}

/// What a command that failed said, on one line.
fn said(answer: &Answer) -> String {
    let text = if answer.stderr.trim().is_empty() { &answer.stdout } else { &answer.stderr };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let code = answer.code.map_or_else(|| "killed".to_owned(), |code| format!("exit code {code}"));
    if text.is_empty() { code } else { format!("{text} ({code})") }
}

impl From<SlurmCause> for Exit {
    fn from(cause: SlurmCause) -> Self {
        let of = |cause| Self { cause, ..Self::default() };
        match cause {
            SlurmCause::Completed => Self { code: Some(0), ..Self::default() },
            // Its own code is known to accounting alone, or was noted.
            SlurmCause::Failed => Self { code: Some(protocol::exit::FAILURE), ..Self::default() },
            SlurmCause::Cancelled => of(Cause::Cancelled),
            SlurmCause::TimedOut => of(Cause::TimedOut),
            SlurmCause::OutOfMemory => of(Cause::OutOfMemory),
            SlurmCause::NodeFailed => of(Cause::NodeFailed),
            SlurmCause::Preempted => of(Cause::Preempted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::queue::Queued;
    use protocol::attempt::{EXIT_FILE, NotedExit};
    use uuid::Uuid;

    #[test]
    fn the_end_of_a_start_that_does_not_hold_the_attempt_says_nothing_about_it() {
        let folder = tempfile::tempdir().unwrap();
        let noted = |(job, restarts), held_by: Option<u64>, holder| {
            let exit = NotedExit { code: Some(1), job, restarts, ..NotedExit::default() };
            let text = serde_json::to_vec(&exit).unwrap();
            std::fs::write(folder.path().join(EXIT_FILE), text).unwrap();
            let (submission, attempt) = (SubmissionId(Uuid::nil()), AttemptId(Uuid::nil()));
            let queued = Some(Queued { submission, member: 1, pack: 2, job: held_by });
            let folder = folder.path().to_owned();
            noted_exit(&Job { attempt, folder, slot: 0, queued, restarts: holder }).is_some()
        };
        assert!(noted((Some(42), 1), Some(42), 1));
        // A start that could not even claim the attempt.
        assert!(noted((Some(42), 1), Some(42), 0));
        // Refused: the array was handed over twice. Fenced: the queue has started it again since.
        assert!(!noted((Some(43), 0), Some(42), 0) && !noted((Some(42), 0), Some(42), 1));
        // Where the job is not known.
        assert!(noted((None, 0), Some(42), 0) && noted((Some(42), 0), Some(0), 0));
    }

    #[test]
    fn a_process_that_the_kernel_killed_for_its_memory_ran_out_of_memory() {
        let folder = tempfile::tempdir().unwrap();
        let exit = NotedExit { signal: Some(9), out_of_memory: true, ..NotedExit::default() };
        std::fs::write(folder.path().join(EXIT_FILE), serde_json::to_vec(&exit).unwrap()).unwrap();
        let (attempt, folder) = (AttemptId(Uuid::nil()), folder.path().to_owned());
        let exit = noted_exit(&Job { attempt, folder, slot: 0, queued: None, restarts: 0 }).unwrap();
        assert_eq!((exit.cause, exit.signal), (Cause::OutOfMemory, Some(9)));
    }
}
