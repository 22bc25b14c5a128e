//! The thread that carries the spool to the daemon, and at the end the result.
//!
//! A daemon that is away costs nothing but time: the thread tries again, less and less often, and what
//! it could not deliver stays in the files for the daemon to read.

use super::{
    Report,
    client::{CallError, Client},
    process,
    spool::{Batch, Reader},
};
use protocol::{
    attempt::{EventBatch, ResultReport},
    ids::{AttemptId, ClaimId},
};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// First pause after a failed call; doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause between two calls.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often the thread looks without being told that there is something.
const IDLE: Duration = Duration::from_secs(1);

/// What became of the last words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The daemon has everything.
    Delivered,
    /// The daemon was away; it finds the files.
    LeftInFiles,
    /// The daemon says that the attempt is not this worker's.
    Refused(String),
}

/// The thread's handle. Dropping it ends the thread after the call that is under way.
pub struct Sender {
    thread: JoinHandle<Delivery>,
    end: Arc<Mutex<End>>,
}

/// How near the worker's end is.
#[derive(Clone)]
enum End {
    /// It works.
    Far,
    /// Its result may be in the file, where the daemon may read it.
    Near,
    /// Nothing comes after this.
    Here(LastWords),
}

#[derive(Clone)]
struct LastWords {
    /// None when the attempt goes on with another worker.
    result: Option<ResultReport>,
    until: Instant,
}

impl End {
    const fn last_words(&self) -> Option<&LastWords> {
        match self {
            Self::Here(words) => Some(words),
            Self::Far | Self::Near => None,
        }
    }

    /// Whether the daemon may have read the result from its file.
    const fn may_be_known(&self) -> bool {
        matches!(self, Self::Near | Self::Here(LastWords { result: Some(_), .. }))
    }
}

struct Courier {
    report: Report,
    client: Client,
    attempt: AttemptId,
    claim: ClaimId,
    reader: Reader,
    /// Gone when the [`Sender`] was dropped.
    end: Weak<Mutex<End>>,
}

impl Sender {
    /// Starts to deliver the events of the spool at `path` after `accepted_through`.
    ///
    /// # Errors
    /// When the spool or the thread can't be opened.
    pub fn start(
        report: &Report,
        client: Client,
        (attempt, claim): (AttemptId, ClaimId),
        path: &Path,
        accepted_through: u64,
    ) -> crate::Result<Self> {
        let end = Arc::new(Mutex::new(End::Far));
        let courier = Courier {
            report: report.clone(),
            client,
            attempt,
            claim,
            reader: Reader::open(path, accepted_through)?,
            end: Arc::downgrade(&end),
        };
        let thread = thread::Builder::new()
            .name("sender".into())
            .spawn(move || courier.run())
            .map_err(crate::Error::io("thread"))?;
        Ok(Self { thread, end })
    }

    /// The spool has grown.
    pub fn wake(&self) {
        self.thread.thread().unpark();
    }

    /// The result is about to be written to its file. A daemon that reads it there takes no more events, not even those
    /// that are on their way, and that is no refusal.
    pub fn end_is_near(&self) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = End::Near;
    }

    /// Delivers what is left and then the result, if there is one, for at most `limit`.
    #[must_use]
    pub fn finish(self, result: Option<ResultReport>, limit: Duration) -> Delivery {
        let Self { thread, end } = self;
        let until = Instant::now() + limit;
        *end.lock().unwrap_or_else(PoisonError::into_inner) = End::Here(LastWords { result, until });
        thread.thread().unpark();
        thread.join().unwrap_or(Delivery::LeftInFiles)
    }
}

/// What a step of the courier did.
enum Step {
    Sent,
    NothingToSend,
    Over,
}

impl Courier {
    fn run(mut self) -> Delivery {
        let mut pause = FIRST_PAUSE;
        // Taken before the spool is read: what is read then holds every event that was written before.
        while let Some(end) = self.end() {
            let last_words = end.last_words();
            match self.step(last_words) {
                Ok(Step::Sent) => pause = FIRST_PAUSE,
                Ok(Step::NothingToSend) => thread::park_timeout(IDLE),
                Ok(Step::Over) => return Delivery::Delivered,
                Err(CallError::Refused(why)) => {
                    self.report.fence(why.clone());
                    return Delivery::Refused(why);
                }
                Err(CallError::Stranger(why) | CallError::Unreachable(why)) => {
                    tracing::debug!("the daemon did not take a report: {why}");
                    self.rest(pause, last_words.is_some());
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    if last_words.is_some_and(|words| Instant::now() >= words.until) {
                        break;
                    }
                }
            }
        }
        Delivery::LeftInFiles
    }

    fn step(&mut self, last_words: Option<&LastWords>) -> Result<Step, CallError> {
        let limit = last_words
            .map_or(Duration::MAX, |words| words.until.saturating_duration_since(Instant::now()))
            .max(FIRST_PAUSE);
        let result = last_words.and_then(|words| words.result.as_ref());
        let batch = self.reader.peek().map_err(|error| CallError::Unreachable(error.to_string()))?;
        if !batch.events.is_empty() {
            match self.send(batch, limit) {
                // Asked now: the result may have been written, and read, while the events were on their way. What a
                // refusal means then is said when the daemon is told the result.
                Err(CallError::Refused(_)) if self.end().is_some_and(|end| end.may_be_known()) => {}
                sent => return sent.map(|()| Step::Sent),
            }
        }
        match result {
            Some(result) => self.client.result(result, limit).map(|()| Step::Over),
            None if last_words.is_some() => Ok(Step::Over),
            None => Ok(Step::NothingToSend),
        }
    }

    fn send(&mut self, mut batch: Batch, limit: Duration) -> Result<(), CallError> {
        let events = std::mem::take(&mut batch.events);
        let (attempt, claim) = (self.attempt, self.claim);
        let message = EventBatch { attempt, claim, restarts: process::restarts(), events };
        let accepted = self.client.events(&message, limit)?;
        self.reader.delivered(&batch);
        if accepted.stop && !self.report.is_given_up() {
            self.report.info("asked to stop");
            self.report.give_up();
        }
        Ok(())
    }

    /// Waits after a failed call; not for long at the end, and not any longer when the end comes.
    fn rest(&self, pause: Duration, closing: bool) {
        let end = Instant::now() + if closing { pause.min(FIRST_PAUSE) } else { pause };
        while Instant::now() < end && (closing || matches!(self.end(), Some(End::Far | End::Near))) {
            thread::park_timeout(end.saturating_duration_since(Instant::now()));
        }
    }

    /// None when the handle is gone.
    fn end(&self) -> Option<End> {
        let end = self.end.upgrade()?;
        let end = end.lock().unwrap_or_else(PoisonError::into_inner);
        Some(end.clone())
    }
}
