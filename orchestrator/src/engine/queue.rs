//! Stages into a cluster's queue, as job arrays and ahead of their parents' end.
//!
//! A submission is recorded before the submit command is called, and what the call's answer means is recorded
//! after it. Whatever a crash leaves in between counts as unclear until the queue was looked at (`reconcile`).

use super::{Engine, EngineError, Result, apply::happen, decide::Event};
use crate::{
    domain::{
        batch::{self, Batch, Candidate, Parent},
        queue::{Earlier, How, Queued},
        resources::{Door, Request},
    },
    executor::{Job, Order, SCRIPT_FILE, SubmitError, folder},
    fault,
    store::{AttemptRow, NewAttempt, NewSubmission, OpenSubmission, Queueable, Terms, Tx},
};
use chrono::{TimeDelta, Utc};
use protocol::{
    ids::{AttemptId, StageId, SubmissionId},
    stage::{AttemptState, StageKind, SubmissionState},
    view::StageScript,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    path::{Path, PathBuf},
    sync::PoisonError,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// After attempts could not be recorded.
const PAUSE: Duration = Duration::from_secs(30);

/// Attempts that are not over by stage: what children are queued behind.
type Live = HashMap<StageId, (AttemptId, PathBuf)>;

impl Engine {
    /// Hands over what is held and due, then queues as many stages as there is room for.
    pub(super) async fn fill_queue(&self) -> Result<()> {
        let pauses = *self.queue_pauses.lock().unwrap_or_else(PoisonError::into_inner);
        if pauses.is_some_and(|until| until > Instant::now()) {
            return Ok(());
        }
        if self.executor.room(0).await.attempts == 0 {
            return Ok(());
        }
        let terms = self.terms().await;
        for submission in self.store.open_submissions().await? {
            let due = submission.state == SubmissionState::Held && submission.due <= Utc::now();
            // Asked for each: what is refused shuts the door to others.
            if due && self.may_go(&submission.request, 0).await {
                self.hand_over_again(&submission, &terms).await?;
            }
        }
        // What is held before a door that is shut takes no room from those that go elsewhere.
        let mut shut = 0_u32;
        for submission in self.store.open_submissions().await? {
            if submission.state == SubmissionState::Held && !self.executor.takes(&submission.request).await {
                shut = shut.saturating_add(submission.attempts);
            }
        }
        let room = self.executor.room(self.store.busy().await?.saturating_sub(shut)).await;
        if room.attempts == 0 {
            return Ok(());
        }
        // Before what may be queued is looked for: a parent that ends in between is recorded as what its children were
        // queued behind, and these are queued again.
        let mut live: Live = HashMap::new();
        for attempt in self.store.live_attempts().await? {
            live.insert(attempt.stage, (attempt.id, attempt.folder));
        }
        let most = room.attempts as usize;
        let Queueable { mut candidates, placed } =
            self.store.queueable(&terms, if shut > 0 { usize::MAX } else { most }).await?;
        if shut > 0 {
            candidates = self.elsewhere(candidates).await;
            let stages = candidates.iter().map(|candidate| (candidate.stage, candidate.parents.as_slice()));
            let chosen = batch::placeable(stages, &placed, most);
            candidates.retain(|candidate| chosen.contains(&candidate.stage));
        }
        if candidates.is_empty() {
            return Ok(());
        }
        let now = Utc::now();
        let (failing, failed_at) = (self.store.failing_nodes(now).await?, self.store.failed_at(now).await?);
        for candidate in &mut candidates {
            candidate.request.leave_out(&failing, &terms.ceilings);
            if let Some(node) = failed_at.get(&candidate.stage).filter(|node| !failing.contains(node)) {
                let nodes = [failing.as_slice(), std::slice::from_ref(node)].concat();
                candidate.request.leave_out(&nodes, &terms.ceilings);
            }
        }
        let parents: HashMap<_, _> =
            candidates.iter().map(|candidate| (candidate.stage, candidate.parents.clone())).collect();
        let batches = batch::batches(candidates, &placed, room.array.max(1));
        let mut handed_over = vec![false; batches.len()];
        for (position, batch) in batches.iter().enumerate() {
            let ready = batch.after.iter().all(|after| match after.array {
                Earlier::Known(_) => true,
                Earlier::New(earlier) => handed_over[earlier],
            });
            // What one waits for that could not be handed over is looked at again in the next round.
            if ready && self.may_go(&batch.request, self.store.busy().await?.saturating_sub(shut)).await {
                handed_over[position] = self.queue(batch, &parents, &mut live).await?;
            }
        }
        Ok(())
    }

    /// Whether something of this request may be handed over, with so many attempts in the queue.
    async fn may_go(&self, request: &Request, queued: u32) -> bool {
        self.executor.room(queued).await.attempts > 0 && self.executor.takes(request).await
    }

    /// Those that go through a door that is open.
    async fn elsewhere(&self, candidates: Vec<Candidate>) -> Vec<Candidate> {
        let mut open: HashMap<Door, bool> = HashMap::new();
        for candidate in &candidates {
            if let Entry::Vacant(door) = open.entry(candidate.request.door()) {
                door.insert(self.executor.takes(&candidate.request).await);
            }
        }
        candidates
            .into_iter()
            .filter(|candidate| open.get(&candidate.request.door()) == Some(&true))
            .collect()
    }

    /// What the cluster adds to the rules of studies.
    pub(super) async fn terms(&self) -> Terms<'_> {
        let (ceilings, walls) = (self.executor.ceilings().await, self.executor.walls().await);
        Terms { rules: self.executor.rules(), ceilings, walls }
    }

    /// The batch script of a stage: that of an attempt by its number, or else of the newest, or the one it would
    /// get now.
    ///
    /// # Errors
    /// When there is no such stage, no queue, or the record can't be used.
    pub async fn script(&self, stage: StageId, attempt: Option<u32>) -> Result<StageScript> {
        let missing = || EngineError::Missing("stage", stage.to_string());
        let newest = self.store.attempt_folder(stage, attempt).await?.ok_or_else(missing)?;
        if let Some((_, folder)) = newest
            && let Some(file) = folder.parent().map(|array| array.join(SCRIPT_FILE))
            && let Ok(script) = std::fs::read_to_string(&file)
        {
            return Ok(StageScript { script, file: Some(file.display().to_string()) });
        }
        let terms = self.terms().await;
        let mut requests = self.store.requests_of(&[stage], &terms).await?;
        let (kind, request) = requests.remove(&stage).ok_or_else(missing)?;
        let order = self.preview(kind, request, &[0], Vec::new());
        let script = self.executor.script(&order).map_err(EngineError::Conflict)?;
        Ok(StageScript { script, file: None })
    }

    /// An order that is not handed over, to look at its script.
    pub(super) fn preview(
        &self,
        kind: StageKind,
        request: Request,
        members: &[u32],
        after: Vec<(u64, How)>,
    ) -> Order {
        let submission = SubmissionId(Uuid::nil());
        let folder = self.layout.submission(kind, submission);
        let job = |&member: &u32| Job {
            attempt: AttemptId(Uuid::nil()),
            folder: folder.join(member.to_string()),
            slot: 0,
            queued: Some(Queued { submission, member, pack: request.runs(), job: None }),
            restarts: 0,
        };
        let jobs = members.iter().map(job).collect();
        Order { submission: Some(submission), kind, folder, jobs, request, after }
    }

    /// Records a batch and hands it over; answers whether it is in the queue.
    async fn queue(
        &self,
        batch: &Batch,
        parents: &HashMap<StageId, Vec<Parent>>,
        live: &mut Live,
    ) -> Result<bool> {
        let id = SubmissionId(Uuid::now_v7());
        let folder = self.layout.submission(batch.kind, id);
        if let Err(error) = self.record(id, &folder, batch, parents, live).await {
            // A full disk, say: not a thousand new folders every two seconds.
            *self.queue_pauses.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
            let recorded = match self.store.begin(Utc::now).await {
                Ok(mut tx) => tx.submission_state(id).await,
                Err(error) => Err(error),
            };
            if matches!(recorded, Ok(None)) {
                discard(folder).await;
            }
            return Err(error);
        }
        self.hand_over(id, batch.kind, &batch.request, &folder).await
    }

    /// Records the intent to hand over a batch: the folders of its attempts, then the attempts.
    async fn record(
        &self,
        id: SubmissionId,
        folder: &Path,
        batch: &Batch,
        parents: &HashMap<StageId, Vec<Parent>>,
        live: &mut Live,
    ) -> Result<()> {
        let mut openings = Vec::with_capacity(batch.members.len());
        let mut files = Vec::with_capacity(batch.members.len());
        for (&member, &stage) in &batch.members {
            let Some(work) = self.store.work(stage).await? else { continue };
            let before: Vec<_> = parents
                .get(&stage)
                .into_iter()
                .flatten()
                .filter_map(|parent| live.get(&parent.stage))
                .collect();
            let path = folder.join(member.to_string());
            let failed = |source| EngineError::File { path: path.display().to_string(), source };
            let attempt = AttemptId(Uuid::now_v7());
            let parents = before.iter().map(|(_, folder)| folder.clone()).collect();
            let (file, token_sha256) =
                self.attempt_file(attempt, &work, parents, self.executor.requeues()).map_err(failed)?;
            let before: Vec<_> = before.iter().map(|(attempt, _)| *attempt).collect();
            files.push((path.clone(), file));
            let queued = Some((id, member));
            openings.push((
                NewAttempt { id: attempt, stage, slot: 0, token_sha256, folder: path, queued },
                before,
            ));
        }
        let at = folder.to_owned();
        let written = tokio::task::spawn_blocking(move || folder::create_all(&at, &files)).await;
        written
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|source| EngineError::File { path: folder.display().to_string(), source })?;
        fault::point("folders");

        let mut tx = self.store.begin(Utc::now).await?;
        let submission =
            NewSubmission { id, kind: batch.kind, request: batch.request.clone(), folder: folder.to_owned() };
        tx.open_submission(&submission).await?;
        let mut opened = Vec::with_capacity(openings.len());
        for (opening, before) in openings {
            let Some(stage) = tx.stage(opening.stage).await? else { continue };
            match happen(&mut tx, &stage, Event::Queue, Some(&opening)).await {
                Ok(_) => {}
                Err(EngineError::Refused(why)) => {
                    tracing::debug!(stage = %opening.stage, why, "is not to be queued any more");
                    continue;
                }
                Err(error) => return Err(error),
            }
            for parent in before {
                tx.add_attempt_parent(opening.id, parent).await?;
            }
            opened.push(opening);
        }
        tx.commit().await?;
        fault::point("intent");
        for opening in opened {
            live.insert(opening.stage, (opening.id, opening.folder));
        }
        Ok(())
    }

    /// Hands over what was held, in the same name: it certainly is not in the queue. What would ask for something else by
    /// now is queued anew.
    async fn hand_over_again(&self, submission: &OpenSubmission, terms: &Terms<'_>) -> Result<()> {
        let (from, to) = (SubmissionState::Held, SubmissionState::Intended);
        let mut tx = self.store.begin(Utc::now).await?;
        if tx.submission_state(submission.id).await?.is_none_or(|(state, _)| state != from) {
            // A worker of it came in between.
            return Ok(());
        }
        let stages: Vec<_> =
            tx.attempts_of(submission.id).await?.iter().map(|attempt| attempt.stage).collect();
        let requests = self.store.requests_of(&stages, terms).await?;
        for (stage, (_, mut asked)) in requests {
            // Nodes come and go.
            asked.exclude.clone_from(&submission.request.exclude);
            if asked != submission.request
                && let Some(stage) = tx.stage(stage).await?
            {
                happen(&mut tx, &stage, Event::Changed, None).await?;
            }
        }
        tx.move_submission(submission.id, from, to, None, submission.due, None).await?;
        tx.commit().await?;
        fault::point("intent-again");
        self.hand_over(submission.id, submission.kind, &submission.request, &submission.folder).await?;
        Ok(())
    }

    /// Calls the submit command, and records its answer.
    async fn hand_over(
        &self,
        id: SubmissionId,
        kind: StageKind,
        request: &Request,
        folder: &Path,
    ) -> Result<bool> {
        let mut tx = self.store.begin(Utc::now).await?;
        let attempts = tx.attempts_of(id).await?;
        let after = dependencies(tx.waits_for(id).await?);
        drop(tx);
        let jobs: Vec<_> =
            attempts.iter().filter(|attempt| attempt.stop.is_none()).map(super::reconcile::job).collect();
        if jobs.is_empty() {
            return Ok(false);
        }
        let order = Order {
            submission: Some(id),
            kind,
            folder: folder.to_owned(),
            jobs,
            request: request.clone(),
            after,
        };
        let answer = self.executor.submit(&order).await;
        fault::point("submitted");
        let mut tx = self.store.begin(Utc::now).await?;
        let now = tx.now();
        // A worker of it that came before the answer told its id: it is in the queue, whatever the answer is.
        let known = matches!(tx.submission_state(id).await?, Some((SubmissionState::Submitted, _)));
        let from = SubmissionState::Intended;
        match &answer {
            _ if known => tracing::info!(submission = %id, %kind, ?answer, "began before the answer came"),
            Ok(job) => {
                tracing::info!(submission = %id, job, %kind, tasks = order.jobs.len(), "queued");
                tx.move_submission(id, from, SubmissionState::Submitted, Some(*job), now, None).await?;
                tx.move_queued(id, AttemptState::Submitted).await?;
            }
            Err(SubmitError::Refused { message, permanent }) => {
                tracing::error!(submission = %id, %kind, message, "was refused");
                tx.move_submission(id, from, SubmissionState::Held, None, now, Some(message)).await?;
                for attempt in &attempts {
                    not_submitted(&mut tx, attempt.stage, message, *permanent).await?;
                }
            }
            Err(SubmitError::Later { message, after } | SubmitError::TooMany { message, after }) => {
                tracing::warn!(submission = %id, %kind, message, seconds = after.as_secs(), "held");
                let due = now + TimeDelta::from_std(*after).unwrap_or(TimeDelta::minutes(15));
                tx.move_submission(id, from, SubmissionState::Held, None, due, Some(message)).await?;
                // With little else in the queue it may be too large for ever.
                let too_many = matches!(answer, Err(SubmitError::TooMany { .. }));
                if too_many && (tx.in_queue(&request.door()).await? as usize) < order.jobs.len() {
                    split(&mut tx, &attempts).await?;
                }
            }
            Err(SubmitError::TooLarge { message }) => {
                tracing::warn!(submission = %id, %kind, message, "to be handed over in halves");
                tx.move_submission(id, from, SubmissionState::Held, None, now, Some(message)).await?;
                split(&mut tx, &attempts).await?;
            }
            Err(SubmitError::Unclear { message }) => {
                tracing::warn!(submission = %id, %kind, message, "whether it was queued is unclear");
                tx.move_submission(id, from, SubmissionState::Ambiguous, None, now, Some(message)).await?;
                tx.move_queued(id, AttemptState::Ambiguous).await?;
            }
        }
        tx.commit().await?;
        fault::point("recorded");
        Ok(known || answer.is_ok())
    }
}

