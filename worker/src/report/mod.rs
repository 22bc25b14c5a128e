//! Progress and results, told to the terminal and to the daemon by threads of their own.
//!
//! A stage only ever calls [`Report`]; none of its methods waits for a terminal, a disk or a network.
//!
//! ```text
//! stage ──Report──▶ Reporter (4 times a second) ──▶ terminal
//!                                               └─▶ events.jsonl ──▶ Sender ──HTTP──▶ daemon
//! ```
//!
//! * [`attempt`]: an attempt's folder: lock, claim, result;
//! * [`parents`]: whether the attempts before it succeeded;
//! * [`process`]: where this worker runs;
//! * [`reporter`]: the thread that empties a [`Report`];
//! * [`terminal`]: progress bar, or lines where there is no terminal;
//! * [`spool`]: `events.jsonl`, the queue between the reporter and the daemon;
//! * [`sender`]: the thread that carries the spool to the daemon;
//! * [`client`]: the worker endpoints of the daemon;
//! * [`signals`]: SIGTERM, SIGINT, SIGUSR1 and SIGHUP become a request to stop.

pub mod attempt;
pub mod client;
pub mod parents;
pub mod process;
pub mod reporter;
pub mod sender;
pub mod signals;
pub mod spool;
pub mod terminal;

use chrono::{DateTime, Utc};
use protocol::attempt::{MetricPoint, Progress};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// Where a stage tells what it does. Cheap to clone.
#[derive(Clone, Default)]
pub struct Report {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Whether a [`reporter::Reporter`] takes what is told.
    listening: bool,
    told: Mutex<Told>,
    /// Also set by signal handlers.
    stop: Arc<AtomicBool>,
    /// The last signal that asked to stop; 0 for none.
    signal: Arc<AtomicUsize>,
    given_up: AtomicBool,
    fenced: OnceLock<String>,
}

/// What a stage has told since the last [`Report::take`].
#[derive(Default)]
struct Told {
    /// Kept between takes: it is a state, not an event.
    progress: Option<Progress>,
    notes: Vec<(DateTime<Utc>, Note)>,
}

/// An event as a stage tells it.
enum Note {
    Metric(MetricPoint),
    Checkpoint { index: Option<u32>, step: u64 },
    Log { level: &'static str, message: String },
}

impl Report {
    /// Tells nobody.
    #[must_use]
    pub fn silent() -> Self {
        Self::default()
    }

    /// Keeps what is told until a [`reporter::Reporter`] takes it.
    #[must_use]
    pub fn listening() -> Self {
        Self { shared: Arc::new(Shared { listening: true, ..Shared::default() }) }
    }

    /// `done` of `total` units (0 while unknown); `unit` is `texts`, `steps`, `sequences` or `models`.
    pub fn progress(&self, done: u64, total: u64, unit: &'static str) {
        if !self.shared.listening {
            return;
        }
        let mut told = self.told();
        match &mut told.progress {
            Some(progress) if progress.unit == unit => (progress.done, progress.total) = (done, total),
            progress => *progress = Some(Progress { done, total, unit: unit.to_owned() }),
        }
    }

    /// A new point of the training curve.
    pub fn metric(&self, point: MetricPoint) {
        self.note(|| Note::Metric(point));
    }

    /// A checkpoint was written.
    pub fn checkpoint(&self, index: Option<u32>, step: u64) {
        self.note(|| Note::Checkpoint { index, step });
    }

    /// A line for people.
    pub fn info(&self, message: impl Into<String>) {
        self.note(|| Note::Log { level: "info", message: message.into() });
    }

    /// A line for people about something that deserves a look.
    pub fn warn(&self, message: impl Into<String>) {
        self.note(|| Note::Log { level: "warn", message: message.into() });
    }

    /// Whether a signal or a person asked to stop: save what there is and return
    /// [`crate::Error::Interrupted`], or [`Report::stopped`] where nothing is saved.
    #[must_use]
    pub fn stop_requested(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// The last signal that asked to stop.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        let signal = self.shared.signal.load(Ordering::Relaxed) as i32;
        (signal > 0).then_some(signal)
    }

    /// The error of a stage that was asked to stop and saves nothing.
    #[must_use]
    pub fn stopped(&self, message: impl Into<String>) -> crate::Error {
        crate::Error::Stopped { message: message.into(), signal: self.signal() }
    }

    /// Asks the stage to stop, as a signal does.
    pub fn request_stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// The daemon asks the stage to stop: nobody wants it to go on, not even later.
    fn give_up(&self) {
        self.shared.given_up.store(true, Ordering::Relaxed);
        self.request_stop();
    }

    /// Whether the daemon asked to stop.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.shared.given_up.load(Ordering::Relaxed)
    }

    /// Why this worker no longer holds its attempt, if it does not. Then its result counts nowhere.
    #[must_use]
    pub fn fenced(&self) -> Option<&str> {
        self.shared.fenced.get().map(String::as_str)
    }

    /// Requires that this worker still holds its attempt: the files that it would write are another's otherwise.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`] when it does not.
    pub fn require_hold(&self) -> crate::Result<()> {
        self.fenced().map_or(Ok(()), |why| {
            Err(crate::Error::Interrupted(format!("stopped, and nothing was saved any more: {why}")))
        })
    }

    /// The daemon says that the attempt is another worker's, or nobody's: stop.
    fn fence(&self, why: String) {
        // The first reason is the one that counts.
        let _ = self.shared.fenced.set(why);
        self.request_stop();
    }

    fn note(&self, note: impl FnOnce() -> Note) {
        if self.shared.listening {
            let entry = (Utc::now(), note());
            self.told().notes.push(entry);
        }
    }

    /// What was told since the last call, and the progress as it stands.
    fn take(&self) -> Told {
        let mut told = self.told();
        Told { progress: told.progress.clone(), notes: std::mem::take(&mut told.notes) }
    }

    /// The lock is only ever held to copy a few words, so that a stage never waits for the reporter.
    fn told(&self) -> MutexGuard<'_, Told> {
        self.shared.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
