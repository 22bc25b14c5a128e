//! The cluster: its settings, its partitions, and what its users may do.

use super::field;
use crate::domain::quantity;
use std::{collections::HashMap, time::Duration};

/// The format for `sinfo -a -h -o` that [`partitions`] reads.
pub const SINFO_FORMAT: &str = "%P|%a|%l|%F|%c|%m|%G|%f";

/// The fields for `sacctmgr -n -P show assoc user=ME format=` that [`associations`] reads.
pub const ASSOCIATION_FIELDS: &str = "Account,Partition,QOS,DefaultQOS,MaxSubmitJobs,MaxWall";

/// The fields for `sacctmgr -n -P show qos format=` that [`longest`] reads.
pub const QOS_FIELDS: &str = "Name,MaxWall";

/// What `scontrol show config` says. A setting that isn't there has Slurm's default (`man slurm.conf`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The cluster's name.
    pub cluster: String,
    /// Slurm's version, such as `22.05.8`; empty when it isn't told.
    pub version: String,
    /// One more than the highest number that a task of an array may have.
    pub max_array_size: u32,
    /// The most tasks of an array, where the scheduler has a limit of its own (`max_array_tasks`).
    pub max_array_tasks: Option<u32>,
    /// How many jobs the controller keeps, tasks of arrays and ended ones included.
    pub max_job_count: u32,
    /// Seconds for which the controller remembers a job that has ended.
    pub min_job_age: u64,
    /// Whether there is a database, and so `sacct`.
    pub accounting: bool,
    /// Whether jobs need an account that is their user's.
    pub enforced: bool,
    /// Whether the limits of accounts and qualities of service count.
    pub limits: bool,
    /// Whether jobs are queued again by default when a node fails or they are preempted.
    pub requeue: bool,
}

impl Config {
    /// The most tasks that an array may have.
    #[must_use]
    pub fn largest_array(&self) -> u32 {
        let most = self.max_array_size.saturating_sub(1).max(1);
        most.min(self.max_array_tasks.unwrap_or(most).max(1))
    }

    /// Reads `scontrol show config`; `None` when there is no `ClusterName`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut settings = HashMap::new();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            settings.entry(name.trim()).or_insert_with(|| value.trim());
        }
        let text = |name| settings.get(name).and_then(|value| field::present(value));
        let number = |name| settings.get(name).and_then(|value| first_number(value));
        let narrow = |name, default| number(name).and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
        let accounting = text("AccountingStorageType");
        Some(Self {
            cluster: text("ClusterName")?,
            version: text("SLURM_VERSION").unwrap_or_default(),
            max_array_size: narrow("MaxArraySize", 1001),
            max_array_tasks: text("SchedulerParameters").and_then(|parameters| {
                let of = |one: &str| one.trim().strip_prefix("max_array_tasks=")?.parse().ok();
                parameters.split(',').find_map(of)
            }),
            max_job_count: narrow("MaxJobCount", 10_000),
            min_job_age: number("MinJobAge").unwrap_or(300),
            accounting: accounting.is_some_and(|kind| !kind.eq_ignore_ascii_case("accounting_storage/none")),
            limits: text("AccountingStorageEnforce").is_some_and(|enforced| {
                enforced.split(',').any(|word| ["limits", "safe", "all"].contains(&word.trim()))
            }),
            enforced: text("AccountingStorageEnforce").is_some_and(|enforced| enforced != "0"),
            requeue: number("JobRequeue").unwrap_or(1) != 0,
        })
    }
}

/// A partition of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its name.
    pub name: String,
    /// Whether jobs that name none go here.
    pub default: bool,
    /// Whether jobs are accepted and started.
    pub up: bool,
    /// The longest time limit; `None` is none.
    pub limit: Option<Duration>,
    /// How many of its nodes are up.
    pub nodes: u32,
    /// The most CPUs of a node.
    pub cpus: u32,
    /// The most memory of a node, in MB.
    pub memory_mb: u64,
    /// The generic resources of its nodes, each once, such as `gpu:a100:1`.
    pub gres: Vec<String>,
    /// The features of its nodes, each once.
    pub features: Vec<String>,
}

