//! `lc-worker run`: what a submitted script or the local executor calls.

use super::{complain, dispatch, fake, output, pack, panics, values, watch_signals};
use crate::{
    Error, Result,
    report::{
        Report,
        attempt::{Attempt, Claim},
        process,
        reporter::Reporter,
        sender::Delivery,
    },
};
use protocol::{attempt::Outcome, output::StageOutput};
use std::{num::NonZeroU32, path::PathBuf, time::Duration};

/// How long a lock must be held for its holder to count as a worker: the daemon takes it for a moment when it looks
/// whether one lives.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Do the stage that an attempt file describes, and report to the daemon.
///
/// The attempt is claimed first; if the daemon refuses, nothing is touched. Without a daemon the work goes
/// on: events and result lie in the attempt's folder, where the daemon finds them later. An attempt that was
/// queued ahead of its parents' end then looks in their folders whether they succeeded, and ends with exit code 75
/// and nothing done where they did not.
///
/// Where the cluster starts interrupted attempts again by itself, an interruption leaves no result, only its exit code
/// in exit.json. The worker that goes on (SLURM_RESTART_COUNT above 0) waits after its claim until the earlier one has
/// let go of the folder.
///
/// With --pack, several attempts of an array share this job and its GPU, each in a process of its own that computes
/// what it would compute alone. The exit code is 0 if one succeeded.
#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:\n  lc-worker run --attempt lc-root/logs/train/5f0c.../attempt.json\n  \
                        lc-worker run --attempt lc-root/logs/train/5f0c.../attempt.json --fake-work 20\n  \
                        lc-worker run --attempt lc-root/logs/train/91ab.../2/attempt.json --pack 4\n\n\
                        Environment: LC_CLAIM_WAIT and LC_RESULT_WAIT are the seconds that a daemon which does not \
                        answer is waited for, at the start (default 30) and at the end (default 10); LC_LOCK_WAIT \
                        those that a worker which was started again waits for the earlier one (default 120); \
                        LC_PARENTS_WAIT those that results of the attempts before are looked for without a daemon \
                        (default 15)."
)]
pub(super) struct Args {
    /// The attempt.json that the daemon wrote.
    #[arg(long, value_name = "FILE")]
    attempt: PathBuf,

    /// Run so many attempts side by side: with --attempt ARRAY/K/attempt.json those numbered N*K to N*K+N-1 in ARRAY
    #[arg(long, value_name = "N", value_parser = values::pack)]
    pack: Option<NonZeroU32>,

    /// Only sleep so long instead of doing the stage, to try out a cluster. Everything else is real: the claim,
    /// events, signals, and a result with invented numbers. Each start and end is a line of LC_ROOT/fake-work.jsonl.
    #[arg(long, value_name = "SECONDS", value_parser = values::not_negative)]
    fake_work: Option<f64>,

    /// Let the fake work of a kind of stage end like this: STAGE=exit:CODE, STAGE=kill (by SIGKILL) or
    /// STAGE=fail:MESSAGE.
    #[arg(long, value_name = "STAGE=END", requires = "fake_work")]
    fake_fail: Option<fake::Fail>,

    /// The process that runs several attempts, of which this is one.
    #[arg(long, hide = true, conflicts_with = "pack")]
    member_of: Option<i32>,

    /// Seconds to wait for the daemon's answer to the claim.
    #[arg(long, env = "LC_CLAIM_WAIT", default_value_t = 30, hide = true)]
    claim_wait: u64,

    /// Seconds to wait for the daemon to take the result.
    #[arg(long, env = "LC_RESULT_WAIT", default_value_t = 10, hide = true)]
    result_wait: u64,

    /// Seconds to look for results of parents that are not there: on a shared file system they may appear late.
    #[arg(long, env = "LC_PARENTS_WAIT", default_value_t = 15, hide = true)]
    parents_wait: u64,

