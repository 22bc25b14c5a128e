//! Values of single classes.

use super::{Need, Shared, cdnv, decisions, duality, interference, kernels, norms};

/// A column of values per class.
pub struct ClassColumn {
    /// Its name.
    pub name: &'static str,
    /// What it is, in the words of [`Measure::formula`](super::Measure::formula).
    pub formula: &'static str,
    /// Whether its values are whole numbers.
    pub is_whole: bool,
    /// The optional input without which it is missing.
    pub need: Option<Need>,
    compute: fn(&Shared<'_>) -> ClassValues,
}

/// Values in the order of the classes.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassValues {
    /// Whole numbers.
    Whole(Vec<i32>),
    /// Real numbers; NaN where a class has none.
    Real(Vec<f64>),
}

/// The kept classes of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct PerClass {
    /// Their positions among all classes: token ids.
    pub classes: Vec<usize>,
    /// One for each of [`CLASS_COLUMNS`]; missing where its input is.
    pub columns: Vec<Option<ClassValues>>,
}

/// All columns of values per class, in order.
pub static CLASS_COLUMNS: &[ClassColumn] = &[
    ClassColumn {
        name: "count",
        formula: "train samples",
        is_whole: true,
        need: None,
        compute: |shared| ClassValues::Whole(shared.kept.counts().collect()),
    },
    ClassColumn {
        name: "norm",
        formula: "|c_i|",
        is_whole: false,
        need: None,
        compute: |shared| ClassValues::Real(shared.kept.norms.clone()),
    },
    ClassColumn {
        name: "log_norm",
        formula: "ln |c_i|",
        is_whole: false,
        need: None,
        compute: |shared| ClassValues::Real(norms::logs(shared)),
    },
    ClassColumn {
        name: "cdnv",
        formula: "mean over j of (v_i+v_j)/2 / |M_i-M_j|^4",
        is_whole: false,
        need: Some(Need::Vars),
        compute: |shared| ClassValues::Real(cdnv::by_class(shared)),
    },
    ClassColumn {
        name: "interference",
        formula: "mean over j of c_i.c_j",
        is_whole: false,
        need: None,
        compute: |shared| ClassValues::Real(interference::by_class(shared)),
    },
    ClassColumn {
        name: "log_kern",
        formula: "mean over j of -ln |c_i/|c_i| - c_j/|c_j||",
        is_whole: false,
        need: None,
        compute: |shared| ClassValues::Real(kernels::log_by_class(shared)),
    },
    ClassColumn {
        name: "simdot",
        formula: "w_i.c_i",
        is_whole: false,
        need: Some(Need::Weights),
        compute: |shared| ClassValues::Real(duality::products_by_class(shared)),
    },
    ClassColumn {
        name: "simcos",
        formula: "cos(w_i, c_i)",
        is_whole: false,
        need: Some(Need::Weights),
        compute: |shared| ClassValues::Real(duality::cosines_by_class(shared)),
    },
    ClassColumn {
        name: "dist",
        formula: "|w_i/|w_i| - c_i/|c_i||",
        is_whole: false,
        need: Some(Need::Weights),
        compute: |shared| ClassValues::Real(duality::distances_by_class(shared)),
    },
    ClassColumn {
        name: "samples",
        formula: "validation samples",
        is_whole: true,
        need: Some(Need::Decisions),
        compute: |shared| {
            ClassValues::Whole(decisions::samples_and_hits(shared).map(|both| both[0]).collect())
        },
    },
    ClassColumn {
        name: "hits",
        formula: "validation samples on which the linear and the nearest-mean decision agree",
        is_whole: true,
        need: Some(Need::Decisions),
        compute: |shared| {
            ClassValues::Whole(decisions::samples_and_hits(shared).map(|both| both[1]).collect())
        },
    },
    ClassColumn {
        name: "agreement",
        formula: "hits/samples",
        is_whole: false,
        need: Some(Need::Decisions),
        compute: |shared| ClassValues::Real(decisions::by_class(shared)),
    },
];

/// Computes all columns whose inputs are there.
pub(super) fn compute(shared: &Shared<'_>) -> PerClass {
    let column = |column: &ClassColumn| {
        let able = column.need.is_none_or(|need| need.is_met(shared.kept.inputs));
        able.then(|| (column.compute)(shared))
    };
    PerClass { classes: shared.kept.classes.clone(), columns: CLASS_COLUMNS.iter().map(column).collect() }
}
