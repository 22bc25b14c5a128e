//! Why a job waits, in plain words (`man squeue`, "Job Reason Codes").

use super::{field, limit::Limit};

/// Reasons that are one word, with their words for people.
const WORDS: &[(&str, &str)] = &[
    ("AccountNotAllowed", "the account may not use this partition"),
    ("AccountingPolicy", "a limit of the account or QOS is reached"),
    ("AssociationJobLimit", "your account's limit of running jobs is reached"),
    ("AssociationResourceLimit", "a limit of your account's resources is reached"),
    ("AssociationTimeLimit", "your account's time limit is reached"),
    ("BadConstraints", "no node has what the job asks for"),
    ("BeginTime", "waiting for its start time, which Slurm also sets for a while when a job is queued again"),
    ("BlockFreeAction", "a block of nodes is being freed"),
    ("BlockMaxError", "too many blocks of nodes have errors"),
    ("BurstBufferOperation", "an operation of the burst buffer failed"),
    ("BurstBufferResources", "waiting for space in the burst buffer"),
    ("BurstBufferStageIn", "files are being copied into the burst buffer"),
    ("Cleaning", "its earlier run is being cleaned up"),
    ("Constraints", "no node has at the moment what the job asks for"),
    ("DeadLine", "its deadline can't be met any more"),
    ("Dependency", "waiting for another job to end"),
    ("DependencyNeverSatisfied", "a job that it depends on did not succeed, so it can never start"),
    ("FedJobLock", "waiting for the other clusters of the federation"),
    ("FrontEndDown", "no front-end node is available"),
    ("InactiveLimit", "it reached the system's limit of inactivity"),
    ("InvalidAccount", "the account is not valid"),
    ("InvalidQOS", "the QOS is not valid"),
    ("JobArrayTaskLimit", "as many tasks of its array run as may run at once"),
    ("JobHeldAdmin", "held by an administrator, who has to release it"),
    ("JobHeldUser", "held by its owner, who has to release it (scontrol release)"),
    ("JobHoldMaxRequeue", "held because it was queued again too often (scontrol release)"),
    ("JobLaunchFailure", "it could not be launched"),
    ("Licenses", "waiting for a licence"),
    ("MaxMemPerLimit", "it asks for more memory than one node or CPU may give"),
    ("NodeDown", "a node that it needs is down"),
    ("NonZeroExitCode", "it ended with an exit code other than 0"),
    ("OutOfMemory", "it ran out of memory"),
    ("PartitionConfig", "it asks for what this partition does not offer"),
    ("PartitionDown", "the partition is down"),
    ("PartitionInactive", "the partition starts no jobs at the moment"),
    ("PartitionNodeLimit", "it asks for more nodes than the partition allows, or its nodes are down"),
    ("PartitionTimeLimit", "its time limit is longer than the partition allows"),
    ("PowerNotAvail", "waiting for electrical power"),
    ("PowerReserved", "waiting for electrical power that is reserved"),
    ("Priority", "other jobs are before it in the queue"),
    ("Prolog", "its nodes are being prepared"),
    ("QOSJobLimit", "the QOS's limit of jobs is reached"),
    ("QOSNotAllowed", "the QOS may not be used in this partition"),
    ("QOSResourceLimit", "a limit of the QOS's resources is reached"),
    ("QOSTimeLimit", "the QOS's time limit is reached"),
    ("QOSUsageThreshold", "the account has used more than the QOS lets it"),
    ("RaisedSignal", "it was ended by a signal"),
    ("ReqNodeNotAvail", "nodes that it needs are down or reserved, perhaps for maintenance"),
    ("Reservation", "waiting for its reservation to begin"),
    ("ReservationDeleted", "held because its reservation was deleted"),
    ("ReservationInvalid", "its reservation is not valid"),
    ("Resources", "waiting for free nodes, CPUs, memory or GPUs"),
    ("SchedDefer", "it could not start at once; Slurm will try again"),
    ("SystemFailure", "a fault of Slurm, the file system or the network"),
    ("TimeLimit", "it reached its time limit"),
];

/// Reasons that are one word and that a queue never ends by itself: the request has to change, or the
/// cluster.
const HOPELESS: [&str; 12] = [
    "AccountNotAllowed",
    "AssociationTimeLimit",
    "BadConstraints",
    "BurstBufferOperation",
    "DeadLine",
    "InvalidAccount",
    "InvalidQOS",
    "MaxMemPerLimit",
    "PartitionConfig",
    "PartitionTimeLimit",
    "QOSNotAllowed",
    "ReservationInvalid",
];

/// The reason in plain words: a phrase without a full stop. Sentences, which Slurm, a plugin or an
/// administrator wrote for people, stay as they are.
#[must_use]
pub fn plain(reason: &str) -> String {
    let reason = normal(reason);
    if field::present(&reason).is_none() {
        return "no reason is given".to_owned();
    }
    let (word, rest) = first_word(&reason);
    if let Some((_, words)) = WORDS.iter().find(|(name, _)| *name == word) {
        // `ReqNodeNotAvail, UnavailableNodes:n[1-2]`
        let rest = rest.trim_start_matches([',', ' ', '(']).trim_end_matches(')');
        match rest.split_once(':') {
            None if rest.is_empty() => return (*words).to_owned(),
            Some((kind, nodes)) if kind.starts_with("Unavailable") && !nodes.is_empty() => {
                return format!("{words}: {nodes}");
            }
            Some((kind, "")) if kind.starts_with("Unavailable") => return (*words).to_owned(),
            _ => return reason,
        }
    }
    if !rest.is_empty() {
        return match reason.as_str() {
            "launch failed requeued held" => {
                "its start failed; queued again and held (scontrol release)".into()
            }
            "job requeued in held state" => "queued again and held (scontrol release)".into(),
            _ => reason,
        };
    }
    match Limit::parse(word) {
        Some(limit) => limit.words(),
        None => format!("Slurm says {word}"),
    }
}

