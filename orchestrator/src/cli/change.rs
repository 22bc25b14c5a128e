//! What `cancel` and `retry` share: naming what is meant, and telling what changed.

use super::{
    connect,
    context::Context,
    failure::Failure,
    find,
    output::{Screen, View},
    table,
};
use crate::client::{Client, ClientError};
use clap::Args;
use protocol::{
    stage::{StageRef, StageState},
    table::{Acted, Action, ActionVerb},
    target::Target,
    view::{Changed, RunSummary, StageView, StudyDetail},
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
    async fn call(
        self,
        client: &Client,
        target: &Target,
        study: &str,
        dry_run: bool,
    ) -> Result<Changed, ClientError> {
        match self {
            Self::Cancel => client.cancel(target, study, dry_run).await,
            Self::Retry => client.retry(target, dry_run).await,
        }
    }

    /// Whether a stage in this state can be meant when no stage is named exactly.
    const fn concerns(self, state: StageState) -> bool {
        match self {
            Self::Cancel => !state.is_final(),
            Self::Retry => state.may_retry(),
        }
    }

    /// The same of many stages at once.
    const fn action(self) -> ActionVerb {
        match self {
            Self::Cancel => ActionVerb::Cancel,
            Self::Retry => ActionVerb::Retry,
        }
    }

    /// Why nothing changes. `open`: whether some of it is not over.
    const fn nothing(self, open: bool) -> &'static str {
        match (self, open) {
            (Self::Cancel, false) => "nothing to cancel: all of it is over",
            (Self::Cancel, true) => "nothing to cancel: another study needs what is not over",
            (Self::Retry, _) => "nothing to try again: nothing of it failed or was cancelled",
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
        let run = match &self.run {
            Some(run) => Some(find::run(&client, run, Some(&self.study)).await?),
            None => None,
        };
        let targets = match (&run, self.stage) {
            (None, None) => vec![Target::Study(self.study.clone())],
            (Some(run), None) => vec![Target::Run(run.id)],
            (Some(run), Some(stage)) => {
                find::stage(run, stage)?;
                meant(run, stage, verb)
            }
            (None, Some(stage)) => {
                if let Some(run) = detail.runs.first() {
                    find::stage(run, stage)?;
                }
                // In one go, in which the daemon leaves alone what another study needs.
                let action = Action {
                    verb: verb.action(),
                    filter: String::new(),
                    checkpoint: None,
                    kinds: vec![stage],
                    priority: None,
                };
                let acted = client.act(&self.study, &action, self.dry_run).await?;
                let open = is_open(detail.runs.iter(), Some(stage));
                return context.out.answer(&Counted { acted, open, verb, dry_run: self.dry_run });
            }
        };
        let mut changed = Changed { stages: Vec::new(), left: 0 };
        let mut seen = BTreeSet::new();
        for target in targets {
            let one = verb.call(&client, &target, &self.study, self.dry_run).await?;
            changed.left += one.left;
            changed.stages.extend(one.stages.into_iter().filter(|stage| seen.insert(stage.id)));
        }
        let open = match &run {
            Some(run) => is_open(std::iter::once(run), self.stage),
            None => is_open(detail.runs.iter(), None),
        };
        context.out.answer(&Told { changed: &changed, detail: &detail, open, verb, dry_run: self.dry_run })
    }
}

/// Whether some of the stages that are meant are not over.
fn is_open<'a>(runs: impl Iterator<Item = &'a RunSummary>, which: Option<StageRef>) -> bool {
    let meant = |stage: &&StageView| which.is_none_or(|which| which.means(stage.kind, stage.checkpoint));
    runs.flat_map(|run| &run.stages).filter(meant).any(|stage| !stage.state.is_final())
}

fn meant(run: &RunSummary, which: StageRef, verb: Verb) -> Vec<Target> {
    let stages = run.stages.iter().filter(|stage| which.means(stage.kind, stage.checkpoint));
    stages.filter(|stage| verb.concerns(stage.state)).map(|stage| Target::Stage(stage.id)).collect()
}

/// What changed, as counts.
#[derive(Serialize)]
#[serde(transparent)]
struct Counted {
    acted: Acted,
    #[serde(skip)]
    open: bool,
    #[serde(skip)]
    verb: Verb,
    #[serde(skip)]
    dry_run: bool,
}

impl View for Counted {
    fn table(&self, _screen: Screen) -> String {
        let stages = self.acted.stages;
        if stages == 0 {
            return self.verb.nothing(self.open).to_owned();
        }
        let kinds: Vec<_> = self.acted.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let plural = if stages == 1 { "" } else { "s" };
        let note = self.acted.note.iter().map(|note| format!("\n{note}")).collect::<String>();
        format!("{stages} stage{plural} {}: {}{note}", self.verb.told(self.dry_run), kinds.join(", "))
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Told<'a> {
    changed: &'a Changed,
    #[serde(skip)]
    detail: &'a StudyDetail,
    #[serde(skip)]
    open: bool,
    #[serde(skip)]
    verb: Verb,
    #[serde(skip)]
    dry_run: bool,
}

impl View for Told<'_> {
    fn table(&self, screen: Screen) -> String {
        let stages = &self.changed.stages;
        if stages.is_empty() {
            return self.verb.nothing(self.open).to_owned();
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
        let left = match self.changed.left {
            0 => String::new(),
            1 => "; 1 goes on, because another study needs it".to_owned(),
            left => format!("; {left} go on, because another study needs them"),
        };
        let head = format!("{} stage{plural} {}{left}", stages.len(), self.verb.told(self.dry_run));
        format!("{head}\n{}", table::ruled(&headers, &rows, &[], screen))
    }
}
