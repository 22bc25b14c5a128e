//! `lcctl doctor`: compares what is configured with this machine and the live cluster.

mod cluster;
mod place;
mod worker;

use super::{
    cluster::ClusterFlags,
    connect,
    context::Context,
    failure::Failure,
    output::{Screen, View},
    sweep::{self, StudyFlags},
};
use crate::{config::file::FileError, daemon, domain::validate};
use clap::{Args, ValueHint};
use protocol::study::StudySpec;
use serde::Serialize;
use std::path::PathBuf;

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
    /// Study file that is checked, too
    #[arg(value_name = "STUDY.toml", value_hint = ValueHint::FilePath)]
    study: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterFlags,
    /// The worker program [default: the profile's, or lc-worker beside lcctl or on PATH]
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
        let profile = self.cluster.asked_profile(&context.user)?;
        let mut report = Report::default();
        place::root(&mut report, &context.root, profile.is_some());
        let given = self.worker.or_else(|| context.user.worker.clone());
        let worker = match daemon::worker(given, profile.as_ref()) {
            Ok(path) => Some((worker::version(&path).await, path)),
            Err(error) => {
                report.add(Verdict::Problem, "worker", error.to_string());
                None
            }
        };
        if let Some((version, path)) = &worker {
            let version = version.as_ref().map(|version| format!(": {version}")).unwrap_or_default();
            report.add(Verdict::Ok, "worker", format!("{}{version}", path.display()));
        }
        match connect::healthy(&context.root).await {
            Some((client, health)) => match self.cluster.unlike(context, &health).or(health.trouble) {
                Some(line) => report.add(Verdict::Problem, "daemon", line),
                None => report.add(Verdict::Ok, "daemon", format!("serves at {}", client.url())),
            },
            None => {
                report.add(Verdict::Note, "daemon", "none runs; other commands start one");
                place::record(&mut report, &context.root).await;
            }
        }
        let study = match self.study {
            Some(file) => study(&mut report, file, context)?,
            None => None,
        };
        match (profile, self.cluster.elsewhere(context)) {
            (None, Some(line)) => report.add(Verdict::Problem, "executor", line),
            (None, None) => {
                report.add(Verdict::Ok, "executor", "local: stages run as processes of this machine");
            }
            (Some(profile), _) => {
                cluster::cluster(&mut report, profile, worker, study.as_ref(), &context.root).await;
            }
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

/// The study of a file as a sweep of it would take it, with all that is wrong with it.
fn study(report: &mut Report, file: PathBuf, context: &Context) -> Result<Option<StudySpec>, Failure> {
    let flags = StudyFlags::of_environment()?;
    let spec = match sweep::spec(Some(&file), None, flags, context) {
        Ok(spec) => spec,
        Err(Failure::File(missing @ FileError::Missing { .. })) => {
            report.add(Verdict::Problem, "study", missing.to_string());
            return Ok(None);
        }
        Err(other) => return Err(other),
    };
    let wrong = validate::violations(&spec);
    if wrong.is_empty() {
        let runs = spec.grid.depth.0.len()
            * spec.grid.width.0.len()
            * spec.grid.seed.0.len()
            * spec.grid.epochs.0.len()
            * spec.grid.weight_decay.len();
        let s = if runs == 1 { "run" } else { "runs" };
        report.add(Verdict::Ok, "study", format!("{}: {runs} {s}", spec.name));
    }
    for line in wrong {
        report.add(Verdict::Problem, "study", format!("{}: {line}", file.display()));
    }
    Ok(Some(spec))
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
