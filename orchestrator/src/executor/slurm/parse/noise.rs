//! Text that makes no sense, the same at every run: no reader may panic over it.

use super::*;
use crate::domain::quantity;

/// Pieces that the readers look for, so that the noise gets past their first checks.
const PIECES: [&str; 36] = [
    "|",
    "|",
    "|",
    "|",
    "\n",
    "\n",
    "=",
    " = ",
    ";",
    ":",
    "-",
    "%",
    "[",
    "]",
    ",",
    "...",
    "_",
    "+",
    "*",
    "(",
    ")",
    ".",
    "0",
    "9",
    "18446744073709551616",
    "4294967295",
    "RUNNING",
    "CANCELLED by ",
    "infinite",
    "sbatch: error: ",
    "Batch job submission failed: ",
    "ReqNodeNotAvail",
    "QOSMax",
    "PerJob",
    "\u{e4}",
    "\u{2028}",
];

/// A linear congruential generator: Knuth, The Art of Computer Programming 2, section 3.3.4.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

fn read_everything(text: &str) {
    let _ = (squeue::parse(text), sacct::parse(text), sbatch::job_id(text), sbatch::controller_away(text));
    for code in [None, Some(0), Some(1), Some(255), Some(i32::MIN)] {
        let _ = sbatch::refusal(code, text);
    }
    let _ = (
        config::Config::parse(text),
        config::partitions(text),
        config::associations(text),
        config::longest(text),
    );
    for line in text.lines().chain([text]) {
        let _ = (state::SlurmState::parse(line), tasks::expand(line));
        let _ = (reason::plain(line), reason::hopeless(line), reason::dependency_never(line));
        if let Ok(limit) = quantity::parse_time(line) {
            assert_eq!(quantity::parse_time(&quantity::time_text(limit)), Ok(limit), "{line:?}");
        }
        if let Ok(memory) = quantity::parse_memory(line) {
            assert_eq!(quantity::parse_memory(&quantity::memory_text(memory)), Ok(memory), "{line:?}");
        }
    }
}

#[test]
fn noise_never_panics() {
    let mut numbers = Numbers(1);
    for _ in 0..5_000 {
        let length = numbers.next(40);
        let pieces: String = (0..length).map(|_| PIECES[numbers.next(PIECES.len())]).collect();
        read_everything(&pieces);
        let bytes: Vec<u8> = (0..length).map(|_| u8::try_from(numbers.next(256)).unwrap()).collect();
        read_everything(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn samples_cut_anywhere_never_panic() {
    for sample in [
        include_str!("samples/squeue-live.txt"),
        include_str!("samples/sacct-runs.txt"),
        include_str!("samples/errors.txt"),
        include_str!("samples/config.txt"),
    ] {
        let mut numbers = Numbers(2);
        for _ in 0..100 {
            let from = numbers.next(sample.len());
            let to = from + numbers.next(sample.len() - from);
            read_everything(&String::from_utf8_lossy(&sample.as_bytes()[from..to]));
        }
    }
}
