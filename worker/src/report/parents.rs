//! Whether the attempts before this one succeeded, for a worker that reaches no daemon to tell.

use super::Report;
use crate::{Error, Result, files};
use protocol::attempt::{Outcome, RESULT_FILE, ResultReport};
use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Requires a result of success in each of `folders`. One that is not there is looked for again for `patience`,
/// because files take a while to appear on a shared file system; a stop request ends that.
///
/// # Errors
/// [`Error::Interrupted`] when one is missing or tells of another end: it is too early, not wrong.
pub fn require(folders: &[PathBuf], report: &Report, patience: Duration) -> Result<()> {
    let until = Instant::now() + patience;
    for folder in folders {
        let outcome = loop {
            match files::read_json::<ResultReport>(&folder.join(RESULT_FILE)) {
                Ok(result) => break result.outcome,
                Err(_) if Instant::now() < until && !report.stop_requested() => thread::sleep(PAUSE),
                Err(error) => return Err(premature(folder, &error.to_string())),
            }
        };
        match outcome {
            Outcome::Succeeded { .. } => {}
            Outcome::Failed { message, .. } => {
                return Err(premature(folder, &format!("it failed: {message}")));
            }
            Outcome::Interrupted { message } => {
                return Err(premature(folder, &format!("it was interrupted: {message}")));
            }
        }
    }
    Ok(())
}

fn premature(folder: &Path, why: &str) -> Error {
    Error::Interrupted(format!(
        "nothing was done: no daemon answers, and the attempt before this one has not succeeded ({}: {why})",
        folder.display()
    ))
}
