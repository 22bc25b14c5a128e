//! The thread that empties a [`Report`]: to the terminal, and to the spool of an attempt.

use super::{
    Note, Report, Told,
    attempt::Attempt,
    sender::{Delivery, Sender},
    spool::Spool,
    terminal::Terminal,
};
use crate::Result;
use chrono::{DateTime, Utc};
use protocol::attempt::{EventBody, Outcome, Progress};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How often the thread looks.
const TICK: Duration = Duration::from_millis(250);
/// Least time between two progress events.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// Most time between two progress events: a sign of life.
const LIFE_EVERY: Duration = Duration::from_secs(10);
/// Most points of the training curve in one event.
const POINTS: usize = 500;

/// Where events of an attempt go.
pub(super) struct Uplink {
    pub(super) spool: Spool,
    pub(super) sender: Sender,
}

/// The thread's handle. Dropping it empties the report a last time and leaves the attempt without a
/// result.
pub struct Reporter {
    report: Report,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<Uplink>>>,
}

struct Ticker {
    report: Report,
    closing: Arc<AtomicBool>,
    terminal: Terminal,
    uplink: Option<Uplink>,
    /// The last progress event and its moment.
    sent: Option<(Progress, Instant)>,
    spool_fails: bool,
}

impl Reporter {
    /// Tells the terminal about one stage.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn to_terminal(report: Report, stage: &str) -> Result<Self> {
        Self::start(report, Terminal::new(stage), None)
    }

    /// Tells the terminal and the daemon about an attempt. `accepted_through` is the daemon's answer to the
    /// claim, 0 without one.
    ///
    /// # Errors
    /// When the attempt's spool can't be opened or no thread can be started.
    pub fn of_attempt(report: Report, attempt: &Attempt, accepted_through: u64) -> Result<Self> {
        let uplink = attempt.uplink(&report, accepted_through)?;
        let stage = attempt.kind();
        report.progress(0, 0, super::attempt::unit(stage));
        Self::start(report, Terminal::new(stage.as_str()), Some(uplink))
    }

    fn start(report: Report, terminal: Terminal, uplink: Option<Uplink>) -> Result<Self> {
        let closing = Arc::new(AtomicBool::new(false));
        let ticker = Ticker {
            report: report.clone(),
            closing: Arc::clone(&closing),
            terminal,
            uplink,
            sent: None,
            spool_fails: false,
        };
        let thread = thread::Builder::new()
            .name("reporter".into())
            .spawn(move || ticker.run())
            .map_err(crate::Error::io("thread"))?;
        Ok(Self { report, closing, thread: Some(thread) })
    }

    /// What the stage tells to.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// Ends the terminal's display after everything told so far was shown.
    pub fn close(mut self) {
        self.join();
    }

    /// Ends an attempt: the events first, then `result.json`, then the daemon's copy of both, for which
    /// the daemon gets at most `limit`. A worker that lost its attempt writes no result.
    ///
    /// # Errors
    /// When the files can't be written and the daemon does not take the result either.
    pub fn finish(mut self, attempt: &Attempt, outcome: Outcome, limit: Duration) -> Result<Delivery> {
        let Some(mut uplink) = self.join() else { return Ok(Delivery::LeftInFiles) };
        if let Some(why) = self.report.fenced() {
            return Ok(Delivery::Refused(why.to_owned()));
        }
        let result = attempt.result(outcome);
        uplink.sender.end_is_near();
        let written = uplink.spool.sync().and_then(|()| attempt.write_result(&result));
        let delivery = uplink.sender.finish(Some(result), limit);
        match (&delivery, written) {
            (Delivery::Delivered, Err(error)) => {
                tracing::warn!("the daemon has the result, but its file could not be written: {error}");
            }
            (Delivery::Refused(_), Ok(())) => attempt.withdraw_result()?,
            (_, written) => written?,
        }
        Ok(delivery)
    }

    /// Ends this worker's part in an attempt that the cluster starts again: the daemon gets the events, within
    /// `limit`, but there is no result, only a note of the interruption.
    ///
    /// # Errors
    /// When the events can't be written.
    pub fn pause(mut self, attempt: &Attempt, limit: Duration) -> Result<Delivery> {
        let Some(mut uplink) = self.join() else { return Ok(Delivery::LeftInFiles) };
        if let Some(why) = self.report.fenced() {
            return Ok(Delivery::Refused(why.to_owned()));
        }
        uplink.spool.sync()?;
        if let Err(error) = attempt.note_interruption() {
            tracing::warn!("the interruption could not be noted: {error}");
        }
        Ok(uplink.sender.finish(None, limit))
    }

    fn join(&mut self) -> Option<Uplink> {
        let thread = self.thread.take()?;
        self.closing.store(true, Ordering::Release);
        thread.thread().unpark();
        thread.join().ok().flatten()
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.join();
    }
}

impl Ticker {
    fn run(mut self) -> Option<Uplink> {
        loop {
            // Read before taking: what was told before the end is in the last take.
            let closing = self.closing.load(Ordering::Acquire);
            let told = self.report.take();
            self.tick(told, closing);
            if closing {
                self.terminal.close();
                return self.uplink;
            }
            thread::park_timeout(TICK);
        }
    }

    fn tick(&mut self, told: Told, closing: bool) {
        for (_, note) in &told.notes {
            self.terminal.note(note);
        }
        if let Some(progress) = &told.progress {
            self.terminal.show(progress);
        }
        let Some(uplink) = &mut self.uplink else { return };
        let mut grown = !told.notes.is_empty();
        for (time, body) in bodies(told.notes) {
            uplink.spool.append(time, body);
        }
        if let Some(progress) = told.progress
            && is_due(self.sent.as_ref(), &progress, closing)
        {
            uplink.spool.append(Utc::now(), EventBody::Progress(progress.clone()));
            self.sent = Some((progress, Instant::now()));
            grown = true;
        }
        if !grown && !self.spool_fails {
            return;
        }
        match uplink.spool.write() {
            Ok(()) => self.spool_fails = false,
            Err(error) => {
                if !self.spool_fails {
                    tracing::warn!("events wait in memory: {error}");
                }
                self.spool_fails = true;
            }
        }
        uplink.sender.wake();
    }
}

/// Whether this progress is worth an event now.
fn is_due(sent: Option<&(Progress, Instant)>, progress: &Progress, closing: bool) -> bool {
    sent.is_none_or(|(last, at)| {
        let changed = last != progress;
        (changed && (closing || at.elapsed() >= PROGRESS_EVERY)) || at.elapsed() >= LIFE_EVERY
    })
}

/// Neighbouring points of the training curve share an event, with the time of its last one.
fn bodies(notes: Vec<(DateTime<Utc>, Note)>) -> Vec<(DateTime<Utc>, EventBody)> {
    let mut bodies: Vec<(DateTime<Utc>, EventBody)> = Vec::new();
    for (time, note) in notes {
        let body = match note {
            Note::Metric(point) => match bodies.last_mut() {
                Some((last, EventBody::Metrics { points })) if points.len() < POINTS => {
                    points.push(point);
                    *last = time;
                    continue;
                }
                _ => EventBody::Metrics { points: vec![point] },
            },
            Note::Checkpoint { index, step } => EventBody::Checkpoint { index, step },
            Note::Log { level, message } => EventBody::Log { level: level.to_owned(), message },
        };
        bodies.push((time, body));
    }
    bodies
}