/// Reads `sinfo -a -h -o` [`SINFO_FORMAT`]: partitions in the order in which they first appear, the lines of
/// one put together.
#[must_use]
pub fn partitions(text: &str) -> Vec<Partition> {
    let mut partitions: Vec<Partition> = Vec::new();
    for more in text.lines().filter_map(partition) {
        let Some(known) = partitions.iter_mut().find(|known| known.name == more.name) else {
            partitions.push(more);
            continue;
        };
        known.default |= more.default;
        known.nodes = known.nodes.saturating_add(more.nodes);
        known.cpus = known.cpus.max(more.cpus);
        known.memory_mb = known.memory_mb.max(more.memory_mb);
        add_new(&mut known.gres, more.gres);
        add_new(&mut known.features, more.features);
    }
    partitions
}

fn partition(line: &str) -> Option<Partition> {
    let fields: Vec<&str> = line.splitn(8, '|').map(str::trim).collect();
    let [name, available, limit, nodes, cpus, memory, gres, features] = *fields.as_slice() else {
        return None;
    };
    let (name, default) = name.strip_suffix('*').map_or((name, false), |name| (name, true));
    if name.is_empty() {
        return None;
    }
    let mut partition = Partition {
        name: name.to_owned(),
        default,
        up: available.eq_ignore_ascii_case("up"),
        limit: quantity::parse_time(limit).ok()?,
        nodes: nodes_up(nodes)?,
        cpus: amount(cpus.trim_end_matches('+'))?.try_into().ok()?,
        memory_mb: first_number(memory)?,
        gres: Vec::new(),
        features: Vec::new(),
    };
    add_new(&mut partition.gres, resources(gres));
    add_new(&mut partition.features, features.split(',').filter_map(field::present).collect::<Vec<_>>());
    Some(partition)
}

/// Those that are up, of `allocated/idle/other/all`: what is down or drained is other. A number alone is of nodes that are
/// up.
fn nodes_up(text: &str) -> Option<u32> {
    text.split('/').take(2).try_fold(0_u32, |up, number| up.checked_add(number.parse().ok()?))
}

/// The resources of `gpu:a100:4(S:0,1),shard:8`, without the sockets they are at.
fn resources(text: &str) -> Vec<String> {
    let (mut bare, mut depth) = (String::new(), 0_u32);
    if field::present(text).is_none() {
        return Vec::new();
    }
    for c in text.chars() {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => bare.push(c),
            _ => {}
        }
    }
    bare.split(',').filter_map(field::present).collect()
}

fn add_new(all: &mut Vec<String>, more: Vec<String>) {
    for one in more {
        if !all.contains(&one) {
            all.push(one);
        }
    }
}

/// The number at the start of `300 sec`, `64000+` or `1001`; `None` for `UNLIMITED` and the like.
fn first_number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// A number as Slurm writes large ones: `16`, `2K`, `1.5K`, in steps of 1,024.
#[must_use]
pub fn amount(text: &str) -> Option<u64> {
    let units = [('K', 1_u64 << 10), ('M', 1 << 20), ('G', 1 << 30)];
    let large = units.into_iter().find_map(|(letter, unit)| Some((text.strip_suffix(letter)?, unit)));
    let (digits, unit) = large.unwrap_or((text, 1));
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = digits.parse().ok().filter(|_| is_number)?;
    Some((number * unit as f64) as u64)
}

/// What one association lets its user do: an account, perhaps in one partition only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// The account.
    pub account: String,
    /// The only partition it is for.
    pub partition: Option<String>,
    /// The qualities of service that may be asked for.
    pub qos: Vec<String>,
    /// That of jobs that name none.
    pub default_qos: Option<String>,
    /// How many jobs may be in the queue or running.
    pub max_submit: Option<u32>,
    /// The longest time limit; `None` is none.
    pub max_wall: Option<Duration>,
}