/// Removes the folders of attempts that are not recorded.
pub(super) async fn discard(folder: PathBuf) {
    let removed = tokio::task::spawn_blocking(move || (std::fs::remove_dir_all(&folder), folder)).await;
    if let Ok((Err(error), folder)) = removed
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), %error, "can't be removed; it is not used");
    }
}

/// Takes the second half of an array's jobs out of it, to be handed over alone.
async fn split(tx: &mut Tx, attempts: &[AttemptRow]) -> Result<()> {
    let task = |attempt: &AttemptRow| attempt.queued.map(|queued| queued.array_task());
    let jobs: BTreeSet<_> = attempts.iter().filter(|attempt| attempt.stop.is_none()).map(task).collect();
    let Some(&middle) = jobs.iter().nth(jobs.len() / 2).filter(|_| jobs.len() > 1) else { return Ok(()) };
    for attempt in attempts.iter().filter(|attempt| attempt.stop.is_none() && task(attempt) >= middle) {
        if let Some(stage) = tx.stage(attempt.stage).await? {
            happen(tx, &stage, Event::Split, None).await?;
        }
    }
    Ok(())
}

async fn not_submitted(tx: &mut Tx, stage: StageId, message: &str, permanent: bool) -> Result<()> {
    let Some(stage) = tx.stage(stage).await? else { return Ok(()) };
    happen(tx, &stage, Event::NotSubmitted { message: message.to_owned(), permanent }, None).await?;
    Ok(())
}

