//! Waiting for what another process does.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Looks every `pause` until `found` gives something; after `limit`, fails with what is missing and with `told`.
pub fn wait<T>(
    what: &str,
    limit: Duration,
    pause: Duration,
    mut found: impl FnMut() -> Option<T>,
    told: impl FnOnce() -> String,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(Instant::now() < deadline, "no {what}\n{}", told());
        sleep(pause);
    }
}
