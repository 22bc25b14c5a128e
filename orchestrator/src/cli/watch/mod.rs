//! `lcctl watch`: follow a study until it is over.
//!
//! [`follow`] also serves `sweep --wait` and `demo`. A feed brings snapshots and changes (and waits
//! while the daemon is away), a board keeps what is known, a display shows it.

mod bars;
mod board;
mod feed;
mod lines;

use super::{
    connect,
    context::Context,
    failure::Failure,
    moment,
    output::{Screen, View},
    table,
};
use crate::client::Client;
use board::{Board, Moved};
use chrono::Utc;
use clap::Args;
use feed::{Feed, News};
use protocol::{
    exit,
    stage::{StageKind, StageState},
    view::{StudyDetail, StudyState, StudySummary},
};
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};

/// Follow a study, live, until it is over
///
/// On a terminal: one bar per running stage. Elsewhere: one line for each stage that starts or ends.
/// Ctrl-C ends the watching; the study goes on.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lcctl watch first\n\nExit codes: 0 done, 1 something failed or was cancelled, 130 Ctrl-C"
)]
pub(super) struct Watch {
    /// Name of the study [default: the newest that is active, else the newest]
    study: Option<String>,
}

impl Watch {
    pub(super) async fn run(&self, context: &Context) -> Result<(), Failure> {
        let client = connect::daemon(context).await?;
        let study = match &self.study {
            Some(study) => study.clone(),
            None => newest(&client).await?,
        };
        let detail = follow(context, client, &study, Audience::Reader).await?;
        context.out.answer(&Over(&detail.summary))?;
        verdict(context, &detail).await
    }
}

async fn newest(client: &Client) -> Result<String, Failure> {
    let mut studies = client.studies().await?;
    studies.retain(|study| study.origin.is_none());
    let active = studies.iter().find(|study| study.state == StudyState::Active);
    active.or_else(|| studies.first()).map(|study| study.name.clone()).ok_or_else(|| {
        Failure::Usage("there is no study yet; 'lcctl sweep' makes one, 'lcctl demo' shows how".into())
    })
}

/// Whom the lines of a view without a terminal are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// They are what was asked for.
    Reader,
    /// They go along with another answer.
    Bystander,
}

/// How a study is shown while it runs.
trait Display {
    /// Shows the board.
    fn update(&mut self, board: &Board);
    /// Tells a change of state.
    fn moved(&mut self, moved: &Moved);
    /// Tells a line beside it.
    fn say(&mut self, text: &str);
    /// Leaves the screen to what follows.
    fn end(&mut self);
}

/// Follows a study until it is over, and gives its last state.
///
/// # Errors
/// When there is no such study; [`Failure::Interrupted`] after Ctrl-C.
pub(super) async fn follow(
    context: &Context,
    client: Client,
    study: &str,
    audience: Audience,
) -> Result<StudyDetail, Failure> {
    let (mut feed, mut detail) = Feed::open(client, context.root.clone(), study).await?;
    let mut board = Board::new(&detail);
    let mut told = HashSet::new();
    let mut display: Box<dyn Display + Send> = if context.out.is_live() {
        Box::new(bars::Bars::new(study))
    } else {
        Box::new(lines::Lines::new(context.out, audience == Audience::Reader))
    };
    let mut trouble = None;
    if board.state() == StudyState::Active {
        trouble = tell_trouble(feed.client().cloned(), trouble, display.as_mut()).await;
    }
    while board.state() == StudyState::Active {
        display.update(&board);
        let news = tokio::select! {
            news = feed.next() => news?,
            stop = tokio::signal::ctrl_c() => {
                stop?;
                display.end();
                let command = context.command(&format!("watch {study}"));
                // Also when quiet: whoever presses Ctrl-C must not believe to have stopped the work.
                super::output::error(&format!("interrupted; the study goes on, '{command}' shows it again"));
                return Err(Failure::Interrupted);
            }
        };
        let moved = match news {
            News::Change(change) => Vec::from_iter(board.apply(&change)),
            News::Snapshot(snapshot) => {
                detail = *snapshot;
                trouble = tell_trouble(feed.client().cloned(), trouble, display.as_mut()).await;
                board.catch_up(&detail)
            }
            News::Away => {
                display.say(&connect::away(context));
                Vec::new()
            }
        };
        for moved in &moved {
            // After a restart old changes come once more, behind a snapshot that knew them.
            let stage = &moved.entry.stage;
            if told.insert((stage.id, stage.state, stage.attempts)) {
                display.moved(moved);
            }
        }
        // The daemon decides when a study is over; ask it once it may be.
        if board.looks_over() && board.state() == StudyState::Active && feed.client().is_some() {
            feed.refresh();
        }
    }
    display.update(&board);
    display.end();
    Ok(detail)
}

