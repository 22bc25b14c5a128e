//! `lcctl logs`: what a stage's worker wrote.

use super::{
    connect,
    context::Context,
    failure::Failure,
    find::{self, StageRef},
    output::{Screen, View},
    table,
};
use crate::client::Client;
use clap::{Args, value_parser};
use protocol::{
    ids::{RunId, StageId},
    view::{LogTail, RunSummary},
};
use serde::Serialize;
use std::time::Duration;

/// Between two looks at a growing log.
const PAUSE: Duration = Duration::from_millis(500);
/// The most that the daemon gives at once.
const MOST: u64 = 4 << 20;

/// Print the log of a stage's newest attempt
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lcctl logs 01x0032_01d00 train --follow\n  lcctl logs first/01x0032_01d00 means@0\n  lcctl logs 01x0032_01d00            what runs, else what failed, else what came last"
)]
pub(super) struct Logs {
    /// The run's name, identifier, id or hash; STUDY/RUN is one study's run
    run: String,
    /// The stage: prepare, train, evaluate, means, vars, decs, analyze; @C picks a checkpoint
    #[arg(value_name = "STAGE[@C]")]
    stage: Option<StageRef>,
    /// Look for the run in this study
    #[arg(long)]
    study: Option<String>,
    /// Go on printing until the stage is over
    #[arg(long, short)]
    follow: bool,
    /// Print at most so many bytes of what is there already
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = value_parser!(u64).range(1..=MOST))]
    bytes: u64,
}

impl Logs {
    pub(super) async fn run(&self, context: &Context) -> Result<(), Failure> {
        let client = connect::daemon(context).await?;
        let run = find::run(&client, &self.run, self.study.as_deref()).await?;
        let stage = match self.stage {
            Some(stage) => stage.pick(&run)?,
            None => find::telling(&run)
                .ok_or_else(|| Failure::Failed(format!("run {} has no stages", run.name)))?,
        };
        let name = table::stage_name(stage.kind, stage.checkpoint);
        let tail = client.log(stage.id, self.bytes).await?;
        if tail.attempt.is_none() && !self.follow {
            let reason = stage.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            context
                .out
                .note(&format!("{} {name} is {}{reason}; it has no log yet", run.identifier, stage.state));
        } else if self.stage.is_none() {
            context.out.note(&format!("log of {} {name} ({})", run.identifier, stage.state));
        }
        if self.follow && !context.out.is_json() {
            return follow(&client, context, &run, stage.id, tail).await;
        }
        context.out.answer(&Log(&tail))
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Log<'a>(&'a LogTail);

impl View for Log<'_> {
    fn table(&self, _screen: Screen) -> String {
        self.0.text.clone()
    }

    fn brief(&self) -> String {
        self.0.text.clone()
    }
}

/// Prints what a log gains until its stage is over.
async fn follow(
    client: &Client,
    context: &Context,
    run: &RunSummary,
    stage: StageId,
    mut shown: LogTail,
) -> Result<(), Failure> {
    print(context, &shown.text)?;
    loop {
        // Asked before the log is read: what is written before the end is read after it.
        let over = is_over(client, run.id, stage).await?;
        let wanted = client.log(stage, 1).await?;
        let gained = if wanted.attempt == shown.attempt {
            wanted.total_bytes.saturating_sub(shown.total_bytes)
        } else {
            if shown.attempt.is_some() {
                context.out.note("a new attempt starts a new log");
            }
            wanted.total_bytes
        };
        if gained > 0 {
            let tail = client.log(stage, gained.clamp(1, MOST)).await?;
            print(context, &tail.text)?;
            // Only whole lines are given: what is behind the last one counts as not shown.
            let given = tail.total_bytes.min(wanted.total_bytes);
            shown = LogTail { total_bytes: given, ..tail };
        }
        if over {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            stop = tokio::signal::ctrl_c() => {
                stop?;
                return Err(Failure::Interrupted);
            }
        }
    }
}

async fn is_over(client: &Client, run: RunId, stage: StageId) -> Result<bool, Failure> {
    let detail = client.run(run).await?;
    Ok(detail.summary.stages.iter().find(|view| view.id == stage).is_none_or(|view| view.state.is_final()))
}

fn print(context: &Context, text: &str) -> Result<(), Failure> {
    let text = text.trim_end_matches('\n');
    if text.is_empty() { Ok(()) } else { context.out.stream(text) }
}
