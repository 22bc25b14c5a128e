//! Checkpoint folders in Hugging Face's layout: `config.json` and `model.safetensors`.
//!
//! * [`locate`](fn@locate): which folder a model folder and an index mean;
//! * [`load`](fn@load): weights in; [`save`](fn@save): weights out, never half written.

mod load;
mod locate;
mod save;

pub use load::{load, load_tensors};
pub use locate::{Located, checkpoints, locate};
pub use save::{Extra, remove_unfinished, save};

/// File name of the configuration.
pub const CONFIG: &str = "config.json";
/// File name of the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// File name of the weights' table of contents, when they are in several files.
pub const INDEX: &str = "model.safetensors.index.json";
/// File name of the evaluation's results.
pub const EVAL_RESULTS: &str = "eval_results.json";
/// File name of the optimizer's moments.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// File name of the trainer's position.
pub const TRAINER_STATE: &str = "trainer_state.json";
