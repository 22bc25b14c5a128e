//! How measures go along with validation loss: the table and figures of a study.

use crate::{output::MeasureRow, real::Real, view::views};
use serde::{Deserialize, Serialize};

views! {
    /// `GET /api/v1/studies/{name}/report`
    Report {
        /// Study, or name of the published results.
        study: String,
        /// The glob that selects models; all if missing.
        models: Option<String>,
        /// Models selected.
        selected: u64,
        /// Models left out because they are not analysed at their last checkpoint (yet).
        left_out: u64,
        /// Random shuffles of the permutation test.
        shuffles: u64,
        /// Their seed.
        seed: u64,
        /// One line per measure, in the order of the paper.
        rows: Vec<Association>,
    }

    /// A measure against validation loss.
    Association {
        /// Short name, as in the paper: `NC1`.
        measure: String,
        /// A key for addresses: `nc1`.
        key: String,
        /// What it is.
        title: String,
        /// How it comes from the columns of the table: `norms_log_std / norms_log_mean`.
        formula: String,
        /// Models that have both values.
        n: u64,
        /// Pearson's correlation with validation loss; nothing for fewer than three models or without spread.
        r: Option<Real>,
        /// Its square.
        r2: Option<Real>,
        /// Two-sided p-value of the permutation test.
        p: Option<Real>,
        /// The same, corrected by Holm's method for all measures of the table.
        p_holm: Option<Real>,
        /// Probability that a two-sided test at 5 % finds a correlation as strong as this one in as many models.
        power: Option<Real>,
        /// The smallest R² that such a test finds with a probability of 80 %.
        detectable_r2: Option<Real>,
    }

    /// `POST /api/v1/imports`: results that were published elsewhere, as a study without runs.
    Import {
        /// Name of the study.
        name: String,
        /// Name of the file they come from.
        file: String,
        /// Columns in order, without the row name.
        columns: Vec<String>,
        /// Rows.
        rows: Vec<MeasureRow>,
    }

    /// Where a study without runs comes from.
    Origin {
        /// Name of the file.
        file: String,
        /// Rows.
        rows: u64,
    }
}
