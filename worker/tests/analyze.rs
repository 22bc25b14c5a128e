//! From statistics files and checkpoints to the table, against the published tool's output.

use half::bf16;
use protocol::{output::AnalyzeOutput, spec::AnalyzeSpec, stage::StageKind};
use safetensors::{
    SafeTensors,
    tensor::{Dtype, TensorView},
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use worker::{
    Error,
    analyze::{accepted_groups, analyze, progress},
    report::Report,
    stats::{self, Decs, Means, Meta, Vars, means_hash},
};

const MODELS: [&str; 3] = ["01x0032_01n", "02x0048_01d", "01x0064_03L"];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/analyze").join(name)
}

/// The golden statistics, one file per stage.
fn golden_stats() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let info: serde_json::Value =
        serde_json::from_slice(&fs::read(golden("stats/info.json")).unwrap()).unwrap();
    for name in MODELS {
        let bytes = fs::read(golden(&format!("stats/{name}@0.safetensors"))).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let i32s = |name: &str| -> Vec<i32> {
            tensors
                .tensor(name)
                .unwrap()
                .data()
                .as_chunks()
                .0
                .iter()
                .map(|b| i32::from_le_bytes(*b))
                .collect()
        };
        let f64s = |name: &str| -> Vec<f64> {
            tensors
                .tensor(name)
                .unwrap()
                .data()
                .as_chunks()
                .0
                .iter()
                .map(|b| f64::from_le_bytes(*b))
                .collect()
        };
        let meta = |stage: StageKind| Meta {
            hash: info[name][stage.as_str()]["hash"].as_str().unwrap().into(),
            n_seqs: info[name][stage.as_str()]["N_seqs"].as_u64().unwrap(),
            made_from: [("made_by".to_owned(), "the published tool".to_owned())].into(),
        };
        let path = |stage: StageKind| stats::path(folder.path(), stage, 0, name);
        let dim = tensors.tensor("means.totals").unwrap().shape()[1];
        let (counts, totals) = (i32s("means.Ns_toks"), f64s("means.totals"));
        Means { counts, totals, dim, meta: meta(StageKind::Means) }.write(&path(StageKind::Means)).unwrap();
        let (counts, totals) = (i32s("vars.Ns_toks"), f64s("vars.totals"));
        Vars { counts, totals, covariance: None, meta: meta(StageKind::Vars) }
            .write(&path(StageKind::Vars))
            .unwrap();
        let (counts, totals) = (i32s("decs.Ns_toks"), i32s("decs.totals"));
        Decs { counts, totals, meta: meta(StageKind::Decs) }.write(&path(StageKind::Decs)).unwrap();
    }
    folder
}

fn spec(stats: &Path, measures: &[&str]) -> AnalyzeSpec {
    AnalyzeSpec {
        stats: stats.to_owned(),
        models: golden("models"),
        only: None,
        measures: measures.iter().map(|&group| group.to_owned()).collect(),
        min_per_class: 1,
        max_per_class: None,
        out: None,
    }
}

fn run(spec: &AnalyzeSpec) -> AnalyzeOutput {
    analyze(spec, &Report::silent()).unwrap()
}

