//! Groups of measures, by the names that a study and `lc-worker analyze` ask for them.

/// Every column of the published table.
pub const ALL: &str = "all";
/// What evaluation and the checkpoint itself tell.
pub const LOSS: &str = "loss";
/// What needs the covariance around the class means (`collection.covariance`).
pub const COVARIANCE: &str = "cov";
/// What needs the means over other texts, which no study collects.
pub const FOREIGN: &str = "ood";

/// All names that are accepted, in the order of their columns.
pub const GROUPS: [&str; 19] = [
    ALL,
    LOSS,
    "snr",
    "snr2",
    "nor",
    "etf",
    "rank",
    "cos",
    "kern-log",
    "kern-riesz",
    "kern-dist",
    "dual",
    "dual-raw",
    "decs",
    "agree",
    COVARIANCE,
    FOREIGN,
    "freq",
    "weighted",
];

/// The groups that [`ALL`] holds.
pub const PUBLISHED: [&str; 7] = [LOSS, "snr", "nor", "etf", "kern-log", "dual", "decs"];
