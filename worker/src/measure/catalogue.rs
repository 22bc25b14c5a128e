//! Every measure: its group, columns, formula and source.

use super::{
    cdnv,
    classes::Centre,
    covariance, decisions, duality, etf, foreign, frequency, interference, kernels, norms,
    pairs::Wanted,
    registry::{Measure, Need, WantedGrams},
};

const CDNV: Wanted = Wanted { cdnv: true, ..Wanted::NONE };
const NO_GRAMS: WantedGrams = WantedGrams { centred: false, units: false, weights: false };
const CENTRED: WantedGrams = WantedGrams { centred: true, ..NO_GRAMS };
const UNITS: WantedGrams = WantedGrams { units: true, ..NO_GRAMS };

const PAPER: &str = "Wu & Papyan 2024, arXiv 2405.17767";
const COLLAPSE: &str = "Papyan, Han & Donoho 2020, arXiv 2008.08186";
const GALANTI: &str = "Galanti, Gyorgy & Hutter 2021, arXiv 2112.15121";
const BENEDETTO: &str = "Benedetto & Fickus 2003, doi 10.1023/A:1021323312367";
const LIU: &str = "Liu et al. 2023, arXiv 2303.06484";
const NECO: &str = "Ben Ammar et al. 2023, arXiv 2310.06823";
const OURS: &str = "this project";

/// A measure that needs nothing beyond the means.
const PLAIN: Measure = Measure {
    group: "",
    columns: &[],
    formula: "",
    source: PAPER,
    published: true,
    needs: &[],
    centre: Centre::Plain,
    pairs: Wanted::NONE,
    grams: NO_GRAMS,
    compute: |_| Vec::new(),
};

/// A measure of means around the mean over all samples, which common tokens dominate.
const WEIGHTED: Measure =
    Measure { group: "weighted", source: OURS, published: false, centre: Centre::Weighted, ..PLAIN };

/// A correlation with the frequency of tokens.
const FREQUENCY: Measure = Measure { group: "freq", source: OURS, published: false, ..PLAIN };

