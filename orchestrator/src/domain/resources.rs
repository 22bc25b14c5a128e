//! What a stage's job asks a cluster for: the rules of the cluster's profile, and over them those of the study.

use super::quantity::{parse_memory, parse_time};
use protocol::{
    resources::{Pack, ResourceRule},
    stage::StageKind,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a job asks for. Stages that ask for the same can share a job array.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// Partition.
    pub partition: Option<String>,
    /// Account.
    pub account: Option<String>,
    /// Quality of service.
    pub qos: Option<String>,
    /// Generic resources.
    pub gres: Option<String>,
    /// Runs that share the job, where it is more than one.
    pub pack: Option<u32>,
    /// Features that a node must have.
    pub constraint: Option<String>,
    /// Processor cores, for all runs of the job.
    pub cpus: Option<u32>,
    /// Memory per node, in megabytes, for all runs of the job.
    pub memory_mb: Option<u64>,
    /// Time limit, in minutes.
    pub minutes: Option<u64>,
    /// Further options.
    pub extra: Vec<String>,
    /// Nodes that are not to be used.
    pub exclude: Vec<String>,
}

/// Whose limits on what is submitted count: partition, account and quality of service.
pub type Door = (Option<String>, Option<String>, Option<String>);

impl Request {
    /// Whose limits on what is submitted count for it.
    #[must_use]
    pub fn door(&self) -> Door {
        (self.partition.clone(), self.account.clone(), self.qos.clone())
    }

    /// How many runs share the job.
    #[must_use]
    pub fn runs(&self) -> u32 {
        self.pack.unwrap_or(1).max(1)
    }

    /// Plans with what earlier attempts taught: the `minutes` that they took, where they are known, and how often they had too
    /// little memory and time. No more time is planned than a rule names, unless that was too little; and never more
    /// than the cluster gives, but what a rule names where a quality of service may allow more than the partition.
    pub fn learn(
        &mut self,
        minutes: Option<u64>,
        doublings: (u32, u32),
        ceilings: &[Ceiling],
        walls: &[Wall],
    ) {
        let named = self.minutes;
        if let Some(minutes) = minutes {
            self.minutes = Some(named.map_or(minutes, |named| named.min(minutes)));
        }
        let allowed = self.minutes.filter(|_| named.is_some() && self.qos.is_some());
        self.grow(doublings.0, doublings.1);
        self.cut(ceilings);
        self.minutes = self.minutes.max(allowed);
        if let Some(most) = longest(walls, self) {
            self.minutes = self.minutes.map(|asked| asked.min(most));
        }
    }

    /// Asks for no more time and memory than a cluster gives: with what was learned, a job would wait for ever.
    pub fn cut(&mut self, ceilings: &[Ceiling]) {
        let own: Vec<_> = ceilings.iter().filter(|ceiling| ceiling.is_of(self)).collect();
        // It goes where there is most, of the partitions that it names.
        let most = |of: fn(&Ceiling) -> Option<u64>| own.iter().map(|ceiling| of(ceiling)).max_by_key(open);
        fn open(most: &Option<u64>) -> u64 {
            most.unwrap_or(u64::MAX)
        }
        for (asked, most) in [
            (&mut self.minutes, most(|ceiling| ceiling.minutes)),
            (&mut self.memory_mb, most(|ceiling| ceiling.memory_mb)),
        ] {
            if let Some(most) = most.flatten() {
                *asked = asked.map(|asked| asked.min(most));
            }
        }
    }

    /// Leaves these nodes out, unless they are most of those that are up: then it is not the nodes.
    pub fn leave_out(&mut self, nodes: &[String], ceilings: &[Ceiling]) {
        let own: Vec<_> = ceilings.iter().filter(|ceiling| ceiling.is_of(self)).collect();
        let up: usize = own.iter().map(|ceiling| ceiling.nodes as usize).sum();
        if own.is_empty() || nodes.len() * 2 <= up {
            self.exclude = nodes.to_vec();
        }
    }

    /// Doubles what earlier attempts had too little of.
    pub fn grow(&mut self, memory_doublings: u32, time_doublings: u32) {
        let double =
            |value: Option<u64>, times: u32| value.map(|value| value.saturating_mul(1 << times.min(10)));
        self.memory_mb = double(self.memory_mb, memory_doublings);
        self.minutes = double(self.minutes, time_doublings);
    }
}

/// The most that a partition gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// Its name.
    pub partition: String,
    /// Whether jobs that name none go there.
    pub default: bool,
    /// How many of its nodes are up.
    pub nodes: u32,
    /// Longest time limit, in minutes; none where there is none.
    pub minutes: Option<u64>,
    /// Memory of its largest node, in megabytes; none where that is unknown.
    pub memory_mb: Option<u64>,
}

