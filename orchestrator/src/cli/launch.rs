//! Starting a daemon in the background.
//!
//! The child is this very program as `lcctl serve --detached`, in a session of its own, so that
//! neither Ctrl-C nor closing the terminal reaches it. Two clients may do this at once: the daemon's
//! lock decides, and the one whose child loses finds the winner's.

use super::{connect, context::Context, failure::Failure};
use crate::{client::Client, config::place::at_home, domain::layout::Layout};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a daemon may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long another daemon may take to answer after ours has ended because that one holds the lock.
const LOSER_LIMIT: Duration = Duration::from_secs(3);
/// How often a daemon that ended at once is started again.
const RETRIES: u32 = 1;
/// Before that.
const RETRY_PAUSE: Duration = Duration::from_millis(300);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Lines of the log shown when the start fails.
const TAIL: usize = 8;

/// Starts the daemon of the context's root and waits until it answers.
///
/// # Errors
/// When it can't be started, or ends or stays silent; the message holds the end of its log.
pub(super) async fn start(context: &Context) -> Result<Client, Failure> {
    let root = &context.root;
    std::fs::create_dir_all(root)
        .map_err(|error| Failure::Usage(format!("can't make the folder {}: {error}", root.display())))?;
    let log = Layout::new(root).daemon_log();
    let mut before = length(&log);
    let mut child = spawn(root, &log).map_err(|error| {
        Failure::Failed(format!("can't start the daemon for {}: {error}", root.display()))
    })?;

    let mut deadline = Instant::now() + START_LIMIT;
    let mut ended = None;
    let mut again = RETRIES;
    loop {
        if let Some(client) = connect::running(root).await {
            let pid = child.id();
            context.out.note(&if ended.is_none() {
                format!("started the daemon for {} (pid {pid}), log {}", root.display(), log.display())
            } else {
                format!("another lcctl has just started the daemon for {}", root.display())
            });
            return Ok(client);
        }
        if ended.is_none()
            && let Ok(Some(status)) = child.try_wait()
        {
            if again > 0 {
                // Perhaps the daemon before was just on its way out and still held the lock.
                again -= 1;
                tokio::time::sleep(RETRY_PAUSE).await;
                let second = length(&log);
                if let Ok(another) = spawn(root, &log) {
                    child = another;
                    // What the first one said is said again by the second, or is over.
                    before = second;
                    continue;
                }
            }
            ended = Some(status);
            deadline = deadline.min(Instant::now() + LOSER_LIMIT);
        }
        if Instant::now() >= deadline {
            let what = match ended {
                Some(status) => format!("the daemon for {} ended with {status}", root.display()),
                None => format!("the daemon for {} does not answer", root.display()),
            };
            let line = format!("{what}; its log {} ends: {}", log.display(), tail(&log, before));
            // The daemon's own exit code says whether a person has to change something first.
            let usage = ended.and_then(|status| status.code()) == Some(protocol::exit::USAGE);
            return Err(if usage { Failure::Usage(line) } else { Failure::Failed(line) });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn spawn(root: &Path, log: &Path) -> std::io::Result<Child> {
    let open =
        || -> std::io::Result<File> { OpenOptions::new().create(true).append(true).mode(0o600).open(log) };
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(worker) = std::env::var_os("LC_WORKER").filter(|worker| !worker.is_empty()) {
        // Meant relative to where the person is, which the daemon leaves.
        command.env("LC_WORKER", std::path::absolute(at_home(Path::new(&worker)))?);
    }
    let profile = std::env::var_os("LC_PROFILE").map(|profile| at_home(Path::new(&profile)));
    if let Some(profile) = profile.filter(|profile| profile.exists()) {
        command.env("LC_PROFILE", std::path::absolute(profile)?);
    }
    command
        .arg("serve")
        .arg("--detached")
        .arg("--root")
        .arg(root)
        .args(["--color", "never"])
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(open()?)
        .stderr(open()?)
        .spawn()
}

fn length(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |data| data.len())
}

/// The last lines that were written since the start.
fn tail(log: &Path, before: u64) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let from = usize::try_from(before).map_or(0, |before| before.min(bytes.len()));
    let text = String::from_utf8_lossy(&bytes[from..]).into_owned();
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines.len() {
        0 => "(empty)".to_owned(),
        n => lines[n.saturating_sub(TAIL)..].join(" | "),
    }
}
