//! The reconciler: rereads the record and the executor, compares, acts. It takes no hints; waking it
//! early only makes things happen sooner.

use super::{
    Engine, EngineError, Result,
    apply::{current, happen, settle},
    decide::Event,
    worker::Left,
};
use crate::{
    executor::{Cause, Exit, Job, Liveness, Presence, folder},
    fault,
    store::{AttemptRow, UNEXPLAINED},
};
use chrono::Utc;
use protocol::{
    ids::{AttemptId, SubmissionId},
    stage::{AttemptState, SubmissionState},
};
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::PoisonError,
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How often the record is compared although nothing woke the reconciler.
const PERIOD: Duration = Duration::from_secs(2);
/// The longest that nothing wakes the reconciler.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long one reconciliation without a daemon may take.
const PATIENCE: Duration = Duration::from_secs(240);
/// How many periods pass between two trimmings of the record.
const TRIM_EVERY: u32 = 300;
/// How old the table of a study that is not over may be: while results come in, each would have all of it written again.
const TABLE_AGE: Duration = Duration::from_secs(30);

impl Engine {
    /// Reconciles until `stop`: at once, whenever woken, and every two seconds.
    pub async fn run(&self, stop: CancellationToken) {
        let mut rounds = 0_u32;
        let mut written: Option<tokio::time::Instant> = None;
        loop {
            let began = tokio::time::Instant::now();
            if let Err(error) = self.compare().await {
                tracing::error!(%error, "failed to reconcile; trying again in two seconds");
            }
            let all = written.is_none_or(|at| at.elapsed() >= TABLE_AGE);
            if all {
                written = Some(tokio::time::Instant::now());
            }
            if let Err(error) = self.write_tables(all).await {
                tracing::error!(%error, "failed to write the results; trying again in two seconds");
            }
            if rounds.is_multiple_of(TRIM_EVERY)
                && let Err(error) = self.store.trim(Utc::now()).await
            {
                tracing::warn!(%error, "failed to trim the record");
            }
            rounds = rounds.wrapping_add(1);
            let took = began.elapsed();
            tracing::debug!(milliseconds = took.as_millis() as u64, "reconciled");
            rest(took, &self.wake, &stop).await;
            if stop.is_cancelled() {
                // What was cancelled just before must not start when nobody is there to be asked.
                match self.store.live_attempts().await {
                    Ok(live) => self.take_back(&live).await,
                    Err(error) => tracing::error!(%error, "what was cancelled may still start"),
                }
                if let Err(error) = self.write_tables(true).await {
                    tracing::error!(%error, "failed to write the results; the next daemon does");
                }
                return;
            }
        }
    }

