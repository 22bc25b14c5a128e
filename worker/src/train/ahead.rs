//! Steps that a device was given, up to asking it what they found.

use super::log::{Line, Log};
use crate::{
    Error, Result,
    kernels::{Kernels, Scalar},
    report::Report,
};
use chrono::{DateTime, Utc};
use protocol::real::Real;
use std::time::Instant;

/// Most steps that a GPU is given before it is asked what the first of them found.
const MOST: usize = 16;

/// A step that was taken, or that a GPU will take once it has done those before.
#[derive(Clone, Debug)]
pub struct Taken<B: Kernels> {
    pub(super) step: u64,
    pub(super) loss: Scalar<B>,
    pub(super) grad_norm: Scalar<B>,
}

/// What one step found.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Mean loss over the batch's targets before the update.
    pub loss: f64,
    /// Global gradient norm before clipping.
    pub grad_norm: f64,
}

impl<B: Kernels> Taken<B> {
    /// What it found; waits for the device.
    ///
    /// # Errors
    /// When the device fails, or loss or gradients are no longer numbers.
    pub fn read(&self) -> Result<Step> {
        let found = Step { loss: self.loss.read()?, grad_norm: self.grad_norm.read()? };
        let Step { loss, grad_norm } = found;
        if !loss.is_finite() || !grad_norm.is_finite() {
            return Err(Error::failed(format!(
                "step {}: loss {loss}, gradient norm {grad_norm}; try a smaller learning rate",
                self.step
            )));
        }
        Ok(found)
    }

    /// Whether [`Self::read`] has nothing to wait for.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.loss.is_known() && self.grad_norm.is_known()
    }
}

/// A step that a GPU has not been asked about yet, and what its line in the log tells apart from that.
pub(super) struct Waiting<B: Kernels> {
    pub(super) taken: Taken<B>,
    pub(super) epoch: f64,
    pub(super) learning_rate: f64,
    pub(super) tokens: u64,
    pub(super) time: DateTime<Utc>,
}

/// All such steps, in order.
pub(super) struct Ahead<B: Kernels> {
    waiting: Vec<Waiting<B>>,
    /// When the GPU was last asked.
    since: Instant,
    /// Tokens seen until then.
    tokens: u64,
}

impl<B: Kernels> Ahead<B> {
    /// None yet, after so many tokens.
    pub(super) fn after(tokens: u64) -> Self {
        Self { waiting: Vec::with_capacity(MOST), since: Instant::now(), tokens }
    }

    pub(super) fn push(&mut self, step: Waiting<B>) {
        self.waiting.push(step);
    }

    /// Whether the GPU is to be asked before it is given more.
    pub(super) const fn is_full(&self) -> bool {
        self.waiting.len() >= MOST
    }

    /// Asks about all steps, and writes and reports their lines; gives the loss of the last. Their speed is that of
    /// all together.
    pub(super) fn settle(&mut self, log: &mut Log, report: &Report) -> Result<Real> {
        let mut found = Vec::with_capacity(self.waiting.len());
        let outcome = self.waiting.iter().try_for_each(|step| {
            found.push(step.taken.read()?);
            Ok(())
        });
        let seconds = self.since.elapsed().as_secs_f64().max(1e-9);
        let tokens = self.waiting[..found.len()].last().map_or(self.tokens, |step| step.tokens);
        let tokens_per_s = (tokens - self.tokens) as f64 / seconds;
        (self.since, self.tokens) = (Instant::now(), tokens);
        let mut last = Real(f64::NAN);
        for (step, Step { loss, grad_norm }) in self.waiting.drain(..).zip(found) {
            let line = Line {
                step: step.taken.step,
                epoch: step.epoch,
                loss: Real(loss),
                learning_rate: step.learning_rate,
                grad_norm: Real(grad_norm),
                tokens: step.tokens,
                tokens_per_s,
                time: step.time,
            };
            log.append(&line)?;
            report.metric(line.point());
            last = line.loss;
        }
        outcome.map(|()| last)
    }
}
