//! The error texts of Slurm: those of `slurm_errno.c` and `sbatch.c`, versions 20.11 to 25.05.

/// What a text proves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The request is refused and always will be.
    Wrong,
    /// The request is refused and always will be, with as many tasks.
    Array,
    /// The request is refused for now.
    Limit,
    /// The request was not heard.
    Away,
}

/// Signs that the request may have reached the controller while the answer was lost. They outweigh all
/// others: an answer is proof only if it answers the last request.
const LOST: [&str; 20] = [
    "(receive failure)",
    "(send failure)",
    "(shutdown failure)",
    "auth_g_unpack",
    "auth_g_verify",
    "broken pipe",
    "communication shutdown failure",
    "connection reset",
    "connection timed out reading",
    "connection timed out writing",
    "header lengths are longer than data received",
    "insane message length",
    "message receive failure",
    "message send failure",
    "munge decode failed",
    "response_",
    "slurm_receive_msg",
    "slurm_unpack_received_msg",
    "socket timed out on send/recv",
    "zero bytes were transmitted or received",
];

/// Parts of the texts, in lower case, that leave no doubt.
const KNOWN: &[(Kind, &[&str])] = &[
    (
        Kind::Wrong,
        &[
            "access denied to requested reservation",
            "access/permission denied",
            "batch script contains",
            "batch script is empty",
            "burst buffer permission denied",
            "burst buffer request invalid",
            "cannot request more threads per core",
            "circular job dependency",
            "cli_filter plugin terminated with error",
            "container support is not configured",
            "core count specification invalid",
            "cpu count specification invalid",
            "does not look like a batch script",
            "duplicate generic resource",
            "environment is missing in job",
            "insufficient gres available",
            "invalid account or account/partition",
            "invalid directive found in batch script",
            "invalid partition name specified",
            "invalid qos specification",
            "job cannot be submitted without the current working directory",
            "job dependency problem",
            "job script not specified",
            "job size specification needs to be provided",
            "job --batch option is invalid",
            "line must start with #!",
            "memory required by task is not available",
            "more processors requested than permitted",
            "multiple partition job request not supported",
            "no eligible clusters for federated job",
            "no partition specified or system default partition",
            "node count specification invalid",
            "only batch jobs are accepted",
            "parameter too long",
            "plugin stack post-option processing failed",
            "requested gres option unsupported",
            "requested more tasks than available processors",
            "requested node configuration is not available",
            "requested nodes not in this partition",
            "requested operation not supported on this system",
            "requested reservation is invalid",
            "requested time limit is invalid",
            "requested topology configuration is not available",
            "requires more ports than can be reserved",
            "restrictedcorespergpu:",
            "script arguments not permitted with --wrap",
            "slurm controller does not allow scripts that",
            "task count specification invalid",
            "task distribution specification invalid",
            "time limit specification required",
            "unable to open file",
            "unable to resolve group id",
            "unable to resolve user id",
            "user's group not permitted to use this partition",
            "x11 forwarding not available",
        ],
    ),
    (Kind::Array, &["invalid job array specification"]),
    (
        Kind::Limit,
        &[
            "burst buffer resource limit exceeded",
            "i/o error writing script/environment to file",
            "immediate execution impossible",
            "job can not start immediately",
            "job creation temporarily disabled",
            "job violates accounting/qos policy",
            "licenses currently unavailable",
            "maintenance reservation",
            "max powered up nodes reached",
            "maxjobcount limit reached",
            "partition in down state",
            "rate limit exceeded",
            "requested account has breached requested qos",
            "requested nodes are busy",
            "requested operation is presently disabled",
            "requested partition configuration not available now",
            "requested reservation is in use",
            "requested reservation not usable now",
            "required node not available",
            "required partition not available",
            "required ports are in use",
            "resource temporarily unavailable",
            "slurm job queue full",
            "slurm temporarily unable to accept job",
            "submissions disabled",
            "too many jobs",
            "unable to create job record, try again",
        ],
    ),
    (
        Kind::Away,
        &[
            "(connect failure)",
            "communication connection failure",
            "connection timed out establishing",
            "controller is in standby mode",
            "could not establish a configuration source",
            "dns srv lookup failed",
            "failed to fetch config",
            "failed to fetch remote config",
            "munge encode failed",
            "protocol authentication error",
            "slurm backup controller in standby mode",
        ],
    ),
];

/// What a line proves, if anything.
pub(super) fn known(line: &str) -> Option<Kind> {
    let lower = line.to_ascii_lowercase();
    KNOWN.iter().find(|(_, texts)| texts.iter().any(|text| lower.contains(text))).map(|(kind, _)| *kind)
}

/// Whether a line says that an answer was lost.
pub(super) fn is_lost(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    LOST.iter().any(|text| lower.contains(text))
}

/// Whether another command (`squeue`, `scancel`, `scontrol`, `sinfo`, `sacct`) failed because the
/// controller or the accounting database could not be asked or did not answer. Then nothing is known of
/// the jobs, and the command may be repeated later.
#[must_use]
pub fn controller_away(stderr: &str) -> bool {
    const AWAY: [&str; 14] = [
        "communication connection failure",
        "connection timed out",
        "controller is in standby mode",
        "could not establish a configuration source",
        "dns srv lookup failed",
        "failed to open persistent connection",
        "munge encode failed",
        "problem talking to the database",
        "protocol authentication error",
        "rate limit exceeded",
        "resource temporarily unavailable",
        "slurm backup controller in standby mode",
        "unable to connect to database",
        "unable to contact slurm controller",
    ];
    let lower = stderr.to_ascii_lowercase();
    AWAY.iter().chain(&LOST).any(|text| lower.contains(text))
}

#[cfg(test)]
mod tests {
    use super::{super::commands::sample, *};

    #[test]
    fn texts_are_lower_case_and_none_is_hidden_by_another() {
        let all: Vec<&str> = KNOWN.iter().flat_map(|(_, texts)| texts.iter().copied()).chain(LOST).collect();
        for (at, text) in all.iter().enumerate() {
            assert_eq!(*text, text.to_ascii_lowercase());
            let others = all.iter().enumerate().filter(|(other, _)| *other != at);
            assert_eq!(others.filter(|(_, other)| text.contains(**other)).count(), 0, "{text}");
        }
    }

    #[test]
    fn other_commands_find_the_controller_away() {
        for (section, command) in [
            ("##### slurmctld not", "squeue -h"),
            ("##### slurmctld not", "scontrol show job 4"),
            ("##### slurmctld not", "scancel 4"),
            ("##### slurmctld not", "sinfo"),
            ("##### slurmctld stopped", "squeue -h"),
            ("##### slurmdbd not", "sacct -X -n -P -j 4"),
            ("##### munged not", "squeue -h"),
        ] {
            let outcome = sample(section, command);
            assert_ne!(outcome.code, 0);
            assert!(controller_away(&outcome.stderr), "{section}, {command}: {}", outcome.stderr);
        }
        for command in
            ["squeue -h -j 999999", "scontrol requeue 999999", "scancel -v 4", "sbatch -p nosuch --wrap true"]
        {
            assert!(!controller_away(&sample("", command).stderr), "{command}");
        }
        assert!(!controller_away(""));
    }
}
