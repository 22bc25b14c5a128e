//! Which sequences form which batch.
//!
//! `shuffled` permutes the sequences anew for each epoch: a Fisher-Yates shuffle from the last place
//! down, drawing from ChaCha8 keyed by seed and epoch, by widening multiplication with rejection. The
//! order of a seed stays the same across versions.

use crate::{Error, Result, files};
use protocol::settings;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::path::Path;

/// The batches of a whole training run.
#[derive(Debug)]
pub struct Order {
    kind: Kind,
    sequences: usize,
    batch_size: usize,
    steps_per_epoch: u64,
    /// The permutation of the epoch asked for last.
    permutation: Option<(u64, Vec<u32>)>,
}

#[derive(Debug)]
enum Kind {
    Sequential,
    Shuffled { seed: u32 },
    Listed(Listed),
}

/// The content of a file.
#[derive(Debug)]
struct Listed {
    batches: Vec<Vec<usize>>,
    sha256: String,
}

impl Order {
    /// Parses `shuffled`, `sequential` or the name of a JSON file with the row numbers of every batch
    /// over all epochs.
    ///
    /// # Errors
    /// When the file can't be read, is empty, names a row that does not exist, or its batches can't be
    /// divided evenly among the epochs.
    pub fn parse(text: &str, seed: u32, sequences: usize, batch_size: usize, epochs: u32) -> Result<Self> {
        let kind = match text.parse::<settings::Order>() {
            Ok(settings::Order::Sequential) => Kind::Sequential,
            Ok(settings::Order::Shuffled) => Kind::Shuffled { seed },
            Err(_) => Kind::Listed(listed(Path::new(text), sequences, epochs)?),
        };
        let steps_per_epoch = match &kind {
            Kind::Listed(listed) => listed.batches.len() as u64 / u64::from(epochs),
            _ => sequences.div_ceil(batch_size) as u64,
        };
        Ok(Self { kind, sequences, batch_size, steps_per_epoch, permutation: None })
    }

    /// Steps of one epoch; the last batch may be smaller.
    #[must_use]
    pub const fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    /// SHA-256 of the file that lists the batches, if there is one.
    #[must_use]
    pub fn sha256(&self) -> Option<&str> {
        match &self.kind {
            Kind::Listed(listed) => Some(&listed.sha256),
            Kind::Sequential | Kind::Shuffled { .. } => None,
        }
    }

    /// Sequences in the batches of the first `steps` steps.
    #[must_use]
    pub fn sequences_through(&self, steps: u64) -> u64 {
        match &self.kind {
            Kind::Listed(listed) => {
                listed.batches[..steps as usize].iter().map(|rows| rows.len() as u64).sum()
            }
            Kind::Sequential | Kind::Shuffled { .. } => {
                let (epochs, rest) = (steps / self.steps_per_epoch, steps % self.steps_per_epoch);
                // Only the last batch of an epoch may be smaller.
                epochs * self.sequences as u64 + rest * self.batch_size as u64
            }
        }
    }

    /// Row numbers of the batch of step `step`, counted from 0 over all epochs.
    pub fn batch(&mut self, step: u64) -> Vec<usize> {
        let (epoch, position) = (step / self.steps_per_epoch, (step % self.steps_per_epoch) as usize);
        let start = position * self.batch_size;
        let rows = start..(start + self.batch_size).min(self.sequences);
        match &self.kind {
            Kind::Sequential => rows.collect(),
            Kind::Listed(listed) => listed.batches[step as usize].clone(),
            Kind::Shuffled { seed } => {
                if self.permutation.as_ref().is_none_or(|(of, _)| *of != epoch) {
                    self.permutation = Some((epoch, permutation(*seed, epoch, self.sequences)));
                }
                let shuffled = self.permutation.as_ref().map_or(&[][..], |(_, order)| order);
                shuffled[rows].iter().map(|&row| row as usize).collect()
            }
        }
    }
}