    /// Seconds to wait for an earlier worker of the attempt to end.
    #[arg(long, env = "LC_LOCK_WAIT", default_value_t = 120, hide = true)]
    lock_wait: u64,
}

impl Args {
    pub(super) fn run(self, json: bool) -> Result<()> {
        self.attend(json).map_err(|error| match error {
            // Also of a full disk: a daemon takes exit code 2 for input that no other attempt would do with.
            Error::Io { .. } => Error::Failed(error.to_string()),
            other => other,
        })
    }

    fn attend(self, json: bool) -> Result<()> {
        let report = Report::listening();
        watch_signals(&report)?;
        if let Some(pack) = self.pack {
            return pack::run(pack, &self.attempt, &report);
        }
        // Of several in a job, the one that the job is named by may have been taken out.
        if !self.attempt.is_file() {
            return Err(Error::input(format!("--attempt {}: no such file", self.attempt.display())));
        }
        if let Some(parent) = self.member_of {
            pack::die_with(parent)?;
        }
        let Some((attempt, claim)) = self.open(&report)? else {
            // A script that runs twice: the result is there.
            return Ok(());
        };
        let accepted_through = match claim {
            Claim::Granted { accepted_through } => accepted_through,
            Claim::Unanswered => {
                attempt.require_parents(&report, Duration::from_secs(self.parents_wait))?;
                report.warn("daemon not reachable, going on alone");
                0
            }
        };
        let reporter = Reporter::of_attempt(report.clone(), &attempt, accepted_through)?;
        let worked = if report.stop_requested() {
            Err(Error::Interrupted("stopped before the work began".to_owned()))
        } else {
            // An attempt is always gone on from: its daemon starts the stage again.
            panics::caught(|| self.work(&attempt, &report)).map_err(|error| match error {
                Error::Stopped { message, .. } => Error::Interrupted(message),
                other => other,
            })
        };
        let outcome = match &worked {
            Ok(output) => Some(Outcome::Succeeded { output: output.clone() }),
            // The cluster starts it again, unless the daemon gave it up.
            Err(Error::Interrupted(_)) if attempt.file().requeued && !report.is_given_up() => None,
            Err(error @ Error::Interrupted(_)) => Some(Outcome::Interrupted { message: one_line(error) }),
            Err(error) => {
                let permanent = matches!(error, Error::Input(_));
                Some(Outcome::Failed { message: one_line(error), permanent })
            }
        };
        let wait = Duration::from_secs(self.result_wait);
        let delivery = match outcome {
            Some(outcome) => reporter.finish(&attempt, outcome, wait),
            None => reporter.pause(&attempt, wait),
        };
        let delivery = delivery.map_err(|error| match &worked {
            // What there is to go on from is there all the same.
            Err(Error::Interrupted(message)) => Error::Interrupted(format!("{message} ({error})")),
            _ => error,
        })?;
        if let Delivery::Refused(why) = delivery {
            if let Err(error) = worked {
                complain(&error.to_string());
            }
            return Err(Error::failed(format!("fenced, the result was not recorded: {why}")));
        }
        output::print(&worked?, json)
    }

    /// The attempt, held and claimed; none if it has a result already.
    fn open(&self, report: &Report) -> Result<Option<(Attempt, Claim)>> {
        let patience = Duration::from_secs(self.claim_wait);
        if process::restarts() > 0 {
            return Attempt::reopen(&self.attempt, report, patience, Duration::from_secs(self.lock_wait));
        }
        let Some(attempt) = Attempt::open(&self.attempt, LOCK_PATIENCE)? else { return Ok(None) };
        let claim = attempt.claim(report, patience)?;
        Ok(Some((attempt, claim)))
    }

    fn work(&self, attempt: &Attempt, report: &Report) -> Result<StageOutput> {
        match self.fake_work {
            Some(seconds) => fake::stage(attempt.file(), seconds, self.fake_fail.as_ref(), report),
            None => dispatch::stage(attempt.spec(), report),
        }
    }
}

fn one_line(error: &Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