/// Whether the job can never start unless a person changes it or the cluster: it asks for more than it
/// may ever have, or for what there isn't.
///
/// Not among them are reasons that may go by themselves (a limit that other jobs use up, a partition or
/// nodes that are down, also `PartitionNodeLimit`, which Slurm gives for nodes that are down, too), jobs
/// that somebody holds, and failed dependencies ([`dependency_never`]).
#[must_use]
pub fn hopeless(reason: &str) -> bool {
    let reason = normal(reason);
    let (word, rest) = first_word(&reason);
    rest.is_empty()
        && (HOPELESS.contains(&word) || Limit::parse(word).is_some_and(|limit| limit.is_about_one_job()))
}

/// Whether a job that this one depends on has ended otherwise than it should, so that it stays in the
/// queue for ever.
#[must_use]
pub fn dependency_never(reason: &str) -> bool {
    normal(reason) == "DependencyNeverSatisfied"
}

/// Without the parentheses of `squeue -o %R` and with blanks where some versions write `_`.
fn normal(reason: &str) -> String {
    let reason = reason.trim();
    let inner = reason.strip_prefix('(').and_then(|reason| reason.strip_suffix(')')).unwrap_or(reason);
    if inner == "null" {
        return String::new();
    }
    if inner.contains(' ') {
        return inner.to_owned();
    }
    // What follows a colon are names of nodes.
    match inner.split_once(':') {
        Some((sentence, names)) => format!("{}:{names}", sentence.replace('_', " ")),
        None => inner.replace('_', " "),
    }
}

fn first_word(reason: &str) -> (&str, &str) {
    let end = reason.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(reason.len());
    reason.split_at_checked(end).unwrap_or((reason, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_plain_words() {
        for reason in WORDS.iter().map(|(name, _)| *name).chain(["QOSGrpGRES", "AssocMaxJobsLimit"]) {
            let words = plain(reason);
            assert!(words.contains(' ') && !words.ends_with('.'), "{reason}: {words}");
            assert!(!words.contains("Slurm says"), "{reason}: {words}");
        }
    }

    #[test]
    fn names_of_nodes_are_kept() {
        let words = plain("ReqNodeNotAvail");
        for (reason, nodes) in [
            ("ReqNodeNotAvail, UnavailableNodes:n[1-2]", "n[1-2]"),
            ("ReqNodeNotAvail,_UnavailableNodes:gpu_1", "gpu_1"),
            ("(ReqNodeNotAvail(Unavailable:n3))", "n3"),
        ] {
            assert_eq!(plain(reason), format!("{words}: {nodes}"), "{reason}");
        }
        assert_eq!(plain("ReqNodeNotAvail, UnavailableNodes:"), words);
        assert_eq!(
            plain("ReqNodeNotAvail, May be reserved for other job"),
            "ReqNodeNotAvail, May be reserved for other job"
        );
    }

    #[test]
    fn sentences_stay_as_they_are() {
        let sentence =
            "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions";
        assert_eq!(plain(sentence), sentence);
        assert_eq!(plain(&format!("({})", sentence.replace(' ', "_"))), sentence);
        assert_eq!(plain("Priority is low; ask: helpdesk"), "Priority is low; ask: helpdesk");
        assert_eq!(plain("job requeued in held state"), "queued again and held (scontrol release)");
        assert_eq!(plain("launch_failed_requeued_held"), plain("launch failed requeued held"));
    }

    #[test]
    fn an_unknown_word_is_named() {
        assert_eq!(plain("MoonPhase"), "Slurm says MoonPhase");
        assert_eq!(plain("QOSMaxMoonPerJob"), "Slurm says QOSMaxMoonPerJob");
        for nothing in ["", "None", "(null)", "(None)", " "] {
            assert_eq!(plain(nothing), "no reason is given", "{nothing:?}");
        }
    }

    #[test]
    fn what_no_queue_can_end_is_hopeless() {
        for reason in [
            "PartitionTimeLimit",
            "(PartitionTimeLimit)",
            "BadConstraints",
            "InvalidAccount",
            "InvalidQOS",
            "QOSNotAllowed",
            "QOSMaxWallDurationPerJobLimit",
            "AssocMaxCpuMinutesPerJobLimit",
            "QOSMaxGRESPerNode",
            "QOSMinGRES",
        ] {
            assert!(hopeless(reason), "{reason}");
            assert!(!dependency_never(reason), "{reason}");
        }
        for reason in [
            "Priority",
            "Resources",
            "Dependency",
            "DependencyNeverSatisfied",
            "JobHeldUser",
            "JobHeldAdmin",
            "PartitionDown",
            "PartitionNodeLimit",
            "ReqNodeNotAvail",
            "QOSMaxJobsPerUserLimit",
            "QOSMaxGRESPerUser",
            "AssocGrpCPUMinutesLimit",
            "AssocMaxJobsLimit",
            "MaxGRESPerAccount",
            "BadConstraints, says the administrator",
            "MoonPhase",
            "",
        ] {
            assert!(!hopeless(reason), "{reason}");
        }
    }

    #[test]
    fn failed_dependencies_are_known() {
        assert!(dependency_never("(DependencyNeverSatisfied)"));
        assert!(!dependency_never("Dependency") && !dependency_never(""));
    }

    #[test]
    fn the_tables_have_no_word_twice_and_no_strangers() {
        assert!(WORDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for word in &HOPELESS {
            assert!(WORDS.iter().any(|(name, _)| name == word), "{word}");
        }
    }
}