impl Ceiling {
    /// Whether what is asked for may go to this partition.
    fn is_of(&self, request: &Request) -> bool {
        match &request.partition {
            Some(list) => list.split(',').any(|name| name == self.partition),
            None => self.default,
        }
    }
}

/// The longest time limit that a job of an account may have with a quality of service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wall {
    /// The account.
    pub account: String,
    /// The only partition that it is for.
    pub partition: Option<String>,
    /// The quality of service, where there are any.
    pub qos: Option<String>,
    /// Whether jobs that name none have this one.
    pub default: bool,
    /// In minutes; none where there is no limit.
    pub minutes: Option<u64>,
}

impl Wall {
    /// Whether it may be the one of what is asked for: of several accounts it is unknown which one is meant where none is
    /// named.
    fn is_of(&self, request: &Request) -> bool {
        let named = |list: &String| self.partition.iter().any(|own| list.split(',').any(|name| name == own));
        request.account.as_ref().is_none_or(|account| account.eq_ignore_ascii_case(&self.account))
            && request.qos.as_ref().map_or(self.default, |qos| self.qos.as_ref() == Some(qos))
            && (self.partition.is_none() || request.partition.as_ref().is_some_and(named))
    }
}

/// The longest time limit, in minutes, that a job may have by its account and quality of service; none where there is
/// none, or it is unknown.
#[must_use]
pub fn longest(walls: &[Wall], request: &Request) -> Option<u64> {
    let own = walls.iter().filter(|wall| wall.is_of(request)).map(|wall| wall.minutes);
    own.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// What the rules ask for a stage; `architecture` is (layers, width). Quantities that can't be read are passed
/// over: [`rules::violations`](super::rules::violations) names them before a study is recorded.
#[must_use]
pub fn request<'a>(
    rules: impl IntoIterator<Item = &'a ResourceRule>,
    kind: StageKind,
    architecture: Option<(u32, u32)>,
) -> Request {
    let (mut request, mut pack) = (Request::default(), None);
    for rule in rules.into_iter().filter(|rule| rule.is_for(kind, architecture)) {
        text(&mut request.partition, rule.partition.as_deref());
        text(&mut request.account, rule.account.as_deref());
        text(&mut request.qos, rule.qos.as_deref());
        text(&mut request.gres, rule.gres.as_deref());
        text(&mut request.constraint, rule.constraint.as_deref());
        pack = rule.pack.or(pack);
        request.cpus = rule.cpus.or(request.cpus);
        if let Some(mem) = &rule.mem {
            request.memory_mb = parse_memory(mem).ok();
        }
        if let Some(time) = &rule.time {
            request.minutes = parse_time(time).ok().flatten().map(minutes);
        }
        if let Some(extra) = &rule.extra {
            request.extra.clone_from(extra);
        }
    }
    // Data that runs share is prepared once, by a job of its own.
    if let (Some(pack), Some((_, width))) = (pack, architecture) {
        let runs = match pack {
            Pack::Auto => roomy(width),
            Pack::Runs(runs) => runs.get(),
        };
        request.pack = Some(runs).filter(|&runs| runs > 1);
        request.cpus = request.cpus.map(|cpus| cpus.saturating_mul(runs));
        request.memory_mb = request.memory_mb.map(|megabytes| megabytes.saturating_mul(runs.into()));
    }
    request
}

/// What the rules ask for the stages of models of these architectures, (layers, width): each request once.
#[must_use]
pub fn requests<'a>(
    rules: impl IntoIterator<Item = &'a ResourceRule> + Clone,
    architectures: impl IntoIterator<Item = (u32, u32)>,
) -> Vec<Request> {
    let mut found = BTreeSet::from([request(rules.clone(), StageKind::Prepare, None)]);
    for architecture in architectures.into_iter().collect::<BTreeSet<_>>() {
        let of = |&kind: &StageKind| request(rules.clone(), kind, Some(architecture));
        found.extend(StageKind::ALL[1..].iter().map(of));
    }
    found.into_iter().collect()
}

/// How many runs of a width are taken to fill a large GPU: one step of a narrow model is many short kernels, between
/// which the others' run. Estimated from the size of the matrix products, not measured.
const fn roomy(width: u32) -> u32 {
    match width {
        ..=64 => 8,
        65..=128 => 4,
        129..=256 => 2,
        _ => 1,
    }
}

