//! Collected statistics against the published tool: golden values, section 4; and losses of their model.

mod golden;

use golden::{Tensors, path};
use protocol::{
    spec::{CollectSpec, EvaluateSpec, PrepareSpec},
    stage::StageKind,
};
use std::{fs, path::Path};
use worker::{
    collect::collect,
    data::prepare,
    evaluate::evaluate,
    kernels::Precision,
    report::Report,
    stats::{self, Decs, Means, Meta, Vars},
};

/// The data and the model of the golden values, laid out as a study would have them.
fn lay_out(root: &Path) -> CollectSpec {
    let data = Tensors::read("collection/data.safetensors");
    for split in ["train", "validation"] {
        let (ids, shape) = data.integers(split);
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::I32, shape, &bytes).unwrap();
        let file = safetensors::serialize([("input_ids", view)], None).unwrap();
        fs::write(root.join(format!("{split}.safetensors")), file).unwrap();
    }
    let spec = PrepareSpec {
        dataset: root.join("train.safetensors").to_str().unwrap().to_owned(),
        tokenizer: "builtin".into(),
        validation: Some(root.join("validation.safetensors")),
        block_size: 64,
        shards: 2,
        out: root.join("data"),
    };
    let prepared = prepare(&spec, &Report::silent()).unwrap();
    assert_eq!(prepared.splits["train"].sequences, 150);
    assert_eq!(prepared.splits["validation"].sequences, 20);
    let checkpoint = root.join("models/TinyStories-02x0032_01n/checkpoint-60");
    fs::create_dir_all(&checkpoint).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(path("collection/model").join(file), checkpoint.join(file)).unwrap();
    }
    CollectSpec {
        model: root.join("models/TinyStories-02x0032_01n"),
        checkpoint: Some(0),
        data: root.join("data"),
        stats: root.join("stats"),
        batch_size: 1,
        save_every: 7,
        one_pass: false,
        covariance: false,
        tf32: false,
        replace: false,
        device: golden::DEVICE.into(),
    }
}

fn run(stage: StageKind, spec: &CollectSpec) -> protocol::output::CollectOutput {
    collect(stage, spec, &Report::silent()).unwrap()
}

#[test]
fn statistics_equal_the_published_tool() {
    let root = tempfile::tempdir().unwrap();
    let spec = lay_out(root.path());
    let expected = Tensors::read("collection/stats_bs1.safetensors");

    let output = run(StageKind::Means, &spec);
    assert_eq!((output.sequences, output.tokens, output.classes), (150, 9450, 159));
    let means = Means::read(&output.file).unwrap();
    assert_eq!(output.file, stats::path(&spec.stats, StageKind::Means, 0, "02x0032_01n"));
    assert_eq!(means.counts, expected.integers("means.Ns_toks").0);
    let totals = expected.doubles("means.totals");
    assert_eq!(means.totals.len(), totals.len());
    for (at, (value, wanted)) in means.totals.iter().zip(&totals).enumerate() {
        let tolerance = 1e-5 * f64::from(means.counts[at / means.dim]);
        assert!((value - wanted).abs() <= tolerance, "entry {at} is {value} instead of {wanted}");
    }

    let output = run(StageKind::Vars, &CollectSpec { covariance: true, ..spec.clone() });
    let vars = Vars::read(&output.file).unwrap();
    assert_eq!(vars.meta.hash, means.meta.hash);
    assert_eq!(vars.counts, means.counts);
    for (class, (value, wanted)) in vars.totals.iter().zip(expected.doubles("vars.totals")).enumerate() {
        // A class with one sample has no variance but the rounding of its mean.
        let close = (value - wanted).abs() <= 1e-4 * wanted.abs() + 1e-9;
        assert!(close, "class {class}: {value} instead of {wanted}");
    }

    let covariance = vars.covariance.unwrap();
    let wanted = expected.doubles("covar.totals");
    let largest = wanted.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    assert_eq!(covariance.len(), wanted.len());
    for (value, wanted) in covariance.iter().zip(&wanted) {
        assert!((value - wanted).abs() <= 1e-4 * largest, "covariance {value} instead of {wanted}");
    }
    let trace: f64 = covariance.iter().step_by(means.dim + 1).sum();
    assert!((trace / vars.totals.iter().sum::<f64>() - 1.0).abs() < 1e-12, "trace {trace}");

    let output = run(StageKind::Decs, &spec);
    let decs = Decs::read(&output.file).unwrap();
    assert_eq!(decs.meta.hash, means.meta.hash);
    assert_eq!((output.sequences, output.tokens), (20, 1260));
    assert_eq!(decs.counts, expected.integers("decs.Ns_toks").0);
    // Positions with two nearly equal candidates may go either way in single precision; all others
    // agree exactly.
    let gaps = [expected.doubles("decs.ncc_relative_gap_f64"), expected.doubles("decs.lin_gap_f64")];
    let [classes, nearest, linear] =
        ["decs.y_true", "decs.y_ncc_f64", "decs.y_lin_f64"].map(|name| expected.integers(name).0);
    let (mut least, mut open) = (vec![0; decs.totals.len()], vec![0; decs.totals.len()]);
    for (at, &class) in classes.iter().enumerate() {
        if gaps.iter().any(|gap| gap[at] < 1e-5) {
            open[class as usize] += 1;
        } else {
            least[class as usize] += i32::from(nearest[at] == linear[at]);
        }
    }
    let near_ties: i32 = open.iter().sum();
    assert!(near_ties < 5, "{near_ties} of 1260 positions set aside");
    for (class, &hits) in decs.totals.iter().enumerate() {
        let accepted = least[class]..=least[class] + open[class];
        assert!(accepted.contains(&hits), "class {class}: {hits} hits instead of {accepted:?}");
    }
    assert_eq!(output.hits, Some(decs.totals.iter().map(|&hits| hits as u64).sum()));
}

