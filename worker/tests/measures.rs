//! The measures against golden values, against their formulas written out over all pairs, and against
//! each other.

#[path = "measuring/cases.rs"]
mod cases;
mod golden;
#[path = "measuring/written_out.rs"]
mod written_out;

use cases::{Case, random};
use proptest::prelude::*;
use worker::measure::{CLASS_COLUMNS, ClassValues, Filter, Inputs, Measured, Options, compute};

/// Golden key of a column, and the field in it.
fn golden_key(column: &str) -> (&str, Option<&str>) {
    if let Some(key) = column.strip_suffix("_mean") {
        return (key, Some("mean"));
    }
    match column.strip_suffix("_var") {
        Some(key @ ("interfere" | "interfere_cosine" | "log_kern" | "riesz_kern" | "dist_kern")) => {
            (key, Some("var_population"))
        }
        Some(key) => (key, Some("var_unbiased")),
        None if column == "cdnv" => ("cdnv_exp2", None),
        None => (column, None),
    }
}

fn number(value: &serde_json::Value) -> f64 {
    value.as_f64().unwrap_or_else(|| value.as_str().expect("a number").parse().expect("inf or nan"))
}

/// Compares a result with a golden set, to a relative tolerance by column; answers how many columns it has.
fn assert_golden(
    name: &str,
    found: &Measured,
    expected: &serde_json::Value,
    absolute: f64,
    relative: impl Fn(&str) -> f64,
) -> usize {
    let mut compared = 0;
    for (column, value) in &found.values {
        let (key, field) = golden_key(column);
        let Some(expected) = expected.get(key) else { continue };
        let expected = number(field.map_or(expected, |field| &expected[field]));
        let value = value.unwrap_or_else(|| panic!("{name}: {column} is missing"));
        let near = (value - expected).abs() <= absolute.max(relative(column) * expected.abs());
        let same = value == expected || (value.is_nan() && expected.is_nan());
        assert!(near || same, "{name}: {column} is {value:e}, expected {expected:e}");
        compared += 1;
    }
    compared
}

/// Of values in double precision.
fn intended(column: &str) -> f64 {
    if column.starts_with("riesz") || column.contains("pinv") { 1e-7 } else { 1e-9 }
}

/// Of values of the published tool, parts of which are in single precision.
fn published(column: &str) -> f64 {
    let single = ["cdnv", "log_kern", "riesz_kern", "dist_kern", "dual_error", "simcos"];
    if single.iter().any(|start| column.starts_with(start)) { 1e-6 } else { 1e-10 }
}

/// Calls `check` with every golden case and filter: a label, the case, its options and its golden results.
fn for_every_golden(check: impl Fn(&str, &Case, &Options, &serde_json::Value)) {
    for name in ["k64d16", "k301d32", "k12d40", "k64d16_zero"] {
        let case = Case::golden(name);
        let filters = case.expected["filters"].as_object().unwrap();
        assert!(filters.len() >= 2);
        for (filter_name, expected) in filters {
            let filter = Filter {
                min_per_class: expected["min_per_class"].as_u64().unwrap() as u32,
                max_per_class: expected["max_per_class_exclusive"].as_u64().map(|max| max as u32),
            };
            assert_eq!(filter.select(&case.counts), case.indices(filter_name), "{name} {filter_name}");
            let options = Options { filter, ..Options::default() };
            check(&format!("{name} {filter_name}"), &case, &options, expected);
        }
    }
}

#[test]
fn golden_values_are_met_for_every_case_and_filter() {
    for_every_golden(|label, case, options, expected| {
        let found = compute(&case.inputs(), options, |_| true);
        assert_eq!(found.classes as u64, expected["n_classes"], "{label}");
        assert_eq!(found.get("hits"), expected["hits"].as_f64(), "{label}");
        assert_eq!(found.get("misses"), expected["misses"].as_f64(), "{label}");
        // The golden quotient was divided in single precision.
        let agreement = expected["agreement_weighted"].as_f64().unwrap();
        assert!((found.get("agreement_weighted").unwrap() - agreement).abs() < 6e-8, "{label}");
        let compared = assert_golden(label, &found, &expected["intended_f64"], 0.0, intended);
        assert_eq!(compared, 29, "{label}");
    });
}

#[test]
fn the_published_tools_rounding_is_reproduced_for_every_case_and_filter() {
    for_every_golden(|label, case, options, expected| {
        let found = compute(&case.inputs(), &Options { compat: true, ..*options }, |_| true);
        let reference = &expected["reference_means_f64_W_f32"];
        assert_eq!(assert_golden(label, &found, reference, 0.0, published), 27, "{label}");
        assert_eq!(found.get("agreement_weighted"), expected["agreement_weighted"].as_f64(), "{label}");
    });
}

