//! How the measures of a study go along with validation loss: the table of the paper, with significance, and its
//! figures.
//!
//! * [`measures`]: the paper's measures from a table's columns;
//! * [`statistics`], [`permutation`]: correlation, p-value, Holm's correction, power;
//! * [`figure`]: one figure as SVG, for pages of both kinds; [`scale`]: its axes;
//! * [`gaps`]: which models are left out; [`html`]: all of it as one page.
//!
//! Pure: rows in, report out. Random numbers come from the seed alone.

pub mod figure;
pub mod gaps;
pub mod html;
mod looks;
pub mod measures;
pub mod permutation;
pub mod scale;
pub mod statistics;

use measures::MEASURES;
use protocol::{
    identifier::Identifier,
    output::MeasureRow,
    real::Real,
    report::{Association, Report},
    study::Checkpoints,
    view::Results,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What measures are held against.
pub const LOSS: &str = "val_loss";
/// Shuffles of up to [`FULL`] models; of more models, fewer, so that it takes as long.
pub const SHUFFLES: u64 = 1_000_000;
/// Models that get all shuffles.
const FULL: u64 = 400;
/// Their seed.
pub const SEED: u64 = 0;

/// A model of a report.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Its measures.
    pub measures: &'a MeasureRow,
    /// What its name says; none if it is not an identifier.
    pub identifier: Option<Identifier>,
}

impl Row<'_> {
    /// The name of its run.
    fn run(&self) -> &str {
        self.measures.model.split('@').next().unwrap_or_default()
    }

    fn checkpoint(&self) -> Option<u32> {
        self.measures.model.split_once('@')?.1.parse().ok()
    }

    /// The last checkpoint of its run, by its name: one is written per epoch.
    fn last(&self) -> Option<u32> {
        self.identifier?.epochs.checked_sub(1)
    }
}

/// What was found about a measure.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    n: usize,
    r: Option<f64>,
    p: Option<f64>,
}

/// Why there is no report: one line with a remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoReport(pub String);

/// The models that a glob selects, by their row name with or without `@C`; all without a glob. Where it says nothing
/// of checkpoints, `checkpoints` does: those of one run are no independent models. An earlier checkpoint does not stand
/// in for a last one that is not analysed (yet), as in tables: models of unlike training would be held against each
/// other.
///
/// # Errors
/// When the glob is not one, or selects nothing.
pub fn select<'a>(
    results: &'a Results,
    models: Option<&str>,
    checkpoints: Checkpoints,
) -> Result<Vec<Row<'a>>, NoReport> {
    let pattern = models.map(glob::Pattern::new).transpose().map_err(|error| {
        NoReport(format!("--models: {error}; * stands for any letters, ? for one, [0-9] for one of these"))
    })?;
    let fits = |row: &&MeasureRow| {
        pattern.as_ref().is_none_or(|pattern| {
            pattern.matches(&row.model) || pattern.matches(row.model.split('@').next().unwrap_or_default())
        })
    };
    let mut rows: Vec<Row<'_>> = results
        .rows
        .iter()
        .filter(fits)
        .map(|measures| Row {
            measures,
            identifier: measures.model.split('@').next().and_then(Identifier::from_name),
        })
        .collect();
    if rows.is_empty() {
        let names: Vec<&str> = results.rows.iter().take(3).map(|row| row.model.as_str()).collect();
        return Err(NoReport(match (models, names.as_slice()) {
            (_, []) => {
                "there are no results yet; a row appears with every checkpoint that is analysed".to_owned()
            }
            (Some(models), names) => {
                format!(
                    "--models {models:?} fits none of the {} models; they are called {} and so on",
                    results.rows.len(),
                    names.join(", ")
                )
            }
            (None, _) => "there is nothing to report".to_owned(),
        }));
    }
    if checkpoints == Checkpoints::Last && !models.is_some_and(|models| models.contains('@')) {
        let mut last = HashMap::new();
        for row in &rows {
            let latest = last.entry(row.run().to_owned()).or_default();
            *latest = row.last().or(row.checkpoint()).max(*latest);
        }
        let count = last.len();
        rows.retain(|row| row.checkpoint() == last[row.run()]);
        if rows.is_empty() {
            return Err(NoReport(format!(
                "none of {count} models is analysed at its last checkpoint yet; --models '*@*' takes every one that is"
            )));
        }
    }
    Ok(rows)
}

