//! Bugs, reported like any other failure: in one line, and to the daemon.

use crate::{Error, Result, device::lost};
use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Mutex, PoisonError},
};

/// The first panic of any thread, with its place; the thread that works may only learn that another one
/// is gone. Those that [may be](lost::trying) are left out.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// Keeps the standard message back; `RUST_BACKTRACE=1` brings it and the stack.
pub(super) fn keep_quiet() {
    let standard = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            standard(info);
        }
        if lost::remember(info) {
            return;
        }
        let message = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(|place| format!(" ({place})")).unwrap_or_default();
        FIRST
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| format!("{message}{place}"));
    }));
}

/// Runs `work`; a panic in it becomes [`Error::Failed`], and so does whatever is made of what a GPU left out.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    lost::check()?;
    done.unwrap_or_else(|_| {
        let first = FIRST.lock().unwrap_or_else(PoisonError::into_inner).take();
        let what = first.unwrap_or_else(|| "no message".to_owned());
        Err(Error::failed(format!("bug in lc-worker: {what}; RUST_BACKTRACE=1 shows where it came from")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_one_failure_with_its_message_and_place() {
        keep_quiet();
        let failed = caught::<()>(|| panic!("the axe slipped")).unwrap_err();
        assert!(matches!(failed, Error::Failed(_)));
        let line = failed.to_string();
        assert!(line.contains("the axe slipped") && line.contains("panics.rs"), "{line}");
    }
}