#[test]
fn variances_of_one_pass_equal_those_of_two() {
    let root = tempfile::tempdir().unwrap();
    let spec = lay_out(root.path());
    run(StageKind::Means, &spec);
    let file = run(StageKind::Vars, &spec).file;
    let two_passes = Vars::read(&file).unwrap();
    let two_passes_bytes = fs::read(&file).unwrap();
    let one = CollectSpec { one_pass: true, ..spec.clone() };
    let kept = collect(StageKind::Vars, &one, &Report::silent()).unwrap_err().to_string();
    assert!(
        kept.contains("02x0032_01n-vars.safetensors: was made with passes none, not 1; use --replace"),
        "{kept}"
    );
    assert_eq!(fs::read(&file).unwrap(), two_passes_bytes);
    let spec = CollectSpec { replace: true, ..spec };
    let one = CollectSpec { replace: true, ..one };
    let output = run(StageKind::Vars, &one);
    let one_pass = Vars::read(&output.file).unwrap();
    assert_eq!((one_pass.meta.n_seqs, output.tokens), (150, 9450));
    assert_eq!(one_pass.meta.hash, two_passes.meta.hash);
    assert_eq!(one_pass.counts, two_passes.counts);
    assert_ne!(one_pass.meta, two_passes.meta, "the file tells which way it was made");
    for (class, (one, two)) in one_pass.totals.iter().zip(&two_passes.totals).enumerate() {
        assert!((one - two).abs() <= 1e-9 * two, "class {class}: {one} instead of {two}");
    }
    assert!(two_passes.totals.iter().filter(|&&total| total > 0.0).count() > 100);
    // The reference way is not satisfied with the other one's file.
    run(StageKind::Vars, &spec);
    assert_eq!(fs::read(&file).unwrap(), two_passes_bytes);

    let means = stats::path(&spec.stats, StageKind::Means, 0, "02x0032_01n");
    let without = Means { squares: None, ..Means::read(&means).unwrap() };
    without.write(&means).unwrap();
    fs::remove_file(&file).unwrap();
    let refused = collect(StageKind::Vars, &one, &Report::silent()).unwrap_err();
    assert!(refused.to_string().contains("no sums of squares"), "{refused}");
    assert!(!file.exists());
}

