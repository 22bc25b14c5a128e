//! Waiting for what another thread or process does.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Longer than any machine needs.
pub(crate) const PATIENT: Duration = Duration::from_secs(60);

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENT;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
