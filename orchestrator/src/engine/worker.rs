//! What workers ask for: claim, events, result.

use super::{
    Engine, EngineError, Result,
    apply::{current, happen},
    decide::Event as Happening,
};
use crate::{
    executor::{Exit, folder},
    fault,
    store::{AttemptRow, StageRow, Tx},
};
use chrono::{DateTime, Utc};
use protocol::{
    API_VERSION,
    attempt::{
        ClaimRequest, ClaimResponse, Event, EventBatch, EventBody, EventsAccepted, Outcome, Process,
        ResultReport,
    },
    ids::{AttemptId, ClaimId},
    stage::{AttemptState, StageKind, SubmissionState},
};
use std::io;

impl Engine {
    /// Gives an attempt to the worker that asks first; to the same worker as often as it asks.
    ///
    /// # Errors
    /// When the worker must not work on it, or the record can't be used.
    pub async fn claim(&self, request: ClaimRequest) -> Result<ClaimResponse> {
        if request.api_version != API_VERSION {
            return Err(EngineError::Version { theirs: request.api_version });
        }
        // Parents may have ended without a daemon to tell.
        for before in self.store.attempts_before(request.attempt).await? {
            if let Left::Unreadable(source) = self.read_folder(&before, None).await? {
                // Asked again in a moment, rather than taking the parent for one that is not done.
                return Err(EngineError::File { path: before.folder.display().to_string(), source });
            }
        }
        let restarts = request.process.slurm.as_ref().map_or(0, |job| job.restart_count);
        let mut tx = self.store.begin(Utc::now).await?;
        let (attempt, stage) = current(&mut tx, request.attempt).await?;
        match attempt.claim {
            // The cluster started it again: the earlier copy, wherever it still lives, is refused from now on.
            Some(claim) if claim != request.claim && restarts <= attempt.restarts => {
                return Err(EngineError::Refused(format!(
                    "attempt {} was claimed by another worker",
                    request.attempt
                )));
            }
            _ => {}
        }
        self.is_in_its_place(&mut tx, &attempt, &request.process).await?;
        if attempt.queued.is_some() && attempt.stop.is_none() && !tx.parents_done(stage.id).await? {
            happen(&mut tx, &stage, Happening::Premature, None).await?;
            tx.commit().await?;
            self.wake.notify_one();
            return Err(EngineError::Refused(format!(
                "attempt {} was started before its parents were done",
                request.attempt
            )));
        }
        happen(&mut tx, &stage, Happening::Claimed, None).await?;
        if attempt.claim != Some(request.claim) {
            let place = place(&request.process);
            let named = request.process.slurm.as_ref().and_then(|job| job.node.as_deref());
            let at = (named.unwrap_or(&request.process.host), restarts);
            tx.set_claim(request.attempt, request.claim, &place, at).await?;
        }
        tx.commit().await?;
        fault::point("claimed");
        Ok(ClaimResponse { claim: request.claim, accepted_through: attempt.accepted_through })
    }

    /// Whether a worker is the job that its attempt was queued as. The name of the job led it to the attempt, so a
    /// job whose id was not known is adopted.
    async fn is_in_its_place(&self, tx: &mut Tx, attempt: &AttemptRow, process: &Process) -> Result<()> {
        let Some(queued) = attempt.queued else { return Ok(()) };
        let Some(slurm) = &process.slurm else { return Ok(()) };
        let array = slurm.array_job_id.unwrap_or(slurm.job_id);
        if slurm.array_task != Some(queued.array_task()) {
            let detail = format!("attempt {} is task {} of its array", attempt.id, queued.array_task());
            return Err(EngineError::Refused(detail));
        }
        match tx.submission_state(queued.submission).await? {
            Some((_, Some(known))) if known != array => Err(EngineError::Refused(format!(
                "attempt {} belongs to job {known}, not {array}",
                attempt.id
            ))),
            Some((SubmissionState::Submitted, _) | (_, Some(_))) | None => Ok(()),
            Some((from, None)) => {
                let (to, now) = (SubmissionState::Submitted, tx.now());
                tx.move_submission(queued.submission, from, to, Some(array), now, None).await?;
                tx.move_queued(queued.submission, AttemptState::Submitted).await?;
                Ok(())
            }
        }
    }

