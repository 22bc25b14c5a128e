//! `lcctl stop`: an orderly end of the daemon.

use super::{
    connect,
    context::Context,
    failure::Failure,
    output::{Screen, View},
};
use crate::client::Client;
use clap::Args;
use nix::fcntl::{Flock, FlockArg};
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
        let running = connect::running(&context.root).await;
        let answer = Stopped {
            root: context.root.display().to_string(),
            running: running.is_some(),
            stopped: running.is_some() && !self.dry_run,
        };
        if let Some(client) = running.filter(|_| !self.dry_run) {
            shut_down(&client, &context.root).await?;
        }
        context.out.answer(&answer)
    }
}

/// Stops the daemon and waits until it is gone.
///
/// # Errors
/// When it refuses, or does not end in time.
pub(super) async fn shut_down(client: &Client, root: &Path) -> Result<(), Failure> {
    client.shutdown().await?;
    let deadline = Instant::now() + LIMIT;
    while root.join("daemon.json").exists() || is_locked(root) {
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