/// How many models are left out where `rows` are selected, since only earlier checkpoints than their last are analysed.
#[must_use]
pub fn left_out(results: &Results, models: Option<&str>, rows: &[Row<'_>]) -> u64 {
    let all = select(results, models, Checkpoints::All).unwrap_or_default();
    (count_models(&all) - count_models(rows)) as u64
}

fn count_models(rows: &[Row<'_>]) -> usize {
    rows.iter().map(Row::run).collect::<HashSet<_>>().len()
}

/// A line on models that a report leaves out; none where there are none.
#[must_use]
pub fn unfinished(report: &Report, rows: &[Row<'_>]) -> Option<String> {
    let left_out = report.left_out;
    (left_out > 0).then(|| {
        format!(
            "{left_out} of {} models left out: their last checkpoint is not analysed (yet); --models '*@*' takes \
             every one that is",
            left_out + count_models(rows) as u64
        )
    })
}

/// The rows of a report again.
///
/// # Errors
/// As [`select`].
pub fn rows_of<'a>(report: &Report, results: &'a Results) -> Result<Vec<Row<'a>>, NoReport> {
    let rows = |checkpoints| select(results, report.models.as_deref(), checkpoints);
    match rows(Checkpoints::Last) {
        Ok(last) if last.len() as u64 == report.selected => Ok(last),
        _ => rows(Checkpoints::All),
    }
}

/// A line on rows of the same model; none where each has one.
#[must_use]
pub fn repeated(rows: &[Row<'_>]) -> Option<String> {
    let models = count_models(rows);
    (models < rows.len()).then(|| {
        format!(
            "{} rows of {models} models: checkpoints of one model are not independent, and p is too small",
            rows.len()
        )
    })
}

/// So many shuffles a table of so many models gets: a million, or what takes as long.
#[must_use]
pub const fn shuffles_for(models: u64) -> u64 {
    if models <= FULL { SHUFFLES } else { SHUFFLES * FULL / models }
}

/// The report on rows of a study that were selected by the glob `models`.
///
/// # Errors
/// When none has a validation loss.
pub fn report(
    study: &str,
    rows: &[Row<'_>],
    models: Option<&str>,
    shuffles: u64,
    seed: u64,
) -> Result<Report, NoReport> {
    let loss = |row: &Row<'_>| row.measures.values.get(LOSS).map_or(f64::NAN, |value| value.0);
    if !rows.iter().any(|row| loss(row).is_finite()) {
        return Err(NoReport(format!("no model has a column {LOSS}, which measures are held against")));
    }
    // Measures that the same models have share their shuffles.
    let mut groups: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for (at, measure) in MEASURES.iter().enumerate() {
        let has = |row: &Row<'_>| measure.value(row.measures).is_finite() && loss(row).is_finite();
        let with: Vec<usize> = (0..rows.len()).filter(|&row| has(&rows[row])).collect();
        groups.entry(with).or_default().push(at);
    }
    let mut found = vec![Found::default(); MEASURES.len()];
    for (with, members) in groups {
        let losses: Vec<f64> = with.iter().map(|&row| loss(&rows[row])).collect();
        let values: Vec<Vec<f64>> = members
            .iter()
            .map(|&at| with.iter().map(|&row| MEASURES[at].value(rows[row].measures)).collect())
            .collect();
        let slices: Vec<&[f64]> = values.iter().map(Vec::as_slice).collect();
        let p = permutation::p_values(&losses, &slices, shuffles, seed);
        for ((at, values), p) in members.into_iter().zip(&values).zip(p) {
            found[at] = Found { n: with.len(), r: statistics::correlation(values, &losses), p };
        }
    }
    let holm = statistics::holm(&found.iter().map(|found| found.p).collect::<Vec<_>>());
    let selected = rows.len() as u64;
    let rows: Vec<Association> = MEASURES
        .iter()
        .zip(found)
        .zip(holm)
        .map(|((measure, Found { n, r, p }), p_holm)| Association {
            measure: measure.name.to_owned(),
            key: measure.key.to_owned(),
            title: measure.title.to_owned(),
            formula: measure.formula(rows),
            n: n as u64,
            r: r.map(Real),
            r2: r.map(|r| Real(r * r)),
            p: p.map(Real),
            p_holm: p_holm.map(Real),
            power: r.and_then(|r| statistics::power(r, n)).map(Real),
            detectable_r2: r.and_then(|_| statistics::detectable_r2(n)).map(Real),
        })
        .collect();
    Ok(Report {
        study: study.to_owned(),
        models: models.map(ToOwned::to_owned),
        selected,
        left_out: 0,
        shuffles,
        seed,
        rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(rows: &[(&str, f64, f64)]) -> Results {
        let row = |&(model, loss, cdnv): &(&str, f64, f64)| MeasureRow {
            model: model.into(),
            values: [(LOSS.to_owned(), Real(loss)), ("cdnv".to_owned(), Real(cdnv))].into(),
        };
        Results { columns: vec![LOSS.into(), "cdnv".into()], rows: rows.iter().map(row).collect() }
    }

    const ROWS: [(&str, f64, f64); 6] = [
        ("02x0768_01d00@0", 3.0, 10.0),
        ("02x0768_01d01@0", 3.1, 12.0),
        ("02x0768_01d02@0", 2.9, 9.0),
        ("02x0768_01d03@0", 3.2, 11.0),
        ("12x1024_10d@9", 1.0, 1.0),
        ("12x1024_03d@2", 1.5, f64::NAN),
    ];

    #[test]
    fn a_glob_chooses_models_with_or_without_checkpoint() {
        let results = results(&ROWS);
        let select = |models| select(&results, models, Checkpoints::Last);
        assert_eq!(select(Some("02x0768_01d*")).unwrap().len(), 4);
        assert_eq!(select(Some("*@9")).unwrap().len(), 1);
        assert_eq!(select(Some("12x1024_10d")).unwrap().len(), 1);
        assert_eq!(select(None).unwrap().len(), 6);
        let said = select(Some("99x*")).unwrap_err().to_string();
        assert!(said.contains("fits none of the 6 models") && said.contains("02x0768_01d00@0"), "{said}");
        assert!(select(Some("[")).unwrap_err().to_string().contains("--models"));
    }

    #[test]
    fn a_run_counts_once_with_its_last_checkpoint_unless_checkpoints_are_asked_for() {
        let names = ["a@2", "a@10", "a@9", "b@0", "c", "d@1", "d@0"];
        let results = results(&names.map(|name| (name, 1.0, 1.0)));
        let selected = |models, checkpoints| {
            let rows = select(&results, models, checkpoints).unwrap();
            (rows.iter().map(|row| row.measures.model.as_str()).collect::<Vec<_>>(), repeated(&rows))
        };
        assert_eq!(selected(None, Checkpoints::Last), (vec!["a@10", "b@0", "c", "d@1"], None));
        assert_eq!(selected(Some("[ad]*"), Checkpoints::Last), (vec!["a@10", "d@1"], None));
        assert_eq!(selected(Some("*@0"), Checkpoints::Last), (vec!["b@0", "d@0"], None));
        let (rows, said) = selected(Some("*@*"), Checkpoints::Last);
        assert_eq!(rows, ["a@2", "a@10", "a@9", "b@0", "d@1", "d@0"]);
        let said = said.unwrap();
        assert!(said.starts_with("6 rows of 3 models: ") && said.ends_with("p is too small"), "{said}");
        // As they were published.
        let (rows, said) = selected(None, Checkpoints::All);
        assert!(rows == names && said.is_some());

        for checkpoints in [Checkpoints::Last, Checkpoints::All] {
            let rows = select(&results, None, checkpoints).unwrap();
            let of = report("s", &rows, None, 10, 0).unwrap();
            assert_eq!(rows_of(&of, &results).unwrap().len(), rows.len());
        }
    }

    #[test]
    fn a_run_that_is_not_analysed_at_its_last_checkpoint_is_left_out_and_counted() {
        let names =
            ["02x0064_03d00@0", "02x0064_03d00@2", "02x0064_03d01@0", "02x0064_03d01@1", "02x0064_01d02@0"];
        let results = results(&names.map(|name| (name, 1.0, 1.0)));
        let selected = |models| {
            let rows = select(&results, models, Checkpoints::Last).unwrap();
            let mut of = report("s", &rows, models, 10, 0).unwrap();
            of.left_out = left_out(&results, models, &rows);
            assert_eq!(rows_of(&of, &results).unwrap().len(), rows.len());
            let names: Vec<_> = rows.iter().map(|row| row.measures.model.as_str()).collect();
            (names, unfinished(&of, &rows))
        };
        let (rows, said) = selected(None);
        assert_eq!(rows, ["02x0064_03d00@2", "02x0064_01d02@0"]);
        assert!(said.unwrap().starts_with("1 of 3 models left out: their last checkpoint is not analysed"));
        assert_eq!(selected(Some("*00")), (vec!["02x0064_03d00@2"], None));
        assert_eq!(selected(Some("*@0")).0.len(), 3);
        assert_eq!(selected(Some("*@0")).1, None);
        let said = select(&results, Some("*01"), Checkpoints::Last).unwrap_err().to_string();
        assert!(
            said.contains("none of 1 models is analysed at its last checkpoint") && said.contains("*@*"),
            "{said}"
        );

        // What was published is taken as it is.
        let all = select(&results, None, Checkpoints::All).unwrap();
        assert_eq!(left_out(&results, None, &all), 0);
    }

    #[test]
    fn large_studies_get_fewer_shuffles() {
        assert_eq!((shuffles_for(21), shuffles_for(230), shuffles_for(8000)), (1_000_000, 1_000_000, 50_000));
    }

    #[test]
    fn measures_that_models_lack_have_no_figures_but_a_line() {
        let results = results(&ROWS);
        let rows = select(&results, None, Checkpoints::Last).unwrap();
        let of = report("s", &rows, None, 2000, 0).unwrap();
        assert_eq!(of.rows.len(), 7);
        let nc1 = &of.rows[0];
        assert_eq!((nc1.measure.as_str(), nc1.n, nc1.formula.as_str()), ("NC1", 5, "cdnv"));
        assert!(nc1.r2.unwrap().0 > 0.9 && nc1.p.unwrap().0 < 0.1);
        // One test alone is not corrected.
        assert_eq!(nc1.p, nc1.p_holm);
        assert_eq!((of.rows[6].n, of.rows[6].r2, of.rows[6].p), (0, None, None));
        let told = gaps::gaps(&of);
        assert!(
            told[0].starts_with("NC2 equinorm, NC2 equiangular, ")
                && told[0].contains(": 6 of 6 models left out")
        );
        assert!(told[1].starts_with("NC1: 1 of 6 models left out"), "{told:?}");
    }
}