#[test]
fn batch_size_and_repetition_do_not_change_a_byte() {
    let root = tempfile::tempdir().unwrap();
    let spec = lay_out(root.path());
    // A GPU chooses its products of matrices by their shape; there, only repetition is without a trace.
    let batch_size = if golden::DEVICE == "cpu" { 4 } else { spec.batch_size };
    let other = CollectSpec { batch_size, save_every: 1, stats: root.path().join("other"), ..spec.clone() };
    let spec = CollectSpec { covariance: true, ..spec };
    let other = CollectSpec { covariance: true, ..other };
    for stage in [StageKind::Means, StageKind::Vars, StageKind::Decs] {
        let (one, four) = (run(stage, &spec), run(stage, &other));
        let bytes = fs::read(&one.file).unwrap();
        assert_eq!(bytes, fs::read(&four.file).unwrap(), "{stage}");
        assert!(!one.file.with_extension("partial").exists());
        let modified = fs::metadata(&one.file).unwrap().modified().unwrap();
        assert_eq!(run(stage, &spec), one);
        assert_eq!(fs::metadata(&one.file).unwrap().modified().unwrap(), modified, "{stage} was done again");
    }
}

#[test]
fn batch_size_does_not_change_a_digit_of_a_loss() {
    let root = tempfile::tempdir().unwrap();
    let spec = lay_out(root.path());
    let with = |batch_size| {
        let CollectSpec { model, checkpoint, data, device, .. } = spec.clone();
        let spec = EvaluateSpec { model, checkpoint, data, split: "train".into(), batch_size, device };
        let output = evaluate(&spec, &Report::silent()).unwrap();
        (output.eval_loss.0.to_bits(), output.eval_accuracy, output.eval_samples)
    };
    let one = with(1);
    assert_eq!(one.2, 150);
    // A GPU chooses its products of matrices by their shape.
    let sizes: &[u32] = if golden::DEVICE == "cpu" { &[2, 3, 16, 63, 150] } else { &[1] };
    for &size in sizes {
        assert_eq!(with(size), one, "batches of {size}");
    }
}

#[test]
fn rounded_products_are_named_in_the_file_or_refused() {
    let root = tempfile::tempdir().unwrap();
    let spec = CollectSpec { tf32: true, ..lay_out(root.path()) };
    let outcome = collect(StageKind::Means, &spec, &Report::silent());
    if Precision::Tf32.exists_on::<golden::Tested>(&golden::device()) {
        let means = Means::read(&outcome.unwrap().file).unwrap();
        assert_eq!(means.meta.made_from["products"], "tf32");
    } else {
        let refused = outcome.unwrap_err();
        assert!(refused.to_string().contains("leave --tf32 out"), "{refused}");
        assert_eq!(refused.exit_code(), 2);
    }
}

#[test]
fn what_is_made_with_means_of_rounded_products_says_so() {
    let root = tempfile::tempdir().unwrap();
    let spec = lay_out(root.path());
    let file = run(StageKind::Means, &spec).file;
    let told = |stage, spec: &CollectSpec| {
        let file = run(stage, spec).file;
        let meta = if stage == StageKind::Vars {
            Vars::read(&file).unwrap().meta
        } else {
            Decs::read(&file).unwrap().meta
        };
        ["products", "means_products"].map(|key| meta.made_from.get(key).cloned())
    };
    let one_pass = CollectSpec { one_pass: true, replace: true, ..spec.clone() };
    assert_eq!(told(StageKind::Vars, &one_pass), [None, None]);
    // As on a device that has such products.
    let mut means = Means::read(&file).unwrap();
    means.meta.made_from.insert("products".into(), "tf32".into());
    means.write(&file).unwrap();
    let tf32 = || Some("tf32".to_owned());
    let kept =
        collect(StageKind::Vars, &CollectSpec { replace: false, ..one_pass.clone() }, &Report::silent());
    let kept = kept.unwrap_err().to_string();
    assert!(kept.contains("was made with products none, not tf32"), "{kept}");
    assert_eq!(told(StageKind::Vars, &one_pass), [tf32(), tf32()]);
    let two_passes = CollectSpec { replace: true, ..spec.clone() };
    assert_eq!(told(StageKind::Vars, &two_passes), [None, tf32()]);
    assert_eq!(told(StageKind::Decs, &spec), [None, tf32()]);
    // The hash of the means holds for statistics of earlier versions.
    let file = stats::path(&spec.stats, StageKind::Decs, 0, "02x0032_01n");
    let mut decs = Decs::read(&file).unwrap();
    decs.meta.made_from.remove("means_products");
    decs.write(&file).unwrap();
    assert_eq!(told(StageKind::Decs, &spec), [None, None]);
}

