//! `lcctl serve`: the daemon itself, in the foreground.

use super::{
    cluster::{self, ClusterFlags},
    context::Context,
    failure::Failure,
    output::Output,
};
use crate::{
    client::Client,
    config::user::address,
    daemon::{self, DEFAULT_PORT, RootOptions, ServeError, ServeOptions},
    domain::layout::Layout,
};
use clap::{Args, ValueHint};
use protocol::{attempt::DaemonFile, exit, words::whole};
use std::{
    io::IsTerminal as _,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};
use tracing_subscriber::EnvFilter;

const AFTER_HELP: &str = "\
Examples:
  lcctl serve
  lcctl serve --root /scratch/me/lc --listen 127.0.0.1:9000 --slots 2
  lcctl serve --root /shared/me/lc --profile my-cluster.toml

Logs go to standard error; LC_LOG filters them (for example LC_LOG=debug).
Stop it with Ctrl-C or 'lcctl stop'; workers go on, and the next daemon takes their results.

Exit codes: 0 stopped, 1 failed, 2 wrong use (an address in use, a database from a newer version)";

/// Run the daemon in the foreground (other commands start one by themselves)
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Serve {
    /// Address to listen on [default: 127.0.0.1:8642, with a cluster 0.0.0.0:8642, or a free port if that is in use]
    #[arg(long, value_name = "ADDR:PORT", env = "LC_LISTEN", hide_env_values = true, value_parser = address)]
    listen: Option<SocketAddr>,
    /// Workers at once; 0 starts none [default: one per GPU, or one]
    #[arg(long, value_name = "N", env = "LC_SLOTS", hide_env_values = true, value_parser = at_least_zero)]
    slots: Option<u32>,
    /// The worker program [default: the profile's, or lc-worker beside lcctl or on PATH]
    #[arg(long, value_name = "FILE", env = "LC_WORKER", hide_env_values = true, value_hint = ValueHint::ExecutablePath)]
    worker: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterFlags,
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
        log("info");
        let given = self.listen.or(context.user.listen);
        // What gave the address is what has to be changed.
        let by = match (self.listen, context.user.listen) {
            (Some(listen), _) => cluster::given(&listen.to_string(), "LC_LISTEN", "--listen"),
            (None, Some(_)) => cluster::configured("listen"),
            (None, None) => "--listen".to_owned(),
        };
        let cluster = self.cluster.profile(context)?;
        // Workers on a cluster's nodes have to reach the daemon.
        let host = if cluster.is_some() { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let mut options = ServeOptions {
            root: RootOptions {
                path: context.root.clone(),
                slots: self.slots.or(context.user.slots),
                worker: self.worker.or_else(|| context.user.worker.clone()),
                cluster,
            },
            listen: given.unwrap_or(SocketAddr::from((host, DEFAULT_PORT))),
        };
        let (out, root, detached) = (context.out, context.root.clone(), self.detached);
        let ready = || {
            let root = root.clone();
            move |file: &DaemonFile| {
                // Links live for minutes: in a log that is read later they are of no use.
                if !detached {
                    tokio::spawn(welcome(file.url.clone(), root, out));
                }
            }
        };
        let mut served = daemon::serve(options.clone(), ready()).await;
        if given.is_none() && matches!(served, Err(ServeError::PortInUse { .. })) {
            out.note(&format!("{} is in use; taking a free port (choose one with --listen)", options.listen));
            options.listen.set_port(0);
            served = daemon::serve(options, ready()).await;
        }
        served.map_err(|error| match (&error, error.exit_code()) {
            (ServeError::PortInUse { .. } | ServeError::Listen { .. }, _) => {
                Failure::Usage(format!("{by}: {error}"))
            }
            (_, exit::USAGE) => Failure::Usage(error.to_string()),
            _ => Failure::Failed(error.to_string()),
        })
    }
}

/// A whole number from 0 up.
pub(super) fn at_least_zero(text: &str) -> Result<u32, String> {
    whole(text, 0)
}

/// Prints where the dashboard is.
async fn welcome(url: String, root: PathBuf, out: Output) {
    out.note(&format!("serving {} at {url}", root.display()));
    let Ok(token) = std::fs::read_to_string(Layout::new(root).token()) else { return };
    if let Ok(link) = Client::new(&url, token.trim()).login_link().await {
        out.note(&format!("dashboard (opens once, within five minutes): {}", link.url));
    }
}

pub(super) fn log(default: &str) {
    let filter = EnvFilter::try_from_env("LC_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let colour =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // A second subscriber only exists where a test installed one.
    let _installed = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .try_init();
}
