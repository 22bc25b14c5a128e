//! `lcctl report`: how measures go along with validation loss.

use super::{
    connect,
    context::Context,
    export,
    failure::Failure,
    output::{Screen, View},
    table,
};
use crate::report::{gaps::gaps, html, repeated, rows_of, unfinished};
use clap::{Args, ValueHint};
use protocol::{real::Real, report::Report as Told};
use serde::Serialize;
use std::{ffi::OsStr, path::PathBuf};

const AFTER_HELP: &str = "\
R² is that of a straight line through validation loss and the measure. p is two-sided, of a permutation test with a \
million shuffles from a fixed seed; 'Holm' corrects it for testing all measures. 'power' is the probability that a test \
at 5 % finds a correlation as strong as this one in as many models, 'detectable' the smallest R² that it finds with a \
probability of 80 %. docs/report.md says how each measure comes from the columns.

Examples:
  lcctl report first
  lcctl report first --models '02x0768_01d*'
  lcctl report first --models '*@0'
  lcctl report first --html report.html";

/// Say how measures of neural collapse go along with validation loss, with significance
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Report {
    /// Name of the study, or of imported results
    study: String,
    /// Only models whose row name fits this glob, with or without @C; one without @ takes each run's last checkpoint
    #[arg(long, value_name = "GLOB")]
    models: Option<String>,
    /// Write the table and all figures as one HTML page
    #[arg(long, value_name = "FILE", value_parser = page, value_hint = ValueHint::FilePath)]
    html: Option<PathBuf>,
}

impl Report {
    pub(super) async fn run(&self, context: &Context) -> Result<(), Failure> {
        let client = connect::daemon(context).await?;
        let report = client.report(&self.study, self.models.as_deref()).await?;
        let results = client.results(&self.study).await?;
        if let Some(file) = &self.html {
            let page = html::page(&report, &results).map_err(|error| Failure::Failed(error.to_string()))?;
            export::write(file, page.as_bytes(), "--html")?;
            context.out.note(&format!("wrote {}", file.display()));
        }
        let rows = rows_of(&report, &results).unwrap_or_default();
        let remarks = repeated(&rows).into_iter().chain(unfinished(&report, &rows)).collect();
        context.out.answer(&Shown { report: &report, remarks })
    }
}

/// A page to write; another ending is that of another file, perhaps of the results.
fn page(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_page = |ending: &OsStr| ["html", "htm"].iter().any(|page| ending.eq_ignore_ascii_case(page));
    if path.extension().is_some_and(is_page) {
        Ok(path)
    } else {
        Err("it is written as a web page; expected a name that ends in .html or .htm".to_owned())
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Shown<'a> {
    report: &'a Told,
    #[serde(skip)]
    remarks: Vec<String>,
}

impl View for Shown<'_> {
    fn table(&self, screen: Screen) -> String {
        let Told { models, selected, shuffles, .. } = self.report;
        let headers = ["measure", "N", "r", "R²", "p", "p (Holm)", "power", "detectable", "from"];
        let fixed = |value: Option<Real>, digits: usize| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{:.digits$}", value.0))
        };
        let rows: Vec<Vec<String>> = self
            .report
            .rows
            .iter()
            .map(|row| {
                vec![
                    row.measure.clone(),
                    row.n.to_string(),
                    fixed(row.r, 3),
                    fixed(row.r2, 6),
                    fixed(row.p, 6),
                    fixed(row.p_holm, 6),
                    fixed(row.power, 2),
                    fixed(row.detectable_r2, 2),
                    row.formula.clone(),
                ]
            })
            .collect();
        let fits = models.as_ref().map_or_else(String::new, |glob| format!(" that fit {glob}"));
        let text = table::ruled(&headers.map(str::to_owned), &rows, &[1, 2, 3, 4, 5, 6, 7], screen);
        let told = format!("{text}\n{selected} models{fits} against validation loss; {shuffles} shuffles");
        let lines = std::iter::once(told).chain(self.remarks.clone()).chain(gaps(self.report));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn brief(&self) -> String {
        let line = |row: &protocol::report::Association| {
            let number = |value: Option<Real>| value.map_or_else(String::new, |value| value.0.to_string());
            format!("{}\t{}\t{}\n", row.key, number(row.r2), number(row.p))
        };
        self.report.rows.iter().map(line).collect()
    }
}
