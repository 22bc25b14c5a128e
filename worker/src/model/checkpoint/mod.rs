//! Checkpoint folders in Hugging Face's layout: `config.json` and `model.safetensors`, or what other
//! versions of the library write in place of the latter.
//!
//! * [`locate`](fn@locate): which folder a model folder and an index mean;
//! * [`weights`]: the files that hold the weights, open;
//! * [`load`](fn@load): a model in; [`save`](fn@save): a model out, never half written;
//! * [`sums`](Sums): hashes by which damage is noticed.

mod load;
mod locate;
mod save;
mod sums;
pub mod weights;

pub use load::{check, load, load_tensors};
pub use locate::{Found, Located, checkpoints, find, indexed, locate};
pub use save::{Extra, drop_optimizer, remove, remove_unfinished, save};
pub use sums::Sums;
pub use weights::Weights;

/// File name of the configuration.
pub const CONFIG: &str = "config.json";
/// File name of the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// File name of the weights' table of contents, when they are in several files.
pub const INDEX: &str = "model.safetensors.index.json";
/// File name of the evaluation's results.
pub const EVAL_RESULTS: &str = "eval_results.json";
/// What Python writes for numbers that are not finite, bare, which is no JSON; and the string that is one in
/// [`protocol::real::Real`].
pub const NOT_FINITE: [(&str, &str); 3] = [("NaN", "nan"), ("-Infinity", "-inf"), ("Infinity", "inf")];
/// File name of the optimizer's moments.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// File name of the trainer's position.
pub const TRAINER_STATE: &str = "trainer_state.json";