    /// Takes what happened, each event once.
    ///
    /// # Errors
    /// When the claim does not hold, or the record can't be used.
    pub async fn events(&self, batch: EventBatch) -> Result<EventsAccepted> {
        if batch.events.len() > MOST_EVENTS {
            let detail = format!("events: {} are too many; send at most {MOST_EVENTS}", batch.events.len());
            return Err(EngineError::Invalid(vec![detail]));
        }
        let mut tx = self.store.begin(Utc::now).await?;
        let (attempt, stage) = current(&mut tx, batch.attempt).await?;
        hold(&mut tx, &attempt, batch.claim, batch.restarts).await?;
        let mut events = batch.events;
        events.sort_by_key(|event| event.seq);
        let next = attempt.accepted_through + 1;
        if events.first().is_some_and(|event| event.seq > next) {
            // What is missing is in the worker's file, written before anything was sent.
            let path = attempt.folder.clone();
            let read = tokio::task::spawn_blocking(move || folder::events_after(&path, next - 1)).await;
            if let Ok(Ok(spooled)) = read {
                events.extend(spooled);
                events.sort_by_key(|event| event.seq);
            }
        }
        let accepted_through = take_events(&mut tx, &attempt, &stage, events).await?;
        tx.commit().await?;
        fault::point("events");
        Ok(EventsAccepted { accepted_through, stop: attempt.stop.is_some() })
    }

    /// Takes how an attempt ended. Repeating what was recorded already changes nothing.
    ///
    /// # Errors
    /// When the claim does not hold, the output is of another kind of stage, or the record can't be used.
    pub async fn result(&self, report: ResultReport) -> Result<()> {
        self.take_result(report, None).await
    }

    /// As [`Self::result`], with what the executor saw of the end, where it was looked at.
    async fn take_result(&self, report: ResultReport, exit: Option<Exit>) -> Result<()> {
        let mut tx = self.store.begin(Utc::now).await?;
        if let Some(attempt) = tx.attempt(report.attempt).await?
            && attempt.state.is_final()
            && attempt.claim == Some(report.claim)
            && told(&report.outcome, attempt.state)
        {
            return Ok(());
        }
        let (attempt, stage) = current(&mut tx, report.attempt).await?;
        hold(&mut tx, &attempt, report.claim, report.restarts).await?;
        if let Outcome::Succeeded { output } = &report.outcome
            && output.kind() != stage.kind
        {
            let detail = format!("outcome: is the output of {}, the stage is {}", output.kind(), stage.kind);
            return Err(EngineError::Invalid(vec![detail]));
        }
        // Whoever is asked to stop does not know what for. The queue does, and is asked: the attempt goes on until then.
        if let Outcome::Interrupted { message } = &report.outcome
            && exit.is_none()
            && attempt.queued.is_some()
            && attempt.stop.is_none()
        {
            tracing::info!(attempt = %attempt.id, message, "was interrupted; the queue is asked why");
            tx.commit().await?;
            self.wake.notify_one();
            return Ok(());
        }
        let run = (stage.kind == StageKind::Analyze).then_some(stage.run).flatten();
        let exit = exit.unwrap_or_default();
        happen(&mut tx, &stage, Happening::Reported(report.outcome, exit), None).await?;
        tx.ended_at(attempt.id, report.time).await?;
        let studies = match run {
            Some(run) => tx.studies_of_run(run).await?,
            None => Vec::new(),
        };
        // Before, so that nobody reads the study as over and its table as up to date; after, as it may have been written between.
        let make_stale = || studies.iter().for_each(|study| self.make_stale(study));
        make_stale();
        tx.commit().await?;
        make_stale();
        fault::point("result");
        self.wake.notify_one();
        Ok(())
    }