#[test]
fn agreement_is_averaged_over_the_classes_that_have_validation_samples() {
    for name in ["k64d16", "k301d32", "k12d40", "k64d16_zero"] {
        let case = Case::golden(name);
        let every =
            Options { filter: Filter { min_per_class: 0, max_per_class: None }, ..Options::default() };
        let found = compute(&case.inputs(), &every, |measure| measure.group == "agree");
        let expected = case.expected["decs"]["intended_unweighted_over_classes_with_test_samples"].as_f64();
        let (found, expected) = (found.get("agreement_unweighted").unwrap(), expected.unwrap());
        assert!((found - expected).abs() < 1e-7, "{name}: {found}, expected {expected}");
    }
}

#[test]
fn the_weighted_centre_is_the_mean_over_all_samples() {
    for name in ["k64d16", "k301d32", "k12d40", "k64d16_zero"] {
        let case = Case::golden(name);
        let centre = case.numbers("means.global_weighted_intended");
        let rows = case.means.chunks(case.dim).zip(&case.counts).filter(|(_, count)| **count > 0);
        let norms: Vec<f64> = rows
            .map(|(row, _)| row.iter().zip(&centre).map(|(x, c)| (x - c).powi(2)).sum::<f64>().sqrt())
            .collect();
        let expected = norms.iter().sum::<f64>() / norms.len() as f64;
        let found = compute(&case.inputs(), &Options::default(), |measure| measure.group == "weighted");
        let found = found.get("weighted_norms_mean").unwrap();
        assert!(close(found, expected, 1e-7), "{name}: {found:e}, expected {expected:e}");
    }
}

#[test]
fn a_perfect_simplex_has_no_error() {
    for name in ["etf_k17d20", "etf_k33d32"] {
        let case = Case::golden(name);
        let found = compute(&case.inputs(), &Options::default(), |_| true);
        let intended_set = &case.expected["intended_f64"];
        assert_eq!(assert_golden(name, &found, intended_set, 1e-6, intended), 29);
        // Free of cancellation: nothing near the square root of the rounding of 2 - 2x.
        assert!(found.get("etf_error").unwrap() < 1e-14, "{name}");
        assert!(found.get("interfere_var").unwrap() < 1e-14, "{name}");
    }
}

#[test]
fn what_differs_by_rounding_only_does_not_go_with_frequency() {
    for name in ["etf_k17d20", "etf_k33d32"] {
        let mut case = Case::golden(name);
        for (i, (count, total)) in (1..).zip(case.counts.iter_mut().zip(&mut case.vars)) {
            *count = i;
            *total = f64::from(i);
        }
        let found = compute(&case.inputs(), &Options::default(), |measure| measure.group == "freq");
        for column in ["cdnv_freq_r", "norms_freq_r", "simcos_freq_r"] {
            assert!(found.get(column).unwrap().is_nan(), "{name}: {column} is {:?}", found.get(column));
        }
    }
}

#[test]
fn values_per_class_average_to_the_columns() {
    let case = random(600, 20, 12);
    let found = compute(&case.inputs(), &Options { per_class: true, ..Options::default() }, |_| true);
    let per_class = found.per_class.as_ref().unwrap();
    assert_eq!(per_class.classes, (0..600).collect::<Vec<_>>());
    let column = |name: &str| {
        let at = CLASS_COLUMNS.iter().position(|column| column.name == name).unwrap();
        match per_class.columns[at].clone().unwrap() {
            ClassValues::Real(values) => values,
            ClassValues::Whole(values) => values.into_iter().map(f64::from).collect(),
        }
    };
    let averages = [
        ("norm", "norms_mean"),
        ("log_norm", "norms_log_mean"),
        ("cdnv", "cdnv"),
        ("interference", "interfere_mean"),
        ("log_kern", "log_kern_mean"),
        ("simdot", "simdot_mean"),
        ("simcos", "simcos_mean"),
        ("dist", "dists_mean"),
    ];
    for (name, mean) in averages {
        let values = column(name);
        let average = values.iter().sum::<f64>() / values.len() as f64;
        assert!(close(average, found.get(mean).unwrap(), 1e-9), "{name}: {average:e}");
    }
    for (found, expected) in column("cdnv").iter().zip(written_out::cdnv_by_class(&case)) {
        assert!(close(*found, expected, 1e-9), "{found:e}, expected {expected:e}");
    }
    assert_eq!(column("hits").iter().sum::<f64>(), found.get("hits").unwrap());
    assert_eq!(column("count"), case.counts.iter().map(|&n| f64::from(n)).collect::<Vec<_>>());
    let shares = column("hits").into_iter().zip(column("samples")).map(|(hits, samples)| hits / samples);
    for (found, expected) in column("agreement").into_iter().zip(shares) {
        assert!(found == expected || (found.is_nan() && expected.is_nan()));
    }
}

#[test]
fn equal_means_make_kernels_infinite_and_are_counted() {
    let mut case = random(300, 12, 7);
    let (first, last) = (17, 291);
    let row: Vec<f64> = case.means[first * 12..][..12].to_vec();
    case.means[last * 12..][..12].copy_from_slice(&row);
    let found = compute(&case.inputs(), &Options::default(), |_| true);
    assert_eq!(found.duplicates, 1);
    for column in ["cdnv", "cdnv_exp1", "log_kern_mean", "riesz_kern_mean"] {
        assert_eq!(found.get(column), Some(f64::INFINITY), "{column}");
    }
    assert!(found.get("dist_kern_mean").unwrap().is_finite());
}