#[test]
fn variances_refuse_means_of_other_weights() {
    let root = tempfile::tempdir().unwrap();
    let spec = lay_out(root.path());
    let missing = collect(StageKind::Vars, &spec, &Report::silent()).unwrap_err();
    assert!(missing.to_string().contains("collect the means"), "{missing}");
    run(StageKind::Means, &spec);
    let weights = spec.model.join("checkpoint-60/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&weights, &bytes).unwrap();
    for stage in [StageKind::Vars, StageKind::Decs] {
        let refused = collect(stage, &spec, &Report::silent()).unwrap_err();
        assert!(refused.to_string().contains("outdated"), "{refused}");
        assert_eq!(refused.exit_code(), 2);
    }
    bytes.truncate(last);
    fs::write(&weights, &bytes).unwrap();
    let damaged = collect(StageKind::Means, &spec, &Report::silent()).unwrap_err();
    assert!(
        damaged.to_string().contains("model.safetensors: damaged or not a safetensors file"),
        "{damaged}"
    );
}

#[test]
fn finished_statistics_of_anything_else_are_kept_unless_they_are_to_be_replaced() {
    let root = tempfile::tempdir().unwrap();
    let spec = lay_out(root.path());
    let stages = [StageKind::Means, StageKind::Vars, StageKind::Decs];
    let files = stages.map(|stage| run(stage, &spec).file);
    let bytes = files.clone().map(|file| fs::read(file).unwrap());
    let refused = |stage, spec: &CollectSpec, at: usize, says: &str| {
        let refused = collect(stage, spec, &Report::silent()).unwrap_err();
        let line = refused.to_string();
        assert!(line.starts_with(&files[at].display().to_string()) && line.contains(says), "{line}");
        assert!(line.ends_with("use --replace or another --stats"), "{line}");
        assert_eq!(refused.exit_code(), 2);
        assert_eq!(fs::read(&files[at]).unwrap(), bytes[at]);
        assert!(!files[at].with_extension("partial").exists());
    };
    // Other weights under the same name.
    overwrite(&spec.model.join("checkpoint-60/model.safetensors"), "transformer.ln_f.bias", 0.5);
    refused(StageKind::Means, &spec, 0, "was made with checkpoint_sha256 ");
    let replacing = CollectSpec { replace: true, ..spec.clone() };
    run(StageKind::Means, &replacing);
    assert_ne!(fs::read(&files[0]).unwrap(), bytes[0]);
    for (at, stage) in [(1, StageKind::Vars), (2, StageKind::Decs)] {
        refused(stage, &spec, at, "was made with checkpoint_sha256 ");
        run(stage, &replacing);
        assert_ne!(fs::read(&files[at]).unwrap(), bytes[at]);
        // What belongs is what is asked for.
        run(stage, &spec);
    }

    // Of another program, which tells nothing; and made with other means.
    let mut means = Means::read(&files[0]).unwrap();
    means.meta.made_from = [("made_by".to_owned(), "another program".to_owned())].into();
    means.write(&files[0]).unwrap();
    let kept = collect(StageKind::Means, &spec, &Report::silent()).unwrap_err().to_string();
    assert!(kept.contains("was made with checkpoint_sha256 none, not "), "{kept}");
    means.totals[0] += 1.0;
    means.counts[0] += 1;
    means.write(&files[0]).unwrap();
    let kept = collect(StageKind::Vars, &spec, &Report::silent()).unwrap_err().to_string();
    assert!(kept.contains("-vars.safetensors: was made with means of hash "), "{kept}");
}

#[test]
fn statistics_of_another_function_of_the_same_weights_are_told_apart() {
    let root = tempfile::tempdir().unwrap();
    let spec = lay_out(root.path());
    let stages = [StageKind::Means, StageKind::Vars, StageKind::Decs];
    let files = stages.map(|stage| run(stage, &spec).file);
    let bytes = files.clone().map(|file| fs::read(file).unwrap());
    let config = spec.model.join("checkpoint-60/config.json");
    let written = fs::read_to_string(&config).unwrap();
    let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&written).unwrap();
    // Another text of the same function.
    fields.insert("note".into(), "mine".into());
    fs::write(&config, serde_json::to_string(&fields).unwrap()).unwrap();
    for (stage, (file, bytes)) in stages.into_iter().zip(files.iter().zip(&bytes)) {
        run(stage, &spec);
        assert_eq!(&fs::read(file).unwrap(), bytes);
    }

    fields.insert("window_size".into(), 4.into());
    fs::write(&config, serde_json::to_string(&fields).unwrap()).unwrap();
    let kept = collect(StageKind::Means, &spec, &Report::silent()).unwrap_err().to_string();
    assert!(kept.contains("was made with function_sha256 "), "{kept}");
    for stage in [StageKind::Vars, StageKind::Decs] {
        let refused = collect(stage, &spec, &Report::silent()).unwrap_err().to_string();
        assert!(refused.contains("-means.safetensors: outdated, made from other settings than"), "{refused}");
        assert!(refused.contains("checkpoint-60/config.json; collect the means again"), "{refused}");
    }

    // Unfinished ones are not gone on with.
    let mut half = Means::read(&files[0]).unwrap();
    half.meta.n_seqs = 100;
    half.write(&files[0].with_extension("partial")).unwrap();
    fs::remove_file(&files[0]).unwrap();
    run(StageKind::Means, &spec);
    let other = Means::read(&files[0]).unwrap();
    assert_eq!(other.counts, half.counts, "every sequence was read once");
    fs::write(&config, written).unwrap();
    run(StageKind::Means, &CollectSpec { replace: true, ..spec.clone() });
    assert_eq!(fs::read(&files[0]).unwrap(), bytes[0]);
}

