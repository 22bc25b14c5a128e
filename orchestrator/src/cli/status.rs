//! `lcctl status`: all studies, or one study as a grid of runs and stages.

use super::{
    connect,
    context::Context,
    failure::Failure,
    moment,
    output::{Screen, View},
    table,
};
use chrono::Utc;
use clap::Args;
use protocol::{
    stage::{StageKind, StageState},
    view::{RunSummary, StageView, StudyDetail, StudySummary},
};
use serde::Serialize;

/// List the studies, or show where each run of one study stands
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lcctl status\n  lcctl status first\n  lcctl status first --json | jq .summary.state"
)]
pub(super) struct Status {
    /// Name of a study [default: list all]
    study: Option<String>,
}

impl Status {
    pub(super) async fn run(&self, context: &Context) -> Result<(), Failure> {
        let client = connect::daemon(context).await?;
        match &self.study {
            Some(study) => context.out.answer(&Grid(&client.study(study).await?))?,
            None => context.out.answer(&Studies(&client.studies().await?))?,
        }
        if let Some(trouble) = client.health().await.ok().and_then(|health| health.trouble) {
            context.out.note(&trouble);
        }
        Ok(())
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Studies<'a>(&'a [StudySummary]);

impl View for Studies<'_> {
    fn table(&self, screen: Screen) -> String {
        if self.0.is_empty() {
            return "no studies yet; 'lcctl demo' shows one, 'lcctl sweep' makes one".to_owned();
        }
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|study| {
                if let Some(origin) = &study.origin {
                    let told = format!("{} rows of {}", origin.rows, origin.file);
                    let (none, created) = (String::new(), moment::clock(study.created));
                    return vec![study.name.clone(), "imported".into(), none.clone(), told, created, none];
                }
                vec![
                    study.name.clone(),
                    study.state.as_str().to_owned(),
                    study.runs.to_string(),
                    table::counts(&study.stages),
                    moment::clock(study.created),
                    moment::took(Some(study.created), study.finished, Utc::now()),
                ]
            })
            .collect();
        let headers = ["study", "state", "runs", "stages", "created", "took"].map(str::to_owned);
        table::ruled(&headers, &rows, &[2], screen)
    }

    fn brief(&self) -> String {
        self.0.iter().map(|study| format!("{}\n", study.name)).collect()
    }
}

/// One study as a grid.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Grid<'a>(pub &'a StudyDetail);

impl View for Grid<'_> {
    fn table(&self, screen: Screen) -> String {
        let study = &self.0.summary;
        let mut headers = vec!["run".to_owned()];
        headers.extend(StageKind::ALL.iter().map(|kind| kind.to_string()));
        let rows: Vec<_> = self
            .0
            .runs
            .iter()
            .map(|run| {
                let cells = StageKind::ALL.iter().map(|&kind| cell(run, kind));
                std::iter::once(run.identifier.clone()).chain(cells).collect()
            })
            .collect();
        let took = moment::took(Some(study.created), study.finished, Utc::now());
        let head = format!(
            "study {} is {} after {took}\n{} stages: {}",
            study.name,
            study.state.as_str(),
            table::total(&study.stages),
            table::counts(&study.stages)
        );
        let results = study.results.as_ref().map(|file| format!("\nresults: {file}")).unwrap_or_default();
        format!("{head}\n{}{results}", table::ruled(&headers, &rows, &[], screen))
    }

    fn brief(&self) -> String {
        self.0.summary.state.as_str().to_owned()
    }
}

/// The stages of one kind: the state of one, or how many of several are done.
fn cell(run: &RunSummary, kind: StageKind) -> String {
    let stages: Vec<&StageView> = run.stages.iter().filter(|stage| stage.kind == kind).collect();
    match stages[..] {
        [] => String::new(),
        [stage] => table::state(stage),
        [first, ..] => {
            let done = stages.iter().filter(|stage| stage.state == StageState::Done).count();
            // The state that most wants attention speaks for all.
            let telling =
                [StageState::Failed, StageState::Running, StageState::Cancelled, StageState::Skipped]
                    .into_iter()
                    .find(|state| stages.iter().any(|stage| stage.state == *state))
                    .unwrap_or(if done == stages.len() { StageState::Done } else { first.state });
            format!("{} {done}/{}", table::symbol(telling), stages.len())
        }
    }
}
