//! The queue as it was at one moment, and what it says about our attempts.

use super::{
    Cluster,
    parse::{
        config::{Partition, amount},
        reason,
        sacct::Accounted,
        squeue::Listed,
        state::{Meaning, SlurmCause},
    },
    script::submission_of,
};
use crate::{
    domain::resources::{self, Request},
    executor::{Cause, Exit, Job, folder},
};
use protocol::ids::SubmissionId;
use std::collections::{BTreeSet, HashMap, HashSet};

/// What the queue says about an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It waits.
    Waits {
        /// Why, in plain words.
        reason: Option<String>,
        /// For what can't come any more.
        never: bool,
    },
    /// It runs.
    Runs {
        /// Where.
        node: Option<String>,
    },
    /// It ended.
    Over(SlurmCause),
    /// It was cancelled before it started, as a job that it waited for did not end well.
    Orphaned,
    /// It is not listed, but others of its array are: cancelled before it started, or over for long.
    Removed,
    /// It is not listed.
    Nothing,
    /// It is in a state that tells nothing.
    Unclear,
}

/// Our jobs in the queue.
pub struct Listing {
    tasks: HashMap<(SubmissionId, u32), Vec<Listed>>,
    arrays: HashMap<SubmissionId, BTreeSet<u64>>,
}

impl Listing {
    /// Keeps those with a name of ours.
    #[must_use]
    pub fn new(listed: Vec<Listed>) -> Self {
        let (mut tasks, mut arrays): (HashMap<_, Vec<_>>, HashMap<_, BTreeSet<_>>) = Default::default();
        for job in listed {
            let Some(submission) = submission_of(&job.name) else { continue };
            arrays.entry(submission).or_default().insert(job.array_job);
            if let Some(task) = job.task {
                tasks.entry((submission, task)).or_default().push(job);
            }
        }
        Self { tasks, arrays }
    }

    /// The id of a submission's array: of the first, should there be several.
    #[must_use]
    pub fn array(&self, submission: SubmissionId) -> Option<u64> {
        self.arrays.get(&submission)?.first().copied()
    }

    /// What it says about an attempt.
    #[must_use]
    pub fn said(&self, job: &Job) -> Said {
        let Some(queued) = job.queued else { return Said::Nothing };
        let mut found = self.tasks.get(&(queued.submission, queued.array_task())).into_iter().flatten();
        // The name and the id must agree: after a controller's crash another job may have the id.
        let Some(found) = found.rfind(|listed| queued.job.is_none_or(|id| id == listed.array_job)) else {
            let rest = self
                .arrays
                .get(&queued.submission)
                .is_some_and(|ids| queued.job.is_some_and(|id| ids.contains(&id)));
            return if rest { Said::Removed } else { Said::Nothing };
        };
        match found.state.meaning() {
            Meaning::Waiting => {
                let word = found.reason.as_deref();
                Said::Waits {
                    reason: word.map(reason::plain),
                    never: word.is_some_and(reason::dependency_never),
                }
            }
            Meaning::Running => Said::Runs { node: found.nodes.clone() },
            Meaning::Over(SlurmCause::Cancelled)
                if found.reason.as_deref().is_some_and(reason::dependency_never) =>
            {
                Said::Orphaned
            }
            Meaning::Over(cause) => Said::Over(cause),
            Meaning::Unknown => Said::Unclear,
        }
    }

    /// Jobs with the name of one of these attempts' arrays but another id, which have not ended: what an answer that
    /// got lost left behind.
    #[must_use]
    pub fn strangers(&self, jobs: &[Job]) -> Vec<String> {
        let known: HashMap<SubmissionId, u64> =
            jobs.iter().filter_map(|job| job.queued.and_then(|q| Some((q.submission, q.job?)))).collect();
        let mut strangers = BTreeSet::new();
        for ((submission, _), listed) in &self.tasks {
            let Some(&own) = known.get(submission).filter(|&&own| own > 0) else { continue };
            for job in listed.iter().filter(|job| job.array_job != own) {
                if matches!(job.state.meaning(), Meaning::Waiting | Meaning::Running) {
                    strangers.insert(job.array_job);
                }
            }
        }
        strangers.into_iter().map(|id| id.to_string()).collect()
    }
}

