//! Whether the live cluster, and the worker on it, can serve what profile and study ask for.

use super::{Report, Verdict, worker};
use crate::{
    config::profile::Profile,
    domain::resources,
    executor::slurm::{Cluster, Slurm, listing},
};
use protocol::{resources::ResourceRule, study::StudySpec};
use std::path::{Path, PathBuf};

/// Layers and widths that are tried where no study says which.
const DEPTHS: [u32; 5] = [1, 2, 4, 8, 16];
const WIDTHS: [u32; 8] = [32, 64, 128, 256, 512, 768, 1024, 2048];

/// Compares profile and study with the cluster. `worker` is its version, as far as it tells, and its file.
pub(super) async fn cluster(
    report: &mut Report,
    profile: Profile,
    worker: Option<(Option<String>, PathBuf)>,
    study: Option<&StudySpec>,
    root: &Path,
) {
    let mut wanted: Vec<ResourceRule> = profile.rules.clone();
    wanted.extend(study.into_iter().flat_map(|study| study.resources.rules.clone()));
    let (requeue, tick) = (profile.requeue, profile.tick_seconds);
    let (version, worker) = worker.unwrap_or_else(|| (None, "lc-worker".into()));
    gpus(report, &wanted, version.as_deref(), &worker);
    let told = match profile.description.as_str() {
        "" => profile.name.clone(),
        description => format!("{}: {description}", profile.name),
    };
    report.add(Verdict::Ok, "profile", told);
    let slurm = match Slurm::new(profile, worker, root.to_owned()) {
        Ok(slurm) => slurm,
        Err(why) => return report.add(Verdict::Problem, "profile", why),
    };
    let told = |cluster: &Cluster| format!("{}, Slurm {}", cluster.config.cluster, cluster.config.version);
    let Some(found) = report.result("cluster", slurm.describe().await, told) else { return };
    limits(report, &found, requeue, tick);
    rules(report, &found, &wanted, study);
}

/// Whether the worker can use the GPUs that the rules ask for.
fn gpus(report: &mut Report, rules: &[ResourceRule], version: Option<&str>, worker: &Path) {
    let Some(version) = version.filter(|version| worker::lacks_cuda(version)) else { return };
    let mut asked = rules.iter().filter_map(|rule| rule.gres.as_deref());
    let Some(gres) = asked.find(|gres| gres.contains("gpu")) else { return };
    let text = format!(
        "the rules ask for GPUs ({gres}), but {} was built without CUDA ({version}); build it with 'make cuda'",
        worker.display()
    );
    report.add(Verdict::Problem, "worker", text);
}

/// What the cluster is and allows. The profile looks at the queue every `tick` seconds, and wants jobs to be started
/// again with `requeue`.
fn limits(report: &mut Report, found: &Cluster, requeue: bool, tick: u64) {
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
            config.largest_array(),
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
}

/// Whether the cluster has what the rules ask for.
fn rules(report: &mut Report, found: &Cluster, wanted: &[ResourceRule], study: Option<&StudySpec>) {
    let (depths, widths) = study.map_or((&DEPTHS[..], &WIDTHS[..]), |study| {
        (study.grid.depth.0.as_slice(), study.grid.width.0.as_slice())
    });
    let architectures = depths.iter().flat_map(|&depth| widths.iter().map(move |&width| (depth, width)));
    let requests = resources::requests(wanted, architectures);
    let missing = listing::missing(found, &requests);
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
