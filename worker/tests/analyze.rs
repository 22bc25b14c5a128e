//! From statistics files and checkpoints to the table, against the published tool's output.

#[path = "analyzing/files.rs"]
mod files;
mod golden;

use files::{MODELS, duplicates, golden_file, golden_stats, spec};
use half::bf16;
use parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::Field,
};
use protocol::{
    measures::{ALL, COVARIANCE, FOREIGN, GROUPS, LOSS, PUBLISHED},
    output::AnalyzeOutput,
    spec::AnalyzeSpec,
    stage::StageKind,
};
use safetensors::tensor::{Dtype, TensorView};
use std::{fs, path::Path};
use worker::{
    Error,
    analyze::{analyze, progress},
    measure::{CLASS_COLUMNS, MEASURES, Need},
    report::Report,
    stats::{self, Decs, Means, Vars},
};

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

fn read_csv(path: &Path) -> Vec<Vec<String>> {
    let mut csv = csv::ReaderBuilder::new().has_headers(false).from_path(path).unwrap();
    csv.records().map(|line| line.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// Compares tables; `tolerances` of columns that the published tool has in single, and in double precision.
fn assert_table(found: &Path, expected: &Path, [single, double]: [f64; 2]) {
    let (found, expected) = (read_csv(found), read_csv(expected));
    assert_eq!(found[0], expected[0], "columns");
    assert_eq!(found.len(), expected.len(), "rows");
    for (found, line) in found.iter().zip(&expected).skip(1) {
        for (column, (found, value)) in expected[0].iter().zip(found.iter().zip(line)) {
            let exact = ["model", "n_params", "hits", "misses", "val_acc", "val_loss", "perplex"];
            if exact.contains(&column.as_str()) || value.is_empty() || value == "inf" {
                assert_eq!(found, value, "{column} of {}", line[0]);
                continue;
            }
            let in_single = ["cdnv", "log_kern", "riesz_kern", "dual", "simcos", "dists"];
            let tolerance = if in_single.iter().any(|it| column.starts_with(it)) { single } else { double };
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
    assert_table(&out, &golden_file("all.csv"), [1e-5, 1e-6]);

    // The same from its groups, in whatever order they are asked for.
    let again = stats.path().join("results/groups.csv");
    let groups = ["decs", "dual", "kern-log", "etf", "nor", "snr", "loss"];
    run(&AnalyzeSpec { out: Some(again.clone()), ..spec(stats.path(), &groups) });
    assert_eq!(fs::read(&out).unwrap(), fs::read(&again).unwrap());
}

#[test]
fn rounded_as_the_published_tool_rounds_its_tables_agree_in_more_digits() {
    let stats = golden_stats();
    let out = stats.path().join("compat.csv");
    let riesz = ["snr", "nor", "etf", "kern-riesz", "dual", "decs", "loss"];
    let tables: [(&str, &[&str], u32, Option<u32>); 3] = [
        ("all.csv", &["all"], 1, None),
        ("min5max60.csv", &["all"], 5, Some(60)),
        ("riesz.csv", &riesz, 1, None),
    ];
    for (table, groups, min_per_class, max_per_class) in tables {
        let spec = spec(stats.path(), groups);
        run(&AnalyzeSpec { compat: true, min_per_class, max_per_class, out: Some(out.clone()), ..spec });
        assert_table(&out, &golden_file(table), [1e-6, 1e-10]);
    }
}

#[test]
fn the_filter_keeps_classes_by_their_train_counts() {
    let stats = golden_stats();
    let out = stats.path().join("filtered.csv");
    let filtered = AnalyzeSpec { min_per_class: 5, max_per_class: Some(60), ..spec(stats.path(), &["all"]) };
    run(&AnalyzeSpec { out: Some(out.clone()), ..filtered.clone() });
    assert_table(&out, &golden_file("min5max60.csv"), [1e-5, 1e-6]);
    assert!(refusal(&AnalyzeSpec { max_per_class: Some(5), ..filtered }).contains("max_per_class"));
}

#[test]
fn the_progress_table_is_the_published_tools() {
    let stats = golden_stats();
    let expected = fs::read_to_string(golden_file("progress.txt")).unwrap();
    assert_eq!(progress(&spec(stats.path(), &["all"])).unwrap(), expected);

    fs::remove_file(stats::path(stats.path(), StageKind::Decs, 0, "02x0048_01d")).unwrap();
    let table = progress(&spec(stats.path(), &["all"])).unwrap();
    assert!(table.contains("02x0048_01d@0     150    150      -    159\n"), "{table}");
}

#[test]
fn progress_counts_what_is_collected_so_far() {
    let stats = golden_stats();
    let unfinished = |stage| stats::path(stats.path(), stage, 0, MODELS[1]).with_extension("partial");
    let path = stats::path(stats.path(), StageKind::Decs, 0, MODELS[1]);
    let mut decs = Decs::read(&path).unwrap();
    decs.meta.n_seqs = 7;
    decs.write(&unfinished(StageKind::Decs)).unwrap();
    // What is finished counts, whatever is left beside it.
    let whole = progress(&spec(stats.path(), &["all"])).unwrap();
    assert_eq!(whole, fs::read_to_string(golden_file("progress.txt")).unwrap());
    fs::remove_file(&path).unwrap();
    let table = progress(&spec(stats.path(), &["all"])).unwrap();
    assert!(table.contains("02x0048_01d@0     150    150      7    159\n"), "{table}");

    // A collection that has only begun.
    let path = stats::path(stats.path(), StageKind::Means, 0, MODELS[1]);
    let mut means = Means::read(&path).unwrap();
    means.meta.n_seqs = 5;
    means.write(&unfinished(StageKind::Means)).unwrap();
    fs::remove_file(&path).unwrap();
    for stage in [StageKind::Vars, StageKind::Decs] {
        let _ = fs::remove_file(unfinished(stage));
        let _ = fs::remove_file(stats::path(stats.path(), stage, 0, MODELS[1]));
    }
    let table = progress(&spec(stats.path(), &["all"])).unwrap();
    assert!(table.contains("02x0048_01d@0       5      -      -    159\n"), "{table}");
    // It is no row of the table of measures.
    assert_eq!(run(&spec(stats.path(), &["nor"])).rows.len(), 2);
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
        assert!(GROUPS.contains(&group) && line.contains(group), "{group}: {line}");
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
fn statistics_of_other_weights_are_refused_before_anything_is_computed() {
    let stats = golden_stats();
    // The last row of three.
    let path = stats::path(stats.path(), StageKind::Means, 0, MODELS[2]);
    let mut means = Means::read(&path).unwrap();
    means.meta.made_from.insert("function_sha256".into(), "of another".into());
    means.write(&path).unwrap();
    let line = refusal(&spec(stats.path(), &["dual"]));
    assert!(line.contains("01x0064_03L-means.safetensors: outdated, made from other settings"), "{line}");
    means.meta.made_from.insert("checkpoint_sha256".into(), "of others".into());
    means.write(&path).unwrap();
    // Nobody asks for anything of the checkpoint here.
    assert_eq!(run(&spec(stats.path(), &["nor"])).rows.len(), 3);
    // What computing the first row would come upon.
    let path = stats::path(stats.path(), StageKind::Means, 0, MODELS[0]);
    let mut bytes = fs::read(&path).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(refusal(&spec(stats.path(), &["nor"])).contains("01x0032_01n-means.safetensors: damaged"));
    let line = refusal(&spec(stats.path(), &["loss"]));
    assert!(line.contains("01x0064_03L-means.safetensors: outdated, made from other weights"), "{line}");
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

#[test]
fn what_can_not_be_read_is_not_taken_for_missing() {
    let refused = |spec: &AnalyzeSpec, path: &Path| {
        let line = analyze(spec, &Report::silent()).unwrap_err().to_string();
        assert!(line.starts_with(path.to_str().unwrap()), "{line}");
    };
    // A link to itself: whether anything is there can't be told.
    let obscure = |path: &Path| {
        drop(fs::remove_file(path));
        std::os::unix::fs::symlink(path, path).unwrap();
    };
    for (stage, group) in [(StageKind::Vars, "snr"), (StageKind::Decs, "decs"), (StageKind::Means, "nor")] {
        let stats = golden_stats();
        let path = stats::path(stats.path(), stage, 0, MODELS[1]);
        obscure(&path);
        refused(&spec(stats.path(), &[group]), &path);
    }

    let stats = golden_stats();
    let models = stats.path().canonicalize().unwrap().join("models");
    let of_models = AnalyzeSpec { models: models.clone(), ..spec(stats.path(), &["loss"]) };
    let model = models.join(MODELS[1]);
    fs::create_dir_all(&models).unwrap();
    obscure(&model);
    refused(&of_models, &model);

    fs::remove_file(&model).unwrap();
    let (first, second) = (model.join("checkpoint-1"), model.join("checkpoint-2"));
    for folder in [&first, &second] {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("trainer_state.json"), r#"{"epoch": 1.0}"#).unwrap();
        for file in ["config.json", "model.safetensors"] {
            let original = golden_file("models/TinyStories-02x0048_01d/checkpoint-101").join(file);
            fs::copy(original, folder.join(file)).unwrap();
        }
    }
    let row = run(&of_models).rows.into_iter().find(|row| row.model.starts_with(MODELS[1])).unwrap();
    assert_eq!(row.values["n_params"].0, 84_000.0);
    obscure(&first.join("eval_results.json"));
    refused(&of_models, &first.join("eval_results.json"));
    fs::write(second.join("trainer_state.json"), r#"{"epoch": 2."#).unwrap();
    refused(&of_models, &second.join("trainer_state.json"));
    obscure(&second.join("trainer_state.json"));
    refused(&of_models, &second.join("trainer_state.json"));
}

#[test]
fn of_several_models_of_a_name_the_statistics_tell_which_or_none_is_taken() {
    let stats = golden_stats();
    let models = stats.path().join("models");
    let put = |name: &str, loss: f64| {
        let checkpoint = models.join(name).join("checkpoint-5");
        fs::create_dir_all(&checkpoint).unwrap();
        for file in ["config.json", "model.safetensors"] {
            let original = golden_file("models/TinyStories-01x0032_01n/checkpoint-100").join(file);
            fs::copy(original, checkpoint.join(file)).unwrap();
        }
        fs::write(checkpoint.join("eval_results.json"), format!(r#"{{"eval_loss": {loss:?}}}"#)).unwrap();
    };
    let asked = AnalyzeSpec {
        models: models.clone(),
        only: Some((MODELS[0].into(), 0)),
        ..spec(stats.path(), &["loss"])
    };
    let loss = || run(&asked).rows[0].values["val_loss"].0;
    put("old-TinyStories-01x0032_01n", 1.0);
    assert_eq!(loss(), 1.0);
    put("new-TinyStories-01x0032_01n", 2.0);
    let line = refusal(&asked);
    let named =
        "new-TinyStories-01x0032_01n and old-TinyStories-01x0032_01n may each be the model of 01x0032_01n";
    assert!(line.contains(named), "{line}");
    put("01x0032_01n", 3.0);
    assert_eq!(loss(), 3.0);
    let path = stats::path(stats.path(), StageKind::Means, 0, MODELS[0]);
    let mut means = Means::read(&path).unwrap();
    means.meta.made_from.insert("model".into(), "old-TinyStories-01x0032_01n@0".into());
    means.write(&path).unwrap();
    assert_eq!(loss(), 1.0);
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
        let config = if step == 10 { r#"{"tie_word_embeddings": null}"# } else { "{}" };
        fs::write(checkpoint.join("config.json"), config).unwrap();
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

#[test]
fn values_per_class_are_written_as_csv_and_as_parquet() {
    let stats = golden_stats();
    let path = |ending: &str| stats.path().join(format!("classes.{ending}"));
    // One model has no decisions: its cells are empty.
    fs::remove_file(stats::path(stats.path(), StageKind::Decs, 0, MODELS[1])).unwrap();
    for ending in ["csv", "parquet"] {
        let spec = spec(stats.path(), &["nor", "snr"]);
        let output = run(&AnalyzeSpec { per_class: Some(path(ending)), min_per_class: 5, ..spec });
        assert_eq!(output.columns.len(), 5);
    }
    let lines = read_csv(&path("csv"));
    let names: Vec<&str> = CLASS_COLUMNS.iter().map(|column| column.name).collect();
    assert_eq!(lines[0][..2], ["model", "class"]);
    assert_eq!(lines[0][2..], names);
    let counts = Means::read(&stats::path(stats.path(), StageKind::Means, 0, MODELS[0])).unwrap().counts;
    let kept: Vec<usize> = (0..counts.len()).filter(|&class| counts[class] >= 5).collect();
    assert_eq!(lines.len(), 1 + 3 * kept.len());
    let of_first: Vec<_> = lines.iter().filter(|line| line[0] == format!("{}@0", MODELS[0])).collect();
    for (line, class) in of_first.iter().zip(&kept) {
        assert_eq!((&line[1], &line[2]), (&class.to_string(), &counts[*class].to_string()));
    }
    let hits = names.iter().position(|name| *name == "hits").unwrap() + 2;
    let without = lines.iter().filter(|line| line[hits].is_empty());
    assert!(without.clone().all(|line| line[0] == format!("{}@0", MODELS[1])));
    assert_eq!(without.count(), kept.len());

    let parquet = SerializedFileReader::new(fs::File::open(path("parquet")).unwrap()).unwrap();
    assert_eq!(parquet.num_row_groups(), 3);
    let rows: Vec<_> = parquet.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), lines.len() - 1);
    for (row, line) in rows.iter().zip(&lines[1..]) {
        let cells = row.get_column_iter().map(|(_, field)| match field {
            Field::Str(name) => name.clone(),
            Field::Int(n) => n.to_string(),
            Field::Double(x) => format!("{x:?}"),
            Field::Null => String::new(),
            other => panic!("{other:?}"),
        });
        assert_eq!(cells.collect::<Vec<_>>(), *line);
    }
}

#[test]
fn values_per_class_need_a_file_whose_ending_names_a_format() {
    let stats = golden_stats();
    let path = stats.path().join("classes.txt");
    let line = refusal(&AnalyzeSpec { per_class: Some(path.clone()), ..spec(stats.path(), &["nor"]) });
    assert!(line.contains("classes.txt") && line.contains(".csv or .parquet"), "{line}");
    assert!(!path.exists());

    // One file can't be both tables.
    let (out, same) = (stats.path().join("both.csv"), stats.path().join("./both.csv"));
    let both = AnalyzeSpec { out: Some(out.clone()), per_class: Some(same), ..spec(stats.path(), &["nor"]) };
    assert!(refusal(&both).contains("both.csv; give each a file of its own"));
    assert!(!out.exists());
}

#[test]
fn means_over_other_texts_fill_what_compares_with_them() {
    let stats = golden_stats();
    let line = refusal(&spec(stats.path(), &["ood"]));
    assert!(line.contains("--foreign-stats"), "{line}");

    // Every foreign sample is the mean of one class: the direction that is compared with.
    let (foreign, class) = (tempfile::tempdir().unwrap(), 40);
    let own = Means::read(&stats::path(stats.path(), StageKind::Means, 0, MODELS[0])).unwrap();
    let path = stats::path(foreign.path(), StageKind::Means, 0, MODELS[0]);
    let mut other = own.clone();
    let direction: Vec<f64> = own.mean(own.counts.iter().position(|&n| n > class).unwrap()).collect();
    for (totals, &count) in other.totals.chunks_mut(own.dim).zip(&own.counts) {
        totals.iter_mut().zip(&direction).for_each(|(total, x)| *total = x * f64::from(count));
    }
    other.write(&path).unwrap();
    let spec = AnalyzeSpec { foreign_stats: Some(foreign.path().to_owned()), ..spec(stats.path(), &["nor"]) };
    let output = run(&spec);
    assert!(output.columns.contains(&"orthogonality_deviation".to_owned()), "{:?}", output.columns);
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let cosines: Vec<f64> = (0..own.counts.len())
        .filter(|&class| own.counts[class] > 0)
        .map(|class| {
            let mean: Vec<f64> = own.mean(class).collect();
            let product: f64 = mean.iter().zip(&direction).map(|(a, b)| a * b).sum();
            (product / norm(&mean) / norm(&direction)).abs()
        })
        .collect();
    let expected = cosines.iter().sum::<f64>() / cosines.len() as f64;
    let found = output.rows[0].values["orthogonality_deviation"].0;
    assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    assert!(output.rows[1..].iter().all(|row| !row.values.contains_key("orthogonality_deviation")));

    let mut own = own;
    for (key, named) in [("function_sha256", "settings in config.json"), ("checkpoint_sha256", "weights")] {
        other.meta.made_from.insert(key.into(), "others".into());
        other.write(&path).unwrap();
        own.meta.made_from.insert(key.into(), "ours".into());
        own.write(&stats::path(stats.path(), StageKind::Means, 0, MODELS[0])).unwrap();
        let line = refusal(&spec);
        assert!(line.contains(&format!("made from other {named} than the means to compare with")), "{line}");
    }
}

#[test]
fn a_covariance_is_divided_by_the_samples() {
    let stats = golden_stats();
    let path = stats::path(stats.path(), StageKind::Vars, 0, MODELS[0]);
    let mut vars = Vars::read(&path).unwrap();
    let (dim, samples) = (32, vars.counts.iter().map(|&n| f64::from(n)).sum::<f64>());
    let identity =
        |dim: usize| (0..dim * dim).map(|i| if i % (dim + 1) == 0 { samples } else { 0.0 }).collect();
    vars.covariance = Some(identity(dim));
    vars.write(&path).unwrap();
    let output = run(&spec(stats.path(), &["nor", "cov"]));
    let values = &output.rows[0].values;
    let (of, k) = (|column: &str| values[column].0, 159.0);
    let between = of("norms_mean").powi(2) + of("norms_var") * (k - 1.0) / k;
    let expected = dim as f64 / between;
    assert!((of("covariance_ratio_quotient") / expected - 1.0).abs() < 1e-12, "{values:?}");
    assert!(output.rows[1..].iter().all(|row| !row.values.contains_key("covariance_ratio_pinv")));

    vars.covariance = Some(identity(dim + 1));
    vars.write(&path).unwrap();
    assert!(refusal(&spec(stats.path(), &["cov"])).contains("a covariance of width 33; the means have 32"));
}

#[test]
fn what_was_asked_before_there_were_more_questions_still_reads() {
    let old = r#"{"stats": "s", "models": "m", "only": ["a", 1], "measures": ["all"], "min_per_class": 1,
                  "max_per_class": null, "out": null}"#;
    let spec: AnalyzeSpec = serde_json::from_str(old).unwrap();
    assert!(!spec.compat && spec.foreign_stats.is_none() && spec.per_class.is_none());
}

#[test]
fn the_groups_that_may_be_asked_for_are_those_of_the_measures() {
    let mut groups = vec![ALL, LOSS];
    for measure in MEASURES {
        if !groups.contains(&measure.group) {
            groups.push(measure.group);
        }
        let (group, columns) = (measure.group, measure.columns);
        assert_eq!(measure.published, PUBLISHED.contains(&group), "{columns:?}");
        assert_eq!(measure.needs.contains(&Need::Covariance), group == COVARIANCE, "{columns:?}");
        assert_eq!(measure.needs.contains(&Need::ForeignMean), group == FOREIGN, "{columns:?}");
    }
    assert_eq!(groups, GROUPS);
    assert!(PUBLISHED.iter().all(|group| GROUPS.contains(group)));
}

#[test]
fn every_column_is_explained_in_the_documentation() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/measures.md");
    let text = fs::read_to_string(file).unwrap();
    let measured = MEASURES.iter().flat_map(|measure| measure.columns.iter().copied());
    let of_classes = CLASS_COLUMNS.iter().map(|column| column.name);
    let groups = GROUPS.into_iter();
    let missing: Vec<&str> = measured
        .chain(of_classes)
        .chain(groups)
        .filter(|name| !text.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