/// What accounting knows.
#[derive(Default)]
pub struct Accounts {
    /// By array and task; without a task where one stands for those of an array that have none of their own: it was
    /// cancelled as a whole before accounting heard of its tasks.
    records: HashMap<(SubmissionId, Option<u32>), Accounted>,
    /// Arrays whose list of tasks was cut.
    cut: HashSet<SubmissionId>,
}

impl Accounts {
    /// Keeps the newest record of each of our jobs.
    #[must_use]
    pub fn new(records: Vec<Accounted>) -> Self {
        let cut = records.iter().filter(|record| record.cut).filter_map(|record| submission_of(&record.name));
        let cut = cut.collect();
        let own = |record: Accounted| Some(((submission_of(&record.name)?, record.task), record));
        Self { records: records.into_iter().filter_map(own).collect(), cut }
    }

    fn record(&self, job: &Job) -> Option<&Accounted> {
        let queued = job.queued?;
        let of = |task| self.records.get(&(queued.submission, task));
        let record = of(Some(queued.array_task())).or_else(|| of(None))?;
        queued.job.is_none_or(|id| id == 0 || id == record.array_job).then_some(record)
    }

    /// Whether an attempt runs, by the last that accounting heard.
    #[must_use]
    pub fn runs(&self, job: &Job) -> bool {
        self.record(job).is_some_and(|record| record.state.meaning() == Meaning::Running)
    }

    /// Whether nothing is known of an attempt because the list that it would be in was cut.
    #[must_use]
    pub fn is_cut(&self, job: &Job) -> bool {
        self.record(job).is_none() && job.queued.is_some_and(|queued| self.cut.contains(&queued.submission))
    }

    /// How an attempt ended, by what the queue said last and what accounting knows.
    #[must_use]
    pub fn exit(&self, job: &Job, said: Said) -> Exit {
        let recorded = self.record(job).and_then(|record| match record.state.meaning() {
            Meaning::Over(cause) => Some((cause, record)),
            // A job that a crashed controller forgot stays pending or running there for ever.
            _ => None,
        });
        let word = recorded.as_ref().map(|(_, record)| record.state.word());
        let node = recorded.as_ref().and_then(|(_, record)| record.nodes.clone());
        let orphaned = said == Said::Orphaned || recorded.as_ref().is_some_and(|(_, record)| record.orphaned);
        let exit = match (said, recorded) {
            _ if orphaned => Exit { cause: Cause::Orphaned, ..Exit::default() },
            (_, Some((cause @ (SlurmCause::Failed | SlurmCause::Completed), record))) => Exit {
                code: Some(record.exit_code),
                signal: Some(record.signal).filter(|&signal| signal > 0),
                ..Exit::from(cause)
            },
            (Said::Over(cause), None) | (_, Some((cause, _))) => Exit::from(cause),
            // The queue forgets at once what was cancelled before it started.
            (Said::Removed, None) if !folder::was_entered(&job.folder) => Exit::from(SlurmCause::Cancelled),
            _ => Exit::default(),
        };
        Exit { word, node, ..exit }
    }
}

/// What a cluster does not have of what is asked for, one line each. Of several partitions one that has it is enough.
#[must_use]
pub fn missing(cluster: &Cluster, requests: &[Request]) -> Vec<String> {
    let partitions = &cluster.partitions;
    let walls = cluster.walls();
    let mut found = foreign_accounts(cluster, requests);
    let names = || partitions.iter().map(|partition| partition.name.as_str()).collect::<Vec<_>>().join(", ");
    for request in requests {
        let own: Vec<_> = match &request.partition {
            Some(list) => {
                let of = |name: &str| partitions.iter().find(|partition| partition.name == name);
                // Slurm refuses the list for one that it does not know.
                for name in list.split(',').filter(|name| of(name).is_none()) {
                    found.insert(format!("partition: {name:?} does not exist; there are {}", names()));
                }
                list.split(',').filter_map(of).collect()
            }
            None => partitions.iter().filter(|partition| partition.default).take(1).collect(),
        };
        if own.is_empty() && request.partition.is_none() && !partitions.is_empty() {
            found.insert(format!("partition: the cluster has no default; name one of {}", names()));
        }
        let lacking: Vec<_> = own.iter().map(|partition| lacks(partition, request)).collect();
        if lacking.iter().all(|lines| !lines.is_empty()) {
            found.extend(lacking.into_iter().flatten());
        }
        if let (Some(asked), Some(limit)) = (request.minutes, resources::longest(&walls, request))
            && asked > limit
        {
            found.insert(format!(
                "time: {asked} minutes are more than the {limit} that your account or its QOS allows"
            ));
        }
    }
    found.into_iter().collect()
}

