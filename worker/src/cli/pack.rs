//! Several attempts of an array in one job, a process each: runs that are too small to fill a GPU alone share it.
//!
//! The queue knows of one job. How each process ended that left no result is noted beside its attempt, for the daemon.

use super::{complain, memory::Kills};
use crate::{
    Error, Result, files,
    report::{Report, process},
};
use nix::{
    sys::{
        prctl,
        signal::{Signal, kill},
    },
    unistd::{Pid, getppid},
};
use protocol::{
    attempt::{ATTEMPT_FILE, EXIT_FILE, LOG_FILE, NotedExit, RESULT_FILE},
    exit,
};
use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    num::NonZeroU32,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// How often processes are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// The environment variable that says how many threads one process computes with.
const THREADS: &str = "RAYON_NUM_THREADS";

/// One attempt of the job.
struct Member {
    folder: PathBuf,
    state: State,
}

/// How far it is.
enum State {
    /// It was taken out of the job while that waited.
    TakenOut,
    Running(Child),
    /// With this exit code; none where a signal ended it, or nobody knows.
    Ended(Option<i32>),
}

/// Runs the attempts `pack * k` to `pack * k + pack - 1` of an array, where `attempt` is `ARRAY/k/attempt.json`: those
/// that are there. Asks them to stop when it is asked, and returns when all have ended. What is wrong with one attempt
/// is complained about and disturbs no other: all of them die with this process.
///
/// # Errors
/// [`Error::Interrupted`] when some were interrupted and none succeeded, and another error when all failed: what is
/// queued behind this job is released if one succeeded, and looks for itself which did.
pub(super) fn run(pack: NonZeroU32, attempt: &Path, report: &Report) -> Result<()> {
    let mut members: Vec<_> =
        folders(pack, attempt)?.into_iter().map(|folder| Member::start(folder, pack)).collect();
    let (mut asked, mut kills) = (false, Kills::of_this_job());
    while members.iter().any(Member::is_running) {
        let stop = report.stop_requested();
        for member in &mut members {
            if stop && !asked {
                member.ask_to_stop();
            }
            member.look(&mut kills);
        }
        asked = stop;
        thread::sleep(LOOK);
    }
    let codes: Vec<_> = members.iter().filter_map(Member::code).collect();
    let all = codes.len();
    if codes.is_empty() || codes.contains(&Some(exit::SUCCESS)) {
        Ok(())
    } else if codes.contains(&Some(exit::RESUMABLE)) {
        Err(Error::Interrupted(format!(
            "none of the {all} attempts of this job succeeded, some were interrupted"
        )))
    } else {
        Err(Error::failed(format!(
            "all {all} attempts of this job failed; {LOG_FILE} in their folders tells why"
        )))
    }
}

/// Lets this process, one of several in a job, die with the one that started it.
///
/// # Errors
/// When that one is dead already, or the system refuses.
pub(super) fn die_with(parent: i32) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|errno| Error::io("prctl")(errno.into()))?;
    if getppid() == Pid::from_raw(parent) {
        Ok(())
    } else {
        Err(Error::Interrupted("the process that started this one is gone".to_owned()))
    }
}

/// The folders of the attempts that are there.
fn folders(pack: NonZeroU32, attempt: &Path) -> Result<Vec<PathBuf>> {
    let wrong = || {
        let path = attempt.display();
        Error::input(format!("--attempt {path}: with --pack it must be ARRAY/INDEX/{ATTEMPT_FILE}"))
    };
    let folder =
        attempt.parent().filter(|_| attempt.file_name() == Some(ATTEMPT_FILE.as_ref())).ok_or_else(wrong)?;
    let index = folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()).ok_or_else(wrong)?;
    let array = folder.parent().ok_or_else(wrong)?;
    let first = index.checked_mul(pack.get()).ok_or_else(wrong)?;
    let tasks = first..first.saturating_add(pack.get());
    let found: Vec<_> =
        tasks.clone().map(|task| array.join(task.to_string())).filter(|path| path.is_dir()).collect();
    if found.is_empty() {
        let path = array.display();
        return Err(Error::input(format!(
            "{path}: has none of the attempts {} to {}",
            tasks.start,
            tasks.end - 1
        )));
    }
    Ok(found)
}

