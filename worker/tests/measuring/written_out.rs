//! The formulas as they are written, over the whole grid of classes; for small numbers of classes.

use super::cases::Case;
use worker::measure::{MEASURES, Measured};

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(x, y)| x - y).collect()
}

fn scaled(a: &[f64], by: f64) -> Vec<f64> {
    a.iter().map(|x| x * by).collect()
}

/// Mean and variance, divided by the number less `less`.
fn spread(values: &[f64], less: f64) -> [f64; 2] {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    [mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - less)]
}

fn structure_error(x: &[Vec<f64>], y: &[Vec<f64>]) -> f64 {
    let k = x.len();
    let grid: Vec<Vec<f64>> = x.iter().map(|a| y.iter().map(|b| dot(a, b)).collect()).collect();
    let size = grid.iter().map(|row| dot(row, row)).sum::<f64>().sqrt();
    let mut error = 0.0;
    for (i, row) in grid.iter().enumerate() {
        for (j, entry) in row.iter().enumerate() {
            let ideal = (f64::from(u8::from(i == j)) - 1.0 / k as f64) / (k as f64 - 1.0).sqrt();
            error += (entry / size - ideal).powi(2);
        }
    }
    error.sqrt()
}

/// Every column that has a formula over all classes.
fn columns(case: &Case) -> Vec<(&'static str, f64)> {
    let k = case.counts.len();
    let rows: Vec<Vec<f64>> = case.means.chunks(case.dim).map(<[f64]>::to_vec).collect();
    let global: Vec<f64> =
        (0..case.dim).map(|d| rows.iter().map(|row| row[d]).sum::<f64>() / k as f64).collect();
    let centred: Vec<Vec<f64>> = rows.iter().map(|row| minus(row, &global)).collect();
    let units: Vec<Vec<f64>> = centred.iter().map(|c| scaled(c, 1.0 / norm(c))).collect();
    let weights: Vec<Vec<f64>> =
        case.weights.chunks(case.dim).map(|w| w.iter().map(|&x| f64::from(x)).collect()).collect();
    let variance = |i: usize| case.vars[i] / f64::from(case.counts[i]);
    let pairs = || (0..k).flat_map(|i| (i + 1..k).map(move |j| (i, j)));
    let over_pairs =
        |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> { pairs().map(|(i, j)| f(i, j)).collect() };
    let over_classes = |f: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..k).map(f).collect() };

    let apart = |i: usize, j: usize| norm(&minus(&rows[i], &rows[j]));
    let on_sphere = |i: usize, j: usize| norm(&minus(&units[i], &units[j]));
    let s = case.dim as f64 - 2.0;
    let riesz = |i: usize, j: usize| if s == 0.0 { 0.0 } else { s.signum() * on_sphere(i, j).powf(-s) };
    let cdnv = |power: i32| {
        let ratio = move |i: usize, j: usize| (variance(i) + variance(j)) / 2.0 / apart(i, j).powi(power);
        spread(&over_pairs(&ratio), 0.0)[0]
    };

    let mut columns = vec![
        ("cdnv", cdnv(4)),
        ("cdnv_exp1", cdnv(2)),
        ("etf_error", structure_error(&centred, &centred)),
        ("dual_error", structure_error(&weights, &centred)),
    ];
    let mut add = |names: [&'static str; 2], [mean, var]: [f64; 2]| {
        columns.extend([(names[0], mean), (names[1], var)]);
    };
    let cosine = |i: usize| dot(&weights[i], &centred[i]) / norm(&weights[i]) / norm(&centred[i]);
    let distance = |i: usize| norm(&minus(&scaled(&weights[i], 1.0 / norm(&weights[i])), &units[i]));
    add(["norms_mean", "norms_var"], spread(&over_classes(&|i| norm(&centred[i])), 1.0));
    add(["norms_log_mean", "norms_log_var"], spread(&over_classes(&|i| norm(&centred[i]).ln()), 1.0));
    add(["simdot_mean", "simdot_var"], spread(&over_classes(&|i| dot(&weights[i], &centred[i])), 1.0));
    add(["simcos_mean", "simcos_var"], spread(&over_classes(&cosine), 1.0));
    add(["dists_mean", "dists_var"], spread(&over_classes(&distance), 1.0));
    add(["interfere_mean", "interfere_var"], spread(&over_pairs(&|i, j| dot(&centred[i], &centred[j])), 0.0));
    add(
        ["interfere_cosine_mean", "interfere_cosine_var"],
        spread(&over_pairs(&|i, j| dot(&units[i], &units[j])), 0.0),
    );
    add(["log_kern_mean", "log_kern_var"], spread(&over_pairs(&|i, j| -on_sphere(i, j).ln()), 0.0));
    add(["riesz_kern_mean", "riesz_kern_var"], spread(&over_pairs(&riesz), 0.0));
    add(["dist_kern_mean", "dist_kern_var"], spread(&over_pairs(&on_sphere), 0.0));
    columns.extend(around_all_samples(case, &rows, &weights));
    columns.extend(over_single_classes(case, &rows, &centred));
    let units_gram: f64 =
        over_classes(&|i| (0..k).map(|j| dot(&units[i], &units[j]).powi(2)).sum()).iter().sum();
    let trace: f64 = over_classes(&|i| dot(&centred[i], &centred[i])).iter().sum();
    let gram: f64 =
        over_classes(&|i| (0..k).map(|j| dot(&centred[i], &centred[j]).powi(2)).sum()).iter().sum();
    columns.push(("frame_potential", units_gram));
    columns.push(("participation_ratio", trace * trace / gram));
    columns.push(("pr_over_d", trace * trace / gram / case.dim as f64));
    columns
}

