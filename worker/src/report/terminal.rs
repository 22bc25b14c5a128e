//! The progress of a stage on standard error: a bar on a terminal, a line now and then elsewhere.

use super::Note;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocol::attempt::Progress;
use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// Least time between two progress lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows progress and lines for people.
pub struct Terminal {
    stage: String,
    /// None where standard error is not a terminal.
    bar: Option<ProgressBar>,
    last_line: Instant,
    /// Where the count stood, and when, at the first sight of it: a resumed stage starts above zero.
    first: Option<(u64, Instant)>,
    /// What was last written as a line.
    written: Option<Progress>,
    loss: Option<f64>,
}

impl Terminal {
    /// For one stage, on standard error.
    #[must_use]
    pub fn new(stage: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_prefix(stage.to_owned());
            bar.set_style(not_started());
            bar
        });
        Self {
            stage: stage.to_owned(),
            bar,
            last_line: Instant::now(),
            first: None,
            written: None,
            loss: None,
        }
    }

    /// Lines for people appear above the bar; the loss is kept for the next [`Self::show`].
    pub(super) fn note(&mut self, note: &Note) {
        match note {
            Note::Metric(point) => self.loss = Some(point.loss.0),
            Note::Checkpoint { step, .. } => self.line(&format!("checkpoint at step {step}")),
            Note::Log { level: "info", message } => self.line(message),
            Note::Log { level, message } => self.line(&format!("{level}: {message}")),
        }
    }

    /// Shows how far the stage is.
    pub(super) fn show(&mut self, progress: &Progress) {
        let (start, since) = *self.first.get_or_insert_with(|| {
            if let Some(bar) = &self.bar {
                bar.set_style(unknown_total());
                bar.set_position(progress.done);
                bar.reset_eta();
            }
            (progress.done, Instant::now())
        });
        let loss = self.loss.map(|loss| format!(", loss {loss:.4}")).unwrap_or_default();
        if let Some(bar) = &self.bar {
            if progress.total > 0 && bar.length() != Some(progress.total) {
                bar.set_length(progress.total);
                bar.set_style(known_total());
            }
            bar.set_message(format!("{}{loss}", progress.unit));
            bar.set_position(progress.done);
            return;
        }
        if self.last_line.elapsed() < LINE_EVERY || self.written.as_ref() == Some(progress) {
            return;
        }
        self.last_line = Instant::now();
        self.written = Some(progress.clone());
        let rate = progress.done.saturating_sub(start) as f64 / since.elapsed().as_secs_f64().max(1e-9);
        let total = if progress.total > 0 { format!("/{}", progress.total) } else { String::new() };
        let left = if progress.total > progress.done && rate > 0.0 {
            let seconds = (progress.total - progress.done) as f64 / rate;
            format!(", {} left", HumanDuration(Duration::from_secs_f64(seconds.min(1e9))))
        } else {
            String::new()
        };
        let line =
            format!("{}: {}{total} {}{loss}, {rate:.1}/s{left}", self.stage, progress.done, progress.unit);
        self.line(&line);
    }

    /// Takes the bar away; what was shown above it stays.
    pub(super) fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            // Nobody is left to tell when standard error is closed.
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }
}

fn not_started() -> ProgressStyle {
    style("{prefix}: starting, {elapsed}")
}

fn known_total() -> ProgressStyle {
    style("{prefix} {wide_bar} {human_pos}/{human_len} {msg}, {per_sec}, {eta} left")
}

fn unknown_total() -> ProgressStyle {
    style("{prefix} {spinner} {human_pos} {msg}, {per_sec}, {elapsed}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
