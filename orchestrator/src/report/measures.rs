//! The paper's measures of neural collapse, from the columns of either published table.

use super::Row;
use protocol::output::MeasureRow;

/// A measure as the paper names it.
#[derive(Clone, Copy, Debug)]
pub struct PaperMeasure {
    /// Short name.
    pub name: &'static str,
    /// A key for addresses.
    pub key: &'static str,
    /// What it is.
    pub title: &'static str,
    /// How it is computed, by what a table has: the first that fits counts. October 2024 before May 2024.
    ways: &'static [Way],
}

/// How a measure comes from columns.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// A column as it is.
    Plain(&'static str),
    /// Standard deviation over the mean's size, from a variance.
    SpreadOfVariance(&'static str, &'static str),
    /// Standard deviation over the mean's size.
    Spread(&'static str, &'static str),
    /// The share of the first of both.
    Share(&'static str, &'static str),
}

impl Way {
    const fn columns(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Plain(column) => (column, None),
            Self::SpreadOfVariance(a, b) | Self::Spread(a, b) | Self::Share(a, b) => (a, Some(b)),
        }
    }

    fn value(self, row: &MeasureRow) -> Option<f64> {
        let of = |column: &str| row.values.get(column).map(|value| value.0);
        let (first, second) = self.columns();
        let a = of(first)?;
        let b = second.map_or(Some(1.0), of)?;
        Some(match self {
            Self::Plain(_) => a,
            Self::SpreadOfVariance(..) => a.sqrt() / b.abs(),
            Self::Spread(..) => a / b.abs(),
            Self::Share(..) => a / (a + b),
        })
    }

    fn formula(self) -> String {
        match self {
            Self::Plain(column) => column.to_owned(),
            Self::SpreadOfVariance(variance, mean) => format!("sqrt({variance}) / |{mean}|"),
            Self::Spread(deviation, mean) => format!("{deviation} / |{mean}|"),
            Self::Share(hits, misses) => format!("{hits} / ({hits} + {misses})"),
        }
    }
}

/// In the order of the paper (arXiv 2405.17767, section 3 and table 1).
pub static MEASURES: [PaperMeasure; 7] = [
    PaperMeasure {
        name: "NC1",
        key: "nc1",
        title: "within-class variability (class-distance normalised variance)",
        ways: &[Way::Plain("cdnv"), Way::Plain("cdnv_mean")],
    },
    PaperMeasure {
        name: "NC2 equinorm",
        key: "nc2-equinorm",
        title: "variation of the logarithms of the class means' norms",
        ways: &[
            Way::SpreadOfVariance("norms_log_var", "norms_log_mean"),
            Way::Spread("norms_log_std", "norms_log_mean"),
        ],
    },
    PaperMeasure {
        name: "NC2 equiangular",
        key: "nc2-equiangular",
        title: "variation of the interference between class means",
        ways: &[
            Way::SpreadOfVariance("interfere_var", "interfere_mean"),
            Way::Spread("interfere_std", "interfere_mean"),
        ],
    },
    PaperMeasure {
        name: "GNC2",
        key: "gnc2",
        title: "hyperspherical uniformity: variation of the logarithmic distances between class means",
        ways: &[
            Way::SpreadOfVariance("log_kern_var", "log_kern_mean"),
            Way::Spread("log_dist_std", "log_dist_mean"),
        ],
    },
    PaperMeasure {
        name: "NC3",
        key: "nc3",
        title: "self-duality: mean cosine of classifier and class mean",
        ways: &[Way::Plain("simcos_mean"), Way::Plain("sims_mean")],
    },
    PaperMeasure {
        name: "UNC3",
        key: "unc3",
        title: "uniform duality: variation of that cosine",
        ways: &[Way::SpreadOfVariance("simcos_var", "simcos_mean"), Way::Spread("sims_std", "sims_mean")],
    },
    PaperMeasure {
        name: "NC4",
        key: "nc4",
        title: "agreement of the classifier with the nearest class mean",
        ways: &[Way::Share("hits", "misses"), Way::Share("matches", "misses")],
    },
];

impl PaperMeasure {
    /// The measure of a key.
    #[must_use]
    pub fn of_key(key: &str) -> Option<&'static Self> {
        MEASURES.iter().find(|measure| measure.key == key)
    }

    /// How it comes from the columns that rows have; the usual way if they have none.
    #[must_use]
    pub fn formula(&self, rows: &[Row<'_>]) -> String {
        let has = |way: &&Way| {
            let (first, _) = way.columns();
            rows.iter().any(|row| row.measures.values.contains_key(first))
        };
        self.ways.iter().find(has).or(self.ways.first()).map(|way| way.formula()).unwrap_or_default()
    }

    /// Its value for a model; NaN if a column is missing.
    #[must_use]
    pub fn value(&self, row: &MeasureRow) -> f64 {
        self.ways.iter().find_map(|way| way.value(row)).unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::real::Real;

    fn value(key: &str, columns: &[(&str, f64)]) -> f64 {
        let values = columns.iter().map(|&(name, value)| (name.to_owned(), Real(value))).collect();
        PaperMeasure::of_key(key).unwrap().value(&MeasureRow { model: "m".into(), values })
    }

    #[test]
    fn both_published_tables_are_understood() {
        assert_eq!(value("nc1", &[("cdnv_mean", 3.0)]), 3.0);
        assert_eq!(value("nc2-equinorm", &[("norms_log_var", 4.0), ("norms_log_mean", -8.0)]), 0.25);
        assert_eq!(value("nc2-equinorm", &[("norms_log_std", 2.0), ("norms_log_mean", 8.0)]), 0.25);
        assert_eq!(value("nc4", &[("matches", 1.0), ("misses", 3.0)]), 0.25);
        assert!(value("gnc2", &[("log_kern_var", 4.0)]).is_nan());
        assert!(PaperMeasure::of_key("nc5").is_none());
    }
}
