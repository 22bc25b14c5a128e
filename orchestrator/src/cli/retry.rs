//! `lcctl retry`: start again what failed or was cancelled.

use super::{
    change::{Part, Verb},
    context::Context,
    failure::Failure,
};
use clap::Args;

/// Try again what failed or was cancelled, and what was skipped because of it
///
/// Training goes on from its newest checkpoint; what is done is not done again.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lcctl retry first\n  lcctl retry first --run 01x0032_01d00 --stage train\n  lcctl retry first --dry-run"
)]
pub(super) struct Retry {
    #[command(flatten)]
    part: Part,
}

impl Retry {
    pub(super) async fn run(&self, context: &Context) -> Result<(), Failure> {
        self.part.change(context, Verb::Retry).await
    }
}
