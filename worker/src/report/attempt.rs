//! An attempt's folder, from the worker's side: what to do, the lock, the claim, the result.

use super::{
    Report,
    client::{CallError, Client},
    parents, process,
    reporter::Uplink,
    sender::Sender,
    spool::Spool,
};
use crate::{Error, Result, files};
use chrono::Utc;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use protocol::{
    API_VERSION,
    attempt::{
        AttemptFile, ClaimRequest, EVENTS_FILE, EXIT_FILE, LOCK_FILE, Outcome, RESULT_FILE, ResultReport,
    },
    exit,
    ids::ClaimId,
    spec::StageSpec,
    stage::StageKind,
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// First pause between two tries to claim; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// What an attempt file says, before anything is held.
struct Assignment {
    folder: PathBuf,
    file: AttemptFile,
    claim: ClaimId,
    client: Client,
}

/// An attempt that this process holds the lock of.
pub struct Attempt {
    assignment: Assignment,
    /// Released by the system when the process ends, however it ends.
    _lock: Flock<File>,
}

/// The daemon's answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The attempt is this worker's.
    Granted {
        /// The daemon holds the attempt's events up to this number.
        accepted_through: u64,
    },
    /// No daemon answered.
    Unanswered,
}

impl Assignment {
    fn read(path: &Path) -> Result<Self> {
        let file = read(path)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .map_or_else(|| PathBuf::from("."), Path::to_owned);
        let client = Client::new(file.daemon.clone(), file.token.clone());
        Ok(Self { folder, file, claim: ClaimId(uuid::Uuid::new_v4()), client })
    }

    fn has_result(&self) -> bool {
        self.folder.join(RESULT_FILE).exists()
    }

    fn claim(&self, report: &Report, patience: Duration) -> Result<Claim> {
        let request = ClaimRequest {
            api_version: API_VERSION,
            attempt: self.file.attempt,
            claim: self.claim,
            process: process::this_process(),
        };
        let until = Instant::now() + patience;
        let (mut pause, mut warned) = (FIRST_PAUSE, false);
        loop {
            match self.client.claim(&request) {
                Ok(response) => return Ok(Claim::Granted { accepted_through: response.accepted_through }),
                Err(CallError::Refused(why)) => {
                    return Err(Error::failed(format!("the daemon refused this attempt: {why}")));
                }
                Err(CallError::Stranger(why)) if !warned => {
                    warned = true;
                    tracing::warn!("who answers is not the daemon of this attempt: {why}");
                }
                Err(CallError::Stranger(why) | CallError::Unreachable(why)) => {
                    tracing::debug!("no claim yet: {why}");
                }
            }
            if Instant::now() + pause > until {
                return Ok(Claim::Unanswered);
            }
            let next = Instant::now() + pause;
            while Instant::now() < next {
                if report.stop_requested() {
                    return Ok(Claim::Unanswered);
                }
                thread::sleep(FIRST_PAUSE.min(next.saturating_duration_since(Instant::now())));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Takes the lock, for as long as this process lives. `stop` ends the wait for it.
    fn lock(&self, patience: Duration, stop: impl Fn() -> bool) -> Result<Flock<File>> {
        let path = &self.folder.join(LOCK_FILE);
        let mut file =
            File::options().create(true).truncate(false).write(true).open(path).map_err(Error::io(path))?;
        let until = Instant::now() + patience;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((_, Errno::EWOULDBLOCK)) if stop() => {
                    let path = path.display();
                    return Err(Error::Interrupted(format!(
                        "stopped before the work began ({path} is locked)"
                    )));
                }
                Err((back, Errno::EWOULDBLOCK)) if Instant::now() < until => file = back,
                Err((_, Errno::EWOULDBLOCK)) => {
                    let path = path.display();
                    return Err(Error::failed(format!(
                        "another worker holds this attempt ({path} is locked)"
                    )));
                }
                Err((_, errno)) => return Err(Error::io(path)(errno.into())),
            }
            thread::sleep(FIRST_PAUSE);
        }
    }

    fn remove_result(&self) -> Result<()> {
        let path = self.folder.join(RESULT_FILE);
        fs::remove_file(&path).map_err(Error::io(&path))
    }

    /// Takes back what an earlier copy noted about its end.
    fn remove_exit(&self) -> Result<()> {
        let path = self.folder.join(EXIT_FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(&path)(error)),
            _ => Ok(()),
        }
    }
}

impl Attempt {
    /// Reads an attempt file and takes the lock beside it. None if the attempt has a result already.
    ///
    /// # Errors
    /// When the file is not an attempt file of this version, or another process holds the lock for all of
    /// `lock_patience`.
    pub fn open(path: &Path, lock_patience: Duration) -> Result<Option<Self>> {
        let assignment = Assignment::read(path)?;
        if assignment.has_result() {
            return Ok(None);
        }
        let lock = assignment.lock(lock_patience, || false)?;
        if assignment.has_result() {
            return Ok(None);
        }
        Ok(Some(Self { assignment, _lock: lock }))
    }

