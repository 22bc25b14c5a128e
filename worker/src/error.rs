//! How a stage can fail, and which exit code says so.

use protocol::exit;
use std::path::{Path, PathBuf};

/// Result of a stage or a part of one.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How a stage can fail. Every message is one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong use or bad input. The line names the file, field or flag and what is accepted; trying
    /// again without a change is pointless.
    #[error("{0}")]
    Input(String),
    /// Reading or writing a file failed.
    #[error("{}: {source}{}", path.display(), hint(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The work failed for another reason.
    #[error("{0}")]
    Failed(String),
    /// Asked to stop; a checkpoint was written and `--resume` goes on from it.
    #[error("{0}")]
    Interrupted(String),
    /// Asked to stop by a stage that saves nothing on its way: it starts anew next time.
    #[error("{message}")]
    Stopped {
        /// What was stopped, in one line.
        message: String,
        /// The signal that asked.
        signal: Option<i32>,
    },
}

impl Error {
    /// Bad input, in one line.
    pub fn input(message: impl Into<String>) -> Self {
        Self::Input(message.into())
    }

    /// Failed work, in one line.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// For `map_err`: names the file that an operation failed on.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }

    /// The exit code that tells this failure to a shell.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Input(_) => exit::USAGE,
            // As with bad input, a person has to change something first.
            Self::Io { source, .. } if is_full(source) => exit::USAGE,
            Self::Io { .. } | Self::Failed(_) => exit::FAILURE,
            Self::Interrupted(_) => exit::RESUMABLE,
            // What a shell shows for a program that the signal ended.
            Self::Stopped { signal, .. } => signal.map_or(exit::FAILURE, |signal| 128 + signal),
        }
    }
}

/// Whether there is no space left, on the disk or in one's share of it.
fn is_full(source: &std::io::Error) -> bool {
    matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// What to do about an operating-system error, where there is something to do.
fn hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        _ if is_full(source) => "; free some space or choose another folder, then run it again",
        std::io::ErrorKind::PermissionDenied => "; check the permissions or choose another folder",
        _ => "",
    }
}
