//! `lcctl sweep`: plan a study from a file and flags, record it, and let the daemon run it.

mod flags;
mod plan;

use super::{
    connect,
    context::Context,
    failure::Failure,
    output::Screen,
    results::ResultsTable,
    watch::{self, Audience},
};
use crate::config::study::Layer;
use chrono::Local;
use clap::{Args, ValueHint};
pub(super) use flags::StudyFlags;
use plan::Planned;
use protocol::{
    study::StudySpec,
    view::{Results, StudyPlan, StudySummary},
};
use serde::Serialize;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  lcctl sweep --name first --dataset ~/TinyStories --tokenizer ~/gpt-neo/tokenizer.json \\
      --depth 1,2 --width 64..256 --seed 0..2 --heads 4 --wait
  lcctl sweep study.toml --epochs 3 --dry-run

Flags go over the environment, that over the study file, that over your configuration. A sweep may be repeated, also \
with a larger grid: what is there already stays as it is. What failed or was cancelled in another study is tried again \
by a study that asks for it; in the same one, by 'lcctl retry'.

Exit codes: 0 recorded (with --wait: done), 1 failed, 2 wrong use, 130 Ctrl-C";

/// Run a grid of models: every stage of every run, in order
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, allow_negative_numbers = true)]
pub(super) struct Sweep {
    /// Study file
    #[arg(value_name = "STUDY.toml", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Name of the study [default: the file's, its stem, or one made from the time]
    #[arg(long)]
    name: Option<String>,
    /// Stay until the study is over, then print its results
    #[arg(long)]
    wait: bool,
    /// Say what would be recorded, and record nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    flags: StudyFlags,
}

impl Sweep {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (wait, dry_run) = (self.wait && !self.dry_run, self.dry_run);
        let spec = spec(self.file.as_deref(), self.name, self.flags, context)?;
        let client = connect::daemon(context).await?;
        let plan = client.plan(&spec, dry_run).await?;
        if !wait {
            context.out.answer(&Planned::new(&plan, &spec, dry_run))?;
            if !dry_run {
                let (watch, login) =
                    (context.command(&format!("watch {}", plan.name)), context.command("login"));
                context.out.note(&format!("follow it: {watch}\nin the browser: {login}"));
            }
            return Ok(());
        }
        context.out.note(&Planned::new(&plan, &spec, false).summary());
        if let Ok(link) = client.login_link().await {
            context.out.note(&format!("dashboard (opens once, within five minutes): {}", link.url));
        }
        let detail = watch::follow(context, client.clone(), &plan.name, Audience::Bystander).await?;
        // The daemon may have been restarted while we watched.
        let client = connect::daemon(context).await?;
        let results = client.results(&plan.name).await?;
        let file = detail.summary.results.clone();
        context.out.answer(&Outcome { plan: &plan, study: &detail.summary, results: &results })?;
        if let Some(file) = file {
            context.out.note(&format!("results: {file}"));
        }
        watch::verdict(context, &detail).await
    }
}

/// The study that file, configuration and flags make.
///
/// # Errors
/// When they make none, or a path in them leads nowhere.
pub(super) fn spec(
    file: Option<&Path>,
    name: Option<String>,
    flags: StudyFlags,
    context: &Context,
) -> Result<StudySpec, Failure> {
    if file.is_none() && !flags.names_a_grid() {
        return Err(Failure::Usage(
            "nothing to sweep; give a study file or an axis: --depth, --width, --seed, --epochs, --weight-decay"
                .into(),
        ));
    }
    let here = std::env::current_dir()?;
    let stem = file.and_then(|path| path.file_stem()?.to_str().map(str::to_owned));
    let file = file.map(Layer::of_file).transpose()?;
    let of_file = file.as_ref().and_then(Layer::name).map(str::to_owned);
    let name = name.or(of_file).or(stem).unwrap_or_else(by_time);

    let file = file.unwrap_or_default();
    file.check_paths(|key| flags.gives_data(key))?;
    let user = context.user.study.clone().unwrap_or_default();
    user.check_paths(|key| flags.gives_data(key) || file.gives_data(key))?;
    let names_tokenizer =
        [flags.gives_data("tokenizer"), file.gives_data("tokenizer"), user.gives_data("tokenizer")];
    let mut spec = user.under(&file).study(&name)?;
    flags.lay_over(&mut spec, &here)?;
    // The default is made of the builtin stories, and of no use for other texts.
    if !names_tokenizer.contains(&true) && needs_tokenizer(&spec.data.dataset) {
        return Err(Failure::Usage(
            "missing --tokenizer, which texts need; accepted: builtin, a tokenizer.json or a folder with one, \
             hf:owner/name"
                .into(),
        ));
    }
    Ok(spec)
}

/// Whether a dataset holds texts of one's own: neither the builtin stories nor sequences of tokens.
fn needs_tokenizer(dataset: &str) -> bool {
    let is_tokenized =
        Path::new(dataset).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors"));
    dataset != "builtin:stories" && !is_tokenized
}

fn by_time() -> String {
    Local::now().format("study-%Y%m%d-%H%M%S").to_string()
}

/// What `--wait` answers.
#[derive(Serialize)]
struct Outcome<'a> {
    plan: &'a StudyPlan,
    study: &'a StudySummary,
    results: &'a Results,
}

impl super::output::View for Outcome<'_> {
    fn table(&self, screen: Screen) -> String {
        ResultsTable(self.results).table(screen)
    }

    fn brief(&self) -> String {
        self.study.results.clone().unwrap_or_default()
    }
}
