//! `lcctl demo`: the main job, small, from nothing to a plot.

use super::{
    connect,
    context::Context,
    export,
    failure::Failure,
    output::{Output, Screen, View},
    plot,
    results::ResultsTable,
    stop,
    watch::{self, Audience},
};
use crate::{
    client::Client,
    config::{place, study::Layer},
    report::html,
};
use chrono::Local;
use clap::Args;
use protocol::{
    study::StudySpec,
    target::Target,
    view::{Results, StudyDetail, StudySummary},
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The study, as users find it among the examples.
const STUDY: &str = include_str!("../../../deploy/studies/demo.toml");
/// Its file's name, for messages.
const STUDY_FILE: &str = "deploy/studies/demo.toml";

const AFTER_HELP: &str = "\
Examples:
  lcctl demo
  lcctl demo --keep --root ./try

The folder is the one that --root or LC_ROOT names, else a fresh one. Ctrl-C cancels the demo.

Exit codes: 0 done, 1 failed, 2 wrong use, 130 Ctrl-C";

/// Run a small study on built-in stories, with live bars, results and a plot
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Demo {
    /// Leave the daemon (and with it the dashboard) running at the end
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(super) async fn run(&self, mut context: Context) -> Result<(), Failure> {
        if !context.root_given {
            context.root = fresh()?;
        }
        let layer = Layer::of_text(Path::new(STUDY_FILE), STUDY)?;
        let spec = layer.study(layer.name().unwrap_or("demo"))?;
        let client = connect::daemon(&context).await?;
        context.root = std::fs::canonicalize(&context.root)?;
        let outcome = study(&context, &client, &spec).await;
        // The daemon may have been restarted meanwhile; without one there is nothing to stop.
        let running = connect::running(&context.root).await;
        if let Some(client) = running.filter(|_| !self.keep || matches!(outcome, Err(Failure::Interrupted))) {
            if matches!(outcome, Err(Failure::Interrupted)) {
                client.cancel(&Target::Study(spec.name.clone()), &spec.name, false).await?;
                context.out.note("cancelled the demo");
            }
            stop::shut_down(&client, &context.root).await?;
        }
        if outcome.is_ok() {
            let again = context.command("login");
            let still =
                if self.keep { "the daemon is still running; the" } else { "the daemon is stopped; the" };
            context.out.note(&format!("{still} dashboard opens again with: {again}"));
        }
        outcome
    }
}

/// Runs the study and shows what came of it.
async fn study(context: &Context, client: &Client, spec: &StudySpec) -> Result<(), Failure> {
    let plan = client.plan(spec, false).await?;
    let link = client.login_link().await?;
    context.out.note(&format!("dashboard (opens once, within five minutes): {}", link.url));
    let detail = watch::follow(context, client.clone(), &plan.name, Audience::Bystander).await?;
    let client = connect::daemon(context).await?;
    let results = client.results(&plan.name).await?;
    let drawn = draw(&client, &detail, &results).await?;
    context.out.answer(&Shown {
        study: &detail.summary,
        results: &results,
        plot: drawn.as_ref().map(|path| path.display().to_string()),
    })?;
    watch::verdict(context, &detail).await
}

/// Writes the report with its figures beside the results.
async fn draw(client: &Client, detail: &StudyDetail, results: &Results) -> Result<Option<PathBuf>, Failure> {
    let Some(csv) = detail.summary.results.as_ref() else { return Ok(None) };
    let report = client.report(&detail.summary.name, None).await?;
    let page = html::page(&report, results).map_err(|error| Failure::Failed(error.to_string()))?;
    let path = Path::new(csv).with_extension("html");
    export::write(&path, page.as_bytes(), "the report")?;
    Ok(Some(path))
}

/// A folder of its own for each demo, so that each shows the whole job.
fn fresh() -> Result<PathBuf, Failure> {
    let data = place::data().ok_or_else(|| {
        Failure::Usage("no home folder to keep the demo in; say where with --root DIR".into())
    })?;
    Ok(data.join(Local::now().format("demo-%Y%m%d-%H%M%S").to_string()))
}

#[derive(Serialize)]
struct Shown<'a> {
    study: &'a StudySummary,
    results: &'a Results,
    plot: Option<String>,
}

impl View for Shown<'_> {
    fn table(&self, screen: Screen) -> String {
        let columns = Output::screen().width.map_or(80, usize::from);
        let plot = plot::text(self.results, columns);
        let mut text = format!("{}\n\n{plot}", ResultsTable(self.results).table(screen));
        if let Some(csv) = &self.study.results {
            text.push_str(&format!("\nresults: {csv}"));
        }
        if let Some(plot) = &self.plot {
            text.push_str(&format!("\nfigures: {plot}"));
        }
        text
    }

    fn brief(&self) -> String {
        self.study.results.clone().unwrap_or_default()
    }
}
