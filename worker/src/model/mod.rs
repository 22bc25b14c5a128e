//! GPT-Neo, and its checkpoints in Hugging Face's layout.
//!
//! * [`config`]: the fields of `config.json`, checked;
//! * [`gpt_neo`]: the parameters, the forward and the backward pass, with [`block`];
//! * [`batch`]: what goes in;
//! * [`head`]: the logits;
//! * [`init`]: random weights from a seed;
//! * [`checkpoint`]: folders in and out;
//! * [`logits`]: the `logits` command.
//!
//! The operations themselves are in [`crate::kernels`].
//!
//! Matrices keep the orientation of the checkpoint, `[out, in]`; hidden states are two-dimensional,
//! `[batch * sequence, width]`. All tensors of parameters have two dimensions, a vector being one row.

pub mod batch;
mod block;
pub mod checkpoint;
pub mod config;
pub mod gpt_neo;
pub mod head;
pub mod init;
pub mod logits;

pub use batch::Batch;
pub use config::GptNeoConfig;
pub use gpt_neo::GptNeo;