#[test]
fn equal_means_in_the_centre_of_all_are_counted_too() {
    let mut case = random(6, 3, 7);
    let rows = [[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0], [2.0, 0.0, -1.0], [-2.0, 0.0, 1.0], [0.0; 3], [0.0; 3]];
    case.means = rows.concat();
    let found = compute(&case.inputs(), &Options::default(), |measure| measure.group == "snr");
    assert_eq!((found.duplicates, found.get("cdnv")), (1, Some(f64::INFINITY)));
}

#[test]
fn near_duplicates_lose_no_digits() {
    let mut case = random(300, 12, 8);
    for (from, to, scale) in [(3, 290, 1e-7), (100, 101, 1e-5), (5, 250, 1e-3)] {
        let near: Vec<f64> = case.means[from * 12..][..12]
            .iter()
            .enumerate()
            .map(|(d, x)| x + scale * (d as f64).cos())
            .collect();
        case.means[to * 12..][..12].copy_from_slice(&near);
    }
    let found = compute(&case.inputs(), &Options::default(), |_| true);
    assert_eq!(found.duplicates, 0);
    written_out::assert_agrees(&case, &found, 1e-8);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    // More rows than one thread takes, and so wide that the library cuts up eigenvalues, too.
    let case = random(2100, 330, 9);
    let with_threads = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        let options = Options { per_class: true, ..Options::default() };
        pool.install(|| format!("{:?}", compute(&case.inputs(), &options, |_| true)))
    };
    // As text, in which not-a-number equals itself.
    assert_eq!(with_threads(1), with_threads(5));
}

#[test]
fn fewer_than_two_classes_or_a_missing_input_leave_columns_empty() {
    let case = random(40, 6, 10);
    let filter = Filter { min_per_class: 1_000_000, max_per_class: None };
    let none_kept = Options { filter, per_class: true, ..Options::default() };
    let none = compute(&case.inputs(), &none_kept, |_| true);
    assert_eq!(none.classes, 0);
    assert!(none.values.iter().all(|(_, value)| value.is_none()) && none.per_class.is_none());

    let bare = Inputs { vars: None, weights: None, decisions: None, ..case.inputs() };
    let found = compute(&bare, &Options::default(), |_| true);
    for column in ["cdnv", "dual_error", "simcos_mean", "dists_var", "hits"] {
        assert_eq!(found.get(column), None, "{column}");
    }
    assert!(found.get("etf_error").is_some() && found.get("log_kern_mean").is_some());
}

#[test]
fn only_the_groups_asked_for_are_computed() {
    let case = random(40, 6, 11);
    let found = compute(&case.inputs(), &Options::default(), |measure| measure.group == "nor");
    let columns: Vec<&str> = found.values.iter().map(|(column, _)| *column).collect();
    assert_eq!(columns, ["norms_mean", "norms_var", "norms_log_mean", "norms_log_var"]);
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1e-3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn results_agree_with_the_formulas_written_out(classes in 2usize..330, dim in 1usize..40, seed in any::<u64>()) {
        let case = random(classes, dim, seed);
        let found = compute(&case.inputs(), &Options::default(), |_| true);
        written_out::assert_agrees(&case, &found, 1e-8);
    }

    #[test]
    fn the_order_of_classes_does_not_matter(classes in 3usize..300, dim in 2usize..24, seed in any::<u64>()) {
        let case = random(classes, dim, seed);
        let found = compute(&case.inputs(), &Options::default(), |_| true);
        let turned = case.rotated(seed as usize % classes);
        let again = compute(&turned.inputs(), &Options::default(), |_| true);
        for ((column, a), (_, b)) in found.values.iter().zip(&again.values) {
            let (a, b) = (a.unwrap(), b.unwrap());
            prop_assert!(close(a, b, 1e-7), "{column}: {a:e} and {b:e}");
        }
    }

    #[test]
    fn measures_keep_their_identities(classes in 3usize..300, dim in 3usize..24, seed in any::<u64>()) {
        let found = compute(&random(classes, dim, seed).inputs(), &Options::default(), |_| true);
        let of = |column: &str| found.get(column).unwrap();
        let k = classes as f64;
        let biased = (k - 1.0) / k;
        let interference = -(of("norms_mean").powi(2) + of("norms_var") * biased) / (k - 1.0);
        prop_assert!(close(of("interfere_mean"), interference, 1e-9));
        let squared = of("dists_mean").powi(2) + of("dists_var") * biased;
        prop_assert!(close(squared, 2.0 - 2.0 * of("simcos_mean"), 1e-9));
        let spread = of("participation_ratio");
        prop_assert!(close(spread, (k - 1.0) * (1.0 - of("etf_error").powi(2) / 2.0).powi(2), 1e-9));
        prop_assert!(spread <= (k - 1.0).min(dim as f64) * (1.0 + 1e-9));
    }
}