/// Tells why the daemon can't start anything, once that is another reason than the last that was told; answers it.
async fn tell_trouble(
    client: Option<Client>,
    told: Option<String>,
    display: &mut (dyn Display + Send),
) -> Option<String> {
    let health = match client {
        Some(client) => client.health().await.ok(),
        None => None,
    };
    let Some(health) = health else { return told };
    if let Some(trouble) = health.trouble.as_ref().filter(|trouble| told.as_ref() != Some(*trouble)) {
        display.say(trouble);
    }
    health.trouble
}

/// `✗ 01x0032_01d00 train failed: out of memory`
fn told(moved: &Moved) -> String {
    let stage = &moved.entry.stage;
    let name = table::stage_name(stage.kind, stage.checkpoint);
    let after = match stage.state {
        StageState::Done => {
            let took = moment::took(stage.attempt_started, stage.finished, Utc::now());
            if took.is_empty() { took } else { format!(" in {took}") }
        }
        StageState::Failed | StageState::Skipped | StageState::Cancelled => {
            stage.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
        }
        _ => String::new(),
    };
    format!("{} {} {name} {}{after}", table::symbol(stage.state), moved.entry.label, stage.state)
}

/// Success, or the reasons on standard error.
///
/// # Errors
/// [`Failure::Told`] when something failed or was cancelled.
pub(super) async fn verdict(context: &Context, detail: &StudyDetail) -> Result<(), Failure> {
    if detail.summary.state == StudyState::Done {
        return Ok(());
    }
    let name = &detail.summary.name;
    let mut told = BTreeSet::new();
    for run in &detail.runs {
        for stage in &run.stages {
            if stage.state == StageState::Failed && told.insert(stage.id) {
                let label = if stage.run.is_some() { &run.identifier } else { name };
                let reason = stage.reason.as_deref().unwrap_or("no reason was recorded");
                let which = table::stage_name(stage.kind, stage.checkpoint);
                super::output::error(&format!("{label} {which} failed: {reason}"));
            }
        }
    }
    if told.is_empty() {
        super::output::error(&format!("study {name} was cancelled; 'lcctl retry {name}' starts it again"));
    } else {
        context
            .out
            .note(&format!("look at 'lcctl logs {name}/RUN STAGE'; {}", remedy(context, detail).await));
    }
    Err(Failure::Told)
}

/// What to do about a study that failed: trying again is not enough where a worker refused its input.
async fn remedy(context: &Context, detail: &StudyDetail) -> String {
    let name = &detail.summary.name;
    // The daemon may have been restarted while we watched; without one, less is told.
    let failures = match connect::running(&context.root).await {
        Some(client) => client.failures(name).await.ok(),
        None => None,
    };
    let mut cases = failures.iter().flat_map(|failures| &failures.groups).filter(|group| group.failed > 0);
    if !cases.any(|group| group.cases.iter().any(|case| case.exit_code == Some(exit::USAGE))) {
        return format!("'lcctl retry {name}' tries again");
    }
    let mut stages = detail.runs.iter().flat_map(|run| &run.stages);
    let other = if stages.any(|stage| stage.kind != StageKind::Prepare && stage.state == StageState::Done) {
        "other settings need another name".to_owned()
    } else {
        format!("for other settings 'lcctl remove {name}', and sweep again")
    };
    format!("the input was refused: correct it, then 'lcctl retry {name}'; {other}")
}

/// How a study ended.
#[derive(Serialize)]
#[serde(transparent)]
struct Over<'a>(&'a StudySummary);

impl View for Over<'_> {
    fn table(&self, _screen: Screen) -> String {
        let study = self.0;
        let took = moment::took(Some(study.created), study.finished, Utc::now());
        let results = study.results.as_ref().map(|file| format!("\nresults: {file}")).unwrap_or_default();
        format!(
            "study {} is {} after {took}: {}{results}",
            study.name,
            study.state.as_str(),
            table::counts(&study.stages)
        )
    }
}
