//! One stage on one device: prepare data, train, evaluate, collect, analyse.
//!
//! * [`data`]: texts to sequences of tokens;
//! * [`model`]: GPT-Neo, and Hugging Face checkpoints in and out;
//! * [`kernels`]: the operations that models are made of, forward and backward;
//! * [`train`], [`evaluate`], [`collect`]: what is done with a model;
//! * [`stats`]: files of class statistics;
//! * [`measure`]: the neural-collapse measures, plain `f64` linear algebra;
//! * [`analyze`]: statistics files in, table of measures out;
//! * [`tensors`], [`torch`]: files of tensors, of safetensors and of PyTorch;
//! * [`report`]: progress and results to the terminal and the daemon, on a thread of its own;
//! * [`cli`]: the `lc-worker` command.
//!
//! A worker never touches the daemon's database.

#![cfg_attr(
    all(test, feature = "cuda", feature = "vulkan"),
    expect(
        clippy::duplicate_mod,
        reason = "the tests of the GPU's kernels are compiled for both kinds of device"
    )
)]

pub mod analyze;
pub mod cli;
pub mod collect;
pub mod data;
pub mod device;
pub mod error;
pub mod evaluate;
pub mod files;
pub mod kernels;
pub mod measure;
pub mod model;
pub mod report;
pub mod stats;
pub mod tensors;
pub mod torch;
pub mod train;

pub use error::{Error, Result};