/// All measures, in the order of their columns in a table.
pub static MEASURES: &[Measure] = &[
    Measure {
        group: "snr",
        columns: &["cdnv"],
        formula: "mean over pairs of (v_i+v_j)/2 / |M_i-M_j|^4",
        needs: &[Need::Vars],
        pairs: CDNV,
        compute: cdnv::fourth_power,
        ..PLAIN
    },
    Measure {
        group: "snr2",
        columns: &["cdnv_exp1"],
        formula: "mean over pairs of (v_i+v_j)/2 / |M_i-M_j|^2",
        source: GALANTI,
        published: false,
        needs: &[Need::Vars],
        pairs: CDNV,
        compute: cdnv::square,
        ..PLAIN
    },
    Measure {
        group: "nor",
        columns: &["norms_mean", "norms_var"],
        formula: "mean and unbiased variance of |c_i|",
        source: COLLAPSE,
        compute: norms::plain,
        ..PLAIN
    },
    Measure {
        group: "nor",
        columns: &["norms_log_mean", "norms_log_var"],
        formula: "mean and unbiased variance of ln |c_i|",
        compute: norms::log,
        ..PLAIN
    },
    Measure {
        group: "etf",
        columns: &["etf_error"],
        formula: "|C C^T/|C C^T| - (I - J/K)/sqrt(K-1)|",
        source: COLLAPSE,
        grams: CENTRED,
        compute: etf::error,
        ..PLAIN
    },
    Measure {
        group: "etf",
        columns: &["interfere_mean", "interfere_var"],
        formula: "mean and population variance over pairs of c_i.c_j",
        grams: CENTRED,
        compute: interference::plain,
        ..PLAIN
    },
    Measure {
        group: "rank",
        columns: &["participation_ratio"],
        formula: "(tr A)^2/|A|^2 with A = C^T C",
        source: OURS,
        published: false,
        grams: CENTRED,
        compute: etf::participation_ratio,
        ..PLAIN
    },
    Measure {
        group: "rank",
        columns: &["pr_over_d"],
        formula: "participation ratio/width",
        source: OURS,
        published: false,
        grams: CENTRED,
        compute: etf::share_of_width,
        ..PLAIN
    },
    Measure {
        group: "rank",
        columns: &["frame_potential"],
        formula: "|U^T U|^2, rows c_i/|c_i|",
        source: BENEDETTO,
        published: false,
        grams: UNITS,
        compute: etf::frame_potential,
        ..PLAIN
    },
    Measure {
        group: "cos",
        columns: &["interfere_cosine_mean", "interfere_cosine_var"],
        formula: "mean and population variance over pairs of cos(c_i, c_j)",
        published: false,
        grams: UNITS,
        compute: interference::cosine,
        ..PLAIN
    },
    Measure {
        group: "kern-log",
        columns: &["log_kern_mean", "log_kern_var"],
        formula: "mean and population variance over pairs of -ln |c_i/|c_i| - c_j/|c_j||",
        source: LIU,
        pairs: Wanted { log: true, ..Wanted::NONE },
        compute: kernels::log,
        ..PLAIN
    },
    Measure {
        group: "kern-riesz",
        columns: &["riesz_kern_mean", "riesz_kern_var"],
        formula: "mean and population variance over pairs of sign(s) |c_i/|c_i| - c_j/|c_j||^-s, s = width-2",
        source: LIU,
        published: false,
        pairs: Wanted { riesz: true, ..Wanted::NONE },
        compute: kernels::riesz,
        ..PLAIN
    },
    Measure {
        group: "kern-dist",
        columns: &["dist_kern_mean", "dist_kern_var"],
        formula: "mean and population variance over pairs of |c_i/|c_i| - c_j/|c_j||",
        source: LIU,
        published: false,
        pairs: Wanted { distance: true, ..Wanted::NONE },
        compute: kernels::distance,
        ..PLAIN
    },
    Measure {
        group: "dual",
        columns: &["dual_error"],
        formula: "|W C^T/|W C^T| - (I - J/K)/sqrt(K-1)|",
        source: COLLAPSE,
        needs: &[Need::Weights],
        grams: WantedGrams { centred: true, weights: true, ..NO_GRAMS },
        compute: duality::error,
        ..PLAIN
    },
    Measure {
        group: "dual",
        columns: &["simdot_mean", "simdot_var"],
        formula: "mean and unbiased variance of w_i.c_i",
        needs: &[Need::Weights],
        compute: duality::products,
        ..PLAIN
    },
    Measure {
        group: "dual",
        columns: &["simcos_mean", "simcos_var"],
        formula: "mean and unbiased variance of cos(w_i, c_i)",
        needs: &[Need::Weights],
        compute: duality::cosines,
        ..PLAIN
    },
    Measure {
        group: "dual",
        columns: &["dists_mean", "dists_var"],
        formula: "mean and unbiased variance of |w_i/|w_i| - c_i/|c_i||",
        needs: &[Need::Weights],
        compute: duality::distances,
        ..PLAIN
    },
    Measure {
        group: "dual-raw",
        columns: &["dists_unnormalised_mean", "dists_unnormalised_var"],
        formula: "mean and unbiased variance of |w_i - c_i|",
        published: false,
        needs: &[Need::Weights],
        compute: duality::plain_distances,
        ..PLAIN
    },
    Measure {
        group: "decs",
        columns: &["hits", "misses"],
        formula: "validation samples on which the linear and the nearest-mean decision agree, and disagree",
        needs: &[Need::Decisions],
        compute: decisions::hits_and_misses,
        ..PLAIN
    },
    Measure {
        group: "agree",
        columns: &["agreement_weighted"],
        formula: "hits/(hits+misses)",
        published: false,
        needs: &[Need::Decisions],
        compute: decisions::agreement,
        ..PLAIN
    },
    Measure {
        group: "agree",
        columns: &["agreement_unweighted"],
        formula: "mean of hits/samples over classes with validation samples",
        published: false,
        needs: &[Need::Decisions],
        compute: decisions::unweighted_agreement,
        ..PLAIN
    },
    Measure {
        group: "cov",
        columns: &["covariance_ratio_pinv"],
        formula: "tr(pinv(C^T C/K) S)/K, S the within-class covariance",
        source: COLLAPSE,
        published: false,
        needs: &[Need::Covariance],
        grams: CENTRED,
        compute: covariance::pseudo_inverse,
        ..PLAIN
    },
    Measure {
        group: "cov",
        columns: &["covariance_ratio_quotient"],
        formula: "tr S/tr(C^T C/K), S the within-class covariance",
        published: false,
        needs: &[Need::Covariance],
        compute: covariance::quotient,
        ..PLAIN
    },
    Measure {
        group: "ood",
        columns: &["orthogonality_deviation"],
        formula: "mean of |cos(M_i, m)|, m the mean embedding of texts from elsewhere",
        source: NECO,
        published: false,
        needs: &[Need::ForeignMean],
        compute: foreign::orthogonality_deviation,
        ..PLAIN
    },
    Measure {
        columns: &["cdnv_freq_r"],
        formula: "Pearson's r over classes of ln count and ln(mean over j of (v_i+v_j)/2 / |M_i-M_j|^4)",
        needs: &[Need::Vars],
        pairs: Wanted { cdnv_by_class: true, ..CDNV },
        compute: frequency::cdnv,
        ..FREQUENCY
    },
    Measure {
        columns: &["norms_freq_r"],
        formula: "Pearson's r over classes of ln count and ln |c_i|",
        compute: frequency::norms,
        ..FREQUENCY
    },
    Measure {
        columns: &["simcos_freq_r"],
        formula: "Pearson's r over classes of ln count and cos(w_i, c_i)",
        needs: &[Need::Weights],
        compute: frequency::cosines,
        ..FREQUENCY
    },
    Measure {
        columns: &["agreement_freq_r"],
        formula: "Pearson's r over classes with validation samples of ln count and hits/samples",
        needs: &[Need::Decisions],
        compute: frequency::agreement,
        ..FREQUENCY
    },
    Measure {
        columns: &["weighted_norms_mean", "weighted_norms_var"],
        formula: "mean and unbiased variance of |c_i|, c_i = M_i less the mean over all samples",
        compute: norms::plain,
        ..WEIGHTED
    },
    Measure {
        columns: &["weighted_etf_error"],
        formula: "|C C^T/|C C^T| - (I - J/K)/sqrt(K-1)|, c_i = M_i less the mean over all samples",
        grams: CENTRED,
        compute: etf::error,
        ..WEIGHTED
    },
    Measure {
        columns: &["weighted_interfere_mean", "weighted_interfere_var"],
        formula: "mean and population variance over pairs of c_i.c_j, c_i = M_i less the mean over all samples",
        grams: CENTRED,
        compute: interference::plain,
        ..WEIGHTED
    },
    Measure {
        columns: &["weighted_interfere_cosine_mean", "weighted_interfere_cosine_var"],
        formula: "mean and population variance over pairs of cos(c_i, c_j), c_i = M_i less the mean over all samples",
        grams: UNITS,
        compute: interference::cosine,
        ..WEIGHTED
    },
    Measure {
        columns: &["weighted_simcos_mean", "weighted_simcos_var"],
        formula: "mean and unbiased variance of cos(w_i, c_i), c_i = M_i less the mean over all samples",
        needs: &[Need::Weights],
        compute: duality::cosines,
        ..WEIGHTED
    },
    Measure {
        columns: &["weighted_dists_mean", "weighted_dists_var"],
        formula: "mean and unbiased variance of |w_i/|w_i| - c_i/|c_i||, c_i = M_i less the mean over all samples",
        needs: &[Need::Weights],
        compute: duality::distances,
        ..WEIGHTED
    },
];
