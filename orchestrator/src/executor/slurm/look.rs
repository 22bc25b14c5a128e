//! Looking at the queue, and what counts of what was seen: absence and ends without a result only after a while.

use super::{
    Slurm, is_shared,
    listing::{self, Listing, Said},
    noted_exit, parse, script, user,
};
use crate::{
    domain::layout::Layout,
    executor::{Cause, Exit, Job, Liveness, Presence, Survey, folder},
};
use chrono::{DateTime, Local, TimeDelta, Utc};
use protocol::{
    attempt::{Outcome, ResultReport},
    ids::SubmissionId,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

/// Looking at the queue may take this part of the time at most.
const SHARE: u32 = 20;
/// A worker that was heard within this time lives, whatever the queue does not list: it gives a sign of life every ten
/// seconds, which a file system may show a minute later.
const ALIVE: Duration = Duration::from_secs(120);

impl Slurm {
    /// The queue, if it is time to look again.
    pub(super) async fn look(&self) -> Option<Listing> {
        {
            let memory = self.memory.lock().await;
            if let Some((at, took)) = memory.asked {
                let tick = Duration::from_secs(self.profile.tick_seconds).max(took * SHARE);
                if at.elapsed() < tick {
                    return None;
                }
            }
        }
        let began = Instant::now();
        // With those in partitions that are hidden, or that are not for this user's groups.
        let arguments = ["-a", "-h", "-r", "-t", "all", "-u", &user(), "-o", parse::squeue::FORMAT];
        let listed = self.ask("squeue", &arguments).await;
        let mut memory = self.memory.lock().await;
        memory.asked = Some((Instant::now(), began.elapsed()));
        match listed {
            Ok(text) => {
                memory.trouble = None;
                Some(Listing::new(parse::squeue::parse(&text)))
            }
            Err(why) => {
                tracing::warn!(why, "the queue can't be asked; nothing is concluded from that");
                memory.trouble = Some(why);
                None
            }
        }
    }

    /// What accounting knows about arrays; none if it can't be asked now, an empty one if there is none.
    async fn accounted(&self, arrays: &BTreeSet<u64>) -> Option<Vec<parse::sacct::Accounted>> {
        if arrays.is_empty() || !self.has_accounting().await? {
            return Some(Vec::new());
        }
        let ids = arrays.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        match self.ask("sacct", &["-X", "-n", "-P", "-D", "-o", parse::sacct::FIELDS, "-j", &ids]).await {
            Ok(text) => Some(parse::sacct::parse(&text)),
            Err(why) => {
                tracing::warn!(why, "accounting can't be asked");
                None
            }
        }
    }

    /// What accounting knows about submissions by name; none if it can't be asked now.
    async fn accounted_names(&self, submissions: &[SubmissionId]) -> Option<HashMap<SubmissionId, u64>> {
        if submissions.is_empty() || !self.has_accounting().await? {
            return Some(HashMap::new());
        }
        let made = submissions.iter().filter_map(|id| id.0.get_timestamp()).map(|at| at.to_unix().0).min();
        let made = made.and_then(|at| DateTime::from_timestamp(at as i64, 0)).unwrap_or_else(Utc::now);
        let since =
            (made.with_timezone(&Local) - TimeDelta::hours(2)).format("%Y-%m-%dT%H:%M:%S").to_string();
        let names: Vec<_> = submissions
            .iter()
            .flat_map(|id| protocol::stage::StageKind::ALL.iter().map(|&kind| script::job_name(kind, *id)))
            .collect();
        let names = format!("--name={}", names.join(","));
        let fields = parse::sacct::FIELDS;
        match self.ask("sacct", &["-X", "-n", "-P", "-D", "-o", fields, "-S", &since, &names]).await {
            Ok(text) => Some(
                parse::sacct::parse(&text)
                    .into_iter()
                    .filter_map(|found| Some((script::submission_of(&found.name)?, found.array_job)))
                    .collect(),
            ),
            Err(why) => {
                tracing::warn!(why, "accounting can't be asked");
                None
            }
        }
    }

    /// Whether there is accounting; none while that can't be asked.
    async fn has_accounting(&self) -> Option<bool> {
        self.describe().await.ok().map(|cluster| cluster.config.accounting)
    }

    /// Attempts that are over: those whose result is there, and those whose end counts by now. A worker that was
    /// interrupted does not know what for: of its end the queue's word counts, at once, or its silence after a while.
    pub(super) async fn ended(&self, over: Vec<(Job, Said)>, survey: &mut Survey) {
        let settle = Duration::from_secs(self.profile.settle_seconds);
        let results = move || {
            let results = over.into_iter().map(|(job, said)| (folder::result(&job.folder), job, said));
            results.collect::<Vec<_>>()
        };
        let Ok(over) = tokio::task::spawn_blocking(results).await else { return };
        let mut due = Vec::new();
        {
            let mut memory = self.memory.lock().await;
            let known: HashSet<_> = over.iter().map(|(_, job, _)| job.attempt).collect();
            memory.over.retain(|attempt, _| known.contains(attempt));
            for (result, job, said) in over {
                let told = matches!(result, Ok(Some(_)));
                let counts = match result {
                    // What never began leaves no result that could still be on its way through a file system.
                    Ok(None) => {
                        let cancelled = Said::Over(parse::state::SlurmCause::Cancelled);
                        (said == cancelled || said == Said::Orphaned) && !folder::was_entered(&job.folder)
                    }
                    Ok(Some(ResultReport { outcome: Outcome::Interrupted { .. }, .. })) => {
                        matches!(said, Said::Over(_) | Said::Orphaned)
                    }
                    Ok(Some(_)) => {
                        survey.jobs.insert(job.attempt, Liveness::Gone(Exit::default()));
                        continue;
                    }
                    // A file server that is away comes back.
                    Err(error) => {
                        let liveness = if folder::is_no_result(&error) {
                            Liveness::Gone(Exit::default())
                        } else {
                            Liveness::Unexplained
                        };
                        survey.jobs.insert(job.attempt, liveness);
                        continue;
                    }
                };
                let mut since = || memory.over.entry(job.attempt).or_insert_with(Instant::now).elapsed();
                let missed = if counts { settle } else { since() };
                if missed >= settle {
                    due.push((job, said, told, missed));
                }
            }
        }
        // Where nobody says whether there is accounting, its silence proves nothing.
        if due.is_empty() || self.has_accounting().await.is_none() {
            return;
        }
        let arrays = due.iter().filter_map(|(job, ..)| job.queued?.job.filter(|&id| id > 0)).collect();
        let accounted = self.accounted(&arrays).await;
        let is_silent = accounted.is_none();
        let accounted = listing::Accounts::new(accounted.unwrap_or_default());
        let mut lost = Vec::new();
        for (job, said, told, missed) in due {
            if is_silent && !says_how(&said, told) {
                survey.jobs.insert(job.attempt, Liveness::Unexplained);
                continue;
            }
            let unlisted = matches!(said, Said::Nothing | Said::Removed);
            let exit = accounted.exit(&job, said);
            // Whether the job as a whole went well says nothing about one of those that shared it, and without
            // accounting nobody but the worker tells its exit code.
            let exit = match noted_exit(&job) {
                Some(own) if exit.cause == Cause::Unknown && (is_shared(&job) || exit.word.is_none()) => {
                    Exit { word: exit.word, node: exit.node, ..own }
                }
                _ => exit,
            };
            if unlisted && !told && exit == Exit::default() {
                // Nobody says that it ended: it is not listed, which may have other reasons.
                let lives = folder::was_heard(&job.folder, ALIVE)
                    || (accounted.runs(&job) && missed < ALIVE)
                    || accounted.is_cut(&job);
                lost.push((job, lives));
            } else {
                survey.jobs.insert(job.attempt, Liveness::Gone(exit));
            }
        }
        for job in self.take_out(lost).await {
            survey.jobs.insert(job.attempt, Liveness::Gone(Exit::default()));
        }
    }

    /// Takes out of the queue what is not listed there, unless it `lives`: what is tried again must not run as well. Answers
    /// what is certainly out.
    async fn take_out(&self, lost: Vec<(Job, bool)>) -> Vec<Job> {
        let place = |job: &Job| job.queued.map(|queued| (queued.submission, queued.array_task()));
        let alive: HashSet<_> = lost.iter().filter(|(_, lives)| *lives).map(|(job, _)| place(job)).collect();
        let mut arrays: BTreeMap<_, Vec<Job>> = BTreeMap::new();
        for (job, _) in lost.into_iter().filter(|(job, _)| !alive.contains(&place(job))) {
            // Without an id it has ended: its worker, and not the queue, told of it.
            let named = job.queued.and_then(|queued| {
                let kind = Layout::kind_of(&job.folder)?;
                Some((queued.job.filter(|&id| id > 0)?, script::job_name(kind, queued.submission)))
            });
            arrays.entry(named).or_default().push(job);
        }
        let mut out = Vec::new();
        for (named, jobs) in arrays {
            let is_out = match named {
                Some((array, name)) => {
                    let tasks = jobs.iter().filter_map(|job| Some(job.queued?.array_task())).collect();
                    // The name as well: after a controller's crash another job may have the id.
                    let target = format!("{array}_[{}]", script::task_list(&tasks));
                    self.scancel(&[&format!("--name={name}")], vec![target]).await
                }
                None => true,
            };
            if is_out {
                out.extend(jobs);
            }
        }
        out
    }

    /// Submissions whose answer was unclear.
    pub(super) async fn clear_up(
        &self,
        listing: &Listing,
        unclear: &[(SubmissionId, Vec<Job>)],
        survey: &mut Survey,
    ) {
        let settle = Duration::from_secs(self.profile.settle_seconds);
        let mut due = Vec::new();
        {
            let mut memory = self.memory.lock().await;
            let asked: HashSet<_> = unclear.iter().map(|(id, _)| *id).collect();
            memory.absent.retain(|id, _| asked.contains(id));
            for (id, jobs) in unclear {
                if let Some(job) = listing.array(*id) {
                    memory.absent.remove(id);
                    survey.submissions.insert(*id, Presence::Here(job));
                    continue;
                }
                let (since, times) = memory.absent.entry(*id).or_insert_with(|| (Instant::now(), 0));
                *times += 1;
                // A request may still be on its way to a controller that has just come back.
                if *times >= 2 && since.elapsed() >= settle {
                    due.push((*id, jobs.iter().any(|job| folder::was_entered(&job.folder))));
                }
            }
        }
        if due.is_empty() {
            return;
        }
        let ids: Vec<_> = due.iter().map(|(id, _)| *id).collect();
        let Some(names) = self.accounted_names(&ids).await else { return };
        for (id, entered) in due {
            match names.get(&id) {
                Some(&job) => drop(survey.submissions.insert(id, Presence::Here(job))),
                // It ran, and is forgotten by now: its files tell the rest.
                None if entered => drop(survey.submissions.insert(id, Presence::Here(0))),
                None => drop(survey.submissions.insert(id, Presence::Absent)),
            }
        }
    }
}

/// Whether the queue alone says how an attempt ended. Of one that failed accounting knows the exit code; that of a
/// worker which told of its interruption does not matter.
fn says_how(said: &Said, told: bool) -> bool {
    use parse::state::SlurmCause as C;
    match said {
        Said::Over(C::Cancelled | C::TimedOut | C::OutOfMemory | C::NodeFailed | C::Preempted) => true,
        Said::Orphaned => true,
        Said::Over(C::Completed | C::Failed) => told,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_accounting_at_hand_only_the_queues_own_word_counts() {
        use parse::state::SlurmCause as C;
        for cause in [C::Cancelled, C::TimedOut, C::OutOfMemory, C::NodeFailed, C::Preempted] {
            assert!(says_how(&Said::Over(cause), false), "{cause:?}");
        }
        for cause in [C::Completed, C::Failed] {
            assert!(says_how(&Said::Over(cause), true) && !says_how(&Said::Over(cause), false), "{cause:?}");
        }
        assert!(![Said::Removed, Said::Nothing].iter().any(|said| says_how(said, true)));
    }
}
