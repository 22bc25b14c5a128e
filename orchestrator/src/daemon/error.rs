//! Why a daemon does not run, and what to do about it.

use crate::{engine::EngineError, executor::local::WorkerNotFound, store::StoreError};
use protocol::exit;
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Why a daemon does not run. Every message is one line.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another daemon has the root.
    #[error("{}: another daemon{} serves this root; stop it first, or choose another LC_ROOT", root.display(), pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    AlreadyServed {
        /// The root.
        root: PathBuf,
        /// The other daemon's process.
        pid: Option<u32>,
    },
    /// A daemon on another machine has the root.
    #[error("{}: a daemon on {host} serves this root until {until} at least; stop it there first, or choose another LC_ROOT", root.display())]
    ServedElsewhere {
        /// The root.
        root: PathBuf,
        /// The other daemon's machine.
        host: String,
        /// When its lease ends, if it is not renewed.
        until: String,
    },
    /// The address is taken.
    #[error("port {} is in use on {}; choose another, or 0 for any free one", listen.port(), listen.ip())]
    PortInUse {
        /// The address.
        listen: SocketAddr,
    },
    /// The address can't be listened on.
    #[error("{listen}: {source}; use an address of this machine, for example 127.0.0.1:8642")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The cluster's profile can't be used.
    #[error("{0}")]
    Profile(String),
    /// There is no worker program.
    #[error(transparent)]
    Worker(#[from] WorkerNotFound),
    /// The record can't be used.
    #[error("{}{}", .0, remedy(.0))]
    Record(#[from] StoreError),
    /// The record can't be used by the engine.
    #[error("{}{}", .0, remedy_of_engine(.0))]
    Engine(#[from] EngineError),
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Serving ended.
    #[error("serving ended: {0}")]
    Ended(io::Error),
}

impl ServeError {
    /// The exit code that tells this to a shell.
    #[must_use]
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::AlreadyServed { .. }
            | Self::ServedElsewhere { .. }
            | Self::PortInUse { .. }
            | Self::Listen { .. }
            | Self::Profile(_)
            | Self::Worker(_) => exit::USAGE,
            Self::Record(StoreError::Newer { .. }) => exit::USAGE,
            _ => exit::FAILURE,
        }
    }

    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

/// What to do about a record that may be damaged.
pub(crate) fn remedy(error: &StoreError) -> String {
    /// SQLite's codes for a damaged file, and for one that is no database.
    const DAMAGED: [u32; 2] = [11, 26];
    let damaged = |error: &sqlx::Error| {
        let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
        code.is_some_and(|code| DAMAGED.contains(&(code & 0xff)))
    };
    let backups = match error {
        StoreError::Unusable { file, .. } => file.with_file_name("backups").display().to_string(),
        StoreError::Sql(error) if damaged(error) => "LC_ROOT/backups".to_owned(),
        _ => return String::new(),
    };
    format!("; if it is damaged, put back the newest copy in {backups} (docs/resuming.md)")
}

fn remedy_of_engine(error: &EngineError) -> String {
    match error {
        EngineError::Store(error) => remedy(error),
        _ => String::new(),
    }
}
