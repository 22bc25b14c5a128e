//! `lcctl script`: the batch script of a stage, exactly as it was or would be handed to the cluster.

use super::{
    connect,
    context::Context,
    failure::Failure,
    find,
    output::{Screen, View},
};
use clap::Args;
use protocol::{stage::StageRef, view::StageScript};
use serde::Serialize;

/// Print the batch script of a stage: that of its newest attempt, or the one it would get
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lcctl script 01x0032_01d00 train\n  lcctl script first/01x0032_01d00 means@0"
)]
pub(super) struct Script {
    /// The run's name, identifier, id or hash; STUDY/RUN is one study's run
    run: String,
    /// The stage: prepare, train, evaluate, means, vars, decs, analyze; @C picks a checkpoint
    #[arg(value_name = "STAGE[@C]")]
    stage: StageRef,
    /// Look for the run in this study
    #[arg(long)]
    study: Option<String>,
}

impl Script {
    pub(super) async fn run(&self, context: &Context) -> Result<(), Failure> {
        let client = connect::daemon(context).await?;
        let run = find::run(&client, &self.run, self.study.as_deref()).await?;
        let stage = find::stage(&run, self.stage)?;
        let script = client.script(stage.id).await.map_err(|error| match error.status() {
            // Where there is no cluster.
            Some(409) => Failure::Usage(error.to_string()),
            _ => error.into(),
        })?;
        match &script.file {
            Some(file) => context.out.note(&format!("handed over as {file}")),
            None => context.out.note("not handed over yet; as it would be now"),
        }
        context.out.answer(&Shown(&script))
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Shown<'a>(&'a StageScript);

impl View for Shown<'_> {
    fn table(&self, _screen: Screen) -> String {
        self.0.script.trim_end().to_owned()
    }

    fn brief(&self) -> String {
        self.0.script.trim_end().to_owned()
    }
}
