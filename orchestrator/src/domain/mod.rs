//! What a study is and how its stages may move: pure, without I/O, clock or randomness.
//!
//! * [`grid`]: a study becomes runs; [`validate`] says what is wrong with it;
//! * [`identity`]: the canonical form of a run and its hash;
//! * [`dag`]: the stages of a run and what each waits for;
//! * [`transition`]: which state may follow which;
//! * [`rules`], [`resources`], [`quantity`]: what jobs ask a cluster for;
//! * [`batch`]: stages into job arrays; [`queue`]: their places there; [`window`]: when they may be handed over;
//! * [`layout`]: where files lie under the root;
//! * [`work`]: what a worker is told to do;
//! * [`curve`]: what of a training curve is drawn; [`forecast`]: how long a study still takes;
//! * [`diagnosis`]: what an attempt that went wrong has in common with others, and what to do about it;
//!   [`failures`]: many of them in groups.

pub mod batch;
pub mod curve;
pub mod dag;
pub mod diagnosis;
pub mod failures;
pub mod forecast;
pub mod grid;
pub mod identity;
pub mod layout;
pub mod quantity;
pub mod queue;
pub mod resources;
pub mod rules;
pub mod transition;
pub mod validate;
pub mod window;
pub mod work;