fn listed(file: &Path, sequences: usize, epochs: u32) -> Result<Listed> {
    if !file.exists() {
        return Err(Error::input(format!(
            "order {:?} is neither shuffled nor sequential nor a file with the rows of every batch",
            file.display()
        )));
    }
    let batches: Vec<Vec<usize>> = files::read_json(file)?;
    let refuse = |what: String| Err(Error::input(format!("{}: {what}", file.display())));
    if batches.is_empty() || batches.iter().any(Vec::is_empty) {
        return refuse("holds no batch, or an empty one".into());
    }
    if !batches.len().is_multiple_of(epochs as usize) {
        return refuse(format!("its {} batches can't be divided among {epochs} epochs", batches.len()));
    }
    match batches.iter().flatten().find(|&&row| row >= sequences) {
        Some(row) => refuse(format!("names row {row}; the data has 0 to {}", sequences - 1)),
        None => Ok(Listed { batches, sha256: files::sha256(file)? }),
    }
}

/// The rows `0..count` in the order of an epoch.
fn permutation(seed: u32, epoch: u64, count: usize) -> Vec<u32> {
    // The high half keeps these streams apart from those of dropout, which use the seed alone.
    let mut generator = ChaCha8Rng::seed_from_u64((1 << 32) | u64::from(seed));
    generator.set_stream(epoch);
    let mut rows: Vec<u32> = (0..count as u32).collect();
    for last in (1..rows.len()).rev() {
        let other = below(&mut generator, last as u32 + 1);
        rows.swap(last, other as usize);
    }
    rows
}

/// A number below `bound`, each equally likely (Lemire 2019).
fn below(generator: &mut ChaCha8Rng, bound: u32) -> u32 {
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let product = u64::from(generator.next_u32()) * u64::from(bound);
        if product as u32 >= threshold {
            return (product >> 32) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_sees_every_sequence_once_in_its_own_order() {
        let mut order = Order::parse("shuffled", 3, 10, 4, 2).unwrap();
        assert_eq!(order.steps_per_epoch(), 3);
        let epoch = |order: &mut Order, first: u64| {
            (first..first + 3).flat_map(|step| order.batch(step)).collect::<Vec<_>>()
        };
        let (first, second) = (epoch(&mut order, 0), epoch(&mut order, 3));
        assert_ne!(first, second);
        assert_eq!(epoch(&mut order, 0), first);
        for mut rows in [first, second] {
            rows.sort_unstable();
            assert_eq!(rows, (0..10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn sequences_are_counted_as_batches_take_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("order.json");
        std::fs::write(&file, "[[3,1],[0],[2,0,1],[1]]").unwrap();
        for (text, steps) in [("shuffled", 6), ("sequential", 6), (file.to_str().unwrap(), 4)] {
            let mut order = Order::parse(text, 3, 10, 4, 2).unwrap();
            let mut taken = 0;
            for step in 0..steps {
                assert_eq!(order.sequences_through(step), taken, "{text} {step}");
                taken += order.batch(step).len() as u64;
            }
            assert_eq!(order.sequences_through(steps), taken, "{text}");
        }
    }

    #[test]
    fn the_order_of_a_seed_is_pinned() {
        assert_eq!(permutation(0, 0, 10), PINNED);
        assert_ne!(permutation(1, 0, 10), PINNED);
        assert_ne!(permutation(0, 1, 10), PINNED);
    }
    const PINNED: [u32; 10] = [5, 2, 1, 6, 7, 0, 3, 8, 4, 9];

    #[test]
    fn a_listed_order_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("order.json");
        let parse = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Order::parse(file.to_str().unwrap(), 0, 4, 2, 2)
        };
        assert_eq!(parse("[[3,1],[0],[2],[1]]").unwrap().batch(2), [2]);
        for (text, says) in
            [("[]", "no batch"), ("[[0],[1],[2]]", "divided"), ("[[0],[4]]", "row 4"), ("{}", "JSON")]
        {
            let refused = parse(text).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
        let missing = Order::parse("backwards", 0, 4, 2, 2).unwrap_err().to_string();
        assert!(missing.contains("shuffled nor sequential"), "{missing}");
    }
}
