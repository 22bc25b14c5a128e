//! Data that comes with the program, so that everything can be tried without a download: simple
//! stories from a seeded generator, and a tokenizer trained on them.
//!
//! The stories are the same on every machine and in every version: the generator uses the raw output of
//! ChaCha8 and integer arithmetic only, and a test pins the SHA-256 of the text.

mod draw;
mod expand;
mod plots;
mod story;
mod words;

pub use story::{Split, stories};

/// A byte-level BPE `tokenizer.json` with 1,024 entries and GPT-2's conventions, trained on the train
/// stories. `<|endoftext|>` is id 0.
pub const TOKENIZER: &[u8] = include_bytes!("tokenizer.json");

#[cfg(test)]
mod tests;
