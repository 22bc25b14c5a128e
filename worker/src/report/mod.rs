//! Progress and results, told to the terminal and to the daemon by a thread of its own.
//!
//! A stage only ever calls [`Report`]; none of its methods blocks.

use protocol::attempt::MetricPoint;

/// Where a stage tells what it does. Cheap to clone.
#[derive(Clone, Default)]
pub struct Report {}

impl Report {
    /// Tells nobody.
    #[must_use]
    pub fn silent() -> Self {
        Self::default()
    }

    /// `done` of `total` units (0 while unknown); `unit` is `texts`, `steps`, `sequences` or `models`.
    pub fn progress(&self, _done: u64, _total: u64, _unit: &'static str) {}

    /// A new point of the training curve.
    pub fn metric(&self, _point: MetricPoint) {}

    /// A checkpoint was written.
    pub fn checkpoint(&self, _index: Option<u32>, _step: u64) {}

    /// A line for people.
    pub fn info(&self, _message: impl Into<String>) {}

    /// A line for people about something that deserves a look.
    pub fn warn(&self, _message: impl Into<String>) {}

    /// Whether a signal or a person asked to stop: write a checkpoint and return [`crate::Error::Interrupted`].
    #[must_use]
    pub fn stop_requested(&self) -> bool {
        false
    }
}