fn refusal(spec: &AnalyzeSpec) -> String {
    let error = analyze(spec, &Report::silent()).unwrap_err();
    assert!(matches!(error, Error::Input(_)), "{error}");
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

fn assert_table(found: &Path, expected: &Path) {
    let read = |path: &Path| -> Vec<Vec<String>> {
        let mut csv = csv::ReaderBuilder::new().has_headers(false).from_path(path).unwrap();
        csv.records().map(|line| line.unwrap().iter().map(str::to_owned).collect()).collect()
    };
    let (found, expected) = (read(found), read(expected));
    assert_eq!(found[0], expected[0], "columns");
    assert_eq!(found.len(), expected.len(), "rows");
    for (found, line) in found.iter().zip(&expected).skip(1) {
        for (column, (found, value)) in expected[0].iter().zip(found.iter().zip(line)) {
            if ["model", "n_params", "hits", "misses", "val_acc", "val_loss", "perplex"]
                .contains(&column.as_str())
            {
                assert_eq!(found, value, "{column}");
                continue;
            }
            let single =
                ["cdnv", "log_kern", "dual", "simcos", "dists"].iter().any(|it| column.starts_with(it));
            let tolerance = if single { 1e-5 } else { 1e-6 };
            let (x, y): (f64, f64) = (found.parse().unwrap(), value.parse().unwrap());
            assert!(
                (x - y).abs() <= tolerance * y.abs(),
                "{column} of {}: {found}, expected {value}",
                line[0]
            );
        }
    }
}

#[test]
fn the_published_tools_table_is_reproduced() {
    let stats = golden_stats();
    let out = stats.path().join("results/all.csv");
    run(&AnalyzeSpec { out: Some(out.clone()), ..spec(stats.path(), &["all"]) });
    assert_table(&out, &golden("all.csv"));

    // The same from its groups, in whatever order they are asked for.
    let again = stats.path().join("results/groups.csv");
    let groups = ["decs", "dual", "kern-log", "etf", "nor", "snr", "loss"];
    run(&AnalyzeSpec { out: Some(again.clone()), ..spec(stats.path(), &groups) });
    assert_eq!(fs::read(&out).unwrap(), fs::read(&again).unwrap());
}

#[test]
fn the_filter_keeps_classes_by_their_train_counts() {
    let stats = golden_stats();
    let out = stats.path().join("filtered.csv");
    let filtered = AnalyzeSpec { min_per_class: 5, max_per_class: Some(60), ..spec(stats.path(), &["all"]) };
    run(&AnalyzeSpec { out: Some(out.clone()), ..filtered.clone() });
    assert_table(&out, &golden("min5max60.csv"));
    assert!(refusal(&AnalyzeSpec { max_per_class: Some(5), ..filtered }).contains("max_per_class"));
}

#[test]
fn the_progress_table_is_the_published_tools() {
    let stats = golden_stats();
    let expected = fs::read_to_string(golden("progress.txt")).unwrap();
    assert_eq!(progress(&spec(stats.path(), &["all"])).unwrap(), expected);

    fs::remove_file(stats::path(stats.path(), StageKind::Decs, 0, "02x0048_01d")).unwrap();
    let table = progress(&spec(stats.path(), &["all"])).unwrap();
    assert!(table.contains("02x0048_01d@0     150    150      -    159\n"), "{table}");
}

#[test]
fn double_precision_keeps_riesz_kernels_finite() {
    let stats = golden_stats();
    let output = run(&spec(stats.path(), &["kern-riesz"]));
    assert_eq!(output.columns, ["riesz_kern_mean", "riesz_kern_var"]);
    assert_eq!(output.rows.len(), 3);
    for row in output.rows {
        let mean = row.values["riesz_kern_mean"].0;
        assert!(mean.is_finite() && mean > 0.0, "{}: {mean:e}", row.model);
    }
}

#[test]
fn only_one_checkpoint_is_computed_when_it_is_named() {
    let stats = golden_stats();
    let one = ("TinyStories-02x0048_01d".to_owned(), 0);
    let output = run(&AnalyzeSpec { only: Some(one), ..spec(stats.path(), &["loss", "nor"]) });
    let rows: Vec<&str> = output.rows.iter().map(|row| row.model.as_str()).collect();
    assert_eq!(rows, ["02x0048_01d@0"]);
    assert_eq!(output.rows[0].values["n_params"].0, 84_000.0);

    let other = AnalyzeSpec { only: Some(("02x0048_01d".into(), 3)), ..spec(stats.path(), &["nor"]) };
    assert!(refusal(&other).contains("means@3/02x0048_01d-means.safetensors"));
}

#[test]
fn an_unknown_group_is_refused_with_those_accepted() {
    let line = refusal(&spec(Path::new("nowhere"), &["nor", "norms"]));
    assert!(line.contains("\"norms\""), "{line}");
    for group in ["all", "loss", "nor", "etf", "kern-log", "kern-riesz", "snr", "dual", "decs"] {
        assert!(accepted_groups().contains(&group) && line.contains(group), "{group}: {line}");
    }
}

#[test]
fn statistics_made_with_other_means_are_refused_by_name() {
    let stats = golden_stats();
    let path = stats::path(stats.path(), StageKind::Decs, 0, "01x0064_03L");
    let mut decs = Decs::read(&path).unwrap();
    decs.meta.hash = decs.meta.hash.replace('a', "b");
    decs.write(&path).unwrap();
    let line = refusal(&spec(stats.path(), &["all"]));
    assert!(line.contains("decs@0/01x0064_03L-decs.safetensors") && line.contains("other means"), "{line}");
    // Nobody asked for decisions here.
    assert_eq!(run(&spec(stats.path(), &["snr"])).rows.len(), 3);

    let path = stats::path(stats.path(), StageKind::Vars, 0, "01x0032_01n");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(refusal(&spec(stats.path(), &["snr"])).contains("vars@0/01x0032_01n-vars.safetensors"));
}

#[test]
fn means_that_were_tampered_with_are_refused() {
    let stats = golden_stats();
    let path = stats::path(stats.path(), StageKind::Means, 0, "01x0032_01n");
    let mut bytes = fs::read(&path).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(refusal(&spec(stats.path(), &["nor"])).contains("means@0/01x0032_01n-means.safetensors"));
}

#[test]
fn what_is_not_there_leaves_cells_empty() {
    let stats = golden_stats();
    fs::remove_file(stats::path(stats.path(), StageKind::Vars, 0, "02x0048_01d")).unwrap();
    let out = stats.path().join("table.csv");
    let models = stats.path().join("no-models");
    run(&AnalyzeSpec { models, out: Some(out.clone()), ..spec(stats.path(), &["loss", "snr", "decs"]) });
    let table = fs::read_to_string(&out).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "model,n_params,val_acc,val_loss,perplex,cdnv,hits,misses");
    assert_eq!(lines[2], "02x0048_01d@0,,,,,,672,588");
}

