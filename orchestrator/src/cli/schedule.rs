//! `lcctl schedule`: the cluster's queue, and when jobs may be handed to it.

use super::{
    connect,
    context::Context,
    failure::Failure,
    moment,
    output::{Screen, View},
};
use clap::Args;
use protocol::view::ClusterView;
use serde::Serialize;

/// Show the cluster's queue: windows, limits, what waits and why, calls of Slurm's commands
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lcctl schedule\n  lcctl schedule --json | jq .waits")]
pub(super) struct Schedule {}

impl Schedule {
    pub(super) async fn run(&self, context: &Context) -> Result<(), Failure> {
        let client = connect::daemon(context).await?;
        context.out.answer(&Shown(&client.cluster().await?))
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Shown<'a>(&'a ClusterView);

impl View for Shown<'_> {
    fn table(&self, _screen: Screen) -> String {
        let view = self.0;
        let mut lines = Vec::new();
        let mut line = |what: &str, text: String| lines.push(format!("{what:<12}{text}"));
        line("cluster", view.name.clone().unwrap_or_else(|| "not reached yet".to_owned()));
        if let Some(trouble) = &view.trouble {
            line("trouble", trouble.clone());
        }
        let window = match (view.windows.is_empty(), view.open, view.opens) {
            (true, _, _) => "open at any time".to_owned(),
            (_, true, _) => format!("open now ({})", view.windows.join(" | ")),
            (_, false, Some(opens)) => {
                format!("shut; opens {} ({})", moment::clock(opens), view.windows.join(" | "))
            }
            (_, false, None) => format!("shut, and never opens again ({})", view.windows.join(" | ")),
        };
        line("window", window);
        if let (Some(why), Some(until)) = (&view.paused, view.paused_until) {
            line("held back", format!("until {}: {why}", moment::clock(until)));
        }
        let limit =
            |limit: Option<u32>| limit.map_or_else(|| "the cluster's".to_owned(), |limit| limit.to_string());
        line(
            "limits",
            format!("queued {}, running of one array {}", limit(view.max_queued), limit(view.max_running)),
        );
        let look =
            view.tick_seconds.map_or_else(String::new, |s| format!(", a look at the queue takes {s:.2} s"));
        line(
            "calls",
            format!(
                "{} since the daemon started, {} in the last hour, {} in the last minute{look}",
                view.calls, view.calls_last_hour, view.calls_last_minute
            ),
        );
        if view.waits.is_empty() {
            line("queue", "empty".to_owned());
        }
        for (index, (why, count)) in view.waits.iter().enumerate() {
            line(if index == 0 { "queue" } else { "" }, format!("{count:>6}  {why}"));
        }
        lines.join("\n")
    }
}
