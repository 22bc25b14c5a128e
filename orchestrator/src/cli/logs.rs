//! `lcctl logs`: what a stage's worker wrote.

use super::{
    connect,
    context::Context,
    failure::Failure,
    find,
    output::{Screen, View},
    table,
};
use crate::client::{Client, ClientError};
use clap::{Args, value_parser};
use protocol::{
    ids::{AttemptId, RunId, StageId},
    stage::StageRef,
    view::LogTail,
};
use serde::Serialize;
use std::time::Duration;

/// Between two looks at a growing log.
const PAUSE: Duration = Duration::from_millis(500);
/// What is read of a growing log at each look.
const WINDOW: u64 = 65_536;
/// The most that the daemon gives at once.
const MOST: u64 = 4 << 20;

/// Print the log of a stage's newest attempt
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lcctl logs 01x0032_01d00 train --follow\n  lcctl logs first/01x0032_01d00 means@0\n  lcctl logs 01x0032_01d00            # what runs, else what failed, else what came last"
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
        if self.follow && context.out.is_json() {
            return Err(Failure::Usage(
                "--json prints one value, so it can't --follow; leave one of them out".into(),
            ));
        }
        let client = connect::daemon(context).await?;
        let run = find::run(&client, &self.run, self.study.as_deref()).await?;
        let stage = match self.stage {
            Some(stage) => find::stage(&run, stage)?,
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
        if self.follow {
            return follow(client, context, run.id, stage.id, tail).await;
        }
        if tail.text.is_empty() && !context.out.is_json() {
            if tail.attempt.is_some() {
                context.out.note("the log is empty");
            }
            return Ok(());
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

/// Prints what a log gains until its stage is over; waits for a daemon that is away.
async fn follow(
    mut client: Client,
    context: &Context,
    run: RunId,
    stage: StageId,
    first: LogTail,
) -> Result<(), Failure> {
    let mut shown = Shown::default();
    print(context, &shown.take(&first, false).unwrap_or_default())?;
    let mut away = false;
    loop {
        match look(&client, context, run, stage, &mut shown).await {
            Ok(true) => return Ok(()),
            Ok(false) => away = false,
            Err(Failure::Client(ClientError::Unreachable { .. })) => {
                if !std::mem::replace(&mut away, true) {
                    context.out.note(&connect::away(context));
                }
                if let Some(back) = connect::running(&context.root).await {
                    client = back;
                }
            }
            Err(failure) => return Err(failure),
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

/// Prints what a log has gained, and tells whether that was the last of it.
async fn look(
    client: &Client,
    context: &Context,
    run: RunId,
    stage: StageId,
    shown: &mut Shown,
) -> Result<bool, Failure> {
    // Asked before the log is read: what is written before the end is read after it.
    let over = is_over(client, run, stage).await?;
    let mut tail = client.log(stage, WINDOW).await?;
    if shown.attempt != tail.attempt && shown.attempt.is_some() {
        context.out.note("a new attempt starts a new log");
    }
    let text = match shown.take(&tail, over) {
        Some(text) => text,
        None => {
            tail = client.log(stage, MOST).await?;
            shown.take(&tail, over).unwrap_or(tail.text)
        }
    };
    print(context, &text)?;
    Ok(over)
}

/// How far a log was shown.
#[derive(Debug, Default)]
struct Shown {
    attempt: Option<AttemptId>,
    to: u64,
}

impl Shown {
    /// What a tail holds beyond that, in whole lines unless it is the `last` look; none if more of the
    /// log is needed to go on without a gap.
    fn take(&mut self, tail: &LogTail, last: bool) -> Option<String> {
        let first = self.attempt.is_none();
        if self.attempt != tail.attempt {
            *self = Self { attempt: tail.attempt, to: 0 };
        }
        let start = tail.total_bytes.saturating_sub(tail.text.len() as u64);
        // Whoever starts to follow takes the tail that was asked for.
        if start > self.to && !first {
            return None;
        }
        let skip = usize::try_from(self.to.saturating_sub(start)).unwrap_or(usize::MAX);
        let fresh = tail.text.get(skip..).unwrap_or_default();
        let whole = if last { fresh.len() } else { fresh.rfind('\n').map_or(0, |end| end + 1) };
        self.to = start.max(self.to) + whole as u64;
        Some(fresh[..whole].to_owned())
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

#[cfg(test)]
mod tests {
    use super::Shown;
    use protocol::view::LogTail;

    fn tail(attempt: u8, text: &str, total_bytes: u64) -> LogTail {
        let attempt = format!("00000000-0000-0000-0000-00000000000{attempt}").parse().unwrap();
        LogTail { attempt: Some(attempt), text: text.into(), total_bytes }
    }

    #[test]
    fn a_growing_log_is_shown_once_and_in_whole_lines() {
        let mut shown = Shown::default();
        assert_eq!(shown.take(&tail(1, "b\nc", 5), false).unwrap(), "b\n");
        assert_eq!(shown.take(&tail(1, "a\nb\ncd\ne", 8), false).unwrap(), "cd\n");
        assert_eq!(shown.take(&tail(1, "cd\ne", 8), false).unwrap(), "");
        assert_eq!(shown.take(&tail(1, "cd\ne", 8), true).unwrap(), "e");
    }

    #[test]
    fn a_gap_asks_for_more_and_a_new_attempt_starts_over() {
        let mut shown = Shown::default();
        assert_eq!(shown.take(&tail(1, "a\n", 2), false).unwrap(), "a\n");
        assert_eq!(shown.take(&tail(1, "z\n", 100), false), None);
        assert_eq!(shown.take(&tail(2, "new\n", 4), false).unwrap(), "new\n");
    }
}
