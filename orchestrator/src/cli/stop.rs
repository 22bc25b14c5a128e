//! `lcctl stop`: an orderly end of the daemon.

use super::{
    connect,
    context::Context,
    failure::Failure,
    output::{Screen, View},
};
use crate::{client::Client, domain::layout::Layout, files::is_locked};
use clap::Args;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Serialize;
use std::{
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
        let layout = Layout::new(root);
        let answering = connect::running(root).await;
        // One that can't be asked holds the root all the same.
        let silent = if answering.is_none() { holder(&layout)? } else { None };
        let running = answering.is_some() || silent.is_some();
        if !self.dry_run {
            if let Some(client) = answering {
                shut_down(&client, root).await?;
            } else if let Some(pid) = silent {
                kill(pid, Signal::SIGTERM)
                    .map_err(|error| Failure::Failed(format!("can't stop process {pid}: {error}")))?;
                until(&layout, || !is_locked(&layout.daemon_lock())).await?;
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
    let layout = Layout::new(root);
    // On its way out it may still hold the root: until then no other may serve it.
    until(&layout, || !layout.daemon_file().exists() && !is_locked(&layout.daemon_lock())).await
}

/// Waits until the daemon is gone.
async fn until(layout: &Layout, gone: impl Fn() -> bool) -> Result<(), Failure> {
    let deadline = Instant::now() + LIMIT;
    while !gone() {
        if Instant::now() >= deadline {
            return Err(Failure::Failed(format!(
                "the daemon for {} has not ended after {} s; see {}",
                layout.root().display(),
                LIMIT.as_secs(),
                layout.daemon_log().display()
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// The process of this machine that holds the root.
///
/// # Errors
/// When another holds it: one of another machine, or of another user.
fn holder(layout: &Layout) -> Result<Option<Pid>, Failure> {
    let lock = layout.daemon_lock();
    if !is_locked(&lock) {
        return Ok(None);
    }
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
        layout.root().display(),
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