/// Reads `sacctmgr -n -P show assoc user=ME format=` [`ASSOCIATION_FIELDS`].
#[must_use]
pub fn associations(text: &str) -> Vec<Association> {
    text.lines().filter_map(association).collect()
}

fn association(line: &str) -> Option<Association> {
    let fields: Vec<&str> = line.split('|').collect();
    let [account, partition, qos, default_qos, max_submit, max_wall] = *fields.as_slice() else {
        return None;
    };
    Some(Association {
        account: Some(account.trim()).filter(|account| !account.is_empty())?.to_owned(),
        partition: field::present(partition),
        qos: qos.split(',').filter_map(field::present).collect(),
        default_qos: field::present(default_qos),
        max_submit: limit(max_submit)?,
        max_wall: wall(max_wall)?,
    })
}

/// Reads `sacctmgr -n -P show qos format=` [`QOS_FIELDS`]: the longest time limit of each that has one.
#[must_use]
pub fn longest(text: &str) -> HashMap<String, Duration> {
    let of = |line: &str| {
        let (name, max_wall) = line.split_once('|')?;
        Some((field::present(name)?, wall(max_wall)??))
    };
    text.lines().filter_map(of).collect()
}

/// `Some(None)` is no limit; `None` is a field that is none of ours.
fn wall(text: &str) -> Option<Option<Duration>> {
    field::present(text).map_or(Some(None), |time| quantity::parse_time(&time).ok())
}