/// Statistics of four classes of width two, the first two with equal means.
fn duplicates(stats: &Path, name: &str) {
    let mut means = Means {
        counts: vec![2, 1, 1, 1],
        totals: vec![2.0, 4.0, 1.0, 2.0, -1.0, 0.5, 0.0, -3.0],
        dim: 2,
        meta: Meta { n_seqs: 1, ..Meta::default() },
    };
    means.meta.hash = means_hash(&means);
    means.write(&stats::path(stats, StageKind::Means, 1, name)).unwrap();
    let vars =
        Vars { counts: means.counts, totals: vec![1.0, 0.0, 0.0, 0.0], covariance: None, meta: means.meta };
    vars.write(&stats::path(stats, StageKind::Vars, 1, name)).unwrap();
}

#[test]
fn equal_means_are_infinite_in_the_table() {
    let stats = tempfile::tempdir().unwrap();
    duplicates(stats.path(), "mine");
    let out = stats.path().join("table.csv");
    run(&AnalyzeSpec { out: Some(out.clone()), ..spec(stats.path(), &["snr", "kern-log"]) });
    let table = fs::read_to_string(&out).unwrap();
    assert_eq!(table, "model,cdnv,log_kern_mean,log_kern_var\nmine@1,inf,inf,\n");
}

#[test]
fn checkpoints_in_half_precision_and_in_shards_are_read() {
    let folder = tempfile::tempdir().unwrap();
    duplicates(folder.path(), "study-mine");
    let models = folder.path().join("models");
    for step in [9, 10] {
        let checkpoint = models.join(format!("study-mine/checkpoint-{step}"));
        fs::create_dir_all(&checkpoint).unwrap();
        fs::write(checkpoint.join("config.json"), "{}").unwrap();
        let evaluated = "{\n \"eval_accuracy\": 1.0,\n \"eval_loss\": Infinity,\n \"epoch\": 2.0\n}";
        fs::write(checkpoint.join("eval_results.json"), evaluated).unwrap();
        let index = r#"{"weight_map": {"transformer.wte.weight": "a.safetensors", "lm_head.weight": "b.safetensors"}}"#;
        fs::write(checkpoint.join("model.safetensors.index.json"), index).unwrap();
        // Only the later checkpoint, by number, has a head that fits the means.
        let sign = if step == 10 { 1.0 } else { -1.0 };
        let head: Vec<u8> = [1.0, 2.0, 1.0, 2.0, -1.0, 0.5, 0.0, -3.0]
            .iter()
            .flat_map(|x| bf16::from_f64(sign * x).to_le_bytes())
            .collect();
        let view = || TensorView::new(Dtype::BF16, vec![4, 2], &head).unwrap();
        let mask = TensorView::new(Dtype::BOOL, vec![1, 1, 2, 2], &[1, 0, 1, 1]).unwrap();
        let shard = |tensors: Vec<(&str, TensorView<'_>)>, name: &str| {
            fs::write(checkpoint.join(name), safetensors::serialize(tensors, None).unwrap()).unwrap();
        };
        let attention_mask = "transformer.h.0.attn.attention.bias";
        shard(vec![("transformer.wte.weight", view()), (attention_mask, mask)], "a.safetensors");
        shard(vec![("lm_head.weight", view())], "b.safetensors");
    }
    let out = folder.path().join("table.csv");
    let output =
        run(&AnalyzeSpec { models, out: Some(out.clone()), ..spec(folder.path(), &["loss", "dual"]) });
    let values = &output.rows[0].values;
    assert_eq!(values["n_params"].0, 8.0);
    assert!(values["simcos_mean"].0 > 0.9, "{values:?}");
    let row = fs::read_to_string(&out).unwrap().lines().nth(1).unwrap().to_owned();
    assert!(row.starts_with("study-mine@1,8,1.0,inf,inf,"), "{row}");
}
