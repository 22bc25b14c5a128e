//! SIGTERM, SIGINT, SIGUSR1 and SIGHUP ask the stage to stop; a second SIGINT ends the program at once.
//!
//! Slurm sends SIGTERM on `scancel` and before the time limit's SIGKILL, and SIGUSR1 where a job asks
//! for an early warning (`--signal=USR1@300`). SIGHUP comes from a terminal that is closed, and stays ignored where
//! it was, as under `nohup`.

use super::Report;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1},
    flag,
};
use std::{
    fs,
    sync::{Arc, atomic::AtomicBool},
};

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
    let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    for signal in [SIGINT, SIGTERM, SIGUSR1].into_iter().chain(hangup) {
        flag::register_usize(signal, Arc::clone(&report.shared.signal), signal as usize)?;
        flag::register(signal, Arc::clone(&report.shared.stop))?;
    }
    Ok(())
}

/// Whether this process ignores a signal, as far as the system tells.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