    /// Reconciles until nothing that was seen has to be seen again before it counts; for a few minutes at most.
    ///
    /// # Errors
    /// When the record can't be used.
    pub async fn settle_down(&self) -> Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        self.reconcile().await?;
        // A queue ends its jobs by itself; a process of this machine has to be there to be forced.
        let queue = self.executor.capabilities().queue;
        let asked = || !queue && !self.stops.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        while (self.executor.is_unsettled().await || asked()) && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.reconcile().await?;
        }
        Ok(())
    }

    /// Compares once, acts on every difference, and writes the results.
    ///
    /// # Errors
    /// When the record can't be used; what was not done is done the next time.
    pub async fn reconcile(&self) -> Result<()> {
        self.compare().await?;
        self.write_tables(true).await
    }

    async fn compare(&self) -> Result<()> {
        self.follow().await?;
        let unsettled = self.store.unsettled_stages().await?;
        if !unsettled.is_empty() {
            let mut tx = self.store.begin(Utc::now).await?;
            settle(&mut tx, unsettled).await?;
            tx.commit().await?;
        }
        if self.executor.capabilities().queue { self.fill_queue().await } else { self.fill_slots().await }
    }

    /// Looks after every attempt that is not over.
    async fn follow(&self) -> Result<()> {
        for outdated in self.store.outdated_attempts().await? {
            self.happens(outdated, Event::Outdated).await?;
        }
        let open = self.store.open_submissions().await?;
        let mut live = self.store.live_attempts().await?;
        // What is certainly not in the queue only has to be told apart from what is.
        let held: HashSet<_> =
            open.iter().filter(|s| s.state == SubmissionState::Held).map(|s| s.id).collect();
        let (waiting, rest): (Vec<_>, Vec<_>) = live
            .drain(..)
            .partition(|attempt| attempt.queued.is_some_and(|queued| held.contains(&queued.submission)));
        for attempt in waiting.iter().filter(|attempt| attempt.stop.is_some()) {
            let exit = Exit { cause: Cause::Cancelled, ..Exit::default() };
            self.happens(attempt.id, Event::Gone(exit)).await?;
        }
        let live = rest;
        self.take_back(&live).await;
        let unclear: Vec<_> = open
            .iter()
            .filter(|submission| submission.state != SubmissionState::Held)
            .map(|submission| {
                let of_it = |attempt: &&AttemptRow| {
                    attempt.queued.is_some_and(|queued| queued.submission == submission.id)
                };
                (submission.id, live.iter().filter(of_it).map(job).collect::<Vec<_>>())
            })
            .collect();
        let unclear_ids: HashSet<_> = unclear.iter().map(|(id, _)| *id).collect();
        let jobs: Vec<_> = live
            .iter()
            .filter(|attempt| attempt.queued.is_none_or(|queued| !unclear_ids.contains(&queued.submission)))
            .map(job)
            .collect();
        let survey = self.executor.survey(&jobs, &unclear).await;
        for (id, presence) in survey.submissions {
            self.clear_up(id, presence).await?;
        }
        self.note_queue(&live, &survey.jobs).await?;
        // A job that others still need is not cancelled: who is to stop hears it from the daemon.
        let needed: HashSet<_> =
            live.iter().filter(|attempt| attempt.stop.is_none()).filter_map(place).collect();
        let is_needed = |attempt: &AttemptRow| place(attempt).is_some_and(|place| needed.contains(&place));
        let stopping =
            live.iter().filter(|attempt| attempt.stop.is_some()).map(|attempt| attempt.id).collect();
        let due = self.stops.lock().unwrap_or_else(PoisonError::into_inner).due(&stopping, Instant::now());
        let (mut stop, mut kill) = (Vec::new(), Vec::new());
        for attempt in &live {
            match survey.jobs.get(&attempt.id) {
                Some(Liveness::Alive { .. } | Liveness::Waits { .. }) => {
                    self.tend(attempt).await?;
                    if let Some(Liveness::Waits { never: true, .. }) = survey.jobs.get(&attempt.id) {
                        self.happens(attempt.id, Event::Outdated).await?;
                    }
                    match attempt.stop {
                        Some(_) if is_needed(attempt) => {}
                        Some(_) if due.contains(&attempt.id) => kill.push(job(attempt)),
                        Some(_) => stop.push(job(attempt)),
                        None => {}
                    }
                }
                Some(Liveness::Gone(exit)) => self.is_gone(attempt, exit.clone()).await?,
                // How one ended that was asked to stop changes nothing.
                Some(Liveness::Unexplained) if attempt.stop.is_some() => {
                    self.is_gone(attempt, Exit::default()).await?;
                }
                Some(Liveness::Unexplained) | None => {}
            }
        }
        for (jobs, force) in [(stop, false), (kill, true)] {
            if !jobs.is_empty() {
                self.executor.stop(&jobs, force).await;
                let asked = jobs.iter().map(|job| job.attempt);
                self.stops.lock().unwrap_or_else(PoisonError::into_inner).asked(asked, Instant::now());
            }
        }
        Ok(())
    }

    /// Takes `attempt.json` from what is to stop in the queue, without a look at it first: what has not begun never does,
    /// whatever becomes of this daemon. Jobs are cancelled after a look alone, since ids are not trusted without it.
    async fn take_back(&self, live: &[AttemptRow]) {
        let stopping: Vec<_> =
            live.iter().filter(|attempt| attempt.stop.is_some() && attempt.queued.is_some()).collect();
        let fresh: Vec<_> = {
            let mut withdrawn = self.withdrawn.lock().unwrap_or_else(PoisonError::into_inner);
            let ids: HashSet<_> = stopping.iter().map(|attempt| attempt.id).collect();
            withdrawn.retain(|id| ids.contains(id));
            stopping
                .iter()
                .filter(|attempt| !withdrawn.contains(&attempt.id))
                .map(|attempt| (attempt.id, attempt.folder.clone()))
                .collect()
        };
        if fresh.is_empty() {
            return;
        }
        let withdraw = move || {
            let done = |(id, folder): &(AttemptId, PathBuf)| match folder::withdraw(folder) {
                Ok(()) => Some(*id),
                Err(error) => {
                    tracing::warn!(attempt = %id, %error, "can't be taken out of its job");
                    None
                }
            };
            fresh.iter().filter_map(done).collect::<Vec<_>>()
        };
        let done = tokio::task::spawn_blocking(withdraw).await.unwrap_or_default();
        self.withdrawn.lock().unwrap_or_else(PoisonError::into_inner).extend(done);
    }

    /// Looks after an attempt that is in the queue or runs.
    async fn tend(&self, attempt: &AttemptRow) -> Result<()> {
        let news = self.caught_up.lock().unwrap_or_else(PoisonError::into_inner).insert(attempt.id);
        if news
            && (attempt.queued.is_none() || attempt.claim.is_some() || folder::was_entered(&attempt.folder))
        {
            // What it wrote while no daemon listened.
            self.read_folder(attempt, None).await?;
        }
        if attempt.state == AttemptState::Intended {
            self.happens(attempt.id, Event::Submitted).await?;
        }
        Ok(())
    }

    /// Looks after an attempt that does not run, and is in no queue.
    async fn is_gone(&self, attempt: &AttemptRow, exit: Exit) -> Result<()> {
        match self.read_folder(attempt, Some(exit.clone())).await? {
            Left::Nothing => {}
            Left::Result => return Ok(()),
            // What it did may be all there: nothing is concluded yet, unless nobody wants it any more.
            Left::Unreadable(_) if attempt.stop.is_none() => return Ok(()),
            Left::Unreadable(_) => {}
        }
        let entered = folder::was_entered(&attempt.folder);
        let untouched = attempt.claim.is_none() && !folder::has_events(&attempt.folder);
        if attempt.queued.is_some() && entered && untouched && exit.code == Some(protocol::exit::RESUMABLE) {
            // Without a daemon to ask, the worker saw for itself that a parent had not succeeded.
            return self.happens(attempt.id, Event::Premature).await;
        }
        if attempt.queued.is_none() {
            let fresh = attempt.state == AttemptState::Intended && attempt.stop.is_none();
            if fresh && !entered && exit == Exit::default() {
                // Intended by a daemon that did not come to start it.
                return self.submit(attempt).await;
            }
        } else if !entered && attempt.stop.is_none() {
            if exit == Exit::default() {
                tracing::warn!(attempt = %attempt.id, "the queue lost it before it started");
                return self.happens(attempt.id, Event::Vanished).await;
            }
            let cancelled = matches!(exit.cause, Cause::Cancelled | Cause::Orphaned);
            if cancelled && !self.store.attempts_before(attempt.id).await?.is_empty() {
                // A person cancelled it, or what it waits for failed and this is not recorded yet: what becomes of
                // that tells.
                return Ok(());
            }
            if exit.cause == Cause::Orphaned {
                // The job before it succeeded by its worker's word, but did not end well for the queue.
                tracing::warn!(attempt = %attempt.id, "the queue cancelled it for a job before it");
                return self.happens(attempt.id, Event::Orphaned).await;
            }
        }
        tracing::warn!(attempt = %attempt.id, ?exit, "the worker is gone without a result");
        self.happens(attempt.id, Event::Gone(exit)).await
    }

    /// Records what was found out about a submission whose answer was unclear.
    async fn clear_up(&self, id: SubmissionId, presence: Presence) -> Result<()> {
        let mut tx = self.store.begin(Utc::now).await?;
        let now = tx.now();
        let from = match tx.submission_state(id).await? {
            Some((state @ (SubmissionState::Intended | SubmissionState::Ambiguous), _)) => state,
            // A worker of it came in between.
            _ => return Ok(()),
        };
        match presence {
            Presence::Here(job) => {
                tracing::info!(submission = %id, job, "found in the queue");
                tx.move_submission(id, from, SubmissionState::Submitted, Some(job), now, None).await?;
                tx.move_queued(id, AttemptState::Submitted).await?;
            }
            Presence::Absent => {
                tracing::info!(submission = %id, "is not in the queue; to be handed over again");
                tx.move_submission(id, from, SubmissionState::Held, None, now, None).await?;
                tx.move_queued(id, AttemptState::Intended).await?;
            }
        }
        tx.commit().await?;
        fault::point("cleared-up");
        Ok(())
    }

    /// Notes why attempts wait and where they run, as far as that is new.
    async fn note_queue(&self, live: &[AttemptRow], found: &HashMap<AttemptId, Liveness>) -> Result<()> {
        let mut noted = self.noted.lock().await;
        noted.retain(|attempt, _| found.is_empty() || found.contains_key(attempt));
        let mut tx = None;
        for attempt in live.iter().filter(|attempt| attempt.queued.is_some()) {
            let Some(liveness) = found.get(&attempt.id) else { continue };
            let (waits, node) = match liveness {
                Liveness::Waits { reason, .. } => (reason.as_deref(), None),
                Liveness::Alive { node } => (Some("starts"), node.as_deref()),
                Liveness::Unexplained => (Some(UNEXPLAINED), None),
                Liveness::Gone(_) => continue,
            };
            // A worker's claim says more than the queue does, as long as the worker is there.
            let waits = waits.filter(|_| attempt.claim.is_none() || *liveness == Liveness::Unexplained);
            if noted.get(&attempt.id) == Some(liveness) {
                continue;
            }
            noted.insert(attempt.id, liveness.clone());
            if tx.is_none() {
                tx = Some(self.store.begin(Utc::now).await?);
            }
            if let Some(tx) = &mut tx {
                tx.note_queue(attempt, waits, node).await?;
            }
        }
        if let Some(tx) = tx {
            tx.commit().await?;
        }
        Ok(())
    }

    /// Records an event at the attempt's stage; nothing, if the attempt is over by now.
    pub(super) async fn happens(&self, attempt: AttemptId, event: Event) -> Result<()> {
        let mut tx = self.store.begin(Utc::now).await?;
        let done = match current(&mut tx, attempt).await {
            Ok((_, stage)) => happen(&mut tx, &stage, event, None).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(_) => Ok(tx.commit().await?),
            Err(EngineError::Refused(why)) => {
                tracing::debug!(%attempt, why, "came too late");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Waits until the next round is due, after one that took so long, or until `stop`.
async fn rest(took: Duration, wake: &Notify, stop: &CancellationToken) {
    let due = async {
        tokio::time::sleep(pause(took)).await;
        tokio::select! {
            () = wake.notified() => {}
            () = tokio::time::sleep(PERIOD) => {}
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = due => {}
    }
}

/// How long nothing wakes the reconciler after a round. With thousands of attempts a comparison takes its time, and
/// every result asks for another: half of the time at most. A round that took minutes waited for the record.
fn pause(took: Duration) -> Duration {
    took.min(LONGEST_PAUSE)
}

/// The job in the queue that an attempt may share with others.
fn place(attempt: &AttemptRow) -> Option<(SubmissionId, u32)> {
    attempt.queued.map(|queued| (queued.submission, queued.array_task()))
}

/// An attempt, as the executor wants it.
pub(super) fn job(attempt: &AttemptRow) -> Job {
    let AttemptRow { id, slot, queued, restarts, .. } = *attempt;
    Job { attempt: id, folder: attempt.folder.clone(), slot, queued, restarts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{pin::pin, task::Poll};

    #[test]
    fn a_round_that_took_minutes_is_not_followed_by_minutes() {
        assert_eq!(pause(Duration::from_millis(300)), Duration::from_millis(300));
        assert_eq!(pause(Duration::from_secs(72)), LONGEST_PAUSE);
    }

    #[tokio::test]
    async fn who_is_to_stop_does_not_rest() {
        let (wake, stop) = (Notify::new(), CancellationToken::new());
        let mut resting = pin!(rest(Duration::from_secs(3600), &wake, &stop));
        assert_eq!(futures_util::poll!(&mut resting), Poll::Pending);
        stop.cancel();
        assert_eq!(futures_util::poll!(&mut resting), Poll::Ready(()));
    }
}