/// What a partition does not have of what is asked for.
fn lacks(partition: &Partition, request: &Request) -> Vec<String> {
    let mut found = Vec::new();
    let name = &partition.name;
    if !partition.up {
        found.push(format!("partition: {name} takes no jobs at the moment"));
    }
    // A quality of service may allow what the partition does not.
    if let (Some(asked), Some(limit), None) =
        (request.minutes, partition.limit.map(resources::minutes), &request.qos)
        && asked > limit
    {
        found.push(format!("time: {asked} minutes are more than the {limit} that partition {name} allows"));
    }
    if let Some(asked) =
        request.memory_mb.filter(|&asked| asked > partition.memory_mb && partition.memory_mb > 0)
    {
        found.push(format!(
            "mem: {asked}M are more than the {}M of the largest node of {name}",
            partition.memory_mb
        ));
    }
    if let Some(asked) = request.cpus.filter(|&asked| asked > partition.cpus && partition.cpus > 0) {
        found.push(format!(
            "cpus: {asked} are more than the {} of the largest node of {name}",
            partition.cpus
        ));
    }
    for gres in request.gres.iter().flat_map(|list| list.split(',')) {
        if !has_gres(&partition.gres, gres) {
            let there = if partition.gres.is_empty() { "none".to_owned() } else { partition.gres.join(", ") };
            found.push(format!("gres: no node of partition {name} has {gres}; there is {there}"));
        }
    }
    found
}

/// A line on each account that is not the user's, where the cluster minds. Where there is no accounting, or it did not
/// answer, none is known.
fn foreign_accounts(cluster: &Cluster, requests: &[Request]) -> BTreeSet<String> {
    let own: BTreeSet<_> =
        cluster.associations.iter().map(|association| association.account.as_str()).collect();
    if own.is_empty() || !cluster.config.enforced {
        return BTreeSet::new();
    }
    let yours = own.iter().copied().collect::<Vec<_>>().join(", ");
    requests
        .iter()
        .filter_map(|request| request.account.as_deref())
        // Slurm writes them in small letters.
        .filter(|account| !own.iter().any(|own| own.eq_ignore_ascii_case(account)))
        .map(|account| format!("account: {account:?} is not yours; yours: {yours}"))
        .collect()
}

/// Whether a node has `gpu:2` or `gpu:a100:2` where it offers `gpu:a100:4`, perhaps with sockets in parentheses.
fn has_gres(offers: &[String], asked: &str) -> bool {
    let split = |text: &str| {
        let text = text.split('(').next().unwrap_or_default();
        let parts: Vec<_> = text.split(':').collect();
        let count = parts.last().and_then(|last| amount(last));
        let names = if count.is_some() { &parts[..parts.len() - 1] } else { &parts[..] };
        (names.join(":"), count.unwrap_or(1))
    };
    let (asked, number) = split(asked);
    offers.iter().any(|offer| {
        let (offer, most) = split(offer);
        (offer == asked || offer.starts_with(&format!("{asked}:"))) && most >= number
    })
}

#[cfg(test)]
mod tests {
    use super::{super::parse, *};
    use crate::domain::queue::Queued;
    use protocol::ids::AttemptId;
    use uuid::Uuid;

    fn job(submission: SubmissionId, member: u32) -> Job {
        let queued = Some(Queued { submission, member, pack: 1, job: Some(7) });
        Job { attempt: AttemptId(Uuid::nil()), folder: "/nowhere".into(), slot: 0, restarts: 0, queued }
    }

