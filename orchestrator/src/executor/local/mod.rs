//! Runs attempts as processes of this machine. They outlive the daemon: each leads a process group of
//! its own, and is found again by its name in the process table or its lock.

mod devices;
mod liveness;
mod program;

pub use devices::default_slots;
pub use program::{WorkerNotFound, find_worker};

use super::{Capabilities, Executor, Exit, Job, Liveness, Order, SubmitError, Survey};
use crate::config::executor::ExecutorName;
use async_trait::async_trait;
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill, killpg},
    unistd::{Pid, getpgid},
};
use protocol::{
    attempt::{ATTEMPT_FILE, LOG_FILE},
    ids::{AttemptId, SubmissionId},
};
use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{process::Command, sync::Notify};

/// Runs attempts as local processes.
pub struct Local {
    worker: PathBuf,
    root: PathBuf,
    slots: u32,
    gpus: Vec<String>,
    wake: Arc<Notify>,
    children: Arc<Mutex<HashMap<AttemptId, Option<Exit>>>>,
    asked: Mutex<HashSet<AttemptId>>,
    trouble: Mutex<Trouble>,
}

/// Why nothing is started.
#[derive(Default)]
struct Trouble {
    /// The worker program is not there, which was said.
    missing: bool,
    /// A start failed: none before this.
    until: Option<Instant>,
    /// Why the newest start failed.
    failed: Option<String>,
    /// How many starts in a row the system refused because of the program.
    refused: u32,
}

/// After a start that failed, as it does without memory or with a full disk.
const PAUSE: Duration = Duration::from_secs(10);
/// What is said of a worker program that is gone.
const MISSING: &str = "is not a program (any more); nothing is started until it is there";
/// As often a program is tried that is there but can't be executed: it may be just being written. With the pauses that
/// is a minute.
const TRIES: u32 = 7;

impl Local {
    /// `worker` is the program, `root` where it runs, `slots` how many run at once (by default one per
    /// GPU, or one); `wake` is notified when one ends.
    #[must_use]
    pub fn new(worker: PathBuf, root: PathBuf, slots: Option<u32>, wake: Arc<Notify>) -> Self {
        let gpus = devices::visible();
        let slots = slots.unwrap_or_else(default_slots);
        let (children, asked, trouble) = (Arc::default(), Mutex::default(), Mutex::default());
        Self { worker, root, slots, gpus, wake, children, asked, trouble }
    }

    fn children(&self) -> MutexGuard<'_, HashMap<AttemptId, Option<Exit>>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine is to blame, not the stage: a full disk, no memory, a program that is being replaced.
    fn put_off(&self, error: &io::Error) -> SubmitError {
        let message = format!("{}: could not be started: {error}", self.worker.display());
        let mut trouble = self.lock_trouble();
        trouble.until = Some(Instant::now() + PAUSE);
        trouble.failed = Some(format!("{message}; it is tried again every {} seconds", PAUSE.as_secs()));
        SubmitError::Later { message, after: PAUSE }
    }

    /// As [`Self::put_off`]; but a program that the system refuses again and again is none for this machine.
    fn refused(&self, error: &io::Error) -> SubmitError {
        let later = self.put_off(error);
        let mut trouble = self.lock_trouble();
        let by_program =
            matches!(Errno::from_raw(error.raw_os_error().unwrap_or(0)), Errno::ENOEXEC | Errno::EACCES);
        trouble.refused = if by_program { trouble.refused.saturating_add(1) } else { 0 };
        if trouble.refused < TRIES {
            return later;
        }
        let worker = self.worker.display();
        let message = format!(
            "{worker}: can't be executed on this machine: {error}; put a worker there that can, then try again with \
             'lcctl retry'"
        );
        SubmitError::Refused { message, permanent: true }
    }

    fn command(&self, job: &Job) -> io::Result<Command> {
        let log = File::options().create(true).append(true).open(job.folder.join(LOG_FILE))?;
        let mut command = Command::new(&self.worker);
        command
            .arg("run")
            .arg("--attempt")
            .arg(job.folder.join(ATTEMPT_FILE))
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // What is sent to the daemon's group (Ctrl-C) does not reach it, and all that it starts can
            // be stopped with it.
            .process_group(0)
            .kill_on_drop(false)
            .env_remove("LC_TOKEN");
        if self.slots > 1 {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            command.env("RAYON_NUM_THREADS", (cores / self.slots as usize).max(1).to_string());
        }
        if !self.gpus.is_empty() {
            command.env("CUDA_VISIBLE_DEVICES", &self.gpus[job.slot as usize % self.gpus.len()]);
        }
        Ok(command)
    }
}

