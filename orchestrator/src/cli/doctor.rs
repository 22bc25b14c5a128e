//! `lcctl doctor`: compares what is configured with this machine and the live cluster.

use super::{
    cluster::ClusterFlags,
    connect,
    context::Context,
    failure::Failure,
    output::{Screen, View},
};
use crate::{
    config::{profile::Profile, study::Layer},
    domain::resources,
    executor::{
        local::find_worker,
        slurm::listing,
        slurm::{Cluster, Slurm},
    },
};
use clap::{Args, ValueHint};
use protocol::{resources::ResourceRule, stage::StageKind, study::StudySpec};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

const AFTER_HELP: &str = "\
Examples:
  lcctl doctor
  lcctl doctor --profile my-cluster.toml study.toml

Nothing is changed, and nothing is submitted.

Exit codes: 0 no problem, 1 a problem, 2 wrong use";

/// Check root, worker, profile and study against this machine and the live cluster
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Doctor {
    /// Study file whose rules are checked, too
    #[arg(value_name = "STUDY.toml", value_hint = ValueHint::FilePath)]
    study: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterFlags,
    /// The worker program [default: lc-worker beside lcctl]
    #[arg(long, value_name = "FILE", env = "LC_WORKER", hide_env_values = true, value_hint = ValueHint::ExecutablePath)]
    worker: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Note,
    Problem,
}

#[derive(Serialize)]
struct Finding {
    verdict: Verdict,
    what: &'static str,
    text: String,
}

#[derive(Default, Serialize)]
#[serde(transparent)]
struct Report(Vec<Finding>);

impl Report {
    fn add(&mut self, verdict: Verdict, what: &'static str, text: impl Into<String>) {
        self.0.push(Finding { verdict, what, text: text.into() });
    }

    fn result<T, E: std::fmt::Display>(
        &mut self,
        what: &'static str,
        found: Result<T, E>,
        told: impl Fn(&T) -> String,
    ) -> Option<T> {
        match found {
            Ok(value) => {
                self.add(Verdict::Ok, what, told(&value));
                Some(value)
            }
            Err(error) => {
                self.add(Verdict::Problem, what, error.to_string());
                None
            }
        }
    }
}

impl Doctor {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let profile = self.cluster.profile(context)?;
        let study = self.study.as_deref().map(Layer::of_file).transpose()?;
        let study = study.map(|layer| layer.study("doctor")).transpose()?;
        let mut report = Report::default();
        root(&mut report, &context.root, profile.is_some());
        let of_profile = profile.as_ref().and_then(|profile| profile.worker.clone());
        let worker = self.worker.or(of_profile).or_else(|| context.user.worker.clone());
        let worker =
            report.result("worker", find_worker(worker.as_deref()), |path| path.display().to_string());
        match connect::running(&context.root).await {
            Some(client) => report.add(Verdict::Ok, "daemon", format!("serves at {}", client.url())),
            None => report.add(Verdict::Note, "daemon", "none runs; other commands start one"),
        }
        match profile {
            None => report.add(Verdict::Ok, "executor", "local: stages run as processes of this machine"),
            Some(profile) => cluster(&mut report, profile, worker, study.as_ref(), context).await,
        }
        context.out.answer(&report)?;
        let problems = report.0.iter().filter(|finding| finding.verdict == Verdict::Problem).count();
        if problems == 0 {
            Ok(())
        } else {
            Err(Failure::Failed(format!("{problems} problem{}", if problems == 1 { "" } else { "s" })))
        }
    }
}

/// Whether the record can live where the root is.
fn root(report: &mut Report, root: &Path, on_cluster: bool) {
    let there = root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match nix::sys::statfs::statfs(there) {
        Ok(found) => match file_system(found.filesystem_type().0) {
            Some(name) => {
                let text = format!(
                    "{} is on {name}: SQLite needs working locks there; keep one daemon, always on the same node",
                    root.display()
                );
                report.add(Verdict::Note, "root", text);
            }
            None if on_cluster => {
                let text =
                    format!("{}: a local file system; the nodes must see the same files", root.display());
                report.add(Verdict::Note, "root", text);
            }
            None => report.add(Verdict::Ok, "root", root.display().to_string()),
        },
        Err(error) => report.add(Verdict::Problem, "root", format!("{}: {error}", there.display())),
    }
}

