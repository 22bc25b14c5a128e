//! Places where a test lets the daemon die as if killed, to show that nothing is lost there.
//!
//! Compiled in only with debug assertions. `LC_FAULT=<point>` kills at the first passage, `LC_FAULT=<point>:<n>` at
//! the n-th, and `LC_FAULT=<seed>%<one in>` at random.

/// A place at which something was just made permanent, or is about to be told to somebody.
#[inline]
pub fn point(name: &str) {
    #[cfg(debug_assertions)]
    armed::pass(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    enum Fault {
        None,
        At { point: String, passage: u64 },
        Random { seed: u64, one_in: u64 },
    }

    static FAULT: OnceLock<Fault> = OnceLock::new();
    static PASSAGES: AtomicU64 = AtomicU64::new(0);

    fn read() -> Fault {
        let Ok(text) = std::env::var("LC_FAULT") else { return Fault::None };
        let random =
            text.split_once('%').and_then(|(seed, one_in)| Some((seed.parse().ok()?, one_in.parse().ok()?)));
        if let Some((seed, one_in)) = random {
            return Fault::Random { seed, one_in };
        }
        let (point, passage) = text.split_once(':').unwrap_or((&text, "1"));
        Fault::At { point: point.to_owned(), passage: passage.parse().unwrap_or(1) }
    }

    pub(super) fn pass(name: &str) {
        let dies = match FAULT.get_or_init(read) {
            Fault::None => return,
            Fault::At { point, passage } => {
                point == name && PASSAGES.fetch_add(1, Ordering::Relaxed) + 1 == *passage
            }
            Fault::Random { seed, one_in } => {
                let passage = PASSAGES.fetch_add(1, Ordering::Relaxed);
                // SplitMix64 of seed and passage: the same seed dies at the same passage.
                let mut x = seed.wrapping_add(passage.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                (x ^ (x >> 31)).is_multiple_of((*one_in).max(1))
            }
        };
        if dies {
            tracing::error!(point = name, "dying here, as asked for by LC_FAULT");
            let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
        }
    }
}
