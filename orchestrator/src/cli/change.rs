//! What `cancel` and `retry` share: naming what is meant, and telling what changed.

use super::{
    connect,
    context::Context,
    failure::Failure,
    find::{self, StageRef},
    output::{Screen, View},
    table,
};
use crate::client::{Client, ClientError, Target};
use clap::Args;
use protocol::{
    stage::StageState,
    view::{Changed, StudyDetail},
};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// Part of a study.
#[derive(Debug, Args)]
pub(super) struct Part {
    /// Name of the study
    study: String,
    /// Only this run: its name, identifier, id or hash
    #[arg(long)]
    run: Option<String>,
    /// Only this stage: prepare, train, evaluate, means, vars, decs, analyze; @C picks a checkpoint
    #[arg(long, value_name = "STAGE[@C]")]
    stage: Option<StageRef>,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What is done to a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Cancel,
    Retry,
}

impl Verb {
    async fn call(self, client: &Client, target: &Target, dry_run: bool) -> Result<Changed, ClientError> {
        match self {
            Self::Cancel => client.cancel(target, dry_run).await,
            Self::Retry => client.retry(target, dry_run).await,
        }
    }

    /// Whether a stage in this state can be meant when no stage is named exactly.
    const fn concerns(self, state: StageState) -> bool {
        match self {
            Self::Cancel => !state.is_final(),
            Self::Retry => matches!(state, StageState::Failed | StageState::Cancelled | StageState::Skipped),
        }
    }

    const fn told(self, dry_run: bool) -> &'static str {
        match (self, dry_run) {
            (Self::Cancel, false) => "cancelled",
            (Self::Cancel, true) => "would be cancelled",
            (Self::Retry, false) => "tried again",
            (Self::Retry, true) => "would be tried again",
        }
    }
}

impl Part {
    pub(super) async fn change(&self, context: &Context, verb: Verb) -> Result<(), Failure> {
        let client = connect::daemon(context).await?;
        let detail = client.study(&self.study).await?;
        let mut changed = Changed { stages: Vec::new() };
        let mut seen = BTreeSet::new();
        for target in self.targets(&client, &detail, verb).await? {
            let one = verb.call(&client, &target, self.dry_run).await?;
            changed.stages.extend(one.stages.into_iter().filter(|stage| seen.insert(stage.id)));
        }
        context.out.answer(&Told { changed: &changed, detail: &detail, verb, dry_run: self.dry_run })
    }

    async fn targets(
        &self,
        client: &Client,
        detail: &StudyDetail,
        verb: Verb,
    ) -> Result<Vec<Target>, Failure> {
        let run = match &self.run {
            Some(run) => Some(find::run(client, run, Some(&self.study)).await?),
            None => None,
        };
        Ok(match (run, self.stage) {
            (None, None) => vec![Target::Study(self.study.clone())],
            (Some(run), None) => vec![Target::Run(run.id)],
            (Some(run), Some(stage)) => {
                stage.pick(&run)?;
                meant(std::slice::from_ref(&run), stage, verb)
            }
            (None, Some(stage)) => {
                if let Some(run) = detail.runs.first() {
                    stage.pick(run)?;
                }
                meant(&detail.runs, stage, verb)
            }
        })
    }
}

fn meant(runs: &[protocol::view::RunSummary], stage: StageRef, verb: Verb) -> Vec<Target> {
    let ids: BTreeSet<_> = runs
        .iter()
        .flat_map(|run| &run.stages)
        .filter(|view| stage.means(view) && verb.concerns(view.state))
        .map(|view| view.id)
        .collect();
    ids.into_iter().map(Target::Stage).collect()
}

#[derive(Serialize)]
#[serde(transparent)]
struct Told<'a> {
    changed: &'a Changed,
    #[serde(skip)]
    detail: &'a StudyDetail,
    #[serde(skip)]
    verb: Verb,
    #[serde(skip)]
    dry_run: bool,
}

impl View for Told<'_> {
    fn table(&self, screen: Screen) -> String {
        let stages = &self.changed.stages;
        if stages.is_empty() {
            let nothing = match self.verb {
                Verb::Cancel => "nothing to cancel: all of it is over",
                Verb::Retry => "nothing to try again: nothing of it failed or was cancelled",
            };
            return nothing.to_owned();
        }
        let names: HashMap<_, _> =
            self.detail.runs.iter().map(|run| (run.id, run.identifier.as_str())).collect();
        let rows: Vec<_> = stages
            .iter()
            .map(|stage| {
                let run = stage.run.and_then(|run| names.get(&run).copied()).unwrap_or("(shared)");
                vec![run.to_owned(), table::stage_name(stage.kind, stage.checkpoint), table::state(stage)]
            })
            .collect();
        let headers = ["run", "stage", "state"].map(str::to_owned);
        let plural = if stages.len() == 1 { "" } else { "s" };
        let head = format!("{} stage{plural} {}", stages.len(), self.verb.told(self.dry_run));
        format!("{head}\n{}", table::ruled(&headers, &rows, &[], screen))
    }
}
