//! Handing arrays over and taking them back, and the pauses after what could not be handed over.

use super::{
    Slurm,
    call::{Answer, CallError},
    parse::{self, sbatch::Refusal},
    said,
};
use crate::{
    domain::resources::Door,
    executor::{Executor as _, Order, SCRIPT_FILE, SubmitError},
    files,
};
use chrono::{DateTime, TimeDelta, Utc};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    time::{Duration, Instant},
};

/// Longest pause after a limit was reached.
const LONGEST_PAUSE: Duration = Duration::from_secs(900);
/// Arguments of one `scancel`.
const MOST_ARGUMENTS: usize = 200;

/// Nothing is handed over for a while.
pub(super) struct Pause {
    until: Instant,
    pub(super) due: DateTime<Utc>,
    length: Duration,
    pub(super) reason: String,
}

impl Pause {
    /// A pause after another one, longer each time.
    fn after(before: Option<&Self>, first: Duration, reason: String) -> Self {
        let length = before.map_or(first, |before| (before.length * 2).min(LONGEST_PAUSE));
        let due = Utc::now() + TimeDelta::from_std(length).unwrap_or_default();
        Self { until: Instant::now() + length, due, length, reason }
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.until <= Instant::now()
    }
}

impl Slurm {
    /// Cancels jobs; answers whether none of them is left: what is not there is no failure.
    pub(super) async fn scancel(&self, options: &[&str], targets: Vec<String>) -> bool {
        let mut done = true;
        for some in targets.chunks(MOST_ARGUMENTS) {
            let arguments: Vec<OsString> =
                options.iter().map(OsString::from).chain(some.iter().map(OsString::from)).collect();
            match self.caller.run("scancel", &arguments).await {
                Ok(answer) if answer.code == Some(0) => {}
                Ok(answer) if only_unknown(&answer) => {}
                Ok(answer) => {
                    done = false;
                    tracing::warn!(why = said(&answer), "scancel failed; trying again");
                }
                Err(error) => {
                    done = false;
                    tracing::warn!(%error, "scancel failed; trying again");
                }
            }
        }
        done
    }

    /// Hands an array over.
    pub(super) async fn sbatch(&self, order: &Order) -> Result<u64, SubmitError> {
        let wrong = |message: String| SubmitError::Refused { message, permanent: true };
        let text = self.script(order).map_err(wrong)?;
        let path = order.folder.join(SCRIPT_FILE);
        files::write_atomically(&path, text.as_bytes(), 0o644).map_err(|error| SubmitError::Later {
            message: format!("{}: {error}", path.display()),
            after: Duration::from_secs(self.profile.pause_seconds),
        })?;
        let arguments = ["--parsable".into(), path.into_os_string()];
        let answer = match self.caller.run("sbatch", &arguments).await {
            Ok(answer) => answer,
            Err(error @ CallError::TimedOut(..)) => return Err(self.unclear(error.to_string()).await),
            Err(error) => {
                let after = self.pause(error.to_string()).await;
                return Err(SubmitError::Later { message: error.to_string(), after });
            }
        };
        if answer.code == Some(0) {
            let Some(job) = parse::sbatch::job_id(&answer.stdout) else {
                let told = answer.stdout.trim();
                return Err(self.unclear(format!("sbatch told no job id: {told:?}")).await);
            };
            let mut memory = self.memory.lock().await;
            memory.pause = None;
            memory.limits.remove(&order.request.door());
            return Ok(job);
        }
        let tasks: BTreeSet<_> =
            order.jobs.iter().map(|job| job.queued.map(|queued| queued.array_task())).collect();
        Err(match parse::sbatch::refusal(answer.code, &answer.stderr) {
            Refusal::Array(why) if tasks.len() > 1 => {
                SubmitError::TooLarge { message: format!("held back: {why}") }
            }
            Refusal::Wrong(why) | Refusal::Array(why) => wrong(format!(
                "Slurm refused it: {why}; change the rules of study or profile, then lcctl retry"
            )),
            Refusal::Limit(why) => {
                let after = self.limit(order.request.door(), why.clone()).await;
                SubmitError::TooMany { message: format!("held back: {why}"), after }
            }
            Refusal::Away(why) => {
                let after = self.pause(why.clone()).await;
                SubmitError::Later { message: format!("held back: {why}"), after }
            }
            Refusal::Unclear(why) => self.unclear(format!("sbatch: {why}")).await,
        })
    }

    /// A controller that does not say what it did is left alone for a while.
    async fn unclear(&self, message: String) -> SubmitError {
        self.pause(message.clone()).await;
        SubmitError::Unclear { message }
    }

    /// Nothing is handed over for a while.
    pub(super) async fn pause(&self, reason: String) -> Duration {
        let mut memory = self.memory.lock().await;
        let first = Duration::from_secs(self.profile.pause_seconds);
        let pause = Pause::after(memory.pause.as_ref(), first, reason);
        memory.pause.insert(pause).length
    }

    /// Nothing is handed over there for a while.
    async fn limit(&self, door: Door, reason: String) -> Duration {
        let mut memory = self.memory.lock().await;
        let first = Duration::from_secs(self.profile.pause_seconds);
        let pause = Pause::after(memory.limits.get(&door), first, reason);
        let length = pause.length;
        memory.limits.insert(door, pause);
        length
    }
}

/// Whether all that `scancel` says is that there are no such jobs.
fn only_unknown(answer: &Answer) -> bool {
    let mut lines = answer.stderr.lines().filter(|line| line.contains("error:")).peekable();
    lines.peek().is_some() && lines.all(|line| line.ends_with("Invalid job id specified"))
}
