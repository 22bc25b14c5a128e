//! What a GPU was told and did not do.
//!
//! The libraries hand all work to a thread of the device's. A panic there ends one piece of work and nothing else: a launch is
//! left out, say, because there is no memory, what it would have written stays as it was, and whoever waits for the device
//! is not told. So the first such panic is kept, and whoever waited asks for it.

use crate::{Error, Result};
use std::{
    cell::Cell,
    panic::PanicHookInfo,
    sync::{Mutex, PoisonError},
    thread,
};

static FIRST: Mutex<Option<String>> = Mutex::new(None);

thread_local! {
    static TRYING: Cell<bool> = const { Cell::new(false) };
}

/// Keeps a panic of a device's thread, for [`check`]: to be called by the program's hook. Gives whether it is to be passed
/// over: what a device's thread [tries](trying) may fail.
pub fn remember(info: &PanicHookInfo<'_>) -> bool {
    if !thread::current().name().is_some_and(is_device) {
        return false;
    }
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    if TRYING.get() || is_of_a_trial(message, &place) {
        return true;
    }
    FIRST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| explained(message, &place));
    false
}

/// Whether devices did all that they were told, up to what was last waited for.
///
/// # Errors
/// When they did not: from then on always.
pub fn check() -> Result<()> {
    let first = FIRST.lock().unwrap_or_else(PoisonError::into_inner).clone();
    first.map_or(Ok(()), |why| Err(Error::failed(why)))
}

/// Runs what may fail without harm on a device's thread, where the library tries kernels, also some that this card can't run.
/// On other threads this changes nothing.
pub fn trying<T>(work: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            TRYING.set(self.0);
        }
    }
    let _before = Before(TRYING.replace(true));
    work()
}

/// Whether cubecl gives this name to the thread of a device.
fn is_device(thread: &str) -> bool {
    ["DSU-", "DSD-"].iter().any(|start| thread.starts_with(start))
}

/// Whether a panic belongs to what burn tries by itself, for sums: in a kernel of the library's, or where a failure inside
/// of other work is handed on.
fn is_of_a_trial(message: &str, place: &str) -> bool {
    place.contains("/cubek-") || message.contains("CallError")
}

/// One line for a panic's message, with what to do where that is known.
fn explained(message: &str, place: &str) -> String {
    let mentions = |words: &[&str]| words.iter().all(|word| message.contains(word));
    if mentions(&["can't allocate buffer"]) || mentions(&["OUT_OF_MEMORY"]) {
        return "out of GPU memory; use a smaller batch (--batch-size), or fewer workers on this card"
            .to_owned();
    }
    if mentions(&["dynamically load", "nvrtc"]) {
        return "NVRTC, which compiles kernels, was not found; load the cluster's module with CUDA (module load cuda), \
                or add the folder of libnvrtc.so to LD_LIBRARY_PATH"
            .to_owned();
    }
    if mentions(&["CUDA installation not found"]) {
        return "CUDA's headers were not found, with which kernels are compiled; load the cluster's module with CUDA \
                (module load cuda), or set CUDA_PATH"
            .to_owned();
    }
    let line = message.lines().next().unwrap_or_default();
    format!("the GPU left something out: {line} ({place}); RUST_BACKTRACE=1 shows where it came from")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_devices_are_told_by_their_names() {
        assert!(is_device("DSU-0-0") && is_device("DSD-4-1"));
        assert!(!is_device("main") && !is_device("DS"));
    }

    #[test]
    fn what_is_tried_may_fail() {
        assert!(is_of_a_trial("no such plane size", "/registry/cubek-reduce-0.2.0/src/launch.rs:9:5"));
        assert!(is_of_a_trial("Can't have an error when submitting a task: CallError", "channel.rs:120:14"));
        assert!(!is_of_a_trial(
            "Resource to exist.",
            "/registry/cubecl-cuda-0.10.0/src/compute/server.rs:701:54"
        ));
    }

    #[test]
    fn one_line_says_what_to_do() {
        let memory = "called `Result::unwrap()` on an `Err` value: can't allocate buffer of size: 9\nNo backtrace available";
        assert!(explained(memory, "server.rs:124:53").contains("--batch-size"));
        let library =
            "Unable to dynamically load the \"nvrtc\" shared library - searched for library names: []";
        assert!(explained(library, "lib.rs:200:5").contains("LD_LIBRARY_PATH"));
        assert!(explained("\n  CUDA installation not found.\n", "lib.rs:21:5").contains("CUDA_PATH"));
        let other = explained("Resource to exist.\nmore", "server.rs:701:54");
        assert!(other.contains("Resource to exist. (server.rs:701:54)"), "{other}");
    }

    #[test]
    fn nothing_is_lost_at_first() {
        check().unwrap();
    }
}
