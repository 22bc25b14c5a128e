//! `lcctl serve`: the daemon itself, in the foreground.

use super::{context::Context, failure::Failure};
use crate::{
    client::Client,
    daemon::{self, ServeOptions},
};
use clap::{Args, ValueHint, value_parser};
use std::{
    io::IsTerminal as _,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};
use tracing_subscriber::EnvFilter;

/// Where the daemon listens unless it is told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8642);

const AFTER_HELP: &str = "\
Examples:
  lcctl serve
  lcctl serve --root /scratch/me/lc --listen 127.0.0.1:9000 --slots 2

Logs go to standard error; LC_LOG filters them (for example LC_LOG=debug).
Stop it with Ctrl-C or 'lcctl stop'; workers go on, and the next daemon takes their results.

Exit codes: 0 stopped, 1 failed, 2 wrong use (an address in use, a database from a newer version)";

/// Run the daemon in the foreground (other commands start one by themselves)
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Serve {
    /// Address to listen on [default: 127.0.0.1:8642, or a free port if that is in use]
    #[arg(long, value_name = "ADDR:PORT", env = "LC_LISTEN", hide_env_values = true)]
    listen: Option<SocketAddr>,
    /// Workers at once [default: one per GPU, or one]
    #[arg(long, value_name = "N", env = "LC_SLOTS", hide_env_values = true, value_parser = value_parser!(u32).range(1..))]
    slots: Option<u32>,
    /// The worker program [default: lc-worker beside lcctl]
    #[arg(long, value_name = "FILE", env = "LC_WORKER", hide_env_values = true, value_hint = ValueHint::ExecutablePath)]
    worker: Option<PathBuf>,
    /// Leave the terminal's session; how lcctl starts a daemon in the background
    #[arg(long, hide = true)]
    detached: bool,
}

impl Serve {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        if self.detached {
            // Fails only for a process that leads its group: then it has a session already.
            let _leader = nix::unistd::setsid();
        }
        log();
        let given = self.listen.or(context.user.listen);
        let worker = match self.worker.or_else(|| context.user.worker.clone()) {
            Some(worker) => Some(program(&worker)?),
            None => None,
        };
        let listen = match given {
            Some(listen) => listen,
            None => free_or_default(context).await,
        };
        let options = ServeOptions {
            root: context.root.clone(),
            listen,
            slots: self.slots.or(context.user.slots),
            worker,
        };
        let (out, root) = (context.out, context.root.clone());
        let detached = self.detached;
        daemon::serve(options, move |url: &str| {
            // Links live for minutes: in a log that is read later they are of no use.
            if !detached {
                tokio::spawn(welcome(url.to_owned(), root, out));
            }
        })
        .await
        .map_err(failure)
    }
}

/// The default address, or a free port beside it when that is taken.
async fn free_or_default(context: &Context) -> SocketAddr {
    match tokio::net::TcpListener::bind(LISTEN).await {
        Ok(_released) => LISTEN,
        Err(_taken) => {
            context.out.note(&format!("{LISTEN} is in use; taking a free port (choose one with --listen)"));
            SocketAddr::new(LISTEN.ip(), 0)
        }
    }
}

/// Prints where the dashboard is.
async fn welcome(url: String, root: PathBuf, out: super::output::Output) {
    let Ok(token) = std::fs::read_to_string(root.join("token")) else { return };
    let link = Client::new(&url, token.trim()).login_link().await;
    out.note(&format!("serving {} at {url}", root.display()));
    if let Ok(link) = link {
        out.note(&format!("dashboard (opens once, within five minutes): {}", link.url));
    }
}

fn program(path: &Path) -> Result<PathBuf, Failure> {
    match std::fs::canonicalize(path) {
        Ok(path) if path.is_file() => Ok(path),
        Ok(_) => Err(Failure::Usage(format!("--worker {}: is a folder, not a program", path.display()))),
        Err(error) => Err(Failure::Usage(format!("--worker {}: {error}", path.display()))),
    }
}

fn log() {
    let filter = EnvFilter::try_from_env("LC_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colour =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // A second subscriber only exists where a test installed one.
    let _installed = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .try_init();
}

fn failure(error: anyhow::Error) -> Failure {
    Failure::Failed(format!("{error:#}"))
}