/// How an array waits for others, from the pairs of jobs' indices (its own, the other's) that have to wait.
fn dependencies(pairs: Vec<(u64, StageKind, u32, u32)>) -> Vec<(u64, How)> {
    let mut by_array: BTreeMap<u64, (bool, BTreeSet<(u32, u32)>)> = BTreeMap::new();
    for (array, kind, own, other) in pairs {
        let entry = by_array.entry(array).or_default();
        entry.0 |= kind == StageKind::Prepare;
        entry.1.insert((own, other));
    }
    let mut found = Vec::new();
    for (array, (shared, pairs)) in by_array {
        if shared {
            found.push((array, How::All));
        } else if pairs.iter().all(|(own, other)| own == other) {
            found.push((array, How::Same));
        } else {
            let others: BTreeSet<_> = pairs.into_iter().map(|(_, other)| other).collect();
            found.extend(others.into_iter().map(|other| (array, How::Task(other))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_dependencies() {
        use StageKind::{Means, Prepare, Train};
        let pairs = vec![
            (7, Train, 3, 3),
            (7, Train, 4, 4),
            (1, Prepare, 3, 0),
            (1, Prepare, 4, 0),
            (9, Means, 3, 5),
            // Several that share a job, behind several that share one.
            (9, Means, 4, 5),
            (9, Means, 4, 5),
        ];
        assert_eq!(dependencies(pairs), [(1, How::All), (7, How::Same), (9, How::Task(5))]);
    }
}
