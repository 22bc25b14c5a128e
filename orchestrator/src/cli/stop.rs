//! `lcctl stop`: an orderly end of the daemon.

use super::{
    connect,
    context::Context,
    failure::Failure,
    output::{Screen, View},
};
use crate::client::Client;
use clap::Args;
use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Serialize;
use std::{
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

/// How long the daemon may take to end.
const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Stop the daemon; workers go on, and the next daemon takes their results
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lcctl stop")]
pub(super) struct Stop {
    /// Say what would be stopped, and stop nothing
    #[arg(long)]
    dry_run: bool,
}

impl Stop {
    pub(super) async fn run(&self, context: &Context) -> Result<(), Failure> {
        let root = &context.root;
        let answering = connect::running(root).await;
        // One that can't be asked holds the root all the same.
        let silent = if answering.is_none() { holder(root)? } else { None };
        let running = answering.is_some() || silent.is_some();
        if !self.dry_run {
            if let Some(client) = answering {
                shut_down(&client, root).await?;
            } else if let Some(pid) = silent {
                kill(pid, Signal::SIGTERM)
                    .map_err(|error| Failure::Failed(format!("can't stop process {pid}: {error}")))?;
                until(root, || !is_locked(root)).await?;
            }
        }
        let root = root.display().to_string();
        context.out.answer(&Stopped { root, running, stopped: running && !self.dry_run })
    }
}

/// Stops the daemon and waits until it is gone.
///
/// # Errors
/// When it refuses, or does not end in time.
pub(super) async fn shut_down(client: &Client, root: &Path) -> Result<(), Failure> {
    client.shutdown().await?;
    until(root, || !root.join("daemon.json").exists() && !is_locked(root)).await
}

/// Waits until the daemon is gone.
async fn until(root: &Path, gone: impl Fn() -> bool) -> Result<(), Failure> {
    let deadline = Instant::now() + LIMIT;
    while !gone() {
        if Instant::now() >= deadline {
            return Err(Failure::Failed(format!(
                "the daemon for {} has not ended after {} s; see {}",
                root.display(),
                LIMIT.as_secs(),
                root.join("daemon.log").display()
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Whether a process, on its way out perhaps, still holds the root: until then no other may serve it.
fn is_locked(root: &Path) -> bool {
    let Ok(file) = File::open(root.join("daemon.lock")) else { return false };
    Flock::lock(file, FlockArg::LockSharedNonblock).is_err()
}

/// The process of this machine that holds the root.
///
/// # Errors
/// When another holds it: one of another machine, or of another user.
fn holder(root: &Path) -> Result<Option<Pid>, Failure> {
    if !is_locked(root) {
        return Ok(None);
    }
    let lock = root.join("daemon.lock");
    let pid = std::fs::read_to_string(&lock).ok().and_then(|text| text.trim().parse().ok());
    let has_it_open = |pid: &i32| {
        let mut open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.any(|open| std::fs::read_link(open.path()).is_ok_and(|file| file == lock))
    };
    if let Some(pid) = pid.filter(has_it_open) {
        return Ok(Some(Pid::from_raw(pid)));
    }
    let who = pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
    Err(Failure::Failed(format!(
        "no daemon answers for {}, but {who} holds {}; end it on the machine where it runs",
        root.display(),
        lock.display()
    )))
}

#[derive(Serialize)]
struct Stopped {
    root: String,
    running: bool,
    stopped: bool,
}

impl View for Stopped {
    fn table(&self, _screen: Screen) -> String {
        match (self.running, self.stopped) {
            (false, _) => format!("no daemon runs for {}", self.root),
            (true, false) => format!("would stop the daemon for {}", self.root),
            (true, true) => format!("stopped the daemon for {}; its workers go on", self.root),
        }
    }
}
