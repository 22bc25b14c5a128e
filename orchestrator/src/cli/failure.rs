//! How a command fails, and the exit code that says so.

use crate::{client::ClientError, config::file::FileError};
use protocol::exit;
use std::{io, process::ExitCode};

/// Exit code after Ctrl-C, as shells expect it.
const INTERRUPTED: i32 = 130;

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Wrong use: the line says what is accepted.
    #[error("{0}")]
    Usage(String),
    /// The work failed.
    #[error("{0}")]
    Failed(String),
    /// A settings or study file is wrong.
    #[error(transparent)]
    File(#[from] FileError),
    /// The daemon refused or is gone.
    #[error(transparent)]
    Client(ClientError),
    /// Writing failed.
    #[error("can't write: {0}")]
    Write(#[from] io::Error),
    /// The study failed; its reasons were told where they belong.
    #[error("")]
    Told,
    /// Ctrl-C; what goes on was told.
    #[error("")]
    Interrupted,
}

impl From<ClientError> for Failure {
    fn from(mut error: ClientError) -> Self {
        if let ClientError::Refused(problem) = &mut error
            && problem.status == 404
            && problem.detail.starts_with("there is no study ")
        {
            problem.hint.get_or_insert_with(|| "'lcctl status' lists them".to_owned());
        }
        Self::Client(error)
    }
}

impl Failure {
    fn exit_code(&self) -> i32 {
        match self {
            Self::Usage(_) | Self::File(_) => exit::USAGE,
            Self::Client(error) if error.is_wrong_use() => exit::USAGE,
            Self::Failed(_) | Self::Client(_) | Self::Write(_) | Self::Told => exit::FAILURE,
            Self::Interrupted => INTERRUPTED,
        }
    }

    /// Tells the failure on standard error and gives the exit code.
    pub(super) fn report(&self) -> ExitCode {
        match self {
            // Nobody reads on (`lcctl status | head -1`): that is no failure.
            Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Self::Told | Self::Interrupted => {}
            failure => super::output::error(&failure.to_string().replace('\n', "; ")),
        }
        u8::try_from(self.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
    }
}
