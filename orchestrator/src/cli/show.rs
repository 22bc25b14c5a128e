//! `lcctl show`: everything about one study or one run.

use super::{
    connect,
    context::Context,
    failure::Failure,
    find, moment,
    output::{Screen, View},
    results::ResultsTable,
    status::Grid,
    table,
};
use chrono::Utc;
use clap::Args;
use protocol::view::{AttemptView, Results, RunDetail, StageView, StudyDetail};
use serde::Serialize;

/// Show a study or a run: settings, stages with times, attempts, measures
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lcctl show first\n  lcctl show 01x0032_01d00\n  lcctl show first/01x0032_01d00 --json"
)]
pub(super) struct Show {
    /// A study's name, or a run's name, identifier, id or hash; STUDY/RUN is one study's run
    #[arg(value_name = "RUN|STUDY")]
    reference: String,
    /// Look for the run in this study
    #[arg(long)]
    study: Option<String>,
}

impl Show {
    pub(super) async fn run(&self, context: &Context) -> Result<(), Failure> {
        let client = connect::daemon(context).await?;
        if self.study.is_none() && !self.reference.contains('/') {
            match client.study(&self.reference).await {
                Ok(detail) => return context.out.answer(&OneStudy(&detail)),
                Err(error) if error.status() == Some(404) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let run = find::run(&client, &self.reference, self.study.as_deref()).await?;
        context.out.answer(&OneRun(&client.run(run.id).await?))
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct OneStudy<'a>(&'a StudyDetail);

impl View for OneStudy<'_> {
    fn table(&self, screen: Screen) -> String {
        // The same words as in a study file, so that it can be kept as one.
        let spec = toml::to_string(&self.0.spec).unwrap_or_default();
        format!("{}\n\n{spec}", Grid(self.0).table(screen))
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct OneRun<'a>(&'a RunDetail);

impl View for OneRun<'_> {
    fn table(&self, screen: Screen) -> String {
        let detail = self.0;
        let run = &detail.summary;
        let mut text = table::facts(&[
            ("run", run.identifier.clone()),
            ("folder", format!("models/{}", run.name)),
            ("id", run.id.to_string()),
            ("hash", run.hash.clone()),
            ("studies", detail.studies.join(", ")),
        ]);
        text.push('\n');
        let headers = ["stage", "state", "attempts", "started", "took", "reason"].map(str::to_owned);
        let rows: Vec<_> = run.stages.iter().map(stage_row).collect();
        text.push_str(&table::ruled(&headers, &rows, &[2], screen));
        if !detail.attempts.is_empty() {
            let headers = ["attempt", "state", "place", "took", "message", "log"].map(str::to_owned);
            let rows: Vec<_> = detail.attempts.iter().map(attempt_row).collect();
            text.push_str("\n\n");
            text.push_str(&table::ruled(&headers, &rows, &[], screen));
        }
        let results = measures(detail);
        if !results.rows.is_empty() {
            text.push_str("\n\n");
            text.push_str(&ResultsTable(&results).table(screen));
        }
        let config = toml::to_string(&detail.config).unwrap_or_default();
        format!("{text}\n\n{config}")
    }
}

/// The run's measures as a table; the columns of one run are known by name only.
fn measures(detail: &RunDetail) -> Results {
    let mut columns: Vec<String> = Vec::new();
    for output in &detail.outputs {
        if let protocol::output::StageOutput::Analyze(output) = &output.output {
            columns.clone_from(&output.columns);
        }
    }
    Results { columns, rows: detail.measures.clone() }
}

fn stage_row(stage: &StageView) -> Vec<String> {
    vec![
        table::stage_name(stage.kind, stage.checkpoint),
        table::state(stage),
        stage.attempts.to_string(),
        stage.started.map(moment::clock).unwrap_or_default(),
        moment::took(stage.started, stage.finished, Utc::now()),
        stage.reason.clone().unwrap_or_default(),
    ]
}

fn attempt_row(attempt: &AttemptView) -> Vec<String> {
    let how = match (attempt.exit_code, attempt.signal) {
        (_, Some(signal)) => format!(" (signal {signal})"),
        (Some(code), None) if code != 0 => format!(" (exit {code})"),
        _ => String::new(),
    };
    vec![
        format!("{} #{}", table::stage_name(attempt.kind, attempt.checkpoint), attempt.number),
        format!("{}{how}", attempt.state),
        attempt.place.clone().unwrap_or_default(),
        moment::took(attempt.started, attempt.finished, Utc::now()),
        attempt.message.clone().unwrap_or_default(),
        attempt.folder.clone(),
    ]
}
