//! Reasons that are the name of a limit.

/// A limit by whose name Slurm makes a reason, such as `QOSMaxCpuMinutesPerJobLimit`.
pub(super) struct Limit {
    owner: &'static str,
    rule: Rule,
    amount: String,
}

enum Rule {
    Together,
    Job,
    Node,
    User,
    Account,
    Least,
}

impl Limit {
    /// Reads a reason; `None` when it is no limit.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let (owner, group, rest) = [
            ("QOSGrp", "the QOS", Some(Rule::Together)),
            ("QOSMin", "the QOS", Some(Rule::Least)),
            ("QOSMax", "the QOS", None),
            ("AssocGrp", "your account", Some(Rule::Together)),
            ("AssocMax", "your account", None),
            ("Max", "the QOS", None),
        ]
        .into_iter()
        .find_map(|(prefix, owner, rule)| Some((owner, rule, word.strip_prefix(prefix)?)))?;
        let rest = rest.strip_suffix("Limit").or(rest.strip_suffix("NotSatisfied")).unwrap_or(rest);
        let (rule, rest) = [
            ("PerJob", Rule::Job),
            ("PerNode", Rule::Node),
            ("PerUser", Rule::User),
            ("PerAccount", Rule::Account),
        ]
        .into_iter()
        .find_map(|(suffix, rule)| Some((rule, rest.strip_suffix(suffix)?)))
        .unwrap_or((Rule::User, rest));
        let rule = group.unwrap_or(rule);
        let (rest, of) = rest
            .strip_suffix("RunMinutes")
            .map(|rest| (rest, " times the minutes that its running jobs may take"))
            .or_else(|| rest.strip_suffix("Minutes").map(|rest| (rest, " times minutes")))
            .unwrap_or((rest, ""));
        let amount = match rest {
            "Cpu" | "CPU" => "CPUs",
            "Mem" | "Memory" => "memory",
            "Node" => "nodes",
            "GRES" => "GPUs (or other generic resources)",
            "Energy" => "energy",
            "License" => "licences",
            "BB" => "burst buffer space",
            "Billing" => "billed resources",
            "Unknown" => "a resource",
            "Jobs" => "running jobs",
            "SubmitJob" | "SubmitJobs" => "submitted jobs",
            "Wall" | "WallDuration" => "run time",
            _ => return None,
        };
        Some(Self { owner, rule, amount: format!("{amount}{of}") })
    }

    /// The limit in plain words.
    pub(super) fn words(&self) -> String {
        let Self { owner, rule, amount } = self;
        match rule {
            Rule::Together => format!("the jobs of {owner} have reached its limit of {amount}"),
            Rule::Job => format!("it asks for more than {owner} allows one job of {amount}"),
            Rule::Node => format!("it asks for more than {owner} allows one job on a node of {amount}"),
            Rule::User => format!("your jobs have reached the limit that {owner} has for {amount}"),
            Rule::Account => {
                format!("the account's jobs have reached the limit that {owner} has for {amount}")
            }
            Rule::Least => format!("it asks for less than {owner} wants a job to have of {amount}"),
        }
    }

    /// Whether other jobs have nothing to do with it.
    pub(super) const fn is_about_one_job(&self) -> bool {
        matches!(self.rule, Rule::Job | Rule::Node | Rule::Least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of limits, as of Slurm 24.05.
    const LIMITS: &str = "QOSGrpCpuLimit QOSGrpCPUMinutesLimit QOSGrpCPURunMinutesLimit QOSGrpJobsLimit \
        QOSGrpMemLimit QOSGrpNodeLimit QOSGrpSubmitJobsLimit QOSGrpWallLimit QOSMaxCpuPerJobLimit \
        QOSMaxCpuMinutesPerJobLimit QOSMaxNodePerJobLimit QOSMaxWallDurationPerJobLimit \
        QOSMaxCpuPerUserLimit QOSMaxJobsPerUserLimit QOSMaxNodePerUserLimit QOSMaxSubmitJobPerUserLimit \
        QOSMinCpuNotSatisfied AssocGrpCpuLimit AssocGrpCPUMinutesLimit AssocGrpCPURunMinutesLimit \
        AssocGrpJobsLimit AssocGrpMemLimit AssocGrpNodeLimit AssocGrpSubmitJobsLimit AssocGrpWallLimit \
        AssocMaxJobsLimit AssocMaxCpuPerJobLimit AssocMaxCpuMinutesPerJobLimit AssocMaxNodePerJobLimit \
        AssocMaxWallDurationPerJobLimit AssocMaxSubmitJobLimit AssocGrpUnknown AssocGrpUnknownRunMinutes \
        AssocMaxCpuPerNode AssocGrpMemRunMinutes AssocMaxMemPerJob AssocMaxMemMinutesPerJob \
        AssocGrpEnergyMinutes AssocGrpGRES AssocGrpGRESMinutes AssocMaxGRESPerJob AssocMaxGRESPerNode \
        AssocGrpLicense AssocGrpBB AssocMaxBillingPerJob QOSMaxMemoryPerUser QOSMinMemory QOSMinNode \
        QOSGrpGRES QOSGrpGRESRunMinutes QOSMaxGRESPerJob QOSMaxGRESPerUser QOSMaxGRESMinutesPerJob \
        QOSMinGRES QOSMaxLicensePerUser MaxCpuPerAccount MaxGRESPerAccount MaxMemoryPerAccount \
        MaxJobsPerAccount MaxSubmitJobsPerAccount MaxBillingPerAccount QOSMinBilling";

    #[test]
    fn every_limit_is_read() {
        for name in LIMITS.split_whitespace() {
            assert!(Limit::parse(name).is_some(), "{name}");
        }
        for name in ["", "Max", "QOSMax", "QOSJobLimit", "AssocGrpMoon", "MaxMemPerLimit", "Priority"] {
            assert!(Limit::parse(name).is_none(), "{name}");
        }
    }

    #[test]
    fn limits_say_whose_they_are() {
        for (reason, words) in [
            (
                "AssocGrpGRES",
                "the jobs of your account have reached its limit of GPUs (or other generic resources)",
            ),
            ("QOSMaxJobsPerUserLimit", "your jobs have reached the limit that the QOS has for running jobs"),
            ("AssocMaxJobsLimit", "your jobs have reached the limit that your account has for running jobs"),
            ("QOSMaxWallDurationPerJobLimit", "it asks for more than the QOS allows one job of run time"),
            ("MaxCpuPerAccount", "the account's jobs have reached the limit that the QOS has for CPUs"),
            (
                "QOSMinGRES",
                "it asks for less than the QOS wants a job to have of GPUs (or other generic resources)",
            ),
        ] {
            assert_eq!(Limit::parse(reason).unwrap().words(), words, "{reason}");
        }
    }
}
