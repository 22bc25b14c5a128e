//! A report as one page that needs nothing else: the table and all figures.

use super::{
    NoReport,
    figure::{self, Against},
    gaps,
    measures::MEASURES,
    repeated, rows_of, unfinished,
};
use minijinja::{AutoEscape, Environment, value::Serde};
use protocol::{report::Report, view::Results};
use serde::Serialize;

const PAGE: &str = include_str!("page.html");

#[derive(Serialize)]
struct Line {
    measure: String,
    title: String,
    formula: String,
    n: u64,
    r2: String,
    p: String,
    p_holm: String,
    power: String,
    detectable: String,
}

#[derive(Serialize)]
struct Figures {
    measure: &'static str,
    title: &'static str,
    loss: Option<String>,
    width: Option<String>,
    depth: Option<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    report: &'a Report,
    repeated: Option<String>,
    unfinished: Option<String>,
    lines: Vec<Line>,
    gaps: Vec<String>,
    figures: Vec<Figures>,
}

/// The page.
///
/// # Errors
/// When no model is selected, or the page can't be made.
pub fn page(report: &Report, results: &Results) -> Result<String, NoReport> {
    let rows = rows_of(report, results)?;
    let number = |value: Option<protocol::real::Real>, digits: usize| {
        value.map_or_else(|| "–".to_owned(), |value| format!("{:.digits$}", value.0))
    };
    let small = |p: Option<protocol::real::Real>| match p {
        Some(p) if p.0 < 1e-4 => "<0.0001".to_owned(),
        p => number(p, 4),
    };
    let lines: Vec<Line> = report
        .rows
        .iter()
        .map(|row| Line {
            measure: row.measure.clone(),
            title: row.title.clone(),
            formula: row.formula.clone(),
            n: row.n,
            r2: number(row.r2, 4),
            p: small(row.p),
            p_holm: small(row.p_holm),
            power: number(row.power, 2),
            detectable: number(row.detectable_r2, 2),
        })
        .collect();
    let figures: Vec<Figures> = MEASURES
        .iter()
        .map(|measure| {
            let of = |against| figure::figure(&rows, measure, against, &|_| None);
            Figures {
                measure: measure.name,
                title: measure.title,
                loss: of(Against::Loss),
                width: of(Against::Width),
                depth: of(Against::Depth),
            }
        })
        .collect();
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let failed = |error: minijinja::Error| NoReport(format!("the page could not be made: {error:#}"));
    environment.add_template("page", PAGE).map_err(failed)?;
    let page = environment.get_template("page").map_err(failed)?;
    let (repeated, unfinished) = (repeated(&rows), unfinished(report, &rows));
    let shown = Shown { report, repeated, unfinished, lines, gaps: gaps::gaps(report), figures };
    page.render(Serde(shown)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::report::{left_out, report, select};
    use protocol::{output::MeasureRow, real::Real, study::Checkpoints, view::Results};

    #[test]
    fn the_page_holds_the_table_and_the_figures_and_asks_for_nothing_else() {
        let row = |i: u32| MeasureRow {
            model: format!("02x0768_01d{i:02}@0"),
            values: [
                ("val_loss".to_owned(), Real(3.0 + f64::from(i * i % 7))),
                ("cdnv".to_owned(), Real(f64::from(i))),
            ]
            .into(),
        };
        let mut results =
            Results { columns: vec!["val_loss".into(), "cdnv".into()], rows: (0..8).map(row).collect() };
        // Of three epochs two are analysed.
        for checkpoint in 0..2 {
            results.rows.push(MeasureRow { model: format!("02x0768_03d00@{checkpoint}"), ..row(8) });
        }
        let page_of = |models| {
            let rows = select(&results, Some(models), Checkpoints::Last).unwrap();
            let mut report = report("a < b", &rows, Some(models), 100, 0).unwrap();
            report.left_out = left_out(&results, Some(models), &rows);
            page(&report, &results).unwrap()
        };
        let html = page_of("02x*");
        assert!(html.contains("a &lt; b") && html.contains("NC2 equiangular"), "{html}");
        assert!(html.contains("8 of 8 models left out"), "{html}");
        assert_eq!(html.matches("class=\"point\"").count(), 3 * 8);
        assert!(html.contains("1 of 9 models left out: their last checkpoint is not analysed"), "{html}");
        assert!(!html.contains("not independent"));
        assert!(
            page_of("02x*@*").contains("10 rows of 9 models: checkpoints of one model are not independent")
        );
        for foreign in ["http://", "https://", "<script", "url("] {
            let own = html.replace("http://www.w3.org/2000/svg", "");
            assert!(!own.contains(foreign), "{foreign}");
        }
    }
}
