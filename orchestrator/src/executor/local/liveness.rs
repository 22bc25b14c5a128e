//! Which workers live, also those that an earlier daemon started.

use crate::files;
use protocol::{attempt::ATTEMPT_FILE, attempt::LOCK_FILE, ids::AttemptId};
use std::{collections::HashMap, ffi::OsStr, fs, os::unix::ffi::OsStrExt as _, path::Path};

/// Process ids of the workers of this machine by attempt: processes of ours whose command line ends in
/// `--attempt .../<attempt>/attempt.json`.
pub(super) fn running() -> HashMap<AttemptId, u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return HashMap::new() };
    let mut found = HashMap::new();
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process that is over has an empty command line until its parent takes notice.
        let Ok(line) = fs::read(process.path().join("cmdline")) else { continue };
        if let Some(attempt) = attempt_of(&line) {
            // A worker leads its group; what it starts with the same arguments does not.
            let lowest = found.entry(attempt).or_insert(pid);
            *lowest = pid.min(*lowest);
        }
    }
    found
}

fn attempt_of(command_line: &[u8]) -> Option<AttemptId> {
    let mut arguments = command_line.split(|&byte| byte == 0);
    arguments.by_ref().find(|&argument| argument == b"--attempt")?;
    let path = Path::new(OsStr::from_bytes(arguments.next()?));
    if path.file_name() != Some(OsStr::new(ATTEMPT_FILE)) {
        return None;
    }
    path.parent()?.file_name()?.to_str()?.parse().ok()
}

/// Whether a worker holds the lock of an attempt's folder. To be asked only when the process table
/// shows none: asking takes the lock for a moment.
pub(super) fn locked(folder: &Path) -> bool {
    files::is_locked(&folder.join(LOCK_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_known_by_its_command_line() {
        let id = "0197a0a0-0000-7000-8000-000000000001";
        let line = format!("lc-worker\0run\0--attempt\0/r/logs/train/{id}/attempt.json\0");
        assert_eq!(attempt_of(line.as_bytes()), id.parse().ok());
        for other in ["", "vim\0/r/logs/train/x/attempt.json\0", "lc-worker\0run\0--attempt\0attempt.json\0"]
        {
            assert_eq!(attempt_of(other.as_bytes()), None, "{other:?}");
        }
    }
}