    /// Opens an attempt that the cluster starts again. The earlier copy may still live on a node that was lost,
    /// and hold the lock. So the claim comes first, by which the daemon fences that copy, and then its lock is
    /// waited for. Without the lock nothing is done. None if the attempt has a result already.
    ///
    /// # Errors
    /// When the file is not an attempt file of this version, the daemon refuses, another process holds the lock
    /// for all of `lock_patience`, and [`Error::Interrupted`] when a stop was asked for meanwhile.
    pub fn reopen(
        path: &Path,
        report: &Report,
        patience: Duration,
        lock_patience: Duration,
    ) -> Result<Option<(Self, Claim)>> {
        let assignment = Assignment::read(path)?;
        if assignment.has_result() {
            return Ok(None);
        }
        let claim = assignment.claim(report, patience)?;
        let lock = assignment.lock(lock_patience, || report.stop_requested())?;
        if assignment.has_result() {
            // The earlier copy's last word; it came after the claim that fenced it, if there was one.
            match claim {
                Claim::Granted { .. } => assignment.remove_result()?,
                Claim::Unanswered => return Ok(None),
            }
        }
        assignment.remove_exit()?;
        Ok(Some((Self { assignment, _lock: lock }, claim)))
    }

    /// What the daemon wrote.
    #[must_use]
    pub const fn file(&self) -> &AttemptFile {
        &self.assignment.file
    }

    /// What to do.
    #[must_use]
    pub const fn spec(&self) -> &StageSpec {
        &self.file().spec
    }

    /// The kind of stage.
    #[must_use]
    pub const fn kind(&self) -> StageKind {
        self.spec().kind()
    }

    /// Claims the attempt, and tries again for `patience` while no daemon answers. Ends early when asked to
    /// stop.
    ///
    /// # Errors
    /// When the daemon refuses: then nothing may be touched.
    pub fn claim(&self, report: &Report, patience: Duration) -> Result<Claim> {
        self.assignment.claim(report, patience)
    }

    /// Requires that the attempts before this one succeeded, by what lies in their folders. Looks again for
    /// `patience` for results that are not there.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when one has not succeeded: then nothing may be touched.
    pub fn require_parents(&self, report: &Report, patience: Duration) -> Result<()> {
        parents::require(&self.file().parents, report, patience)
    }

    /// Opens the spool and starts to deliver it.
    pub(super) fn uplink(&self, report: &Report, accepted_through: u64) -> Result<Uplink> {
        let Assignment { folder, file, claim, client } = &self.assignment;
        let path = folder.join(EVENTS_FILE);
        // A daemon that does not answer may hold events of an earlier start that were lost with its node: each start counts
        // in a range of its own.
        let own = u64::from(process::restarts()) << 32;
        let spool = Spool::open(&path, accepted_through.max(own))?;
        let ids = (file.attempt, *claim);
        let sender = Sender::start(report, client.clone(), ids, &path, accepted_through)?;
        Ok(Uplink { spool, sender })
    }

    /// The result that says `outcome`, as of now.
    pub(super) fn result(&self, outcome: Outcome) -> ResultReport {
        let Assignment { file, claim, .. } = &self.assignment;
        let (attempt, restarts) = (file.attempt, process::restarts());
        ResultReport { attempt, claim: *claim, restarts, time: Utc::now(), outcome }
    }

    pub(super) fn write_result(&self, result: &ResultReport) -> Result<()> {
        files::write_json(&self.assignment.folder.join(RESULT_FILE), result)
    }

    /// Notes that this worker was interrupted and leaves no result: should the cluster not start the attempt again, it may
    /// not tell the exit code either.
    pub(super) fn note_interruption(&self) -> Result<()> {
        let exit = process::noted_exit(Some(exit::RESUMABLE), None);
        files::write_json(&self.assignment.folder.join(EXIT_FILE), &exit)
    }

    /// Takes back a result that the daemon refused, so that nobody takes it for the attempt's.
    pub(super) fn withdraw_result(&self) -> Result<()> {
        self.assignment.remove_result()
    }
}

/// The unit that a stage counts in, until it says so itself.
pub(crate) const fn unit(kind: StageKind) -> &'static str {
    match kind {
        StageKind::Prepare => "texts",
        StageKind::Train => "steps",
        StageKind::Evaluate | StageKind::Means | StageKind::Vars | StageKind::Decs => "sequences",
        StageKind::Analyze => "models",
    }
}

/// The version comes first: an attempt file of another version may have any other content.
fn read(path: &Path) -> Result<AttemptFile> {
    let json: serde_json::Value = files::read_json(path)?;
    match json.get("api_version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(API_VERSION) => serde_json::from_value(json)
            .map_err(|error| Error::input(format!("{}: not an attempt file: {error}", path.display()))),
        Some(version) => Err(Error::input(format!(
            "{}: written for worker API version {version}, but this lc-worker speaks version {API_VERSION}; \
             install lcctl and lc-worker of the same release",
            path.display()
        ))),
        None => Err(Error::input(format!("{}: not an attempt file: api_version is missing", path.display()))),
    }
}