/// `Some(None)` is no limit; `None` is a field that is none of ours.
fn limit(text: &str) -> Option<Option<u32>> {
    field::present(text).map_or(Some(None), |number| number.parse().ok().map(Some))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = include_str!("samples/config.txt");

    #[test]
    fn a_real_configuration_is_read() {
        let expected = Config {
            cluster: "lab".into(),
            version: "22.05.8".into(),
            max_array_size: 10_001,
            max_array_tasks: None,
            max_job_count: 20_000,
            min_job_age: 300,
            accounting: true,
            enforced: false,
            limits: false,
            requeue: true,
        };
        assert_eq!(Config::parse(CONFIG), Some(expected));
    }

    #[test]
    fn settings_that_change_what_we_do_are_seen() {
        let with = |from: &str, to: &str| {
            assert!(CONFIG.contains(from), "{from}");
            Config::parse(&CONFIG.replace(from, to)).unwrap()
        };
        let storage = "AccountingStorageType   = accounting_storage/slurmdbd";
        assert!(!with(storage, "AccountingStorageType = accounting_storage/none").accounting);
        assert!(!with(storage, "AccountingStorageType = (null)").accounting);
        let enforced = "AccountingStorageEnforce = associations,limits";
        let with_limits = with("AccountingStorageEnforce = none", enforced);
        assert!(with_limits.enforced && with_limits.limits);
        let known = with("AccountingStorageEnforce = none", "AccountingStorageEnforce = associations");
        assert!(known.enforced && !known.limits);
        assert!(!with("JobRequeue              = 1", "JobRequeue = 0").requeue);
        let limited = with("bf_resolution=1", "max_array_tasks=500,bf_resolution=1");
        assert_eq!((limited.largest_array(), with("= 10001", "= 301").largest_array()), (500, 300));
    }

    #[test]
    fn what_is_missing_has_slurms_default() {
        let config =
            Config::parse("** banner = 1 **\nClusterName = x\nMaxJobCount = many\nMinJobAge =").unwrap();
        assert_eq!((config.cluster.as_str(), config.version.as_str()), ("x", ""));
        assert_eq!((config.max_array_size, config.max_job_count), (1001, 10_000));
        assert_eq!((config.min_job_age, config.requeue, config.accounting), (300, true, false));
    }

    #[test]
    fn what_is_no_configuration_is_nothing() {
        for text in
            ["", "ClusterName", "ClusterName =", "ClusterName = (null)", "slurm_load_ctl_conf error: x"]
        {
            assert_eq!(Config::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_lines_of_a_partition_are_put_together() {
        let text = "CLUSTER: lab\n\
            gpu*|up|7-00:00:00|1/2/4/7|16|64000|gpu:a100:1|(null)\n\
            long|up|infinite|0/2/0/2|64+|256000+|(null)|avx,big\n\
            gpu*|up|7-00:00:00|2/0/1/3|32|32000|gpu:a100:1,gpu:h100:4(S:0,1)|nvlink,avx\n\
            gpu*|up|7-00:00:00|1|8|1000|shard:8(S:0-1)|avx\n\
            old|down|30:00|0/0/5/5|0|0|(null)|(null)\n";
        let found = partitions(text);
        assert_eq!(found.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["gpu", "long", "old"]);
        let expected = Partition {
            name: "gpu".into(),
            default: true,
            up: true,
            limit: Some(Duration::from_secs(604_800)),
            nodes: 6,
            cpus: 32,
            memory_mb: 64_000,
            gres: vec!["gpu:a100:1".into(), "gpu:h100:4".into(), "shard:8".into()],
            features: vec!["nvlink".into(), "avx".into()],
        };
        assert_eq!(found[0], expected);
        assert_eq!((found[1].default, found[1].up, found[1].limit), (false, true, None));
        assert_eq!((found[1].nodes, found[2].nodes), (2, 0));
        assert_eq!((found[1].cpus, found[1].memory_mb), (64, 256_000));
        assert_eq!((found[1].gres.len(), found[1].features.len()), (0, 2));
        assert_eq!((found[2].up, found[2].limit), (false, Some(Duration::from_secs(1800))));
    }

    #[test]
    fn large_numbers_are_read() {
        let read = ["16", "1K", "1.5K", "2M", "1G"].map(amount);
        assert_eq!(read, [16, 1024, 1536, 2 << 20, 1 << 30].map(Some));
        assert!(["", "K", "x", "-1", "1k", "1.2.3", "inf", "a100"].iter().all(|text| amount(text).is_none()));
    }

    #[test]
    fn partitions_that_make_no_sense_are_passed_over() {
        for line in [
            "",
            "gpu|up|1:00|1|16|64000|(null)",
            "*|up|1:00|1|16|64000|(null)|(null)",
            "gpu|up|soon|1|16|64000|(null)|(null)",
            "gpu|up|1:00|x|16|64000|(null)|(null)",
            "gpu|up|1:00|1/x/0/1|16|64000|(null)|(null)",
            "gpu|up|1:00||16|64000|(null)|(null)",
            "gpu|up|1:00|1|+|64000|(null)|(null)",
            "gpu|up|1:00|1|99999999999|64000|(null)|(null)",
            "PARTITION|AVAIL|TIMELIMIT|NODES|CPUS|MEMORY|GRES|AVAIL_FEATURES",
        ] {
            assert!(partitions(line).is_empty(), "{line}");
        }
    }

    #[test]
    fn associations_are_read() {
        let found = associations(
            "lab||normal,high|high|200|2-00:00:00\nlab|gpu||||\n\nhello\n\
            Account|Partition|QOS|Def QOS|MaxSubmit|MaxWall\n||normal|||\n",
        );
        let lab = |partition: Option<&str>, qos: &[&str], max_submit| Association {
            account: "lab".into(),
            partition: partition.map(Into::into),
            qos: qos.iter().map(|&qos| qos.to_owned()).collect(),
            default_qos: qos.last().map(|&qos| qos.to_owned()),
            max_submit,
            max_wall: max_submit.map(|_| Duration::from_secs(172_800)),
        };
        assert_eq!(found, [lab(None, &["normal", "high"], Some(200)), lab(Some("gpu"), &[], None)]);
    }

    #[test]
    fn the_longest_time_limits_of_qualities_of_service_are_read() {
        let found = longest("normal|\nshort|01:00:00\nlong|3-00:00:00\nbad|soon\nhello\n|5\n");
        let expected = [("short", 3600), ("long", 259_200)];
        let expected = expected.map(|(name, seconds)| (name.to_owned(), Duration::from_secs(seconds)));
        assert_eq!(found, HashMap::from(expected));
    }
}