/// The time limit for work that took so many minutes before: half as much again and ten minutes, rounded up, so
/// that few different limits come out and stages share arrays.
#[must_use]
pub fn planned_minutes(before: f64) -> u64 {
    const LIMITS: [u64; 9] = [15, 30, 60, 120, 240, 480, 720, 1440, 2880];
    let needed = (before.max(0.0) * 1.5 + 10.0).ceil() as u64;
    LIMITS
        .into_iter()
        .find(|&limit| limit >= needed)
        .unwrap_or_else(|| needed.div_ceil(1440).saturating_mul(1440))
}

/// GPUs that a request names: `gpu:2`, `gpu:a100:2`, `gpu`.
#[must_use]
pub fn gpus(request: &Request) -> u32 {
    let of = |gres: &str| {
        let mut parts = gres.split('(').next().unwrap_or_default().split(':');
        (parts.next() == Some("gpu"))
            .then(|| parts.next_back().and_then(|last| last.parse().ok()).unwrap_or(1))
    };
    request.gres.iter().flat_map(|list| list.split(',')).filter_map(of).sum()
}

/// Whole minutes, at least one.
#[must_use]
pub fn minutes(time: std::time::Duration) -> u64 {
    time.as_secs().div_ceil(60).max(1)
}

fn text(place: &mut Option<String>, value: Option<&str>) {
    if let Some(value) = value {
        *place = (!value.is_empty()).then(|| value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<ResourceRule> {
        #[derive(Deserialize)]
        struct File {
            rules: Vec<ResourceRule>,
        }
        toml::from_str::<File>(text).unwrap().rules
    }

    #[test]
    fn later_rules_go_over_earlier_ones_field_by_field() {
        let rules = rules(
            r#"
            [[rules]]
            partition = "gpu"
            gres = "gpu:1"
            mem = "16G"
            time = "4:00:00"
            [[rules]]
            stages = ["prepare", "analyze"]
            gres = ""
            partition = "cpu"
            [[rules]]
            stages = ["train"]
            width = "512.."
            time = "2-00:00:00"
            "#,
        );
        let train = request(&rules, StageKind::Train, Some((2, 768)));
        assert_eq!((train.partition.as_deref(), train.minutes), (Some("gpu"), Some(2880)));
        assert_eq!(request(&rules, StageKind::Train, Some((2, 64))).minutes, Some(240));
        let prepare = request(&rules, StageKind::Prepare, None);
        assert_eq!(
            (prepare.partition.as_deref(), prepare.gres, prepare.memory_mb),
            (Some("cpu"), None, Some(16384))
        );
    }

    #[test]
    fn runs_that_share_a_job_ask_for_the_memory_of_all() {
        let rules = rules(
            r#"
            [[rules]]
            gres = "gpu:1"
            cpus = 2
            mem = "4G"
            time = "60"
            pack = "auto"
            [[rules]]
            stages = ["analyze"]
            pack = 1
            [[rules]]
            width = "32"
            pack = 3
            "#,
        );
        let asked = |kind, width| {
            let request = request(&rules, kind, Some((2, width)));
            (request.runs(), request.cpus, request.memory_mb, request.minutes)
        };
        assert_eq!(asked(StageKind::Train, 64), (8, Some(16), Some(32768), Some(60)));
        assert_eq!(asked(StageKind::Train, 768), (1, Some(2), Some(4096), Some(60)));
        assert_eq!(asked(StageKind::Analyze, 64), (1, Some(2), Some(4096), Some(60)));
        assert_eq!(asked(StageKind::Analyze, 32), (3, Some(6), Some(12288), Some(60)));
        assert_eq!(request(&rules, StageKind::Prepare, None).runs(), 1);
        // A study that shares nothing asks as before: with the same words in the record.
        assert_eq!(request(&rules, StageKind::Train, Some((2, 768))).pack, None);
    }

    #[test]
    fn what_stages_ask_for_alike_is_told_once() {
        let rules = rules(
            r#"
            [[rules]]
            time = "60"
            [[rules]]
            stages = ["train"]
            width = "512.."
            time = "120"
            "#,
        );
        let minutes = |architectures: &[(u32, u32)]| {
            let requests = requests(&rules, architectures.iter().copied());
            requests.into_iter().map(|request| request.minutes).collect::<Vec<_>>()
        };
        assert_eq!(minutes(&[(1, 64), (2, 64), (1, 64)]), [Some(60)]);
        assert_eq!(minutes(&[(1, 64), (1, 768)]), [Some(60), Some(120)]);
    }

    #[test]
    fn nothing_is_asked_for_that_no_partition_gives() {
        let of = |partition: &str, nodes, minutes, memory_mb| Ceiling {
            partition: partition.into(),
            default: partition == "short",
            nodes,
            minutes,
            memory_mb,
        };
        let cluster = [
            of("short", 1, Some(60), Some(1000)),
            of("long", 3, Some(600), Some(500)),
            of("open", 2, None, None),
            of("broken", 0, None, None),
        ];
        let cut = |partition: Option<&str>| {
            let partition = partition.map(str::to_owned);
            let mut asked =
                Request { partition, minutes: Some(2880), memory_mb: Some(4000), ..Request::default() };
            asked.cut(&cluster);
            (asked.minutes, asked.memory_mb)
        };
        assert_eq!(cut(None), (Some(60), Some(1000)));
        assert_eq!(cut(Some("long")), (Some(600), Some(500)));
        assert_eq!(cut(Some("short,long")), (Some(600), Some(1000)));
        assert_eq!(cut(Some("long,open")), (Some(2880), Some(4000)));
        assert_eq!(cut(Some("elsewhere")), (Some(2880), Some(4000)));
        let mut little = Request { minutes: Some(5), ..Request::default() };
        little.cut(&cluster);
        assert_eq!((little.minutes, little.memory_mb), (Some(5), None));

        let left_out = |partition: &str, nodes: &[&str]| {
            let mut asked = Request { partition: Some(partition.into()), ..Request::default() };
            asked.leave_out(&nodes.iter().map(|&node| node.to_owned()).collect::<Vec<_>>(), &cluster);
            asked.exclude.len()
        };
        assert_eq!(left_out("short", &["a"]), 0, "the only one");
        assert_eq!((left_out("long", &["a"]), left_out("long", &["a", "b"])), (1, 0));
        assert_eq!(left_out("elsewhere", &["a"]), 1);
        assert_eq!(left_out("broken", &["a"]), 0, "all are down, and it may be the only one");
    }

    #[test]
    fn no_more_time_is_planned_than_a_rule_names_unless_that_was_too_little() {
        let ceiling = Ceiling {
            partition: "short".into(),
            default: true,
            nodes: 1,
            minutes: Some(300),
            memory_mb: None,
        };
        let planned = |named, qos: Option<&str>, learned, doublings, walls: &[Wall]| {
            let mut asked = Request { minutes: named, qos: qos.map(str::to_owned), ..Request::default() };
            asked.learn(learned, (0, doublings), std::slice::from_ref(&ceiling), walls);
            asked.minutes
        };
        assert_eq!(planned(Some(60), None, Some(240), 0, &[]), Some(60));
        assert_eq!(planned(Some(60), None, Some(30), 0, &[]), Some(30));
        assert_eq!(planned(None, None, Some(240), 0, &[]), Some(240));
        assert_eq!(planned(Some(60), None, Some(240), 1, &[]), Some(120), "it was too little");
        assert_eq!(planned(Some(60), None, Some(240), 3, &[]), Some(300), "as much as there is");
        assert_eq!(planned(Some(600), None, None, 0, &[]), Some(300));
        assert_eq!(planned(Some(600), Some("long"), None, 1, &[]), Some(600), "a QOS may allow it");

        let wall = |qos: &str, minutes| Wall {
            account: "lab".into(),
            partition: None,
            qos: Some(qos.into()),
            default: qos == "normal",
            minutes,
        };
        let walls = [wall("normal", Some(90)), wall("long", None), wall("brief", Some(20))];
        assert_eq!(planned(None, None, Some(240), 0, &walls), Some(90));
        assert_eq!(planned(Some(60), Some("brief"), None, 2, &walls), Some(20));
        assert_eq!(planned(Some(60), Some("long"), None, 2, &walls), Some(240));
        assert_eq!(planned(Some(60), Some("other"), None, 2, &walls), Some(240), "nothing is known of it");
    }

    #[test]
    fn time_is_planned_with_a_margin_in_few_steps() {
        let planned: Vec<_> = [0.0, 3.0, 4.0, 60.0, 1000.0, 5000.0].map(planned_minutes).into();
        assert_eq!(planned, [15, 15, 30, 120, 2880, 8640]);
        assert_eq!(planned_minutes(f64::NAN), 15);
    }

    #[test]
    fn gpus_are_counted() {
        let count = |gres: &str| gpus(&Request { gres: Some(gres.into()), ..Request::default() });
        assert_eq!(
            ["gpu", "gpu:2", "gpu:a100:4", "gpu:a100", "nic:1,gpu:1(S:0)"].map(count),
            [1, 2, 4, 1, 1]
        );
        assert_eq!(gpus(&Request::default()), 0);
    }
}
