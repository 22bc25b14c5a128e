//! `lcctl tick`: one look at the queue and everything that follows from it, without a daemon.

use super::{
    cluster::ClusterFlags,
    context::Context,
    failure::Failure,
    output::{Screen, View},
    serve::at_least_zero,
};
use crate::daemon::{self, RootOptions, ServeError};
use clap::{Args, ValueHint};
use serde::Serialize;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  lcctl tick --profile my-cluster.toml
  */5 * * * * lcctl tick --quiet          # a line of scrontab, where no daemon may run

Workers need no daemon: their events and results lie in files, which the next tick reads.

Exit codes: 0 done, or a daemon serves the root already; 1 failed; 2 wrong use";

/// Look at the queue once, act, and exit: for scrontab, where no daemon may run
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Tick {
    #[command(flatten)]
    cluster: ClusterFlags,
    /// Workers at once; 0 starts none [default: one per GPU, or one]
    #[arg(long, value_name = "N", env = "LC_SLOTS", hide_env_values = true, value_parser = at_least_zero)]
    slots: Option<u32>,
    /// The worker program [default: the profile's, or lc-worker beside lcctl or on PATH]
    #[arg(long, value_name = "FILE", env = "LC_WORKER", hide_env_values = true, value_hint = ValueHint::ExecutablePath)]
    worker: Option<PathBuf>,
}

#[derive(Serialize)]
struct Ticked {
    /// Whether a daemon serves the root, so that nothing was to be done.
    served: bool,
    /// Stages that are not final.
    open: u64,
}

impl Tick {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        super::serve::log("warn");
        let options = RootOptions {
            path: context.root.clone(),
            slots: self.slots.or(context.user.slots),
            worker: self.worker.or_else(|| context.user.worker.clone()),
            cluster: self.cluster.profile(context)?,
        };
        match daemon::tick(options).await {
            Ok(open) => context.out.answer(&Ticked { served: false, open }),
            Err(ServeError::AlreadyServed { .. }) => {
                context.out.note("a daemon serves this root and does this by itself");
                context.out.answer(&Ticked { served: true, open: 0 })
            }
            Err(error) if error.exit_code() == protocol::exit::USAGE => {
                Err(Failure::Usage(error.to_string()))
            }
            Err(error) => Err(Failure::Failed(error.to_string())),
        }
    }
}

impl View for Ticked {
    fn table(&self, _screen: Screen) -> String {
        match self.open {
            _ if self.served => "nothing to do".to_owned(),
            0 => "all stages are over".to_owned(),
            1 => "1 stage is not over".to_owned(),
            n => format!("{n} stages are not over"),
        }
    }
}