#[test]
fn what_statistics_of_earlier_versions_do_not_tell_is_unknown() {
    let root = tempfile::tempdir().unwrap();
    let spec = lay_out(root.path());
    let file = run(StageKind::Means, &spec).file;
    let mut means = Means::read(&file).unwrap();
    assert_eq!(means.meta.made_from.remove("block_size").as_deref(), Some("64"));
    assert_eq!(means.meta.made_from.remove("function_sha256").unwrap().len(), 64);
    means.write(&file).unwrap();
    run(StageKind::Means, &spec);
    assert_eq!(Means::read(&file).unwrap(), means, "they were not collected again");
    run(StageKind::Vars, &spec);
    means.meta.made_from.insert("block_size".into(), "32".into());
    means.write(&file).unwrap();
    let refused = collect(StageKind::Vars, &spec, &Report::silent()).unwrap_err();
    assert!(refused.to_string().contains("outdated, made from other data"), "{refused}");
}

/// Overwrites the first number of a tensor of a safetensors file.
fn overwrite(file: &Path, tensor: &str, value: f32) {
    let mut bytes = fs::read(file).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let start = 8 + length + header[tensor]["data_offsets"][0].as_u64().unwrap() as usize;
    bytes[start..start + 4].copy_from_slice(&value.to_le_bytes());
    fs::write(file, bytes).unwrap();
}

#[test]
fn embeddings_that_are_not_finite_are_refused_and_nothing_is_written() {
    let root = tempfile::tempdir().unwrap();
    let spec = lay_out(root.path());
    let file = run(StageKind::Means, &spec).file;
    let mut finite = Means::read(&file).unwrap();
    // As of other programs, which do not tell the weights.
    finite.meta = Meta { n_seqs: finite.meta.n_seqs, ..Meta::default() };
    let refuse = |stage, spec: &CollectSpec| {
        let refused = collect(stage, spec, &Report::silent()).unwrap_err();
        let line = refused.to_string();
        let named = line.contains("checkpoint-60: its last embeddings are not finite");
        assert!(named && line.contains("smaller learning rate"), "{line}");
        assert_eq!(refused.exit_code(), 2);
    };
    let one_pass = CollectSpec { one_pass: true, ..spec.clone() };
    for value in [f32::NAN, f32::INFINITY] {
        overwrite(&spec.model.join("checkpoint-60/model.safetensors"), "transformer.ln_f.bias", value);
        finite.write(&file).unwrap();
        refuse(StageKind::Vars, &spec);
        refuse(StageKind::Decs, &spec);
        let spoiled = Means { totals: vec![f64::from(value); finite.totals.len()], ..finite.clone() };
        spoiled.write(&file).unwrap();
        refuse(StageKind::Vars, &one_pass);
        refuse(StageKind::Decs, &spec);
        fs::remove_file(&file).unwrap();
        refuse(StageKind::Means, &spec);
        let left: Vec<_> = walk(&spec.stats).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The files in the folders of a folder.
fn walk(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    let inside = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    inside(folder).flat_map(move |folder| inside(&folder))
}
