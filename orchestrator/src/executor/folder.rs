//! The folder of an attempt: what the daemon writes for the worker, and reads of what it left.

use crate::files;
use protocol::attempt::{
    ATTEMPT_FILE, AttemptFile, EVENTS_FILE, EXIT_FILE, Event, LOCK_FILE, LOG_FILE, NotedExit, RESULT_FILE,
    ResultReport,
};
use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Makes the folder with its `attempt.json` (mode 0600), synced.
///
/// # Errors
/// When it can't be written.
pub fn create(folder: &Path, attempt: &AttemptFile) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let text = serde_json::to_vec_pretty(attempt)?;
    files::write_private(&folder.join(ATTEMPT_FILE), &text)
}

/// As [`create`], for all attempts of an array, whose folder is `array`. Synced as a whole: one by one, thousands
/// of files would take minutes on a shared file system.
///
/// # Errors
/// When one can't be written.
pub fn create_all(array: &Path, attempts: &[(PathBuf, AttemptFile)]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::create_dir_all(array)?;
    for (folder, attempt) in attempts {
        fs::create_dir_all(folder)?;
        // Nobody reads it before the submission is recorded: no other name is needed meanwhile.
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(folder.join(ATTEMPT_FILE))?;
        io::Write::write_all(&mut file, &serde_json::to_vec_pretty(attempt)?)?;
    }
    Ok(nix::unistd::syncfs(File::open(array)?)?)
}

/// Takes an attempt out of a job that it shares with others and that may not have started: no worker will begin it.
///
/// # Errors
/// When its `attempt.json` can't be removed.
pub fn withdraw(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(ATTEMPT_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The worker's last word, if it left one.
///
/// # Errors
/// When there is a file that can't be read or understood.
pub fn result(folder: &Path) -> io::Result<Option<ResultReport>> {
    match fs::read(folder.join(RESULT_FILE)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether reading a result failed at its content, which no later look mends.
#[must_use]
pub fn is_no_result(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// How the process of an attempt ended that left no result, if its end was noted.
#[must_use]
pub fn noted_exit(folder: &Path) -> Option<NotedExit> {
    // Written in one piece: what can't be read is not there yet.
    fs::read(folder.join(EXIT_FILE)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
}

/// Whether a worker ever took hold of the folder.
#[must_use]
pub fn was_entered(folder: &Path) -> bool {
    folder.join(LOCK_FILE).exists()
}

/// Whether a worker ever began to work.
#[must_use]
pub fn has_events(folder: &Path) -> bool {
    folder.join(EVENTS_FILE).exists()
}

/// Whether its worker gave a sign of life within this time, by the clock of whoever wrote it.
#[must_use]
pub fn was_heard(folder: &Path, within: Duration) -> bool {
    let heard = fs::metadata(folder.join(EVENTS_FILE)).and_then(|file| file.modified());
    // A clock that is far ahead says no more than one that is far behind.
    let age = |heard: SystemTime| heard.elapsed().unwrap_or_else(|error| error.duration());
    heard.is_ok_and(|heard| age(heard) < within)
}

/// Events in the folder after a sequence number. An incomplete last line, and a line that is none of
/// ours, are passed over.
///
/// # Errors
/// When the file can't be read.
pub fn events_after(folder: &Path, after: u64) -> io::Result<Vec<Event>> {
    let file = match File::open(folder.join(EVENTS_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut reader = BufReader::new(file);
    let (mut events, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok(events);
        }
        events.extend(serde_json::from_slice::<Event>(&line).ok().filter(|event| event.seq > after));
    }
}

/// The end of the log in whole lines, or of its last line where that is longer, and the size of all of it.
///
/// # Errors
/// When it can't be read.
pub fn log_tail(folder: &Path, most: u64) -> io::Result<(String, u64)> {
    let mut file = match File::open(folder.join(LOG_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((String::new(), 0)),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let from = size.saturating_sub(most);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let mut tail = bytes.as_slice();
    if from > 0
        && let Some(end) = tail.iter().position(|&byte| byte == b'\n')
        && end + 1 < tail.len()
    {
        tail = &tail[end + 1..];
    }
    Ok((String::from_utf8_lossy(tail).into_owned(), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_last_event_is_left_for_later() {
        let folder = tempfile::tempdir().unwrap();
        let line = |seq| {
            format!(
                r#"{{"seq":{seq},"time":"2026-01-01T00:00:00Z","body":{{"kind":"log","level":"info","message":"m"}}}}"#
            )
        };
        let text = format!("{}\nnonsense\n{}\n{}", line(1), line(2), line(3));
        fs::write(folder.path().join(EVENTS_FILE), text).unwrap();
        let seqs =
            |after| events_after(folder.path(), after).unwrap().iter().map(|e| e.seq).collect::<Vec<_>>();
        assert_eq!(seqs(0), [1, 2]);
        assert_eq!(seqs(1), [2]);
    }

    #[test]
    fn a_worker_was_heard_when_it_wrote_its_last_event() {
        let folder = tempfile::tempdir().unwrap();
        let minute = Duration::from_secs(60);
        assert!(!was_heard(folder.path(), minute), "it never began");
        let file = File::create(folder.path().join(EVENTS_FILE)).unwrap();
        let heard_at = |time| {
            file.set_modified(time).unwrap();
            was_heard(folder.path(), minute)
        };
        assert!(heard_at(SystemTime::now()));
        assert!(!heard_at(SystemTime::now() - 2 * minute) && !heard_at(SystemTime::now() + 2 * minute));
    }

    #[test]
    fn a_log_tail_starts_at_a_line() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(log_tail(folder.path(), 10).unwrap(), (String::new(), 0));
        fs::write(folder.path().join(LOG_FILE), "first\nsecond\n\u{e4}third\n").unwrap();
        assert_eq!(log_tail(folder.path(), 12).unwrap(), ("\u{e4}third\n".to_owned(), 21));
        assert_eq!(log_tail(folder.path(), 100).unwrap().0, "first\nsecond\n\u{e4}third\n");
        assert_eq!(log_tail(folder.path(), 4).unwrap().0, "ird\n", "a line that is longer");
    }
}
