//! SIGTERM, SIGINT and SIGUSR1 ask the stage to stop; a second SIGINT ends the program at once.
//!
//! Slurm sends SIGTERM on `scancel` and before the time limit's SIGKILL, and SIGUSR1 where a job asks
//! for an early warning (`--signal=USR1@300`).

use super::Report;
use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGUSR1},
    flag,
};
use std::sync::{Arc, atomic::AtomicBool};

/// What a shell shows for a program that SIGINT ended.
const INTERRUPTED: i32 = 128 + SIGINT;

/// Turns the signals into [`Report::stop_requested`].
///
/// # Errors
/// When the system refuses a handler.
pub fn watch(report: &Report) -> std::io::Result<()> {
    let once = Arc::new(AtomicBool::new(false));
    // The order matters: the first SIGINT passes this handler and arms it with the next one.
    flag::register_conditional_shutdown(SIGINT, INTERRUPTED, Arc::clone(&once))?;
    flag::register(SIGINT, once)?;
    for signal in [SIGINT, SIGTERM, SIGUSR1] {
        flag::register_usize(signal, Arc::clone(&report.shared.signal), signal as usize)?;
        flag::register(signal, Arc::clone(&report.shared.stop))?;
    }
    Ok(())
}
