//! `lc-worker run`: what a submitted script or the local executor calls.

use super::{complain, dispatch, output, panics, values, watch_signals};
use crate::{
    Error, Result,
    report::{
        Report,
        attempt::{Attempt, Claim},
        reporter::Reporter,
        sender::Delivery,
    },
};
use protocol::attempt::Outcome;
use std::{path::PathBuf, time::Duration};

/// Do the stage that an attempt file describes, and report to the daemon.
///
/// The attempt is claimed first; if the daemon refuses, nothing is touched. Without a daemon the work goes
/// on: events and result lie in the attempt's folder, where the daemon finds them later.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  lc-worker run --attempt lc-root/logs/train/5f0c.../attempt.json\n\
                        Environment: LC_CLAIM_WAIT and LC_RESULT_WAIT are the seconds that a daemon which does not \
                        answer is waited for, at the start (default 30) and at the end (default 10).")]
pub(super) struct Args {
    /// The attempt.json that the daemon wrote.
    #[arg(long, value_name = "FILE", value_parser = values::file)]
    attempt: PathBuf,

    /// Seconds to wait for the daemon's answer to the claim.
    #[arg(long, env = "LC_CLAIM_WAIT", default_value_t = 30, hide = true)]
    claim_wait: u64,

    /// Seconds to wait for the daemon to take the result.
    #[arg(long, env = "LC_RESULT_WAIT", default_value_t = 10, hide = true)]
    result_wait: u64,
}

impl Args {
    pub(super) fn run(self, json: bool) -> Result<()> {
        let report = Report::listening();
        watch_signals(&report)?;
        let Some(attempt) = Attempt::open(&self.attempt)? else {
            // A script that runs twice: the result is there.
            return Ok(());
        };
        let claim = attempt.claim(&report, Duration::from_secs(self.claim_wait))?;
        let accepted_through = match claim {
            Claim::Granted { accepted_through } => accepted_through,
            Claim::Unanswered => {
                report.warn("daemon not reachable, going on alone");
                0
            }
        };
        let reporter = Reporter::of_attempt(report.clone(), &attempt, accepted_through)?;
        let worked = if report.stop_requested() {
            Err(Error::Interrupted("stopped before the work began".to_owned()))
        } else {
            // An attempt is always gone on from: its daemon starts the stage again.
            panics::caught(|| dispatch::stage(attempt.spec(), &report)).map_err(|error| match error {
                Error::Stopped { message, .. } => Error::Interrupted(message),
                other => other,
            })
        };
        let outcome = match &worked {
            Ok(output) => Outcome::Succeeded { output: output.clone() },
            Err(error @ Error::Interrupted(_)) => Outcome::Interrupted { message: one_line(error) },
            Err(error) => {
                Outcome::Failed { message: one_line(error), permanent: matches!(error, Error::Input(_)) }
            }
        };
        let delivery = reporter.finish(&attempt, outcome, Duration::from_secs(self.result_wait))?;
        if let Delivery::Refused(why) = delivery {
            if let Err(error) = worked {
                complain(&error.to_string());
            }
            return Err(Error::failed(format!("fenced, the result was not recorded: {why}")));
        }
        output::print(&worked?, json)
    }
}

fn one_line(error: &Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
