//! Finds the worker program.

use super::is_program;
use std::{
    env,
    path::{Path, PathBuf},
};

/// Name of the worker program.
const NAME: &str = "lc-worker";

/// There is no worker program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; build it with `cargo build -p worker`, or name it with --worker FILE or LC_WORKER=FILE")]
pub struct WorkerNotFound {
    what: String,
}

/// The worker program: the one given, or `LC_WORKER`, or the one beside this program, or the first on `PATH`.
///
/// # Errors
/// When there is none, or what was named is not a program.
pub fn find_worker(given: Option<&Path>) -> Result<PathBuf, WorkerNotFound> {
    let named = given.map(|path| ("--worker", path.to_owned())).or_else(|| {
        env::var_os("LC_WORKER").filter(|path| !path.is_empty()).map(|path| ("LC_WORKER", path.into()))
    });
    if let Some((how, path)) = named {
        // Links stay: what they lead to may be another version by the time that it is started.
        let absolute = std::path::absolute(&path).ok().filter(|path| is_program(path));
        return absolute
            .ok_or_else(|| WorkerNotFound { what: format!("{how}: {} is not a program", path.display()) });
    }
    let beside = env::current_exe().ok().and_then(|exe| exe.parent().map(|folder| folder.join(NAME)));
    let on_path = env::var_os("PATH")
        .into_iter()
        .flat_map(|path| env::split_paths(&path).map(|folder| folder.join(NAME)).collect::<Vec<_>>());
    beside
        .into_iter()
        .chain(on_path)
        .find(|path| is_program(path))
        .ok_or_else(|| WorkerNotFound { what: format!("there is no {NAME} beside this program or on PATH") })
}
