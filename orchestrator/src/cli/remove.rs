//! `lcctl remove`: a study out of the record, so that its name is free again.

use super::{
    connect,
    context::Context,
    failure::Failure,
    output::{Screen, View},
};
use clap::Args;
use protocol::view::RemovedStudy;
use serde::Serialize;

/// Take a study out of the record of which nothing was computed, so that its name is free again
///
/// For a study with a mistake in it: what is not over is cancelled first, and data that was prepared stays. A study of
/// which a model was trained, if only in part, is never removed. Runs that other studies hold stay with these, and all
/// files stay where they are.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lcctl remove first\n  lcctl remove first --dry-run")]
pub(super) struct Remove {
    /// Name of the study
    study: String,
    /// Say what would be removed, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Remove {
    pub(super) async fn run(&self, context: &Context) -> Result<(), Failure> {
        let client = connect::daemon(context).await?;
        let removed = client.remove_study(&self.study, self.dry_run).await?;
        context.out.answer(&Told { removed: &removed, dry_run: self.dry_run })
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Told<'a> {
    removed: &'a RemovedStudy,
    #[serde(skip)]
    dry_run: bool,
}

impl View for Told<'_> {
    fn table(&self, _screen: Screen) -> String {
        let RemovedStudy { name, runs, shared } = self.removed;
        let verb = if self.dry_run { "would remove" } else { "removed" };
        let plural = if *runs == 1 { "" } else { "s" };
        let left = match shared {
            0 => String::new(),
            1 => "; 1 more stays with another study".to_owned(),
            shared => format!("; {shared} more stay with other studies"),
        };
        format!("{verb} study {name} with {runs} run{plural}{left}")
    }

    fn brief(&self) -> String {
        self.removed.name.clone()
    }
}