    /// Takes what a worker left in its folder: events that did not arrive, then its result, with what the executor saw
    /// of its end, if it did.
    ///
    /// # Errors
    /// When the record can't be used.
    pub(super) async fn read_folder(&self, attempt: &AttemptRow, exit: Option<Exit>) -> Result<Left> {
        let (path, after) = (attempt.folder.clone(), attempt.accepted_through);
        // In this order: all events are in the file before the result is, and with the result the attempt is over.
        let read =
            tokio::task::spawn_blocking(move || (folder::result(&path), folder::events_after(&path, after)));
        let (result, events) =
            read.await.unwrap_or_else(|error| (Err(io::Error::other(error)), Ok(Vec::new())));
        let report = match result {
            Ok(report) => report.filter(|report| report.attempt == attempt.id),
            // What is no result never becomes one; a file server that is away comes back.
            Err(error) if folder::is_no_result(&error) => {
                tracing::warn!(attempt = %attempt.id, %error, "its result is none");
                None
            }
            Err(error) => return Ok(Left::unreadable(attempt, error)),
        };
        match events {
            Ok(events) if events.is_empty() => {}
            Ok(events) => self.take_spooled(attempt.id, events).await?,
            Err(error) => return Ok(Left::unreadable(attempt, error)),
        }
        let Some(report) = report else { return Ok(Left::Nothing) };
        match self.take_result(report, exit).await {
            Ok(()) => Ok(Left::Result),
            // An earlier worker's word, or not of this stage: the attempt counts as without result.
            Err(EngineError::Refused(why)) => {
                tracing::warn!(attempt = %attempt.id, why, "its result was refused");
                Ok(Left::Nothing)
            }
            Err(EngineError::Invalid(why)) => {
                tracing::warn!(attempt = %attempt.id, ?why, "its result was refused");
                Ok(Left::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    async fn take_spooled(&self, id: AttemptId, events: Vec<Event>) -> Result<()> {
        let mut tx = self.store.begin(Utc::now).await?;
        let (attempt, stage) = match current(&mut tx, id).await {
            Ok(found) => found,
            Err(EngineError::Refused(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        take_events(&mut tx, &attempt, &stage, events).await?;
        Ok(tx.commit().await?)
    }
}

/// The most events that one batch may hold.
const MOST_EVENTS: usize = 1_000;

/// What a worker left in its folder.
#[derive(Debug)]
pub(super) enum Left {
    /// A result, which was taken.
    Result,
    /// None that counts.
    Nothing,
    /// Perhaps one: the files can't be read now.
    Unreadable(io::Error),
}

impl Left {
    fn unreadable(attempt: &AttemptRow, error: io::Error) -> Self {
        tracing::warn!(attempt = %attempt.id, %error, "its files can't be read; trying again");
        Self::Unreadable(error)
    }
}

/// Requires that the worker holds the attempt. One that reached no daemon may have begun without asking, and holds it from
/// its first word on: nobody held it, or an earlier start.
async fn hold(tx: &mut Tx, attempt: &AttemptRow, claim: ClaimId, restarts: u32) -> Result<()> {
    match attempt.claim {
        Some(held) if held == claim => Ok(()),
        Some(_) if restarts <= attempt.restarts => {
            Err(EngineError::Refused(format!("attempt {} was claimed by another worker", attempt.id)))
        }
        _ => Ok(tx.adopt(attempt.id, claim, restarts).await?),
    }
}

/// Whether an outcome is what was recorded for an attempt that is over.
fn told(outcome: &Outcome, state: AttemptState) -> bool {
    state == AttemptState::Cancelled
        || match outcome {
            Outcome::Succeeded { .. } => state == AttemptState::Succeeded,
            Outcome::Failed { .. } => state == AttemptState::Failed,
            Outcome::Interrupted { .. } => {
                matches!(state, AttemptState::Preempted | AttemptState::TimedOut | AttemptState::NodeFailed)
            }
        }
}

fn place(process: &Process) -> String {
    match &process.slurm {
        Some(job) => match (job.array_job_id, job.array_task) {
            (Some(array), Some(task)) => format!("{}, job {array}_{task}", process.host),
            _ => format!("{}, job {}", process.host, job.job_id),
        },
        None => format!("{}, process {}", process.host, process.pid),
    }
}

/// Records events that are new, in order of their numbers; answers how far they go now.
async fn take_events(tx: &mut Tx, attempt: &AttemptRow, stage: &StageRow, events: Vec<Event>) -> Result<u64> {
    let (mut through, mut heard) = (attempt.accepted_through, DateTime::UNIX_EPOCH);
    let (mut progress, mut points) = (None, Vec::new());
    for event in events {
        if event.seq <= through {
            continue;
        }
        (through, heard) = (event.seq, event.time);
        match event.body {
            EventBody::Progress(now) => progress = Some(now),
            EventBody::Metrics { points: new } => points.extend(new),
            // Kept in the worker's log; the record has no use for them.
            EventBody::Checkpoint { .. } | EventBody::Log { .. } => {}
        }
    }
    if let Some(run) = stage.run.filter(|_| !points.is_empty()) {
        tx.add_metrics(run, &points).await?;
    }
    if through > attempt.accepted_through {
        tx.set_accepted(attempt, (through, heard), progress.as_ref()).await?;
    }
    Ok(through)
}