#[async_trait]
impl Executor for Local {
    fn capabilities(&self) -> Capabilities {
        Capabilities { name: ExecutorName::Local, slots: self.slots, queue: false }
    }

    async fn submit(&self, order: &Order) -> Result<u64, SubmitError> {
        // Without a queue, one attempt is handed over at a time.
        let [job] = order.jobs.as_slice() else {
            let message = "processes of this machine are started one at a time".to_owned();
            return Err(SubmitError::Refused { message, permanent: true });
        };
        let mut command = self.command(job).map_err(|error| self.put_off(&error))?;
        let mut child = command.spawn().map_err(|error| self.refused(&error))?;
        *self.lock_trouble() = Trouble::default();
        let pid = child.id().unwrap_or_default();
        self.children().insert(job.attempt, None);
        let (children, wake, attempt) = (Arc::clone(&self.children), Arc::clone(&self.wake), job.attempt);
        tokio::spawn(async move {
            let exit = child.wait().await.map_or_else(
                |_| Exit::default(),
                |status| Exit { code: status.code(), signal: status.signal(), ..Exit::default() },
            );
            children.lock().unwrap_or_else(PoisonError::into_inner).insert(attempt, Some(exit));
            wake.notify_one();
        });
        Ok(pid.into())
    }

    fn can_start(&self) -> bool {
        let mut trouble = self.lock_trouble();
        let missing = !is_program(&self.worker);
        if missing != trouble.missing {
            let worker = self.worker.display();
            if missing {
                tracing::warn!(%worker, "{MISSING}");
            } else {
                tracing::info!(%worker, "is there again");
            }
            // What was found out about another program says nothing about the next one.
            *trouble = Trouble { missing, ..Trouble::default() };
        }
        !missing && trouble.until.is_none_or(|until| until <= Instant::now())
    }

    fn trouble(&self) -> Option<String> {
        if !is_program(&self.worker) {
            return Some(format!("{}: {MISSING}", self.worker.display()));
        }
        let trouble = self.lock_trouble();
        // What was not tried again since is not wanted any more.
        let lately = trouble.until.is_some_and(|until| until.elapsed() < 6 * PAUSE);
        trouble.failed.clone().filter(|_| lately)
    }

    async fn survey(&self, jobs: &[Job], _unclear: &[(SubmissionId, Vec<Job>)]) -> Survey {
        Survey { jobs: self.poll(jobs).await, submissions: HashMap::new() }
    }

    async fn stop(&self, jobs: &[Job], force: bool) {
        for job in jobs {
            self.signal(job, force).await;
        }
    }
}

impl Local {
    async fn poll(&self, jobs: &[Job]) -> HashMap<AttemptId, Liveness> {
        let (mut known, mut unknown) = (HashMap::new(), Vec::new());
        {
            let mut children = self.children();
            // What nobody asks about any more is over and recorded.
            children.retain(|attempt, _| jobs.iter().any(|job| job.attempt == *attempt));
            for job in jobs {
                match children.get(&job.attempt) {
                    Some(None) => drop(known.insert(job.attempt, Liveness::Alive { node: None })),
                    ended => unknown.push((job.clone(), ended.cloned().flatten())),
                }
            }
        }
        if unknown.is_empty() {
            return known;
        }
        // A child that ended may have been a second copy beside one that an earlier daemon started.
        let found = tokio::task::spawn_blocking(move || {
            let running = liveness::running();
            let alive = |job: &Job| running.contains_key(&job.attempt) || liveness::locked(&job.folder);
            unknown
                .into_iter()
                .map(|(job, exit)| {
                    let state = if alive(&job) {
                        Liveness::Alive { node: None }
                    } else {
                        Liveness::Gone(exit.unwrap_or_default())
                    };
                    (job.attempt, state)
                })
                .collect::<Vec<_>>()
        })
        .await;
        known.extend(found.unwrap_or_default());
        known
    }

    async fn signal(&self, job: &Job, force: bool) {
        let first = self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(job.attempt);
        if !first && !force {
            return;
        }
        let attempt = job.attempt;
        // The number of a process may have been given to another one since: only what is this attempt
        // by its command line is sent a signal.
        let pid =
            tokio::task::spawn_blocking(move || liveness::running().remove(&attempt)).await.ok().flatten();
        if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
            let (pid, signal) = (Pid::from_raw(pid), if force { Signal::SIGKILL } else { Signal::SIGTERM });
            // Ours lead their group; one that was started by hand may be in a group with others.
            let leads = getpgid(Some(pid)) == Ok(pid);
            if let Err(error) = if leads { killpg(pid, signal) } else { kill(pid, signal) } {
                tracing::warn!(%attempt, %pid, %signal, %error, "the worker could not be signalled");
            }
        }
    }
}

/// Whether a path is a program that can be started.
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