/// Columns of means that are centred on the mean over all samples.
fn around_all_samples(case: &Case, rows: &[Vec<f64>], weights: &[Vec<f64>]) -> Vec<(&'static str, f64)> {
    let k = rows.len();
    let samples: f64 = case.counts.iter().map(|&n| f64::from(n)).sum();
    let coordinate = |d: usize| (0..k).map(|i| f64::from(case.counts[i]) * rows[i][d]).sum::<f64>() / samples;
    let global: Vec<f64> = (0..case.dim).map(coordinate).collect();
    let centred: Vec<Vec<f64>> = rows.iter().map(|row| minus(row, &global)).collect();
    let unit = |a: &[f64]| scaled(a, 1.0 / norm(a));
    let over_pairs = |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
        (0..k).flat_map(|i| (i + 1..k).map(move |j| (i, j))).map(|(i, j)| f(i, j)).collect()
    };
    let over_classes = |f: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..k).map(f).collect() };
    let cosine = |a: &[f64], b: &[f64]| dot(a, b) / norm(a) / norm(b);
    let both = [
        ("weighted_norms", spread(&over_classes(&|i| norm(&centred[i])), 1.0)),
        ("weighted_interfere", spread(&over_pairs(&|i, j| dot(&centred[i], &centred[j])), 0.0)),
        ("weighted_interfere_cosine", spread(&over_pairs(&|i, j| cosine(&centred[i], &centred[j])), 0.0)),
        ("weighted_simcos", spread(&over_classes(&|i| cosine(&weights[i], &centred[i])), 1.0)),
        (
            "weighted_dists",
            spread(&over_classes(&|i| norm(&minus(&unit(&weights[i]), &unit(&centred[i])))), 1.0),
        ),
    ];
    let named = |name: &str| {
        MEASURES.iter().flat_map(|measure| measure.columns).copied().find(|column| *column == name).unwrap()
    };
    let pairs = both.iter().flat_map(|(name, [mean, var])| {
        [(named(&format!("{name}_mean")), *mean), (named(&format!("{name}_var")), *var)]
    });
    pairs.chain([("weighted_etf_error", structure_error(&centred, &centred))]).collect()
}

/// The mean over the other classes of `(v_i + v_j)/2 / |M_i - M_j|^4`, for each class.
pub(crate) fn cdnv_by_class(case: &Case) -> Vec<f64> {
    let k = case.counts.len();
    let row = |i: usize| &case.means[i * case.dim..][..case.dim];
    let variance = |i: usize| case.vars[i] / f64::from(case.counts[i]);
    let of = |i: usize, j: usize| (variance(i) + variance(j)) / 2.0 / norm(&minus(row(i), row(j))).powi(4);
    (0..k).map(|i| (0..k).filter(|&j| j != i).map(|j| of(i, j)).sum::<f64>() / (k as f64 - 1.0)).collect()
}

/// Correlations with the frequency of classes.
fn over_single_classes(case: &Case, rows: &[Vec<f64>], centred: &[Vec<f64>]) -> Vec<(&'static str, f64)> {
    let k = rows.len();
    let weight = |i: usize| -> Vec<f64> {
        case.weights[i * case.dim..][..case.dim].iter().map(|&w| f64::from(w)).collect()
    };
    let cosine = |i: usize| dot(&weight(i), &centred[i]) / norm(&weight(i)) / norm(&centred[i]);
    let seen: Vec<usize> = (0..k).filter(|&i| case.decision_counts[i] > 0).collect();
    let share = |i: usize| f64::from(case.hits[i]) / f64::from(case.decision_counts[i]);
    let everywhere: Vec<usize> = (0..k).collect();
    let cdnv = cdnv_by_class(case);
    let correlation = |classes: &[usize], value: &dyn Fn(usize) -> f64| {
        let x: Vec<f64> = classes.iter().map(|&i| f64::from(case.counts[i]).ln()).collect();
        let y: Vec<f64> = classes.iter().map(|&i| value(i)).collect();
        let is_constant = |values: &&Vec<f64>| values.iter().all(|value| (value - values[0]).abs() < 1e-12);
        if [&x, &y].iter().any(is_constant) {
            return f64::NAN;
        }
        let ([x_mean, x_var], [y_mean, y_var]) = (spread(&x, 0.0), spread(&y, 0.0));
        let both: Vec<f64> = x.iter().zip(&y).map(|(x, y)| (x - x_mean) * (y - y_mean)).collect();
        spread(&both, 0.0)[0] / (x_var * y_var).sqrt()
    };
    vec![
        ("cdnv_freq_r", correlation(&everywhere, &|i| cdnv[i].ln())),
        ("norms_freq_r", correlation(&everywhere, &|i| norm(&centred[i]).ln())),
        ("simcos_freq_r", correlation(&everywhere, &cosine)),
        ("agreement_freq_r", correlation(&seen, &share)),
        ("agreement_unweighted", seen.iter().map(|&i| share(i)).sum::<f64>() / seen.len() as f64),
    ]
}

/// Compares a result over all classes with the formulas written out.
pub(crate) fn assert_agrees(case: &Case, found: &Measured, tolerance: f64) {
    for (column, expected) in columns(case) {
        let value = found.get(column).unwrap_or_else(|| panic!("{column} is missing"));
        // Kernels of a line's directions have distance zero, and are infinite.
        let same = value == expected || (!value.is_finite() && !expected.is_finite());
        let near = (value - expected).abs() <= tolerance * expected.abs().max(1e-4);
        assert!(
            same || near,
            "{column} is {value:e}, written out {expected:e}, of {} classes",
            case.counts.len()
        );
    }
}