    /// What is missing of this, where there are two partitions and a QOS with a limit of its own.
    fn missing_of(request: Request) -> Vec<String> {
        let config = "ClusterName = x\nAccountingStorageEnforce = limits";
        let partitions = "short*|up|1:00:00|0/2/0/2|16|8000|gpu:a100:4|(null)\n\
            long|up|7-00:00:00|0/2/0/2|1K|64000|shard:2K,gpu:1|(null)\n";
        let cluster = Cluster {
            config: parse::config::Config::parse(config).unwrap(),
            partitions: parse::config::partitions(partitions),
            associations: parse::config::associations("lab||normal,brief|normal||\n"),
            longest: parse::config::longest("brief|30\n"),
        };
        missing(&cluster, &[request])
    }

    #[test]
    fn one_of_several_partitions_that_has_it_is_enough() {
        let asked = |partition: &str, minutes, gres: &str| Request {
            partition: Some(partition.into()),
            minutes: Some(minutes),
            gres: Some(gres.into()),
            ..Request::default()
        };
        for list in ["short,long", "long,short"] {
            assert_eq!(missing_of(asked(list, 600, "gpu:1")), [""; 0], "{list}");
            assert_eq!(missing_of(asked(list, 60, "gpu:a100:4")), [""; 0], "{list}");
            // Neither has both.
            assert_eq!(missing_of(asked(list, 600, "gpu:a100:4")).len(), 2, "{list}");
        }
        let unknown = missing_of(asked("long,nosuch", 600, "gpu:1"));
        assert!(unknown.len() == 1 && unknown[0].contains("\"nosuch\" does not exist"), "{unknown:?}");
    }

    #[test]
    fn a_qos_may_allow_more_time_than_a_partition_and_less_than_is_asked_for() {
        let asked = |qos: Option<&str>, minutes| {
            let qos = qos.map(str::to_owned);
            missing_of(Request { minutes: Some(minutes), qos, ..Request::default() })
        };
        assert!(asked(None, 90)[0].contains("more than the 60 that partition short allows"));
        assert_eq!(asked(Some("normal"), 90), [""; 0]);
        assert!(asked(Some("brief"), 40)[0].contains("more than the 30 that your account or its QOS allows"));
    }

    #[test]
    fn large_amounts_are_understood() {
        let asked = |gres: &str, cpus| Request {
            partition: Some("long".into()),
            gres: Some(gres.into()),
            cpus: Some(cpus),
            ..Request::default()
        };
        assert_eq!(missing_of(asked("shard:2048", 1024)), [""; 0]);
        assert_eq!(missing_of(asked("shard:1K", 1000)), [""; 0]);
        assert_eq!(missing_of(asked("shard:2049", 1025)).len(), 2);
    }

    #[test]
    fn what_was_cut_from_a_list_is_not_taken_for_unknown_to_accounting() {
        let id = SubmissionId(Uuid::from_u128(1));
        let accounts = |line: &str| {
            Accounts::new(parse::sacct::parse(
                &format!("{line}\n").replace("NAME", &format!("lc-train-{id}")),
            ))
        };
        let cut = accounts("7_[1,3,...]|NAME|CANCELLED by 0|0:0|None assigned");
        assert_eq!([1, 3, 5].map(|task| cut.is_cut(&job(id, task))), [false, false, true]);
        assert_eq!(cut.exit(&job(id, 3), Said::Nothing).cause, Cause::Cancelled);
        let whole = accounts("7_[1,3]|NAME|RUNNING|0:0|n1");
        assert_eq!(
            [3, 5].map(|task| (whole.is_cut(&job(id, task)), whole.runs(&job(id, task)))),
            [(false, true), (false, false)]
        );
    }

    #[test]
    fn a_record_without_tasks_is_of_all_that_have_none_of_their_own() {
        let id = SubmissionId(Uuid::from_u128(1));
        let text = format!("7|lc-train-{id}|CANCELLED by 0|0:0|\n7_2|lc-train-{id}|COMPLETED|0:0|n1\n");
        let accounts = Accounts::new(parse::sacct::parse(&text));
        let words = [1, 2].map(|task| accounts.exit(&job(id, task), Said::Nothing).word);
        assert_eq!(words, [Some("CANCELLED"), Some("COMPLETED")]);
    }
}
