//! Golden statistics as files, small made-up ones, and what is asked of them.

use crate::golden::{self, Tensors};
use protocol::{spec::AnalyzeSpec, stage::StageKind};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use worker::stats::{self, Decs, Means, Meta, Vars, means_hash};

pub(crate) const MODELS: [&str; 3] = ["01x0032_01n", "02x0048_01d", "01x0064_03L"];

pub(crate) fn golden_file(name: &str) -> PathBuf {
    golden::path("analyze").join(name)
}

/// The golden statistics, one file per stage.
pub(crate) fn golden_stats() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let info = golden::json("analyze/stats/info.json");
    for name in MODELS {
        let file = Tensors::read(&format!("analyze/stats/{name}@0.safetensors"));
        let i32s = |name| file.integers(name).0;
        let f64s = |name| file.doubles(name);
        let meta = |stage: StageKind| Meta {
            hash: info[name][stage.as_str()]["hash"].as_str().unwrap().into(),
            n_seqs: info[name][stage.as_str()]["N_seqs"].as_u64().unwrap(),
            made_from: [("made_by".to_owned(), "the published tool".to_owned())].into(),
        };
        let path = |stage: StageKind| stats::path(folder.path(), stage, 0, name);
        let dim = file.shape("means.totals")[1];
        let (counts, totals) = (i32s("means.Ns_toks"), f64s("means.totals"));
        Means { counts, totals, dim, squares: None, meta: meta(StageKind::Means) }
            .write(&path(StageKind::Means))
            .unwrap();
        let (counts, totals) = (i32s("vars.Ns_toks"), f64s("vars.totals"));
        Vars { counts, totals, covariance: None, meta: meta(StageKind::Vars) }
            .write(&path(StageKind::Vars))
            .unwrap();
        let (counts, totals) = (i32s("decs.Ns_toks"), i32s("decs.totals"));
        Decs { counts, totals, meta: meta(StageKind::Decs) }.write(&path(StageKind::Decs)).unwrap();
    }
    folder
}

pub(crate) fn spec(stats: &Path, measures: &[&str]) -> AnalyzeSpec {
    AnalyzeSpec {
        stats: stats.to_owned(),
        models: golden_file("models"),
        only: None,
        measures: measures.iter().map(|&group| group.to_owned()).collect(),
        min_per_class: 1,
        max_per_class: None,
        foreign_stats: None,
        compat: false,
        device: "cpu".to_owned(),
        out: None,
        per_class: None,
    }
}

/// Statistics of four classes of width two, the first two with equal means.
pub(crate) fn duplicates(stats: &Path, name: &str) {
    let mut means = Means {
        counts: vec![2, 1, 1, 1],
        totals: vec![2.0, 4.0, 1.0, 2.0, -1.0, 0.5, 0.0, -3.0],
        dim: 2,
        squares: None,
        meta: Meta { n_seqs: 1, ..Meta::default() },
    };
    means.meta.hash = means_hash(&means);
    means.write(&stats::path(stats, StageKind::Means, 1, name)).unwrap();
    let vars =
        Vars { counts: means.counts, totals: vec![1.0, 0.0, 0.0, 0.0], covariance: None, meta: means.meta };
    vars.write(&stats::path(stats, StageKind::Vars, 1, name)).unwrap();
}
