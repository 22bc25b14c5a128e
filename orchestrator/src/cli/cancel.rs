//! `lcctl cancel`: stop what is not over.

use super::{
    change::{Part, Verb},
    context::Context,
    failure::Failure,
};
use clap::Args;

/// Stop a study, a run or a stage; what is done stays
///
/// Running workers write a checkpoint where they can; 'lcctl retry' goes on from it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lcctl cancel first\n  lcctl cancel first --run 01x0032_01d00 --stage train\n  lcctl cancel first --dry-run"
)]
pub(super) struct Cancel {
    #[command(flatten)]
    part: Part,
}

impl Cancel {
    pub(super) async fn run(&self, context: &Context) -> Result<(), Failure> {
        self.part.change(context, Verb::Cancel).await
    }
}
