//! Texts to sequences of token ids, and sequences to whoever trains or measures on them.
//!
//! [`prepare`](fn@prepare) reads a dataset ([`source`]: built-in stories, files, folders, the Hugging Face hub),
//! tokenizes it ([`Tokenizer`]) and cuts it into sequences of equal length ([`chunk`]). The data
//! folder it leaves holds
//!
//! * `manifest.json`: what the data was made from and what came out ([`Manifest`]);
//! * `tokenizer.json`: the tokenizer, byte for byte (missing when the dataset was tokenized already);
//! * `train.bin` and `validation.bin`: token ids as little-endian int32, one sequence after the other
//!   ([`Sequences`]).
//!
//! Nothing here knows a model or a device.

pub mod builtin;
pub mod chunk;
pub(crate) mod lock;
mod manifest;
mod prepare;
mod sequences;
pub mod source;
mod split;
mod staging;
mod tokenizer;

pub use manifest::{Inputs, Manifest, SourceFile, TokenizerInput, tokenizer_file};
pub use prepare::prepare;
pub use sequences::Sequences;
pub use tokenizer::Tokenizer;

/// The separator of documents, which GPT-2's tokenizer has as a token of its own.
pub const END_OF_TEXT: &str = "<|endoftext|>";
