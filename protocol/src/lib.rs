//! The vocabulary that `lcctl`, the orchestrator daemon and the workers share.
//!
//! Only data types with their text forms live here: no input or output, no clock, no randomness.
//!
//! * [`identifier`], [`ids`]: how runs, stages and attempts are named;
//! * [`study`], [`axis`], [`keep`], [`resources`], [`run`]: what a researcher asks for, and one model of it;
//! * [`settings`], [`measures`]: the words that are accepted there;
//! * [`stage`], [`spec`], [`output`]: a stage's kind and state, its input, and what it returns;
//! * [`target`]: which stages a person means;
//! * [`attempt`]: the messages between a worker and the daemon;
//! * [`view`], [`table`], [`report`]: what the daemon's API answers to `lcctl` and the dashboard;
//! * [`problem`]: errors on the wire;
//! * [`words`]: how vocabularies are read.

pub mod attempt;
pub mod axis;
pub mod identifier;
pub mod ids;
pub mod keep;
pub mod measures;
pub mod output;
pub mod problem;
pub mod real;
pub mod report;
pub mod resources;
pub mod run;
pub mod settings;
pub mod several;
pub mod spec;
pub mod stage;
pub mod study;
pub mod table;
pub mod target;
pub mod view;
pub mod words;

/// Exit codes that every program of this project keeps to.
pub mod exit {
    /// Done.
    pub const SUCCESS: i32 = 0;
    /// The work failed.
    pub const FAILURE: i32 = 1;
    /// Wrong use, or anything else that a person has to change first: an unknown flag, a value that is
    /// not accepted, bad input, a full disk, a port in use.
    pub const USAGE: i32 = 2;
    /// Interrupted and saved, running it again (`train` with `--resume`) goes on (`EX_TEMPFAIL` of sysexits).
    pub const RESUMABLE: i32 = 75;
}

/// Version of the worker API; a daemon refuses workers that speak another one.
pub const API_VERSION: u32 = 2;
