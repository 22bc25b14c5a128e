//! Training: AdamW with linear decay and clipping, one checkpoint per epoch, and going on after an
//! interruption with the result of an uninterrupted run.
//!
//! * [`gradients`]: loss and gradients of one batch;
//! * [`adamw`]: the optimizer;
//! * [`order`]: which sequences form which batch;
//! * [`log`](mod@log): `train_log.jsonl`;
//! * `memory`: whether the machine has enough;
//! * [`state`]: what a checkpoint holds besides the weights;
//! * [`resume`]: the choice of the one to go on from, `keep`: which ones stay;
//! * [`run`]: the loop, [`ahead`]: its steps that a GPU has not been asked about yet.

pub mod adamw;
pub mod ahead;
pub mod gradients;
mod keep;
pub mod log;
mod memory;
pub mod order;
pub mod resume;
pub mod run;
pub mod state;

pub use run::train;