impl Member {
    fn start(folder: PathBuf, pack: NonZeroU32) -> Self {
        let state = match spawn(&folder, pack) {
            Ok(Some(process)) => State::Running(process),
            Ok(None) => {
                note(&folder, &process::noted_exit(None, None));
                State::TakenOut
            }
            Err(error) => {
                complain(&error.to_string());
                note(&folder, &process::noted_exit(Some(exit::FAILURE), None));
                State::Ended(Some(exit::FAILURE))
            }
        };
        Self { folder, state }
    }

    const fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// The exit code of one that has ended.
    const fn code(&self) -> Option<Option<i32>> {
        match self.state {
            State::Ended(code) => Some(code),
            State::TakenOut | State::Running(_) => None,
        }
    }

    /// By SIGTERM, whatever signal asked this process: it may have reached the member as well, where a queue sends it
    /// to all processes of a job, and a second SIGINT would end it without a checkpoint.
    fn ask_to_stop(&self) {
        if let State::Running(process) = &self.state {
            // It is a child that was not waited for: its number is its own.
            let _ = kill(Pid::from_raw(process.id() as i32), Signal::SIGTERM);
        }
    }

    /// Takes notice of its end.
    fn look(&mut self, kills: &mut Kills) {
        let State::Running(process) = &mut self.state else { return };
        let (code, signal) = match process.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => (status.code(), status.signal()),
            Err(error) => {
                complain(&format!("{}: how its process ended is not known: {error}", self.folder.display()));
                (None, None)
            }
        };
        self.state = State::Ended(code);
        let out_of_memory = signal == Some(Signal::SIGKILL as i32) && kills.take();
        if !self.folder.join(RESULT_FILE).exists() {
            note(&self.folder, &NotedExit { out_of_memory, ..process::noted_exit(code, signal) });
        }
    }
}

/// Starts the worker of one attempt; none if it was taken out of the job while that waited.
fn spawn(folder: &Path, pack: NonZeroU32) -> Result<Option<Child>> {
    let earlier = folder.join(EXIT_FILE);
    match fs::remove_file(&earlier) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io(&earlier)(error)),
    }
    let file = folder.join(ATTEMPT_FILE);
    if !file.exists() {
        return Ok(None);
    }
    let path = folder.join(LOG_FILE);
    let log = File::options().create(true).append(true).open(&path).map_err(Error::io(&path))?;
    let program = env::current_exe().map_err(Error::io("/proc/self/exe"))?;
    let mut command = Command::new(&program);
    command
        .args(for_one(env::args_os().skip(1)))
        .arg("--attempt")
        .arg(&file)
        .arg("--member-of")
        .arg(std::process::id().to_string())
        // Ctrl-C at a terminal reaches this process alone, which asks the others once.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(Error::io(&path))?)
        .stderr(log);
    if env::var_os(THREADS).is_none() {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        command.env(THREADS, (cores / pack.get() as usize).max(1).to_string());
    }
    let failed = |error| Error::failed(format!("{}: could not be started: {error}", program.display()));
    command.spawn().map(Some).map_err(failed)
}

/// These arguments without what is said about the job as a whole.
fn for_one(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut left = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        if text == "--pack" || text == "--attempt" {
            arguments.next();
        } else if !text.starts_with("--pack=") && !text.starts_with("--attempt=") {
            left.push(argument);
        }
    }
    left
}

/// Notes for the daemon how the process of an attempt without a result ended. Without a note, its job's end counts.
fn note(folder: &Path, exit: &NotedExit) {
    if let Err(error) = files::write_json(&folder.join(EXIT_FILE), exit) {
        complain(&error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_that_of_the_attempts_that_are_there() {
        let array = tempfile::tempdir().unwrap();
        for task in [4, 5, 7, 8] {
            fs::create_dir(array.path().join(task.to_string())).unwrap();
        }
        let four = NonZeroU32::new(4).unwrap();
        let of = |index: &str| folders(four, &array.path().join(index).join(ATTEMPT_FILE));
        let names = |found: Vec<PathBuf>| {
            found
                .iter()
                .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(of("1").unwrap()), ["4", "5", "7"]);
        assert_eq!(names(of("2").unwrap()), ["8"]);
        for index in ["0", "x", "4294967295"] {
            assert!(of(index).is_err(), "{index}");
        }
    }

    #[test]
    fn a_member_gets_the_arguments_of_one_attempt() {
        let all = "run --pack 4 --fake-work 2 --attempt /a/0/attempt.json --json --pack=3";
        let left = for_one(all.split(' ').map(OsString::from));
        assert_eq!(left, ["run", "--fake-work", "2", "--json"]);
    }
}