/// File systems shared over a network, by their magic numbers.
const fn file_system(magic: i64) -> Option<&'static str> {
    match magic {
        0x6969 => Some("NFS"),
        0x0BD0_0BD0 => Some("Lustre"),
        0x4750_4653 => Some("GPFS"),
        0x1983_0326 => Some("BeeGFS"),
        0x00C3_6400 => Some("Ceph"),
        0xFF53_4D42 | 0xFE53_4D42 => Some("CIFS"),
        0x6573_5546 => Some("FUSE"),
        _ => None,
    }
}

async fn cluster(
    report: &mut Report,
    profile: Profile,
    worker: Option<PathBuf>,
    study: Option<&StudySpec>,
    context: &Context,
) {
    let mut rules: Vec<ResourceRule> = profile.rules.clone();
    rules.extend(study.into_iter().flat_map(|study| study.resources.rules.clone()));
    let (requeue, tick) = (profile.requeue, profile.tick_seconds);
    let worker = worker.unwrap_or_else(|| "lc-worker".into());
    let slurm = match Slurm::new(profile, worker, context.root.clone()) {
        Ok(slurm) => slurm,
        Err(why) => return report.add(Verdict::Problem, "profile", why),
    };
    let told = |cluster: &Cluster| format!("{}, Slurm {}", cluster.config.cluster, cluster.config.version);
    let Some(found) = report.result("cluster", slurm.describe().await, told) else { return };
    let config = &found.config;
    if config.accounting {
        report.add(Verdict::Ok, "accounting", "sacct tells how jobs ended");
    } else {
        report.add(
            Verdict::Note,
            "accounting",
            "none: results and exit codes are taken from the workers' files alone",
        );
    }
    report.add(
        Verdict::Ok,
        "limits",
        format!(
            "arrays up to {} tasks, {} jobs in all, ended jobs remembered for {} s",
            config.max_array_size.saturating_sub(1),
            config.max_job_count,
            config.min_job_age
        ),
    );
    if config.min_job_age < tick {
        report.add(
            Verdict::Note,
            "limits",
            format!(
                "ended jobs are forgotten after {} s, before the next look: set tick_seconds lower",
                config.min_job_age
            ),
        );
    }
    if requeue && !config.requeue {
        report.add(
            Verdict::Note,
            "requeue",
            "the cluster's default is not to start jobs again; the profile asks for it job by job",
        );
    }
    if let Some(limit) = found.associations.iter().filter_map(|association| association.max_submit).max() {
        report.add(Verdict::Ok, "account", format!("at most {limit} jobs in the queue"));
    }
    let names: Vec<_> = found
        .partitions
        .iter()
        .map(|p| format!("{}{}", p.name, if p.default { " (default)" } else { "" }))
        .collect();
    report.add(Verdict::Ok, "partitions", names.join(", "));
    let mut requests = BTreeSet::from([resources::request(&rules, StageKind::Prepare, None)]);
    for &kind in &StageKind::ALL[1..] {
        let grid = study.map(|study| &study.grid);
        let depths = grid.map_or_else(|| vec![1, 2, 4, 8, 16], |grid| grid.depth.0.clone());
        let widths =
            grid.map_or_else(|| vec![32, 64, 128, 256, 512, 768, 1024, 2048], |grid| grid.width.0.clone());
        for &depth in &depths {
            requests
                .extend(widths.iter().map(|&width| resources::request(&rules, kind, Some((depth, width)))));
        }
    }
    let requests: Vec<_> = requests.into_iter().collect();
    let mut missing = listing::missing(&found.partitions, &requests);
    let accounts: BTreeSet<_> =
        found.associations.iter().map(|association| association.account.as_str()).collect();
    for account in requests.iter().filter_map(|request| request.account.as_deref()).collect::<BTreeSet<_>>() {
        if config.accounting && !accounts.is_empty() && !accounts.contains(account) {
            let yours = accounts.iter().copied().collect::<Vec<_>>().join(", ");
            missing.push(format!("account: {account:?} is not yours; yours: {yours}"));
        }
    }
    if missing.is_empty() {
        report.add(
            Verdict::Ok,
            "rules",
            format!("{} different requests, all of which the cluster can serve", requests.len()),
        );
    }
    for line in missing {
        report.add(Verdict::Problem, "rules", line);
    }
}

impl View for Report {
    fn table(&self, _screen: Screen) -> String {
        let line = |finding: &Finding| {
            let word = match finding.verdict {
                Verdict::Ok => "ok",
                Verdict::Note => "note",
                Verdict::Problem => "PROBLEM",
            };
            format!("{word:<9}{:<12}{}", finding.what, finding.text)
        };
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}
