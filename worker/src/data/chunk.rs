//! The chunking rule: how the tokens of many texts become sequences of equal length.
//!
//! It is the rule of the Hugging Face `datasets` library when a causal language model is trained with
//! `preprocessing_num_workers`: the texts of a split are cut into contiguous shards, and inside a
//! shard each run of 1,000 consecutive texts is concatenated without a separator and cut into
//! blocks. The remainder of a run is dropped, never carried over. The result depends on the number
//! of shards, so that number belongs to the identity of the data.

/// Texts per run: the library's default `batch_size` of `map`.
pub const RUN: u64 = 1000;

/// The lengths, in texts, of the runs of a split of `texts` texts in `shards` contiguous shards, in
/// order. With `q, r = divmod(texts, shards)`, the first `r` shards have `q + 1` texts, the others `q`.
pub fn runs(texts: u64, shards: u32) -> impl Iterator<Item = u64> + Send {
    let (quotient, remainder) = (texts / u64::from(shards), texts % u64::from(shards));
    (0..u64::from(shards)).flat_map(move |shard| {
        let length = quotient + u64::from(shard < remainder);
        (0..length.div_ceil(RUN)).map(move |run| (length - run * RUN).min(RUN))
    })
}

/// Cuts a stream of tokenized texts into blocks; holds less than one block at a time.
pub struct Chunker<Runs> {
    block_size: usize,
    runs: Runs,
    texts_left_in_run: u64,
    pending: Vec<u32>,
    dropped: u64,
    longest_run: u64,
    tokens_in_run: u64,
}

impl<Runs: Iterator<Item = u64>> Chunker<Runs> {
    /// A chunker for texts that come in [`runs`] of the given lengths.
    pub fn new(block_size: usize, mut runs: Runs) -> Self {
        let texts_left_in_run = runs.next().unwrap_or(0);
        Self {
            block_size,
            runs,
            texts_left_in_run,
            pending: Vec::with_capacity(block_size),
            dropped: 0,
            longest_run: 0,
            tokens_in_run: 0,
        }
    }

    /// Takes the tokens of the next text and gives every block that they complete.
    ///
    /// # Errors
    /// Only those of `block`.
    pub fn push<E>(
        &mut self,
        mut tokens: &[u32],
        mut block: impl FnMut(&[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.tokens_in_run += tokens.len() as u64;
        if !self.pending.is_empty() {
            let taken = tokens.len().min(self.block_size - self.pending.len());
            self.pending.extend_from_slice(&tokens[..taken]);
            tokens = &tokens[taken..];
            if self.pending.len() == self.block_size {
                block(&self.pending)?;
                self.pending.clear();
            }
        }
        let mut blocks = tokens.chunks_exact(self.block_size);
        for whole in &mut blocks {
            block(whole)?;
        }
        self.pending.extend_from_slice(blocks.remainder());

        self.texts_left_in_run = self.texts_left_in_run.saturating_sub(1);
        if self.texts_left_in_run == 0 {
            self.end_run();
        }
        Ok(())
    }

    fn end_run(&mut self) {
        self.dropped += self.pending.len() as u64;
        self.pending.clear();
        self.longest_run = self.longest_run.max(self.tokens_in_run);
        self.tokens_in_run = 0;
        self.texts_left_in_run = self.runs.next().unwrap_or(0);
    }

    /// Tokens dropped so far as remainders of runs.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Tokens of the longest run so far: no larger block size gives any sequence.
    #[must_use]
    pub const fn longest_run(&self) -> u64 {
        self.longest_run
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    #[test]
    fn shards_are_contiguous_and_the_first_ones_take_the_remainder() {
        assert_eq!(runs(2803, 1).collect::<Vec<_>>(), [1000, 1000, 803]);
        assert_eq!(runs(2803, 2).collect::<Vec<_>>(), [1000, 402, 1000, 401]);
        assert_eq!(runs(2001, 1).collect::<Vec<_>>(), [1000, 1000, 1]);
        assert_eq!(runs(2, 3).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(runs(0, 3).count(), 0);
    }

    proptest! {
        #[test]
        fn blocks_are_what_cutting_every_whole_run_gives(
            lengths in prop::collection::vec(0_usize..40, 1..60),
            block_size in 2_usize..30,
            run_lengths in prop::collection::vec(1_u64..9, 60),
        ) {
            let mut next = 0;
            let texts: Vec<Vec<u32>> = lengths
                .iter()
                .map(|&length| (0..length).map(|_| { next += 1; next }).collect())
                .collect();

            // The last run may end early; a real plan never has this, so it is trimmed here.
            let mut plan = Vec::new();
            let mut left = texts.len() as u64;
            for run in run_lengths {
                if left == 0 { break; }
                plan.push(run.min(left));
                left -= run.min(left);
            }

            let mut expected = Vec::new();
            let mut dropped = 0;
            let mut rest = texts.as_slice();
            for &run in &plan {
                let (run, after) = rest.split_at(run as usize);
                let joined = run.concat();
                let blocks = joined.chunks_exact(block_size);
                dropped += blocks.remainder().len() as u64;
                expected.extend(blocks.map(<[u32]>::to_vec));
                rest = after;
            }

            let mut chunker = Chunker::new(block_size, plan.into_iter());
            let mut found = Vec::new();
            for text in &texts {
                chunker.push(text, |block| { found.push(block.to_vec()); Ok::<_, Infallible>(()) }).unwrap();
            }
            prop_assert_eq!(found, expected);
            prop_assert_eq!(chunker.dropped(), dropped);
        }
    }
}
