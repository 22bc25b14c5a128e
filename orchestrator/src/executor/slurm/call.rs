//! Calls of Slurm's commands: with a time limit, counted, and without anything of ours in their environment.

use std::{
    collections::VecDeque,
    ffi::OsString,
    process::Stdio,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::process::Command;

/// Calls per second that are sustained.
const PER_SECOND: f64 = 1.0;
/// Calls that may be made at once after a rest.
const BURST: f64 = 60.0;
/// How far back calls are counted.
const MEMORY: Duration = Duration::from_secs(3600);

/// What a command answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There is no such program.
    #[error("{0}: there is no such program on PATH; load Slurm's module or install its clients")]
    NotThere(String),
    /// It took too long.
    #[error("{0} did not answer within {1} s")]
    TimedOut(String, u64),
    /// It could not be run.
    #[error("{0} could not be run: {1}")]
    Broken(String, String),
}

/// Makes the calls and keeps count.
pub struct Caller {
    limit: Duration,
    account: Mutex<Account>,
}

struct Account {
    tokens: f64,
    at: Instant,
    total: u64,
    recent: VecDeque<Instant>,
}

impl Caller {
    /// `limit` is how long a command may take.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        let account = Account { tokens: BURST, at: Instant::now(), total: 0, recent: VecDeque::new() };
        Self { limit, account: Mutex::new(account) }
    }

    /// Calls so far, and in the last minute and hour.
    #[must_use]
    pub fn counts(&self) -> (u64, u64, u64) {
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let minute =
            account.recent.iter().rev().take_while(|at| at.elapsed() < Duration::from_secs(60)).count();
        let hour = account.recent.iter().rev().take_while(|at| at.elapsed() < MEMORY).count();
        (account.total, minute as u64, hour as u64)
    }

    /// Runs a command, after waiting for its turn in the budget.
    ///
    /// # Errors
    /// When it can't be run or takes too long; it is killed then.
    pub async fn run(&self, program: &str, arguments: &[OsString]) -> Result<Answer, CallError> {
        let turn = self.take();
        if !turn.is_zero() {
            tokio::time::sleep(turn).await;
        }
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Dates and states are read: no translations, and nobody's own formats.
        command.env("LC_ALL", "C").env("SLURM_TIME_FORMAT", "standard");
        command.kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let ours = text.starts_with("LC_") && text != "LC_ALL";
            // A daemon that is a job itself must not pass its own limits on.
            let outer = (text.starts_with("SLURM_") && text != "SLURM_CONF" && text != "SLURM_TIME_FORMAT")
                || text.starts_with("SBATCH_")
                || text.starts_with("SQUEUE_")
                || text.starts_with("SACCT_");
            if ours || outer {
                command.env_remove(&name);
            }
        }
        let began = Instant::now();
        let output = tokio::time::timeout(self.limit, command.output()).await;
        let answer = match output {
            Err(_) => return Err(CallError::TimedOut(program.to_owned(), self.limit.as_secs())),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(CallError::NotThere(program.to_owned()));
            }
            Ok(Err(error)) => return Err(CallError::Broken(program.to_owned(), error.to_string())),
            Ok(Ok(output)) => Answer {
                code: output.status.code(),
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            },
        };
        tracing::debug!(program, ?arguments, code = answer.code, took = ?began.elapsed(), "called");
        Ok(answer)
    }

    /// Takes one call from the budget; answers how long to wait before it.
    fn take(&self) -> Duration {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = now.duration_since(account.at).as_secs_f64() * PER_SECOND;
        account.tokens = (account.tokens + earned).min(BURST) - 1.0;
        account.at = now;
        account.total += 1;
        account.recent.push_back(now);
        while account.recent.front().is_some_and(|at| at.elapsed() > MEMORY) {
            account.recent.pop_front();
        }
        Duration::from_secs_f64((-account.tokens / PER_SECOND).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_one_call_a_second() {
        let caller = Caller::new(Duration::from_secs(1));
        let waits: Vec<_> = (0..62).map(|_| caller.take()).collect();
        assert!(waits[..60].iter().all(Duration::is_zero));
        assert!(waits[61] > Duration::from_millis(1500), "{:?}", waits[61]);
        assert_eq!(caller.counts(), (62, 62, 62));
    }

    #[tokio::test]
    async fn what_takes_too_long_or_is_not_there_is_told() {
        let caller = Caller::new(Duration::from_millis(200));
        let slow = caller.run("sleep", &["5".into()]).await.unwrap_err();
        assert!(matches!(slow, CallError::TimedOut(..)), "{slow}");
        let none = caller.run("no-such-program-anywhere", &[]).await.unwrap_err();
        assert!(none.to_string().contains("PATH"), "{none}");
        let answer = caller.run("sh", &["-c".into(), "echo a; echo b >&2; exit 3".into()]).await.unwrap();
        assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (Some(3), "a\n", "b\n"));
    }
}
