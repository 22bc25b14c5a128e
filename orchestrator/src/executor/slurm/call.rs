//! Calls of Slurm's commands: with limits of time and output, counted, and with neither anything of ours nor a user's habits
//! in their environment.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io,
    process::Stdio,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
};

/// Calls per second that are sustained.
const PER_SECOND: f64 = 1.0;
/// Calls that may be made at once after a rest.
const BURST: f64 = 60.0;
/// The most bytes that a command may print: some hundred thousand jobs.
const MOST_OUTPUT: usize = 64 << 20;
/// How long `sbatch` sleeps at least before it asks a controller again that takes no job now.
const FIRST_NAP: Duration = Duration::from_secs(1);
/// Whose variables are habits of a user's shell, or the limits of the job that a daemon is in.
const HABITS: [&str; 8] =
    ["SLURM_", "SBATCH_", "SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_", "SCONTROL_", "SACCTMGR_"];
/// Longer than any line that is looked for in what a command says.
const LINE: usize = 1000;
/// How far back calls are counted.
const MEMORY: Duration = Duration::from_secs(3600);

/// What a command answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Exit code; none if a signal ended it, and 1 of what would have asked a second time.
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
        command.kill_on_drop(true);
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_foreign(&name.to_string_lossy())) {
            command.env_remove(&name);
        }
        // Dates, states and lists of tasks are read: no translations, nobody's own formats, and nothing cut.
        command.env("LC_ALL", "C").env("SLURM_TIME_FORMAT", "standard").env("SLURM_BITSTR_LEN", "0");
        let began = Instant::now();
        let output = tokio::time::timeout(self.limit, output(command)).await;
        let answer = match output {
            Err(_) => return Err(CallError::TimedOut(program.to_owned(), self.limit.as_secs())),
            Ok(Err(Halt::Broken(error))) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CallError::NotThere(program.to_owned()));
            }
            Ok(Err(Halt::Broken(error))) => {
                return Err(CallError::Broken(program.to_owned(), error.to_string()));
            }
            // Before its first nap was over it did not ask again: there was one answer, and it is told.
            Ok(Err(Halt::Retries(stderr))) => {
                let code = (began.elapsed() < FIRST_NAP).then_some(1);
                Answer { code, stdout: String::new(), stderr }
            }
            Ok(Ok(answer)) => answer,
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

/// Why a command did not come to its end.
enum Halt {
    /// It could not be run, or printed too much.
    Broken(io::Error),
    /// It was about to try again; what it had said.
    Retries(String),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// Runs a command to its end, or until it prints too much or is about to try again: `sbatch` does so for two minutes,
/// while nothing else is looked after.
async fn output(mut command: Command) -> Result<Answer, Halt> {
    let mut child = command.spawn()?;
    let streams = (text(child.stdout.take(), |_| false), text(child.stderr.take(), retries));
    match tokio::try_join!(streams.0, streams.1) {
        Ok((stdout, stderr)) => Ok(Answer { code: child.wait().await?.code(), stdout, stderr }),
        Err(halt) => {
            child.kill().await?;
            Err(halt)
        }
    }
}

/// All of a stream, as long as it does not say what is waited for.
async fn text(
    stream: Option<impl AsyncRead + Unpin>,
    is_halt: impl Fn(&str) -> bool,
) -> Result<String, Halt> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        while stream.read_buf(&mut bytes).await? > 0 {
            if bytes.len() > MOST_OUTPUT {
                let why = format!("it printed more than {} MB", MOST_OUTPUT >> 20);
                return Err(Halt::Broken(io::Error::other(why)));
            }
            let end = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(LINE)..]);
            if is_halt(&end) {
                return Err(Halt::Retries(String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether `sbatch` says last that it tries again.
fn retries(stderr: &str) -> bool {
    let last = stderr.trim_end().lines().last().unwrap_or_default();
    last.starts_with("sbatch:") && last.ends_with("retrying")
}

/// Whether a variable of our environment is nothing to a command of Slurm.
fn is_foreign(name: &str) -> bool {
    let ours = name.starts_with("LC_") && name != "LC_ALL";
    ours || (name != "SLURM_CONF" && HABITS.iter().any(|habit| name.starts_with(habit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_of_a_users_shell_are_no_matter() {
        let foreign = [
            "SCANCEL_INTERACTIVE",
            "SINFO_ALL",
            "SCONTROL_ALL",
            "SQUEUE_FORMAT",
            "SLURM_CLUSTERS",
            "LC_ROOT",
        ];
        assert!(foreign.into_iter().all(is_foreign));
        assert!(!["SLURM_CONF", "LC_ALL", "PATH", "HOME"].into_iter().any(is_foreign));
    }

    #[tokio::test]
    async fn a_command_that_prints_without_end_is_stopped() {
        let caller = Caller::new(Duration::from_secs(600));
        for line in ["yes", "yes >&2"] {
            let error = caller.run("sh", &["-c".into(), line.into()]).await.unwrap_err();
            assert!(error.to_string().contains("printed more than 64 MB"), "{error}");
        }
    }

    #[tokio::test]
    async fn what_would_try_again_for_minutes_is_stopped_and_proves_nothing_if_it_may_have_asked_twice() {
        let caller = Caller::new(Duration::from_secs(600));
        let said = "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying";
        let line = format!("sleep 1; echo '{said}' >&2; exec sleep 600");
        let answer = caller.run("sh", &["-c".into(), line.into()]).await.unwrap();
        assert_eq!((answer.code, answer.stderr.trim_end()), (None, said));
        assert!(!retries("sbatch: error: retrying failed\n") && !retries("now retrying\n"));
    }

    #[tokio::test]
    async fn lists_of_tasks_are_asked_for_uncut() {
        let caller = Caller::new(Duration::from_secs(60));
        let answer = caller.run("sh", &["-c".into(), "echo $SLURM_BITSTR_LEN".into()]).await.unwrap();
        assert_eq!(answer.stdout, "0\n");
    }

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
