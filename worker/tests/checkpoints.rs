//! The forms that a checkpoint's weights may have, made from a golden model.

mod golden;
mod torch_save;

use burn_flex::FlexDevice;
use golden::{Tensors, path};
use protocol::spec::AnalyzeSpec;
use safetensors::{Dtype, tensor::TensorView};
use std::{fs, path::Path};
use tempfile::TempDir;
use torch_save::{Stored, file, state_dict};
use worker::{
    Error,
    analyze::analyze,
    kernels::{backend::Cpu, host_floats},
    model::{Batch, GptNeo, checkpoint, gpt_neo},
    report::Report,
    stats::{self, Means, Meta},
};

const EMBEDDING: &str = "transformer.wte.weight";

/// The tensors of the golden model: name, shape and values.
fn golden_tensors() -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let tensors = Tensors::read("gptneo/m1_mixed/model.safetensors");
    let config = checkpoint::load::<Cpu>(&path("gptneo/m1_mixed"), &FlexDevice).unwrap().config;
    let shapes = gpt_neo::shapes(&config).into_iter();
    shapes.map(|it| (it.name.clone(), it.stored(), tensors.floats(&it.name))).collect()
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(path("gptneo/m1_mixed/config.json"), folder.path().join("config.json")).unwrap();
    folder
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

/// A file with some tensors, each in a storage of its own, and further ones.
fn torch_file(
    tensors: &[(String, Vec<usize>, Vec<f32>)],
    more: &[Stored<'_>],
    storages: &[(&str, &[u8])],
) -> Vec<u8> {
    let numbers: Vec<_> = tensors.iter().map(|(_, _, values)| bytes(values)).collect();
    let strides: Vec<_> = tensors.iter().map(|(_, shape, _)| strides(shape)).collect();
    let mut stored: Vec<_> = tensors
        .iter()
        .zip(&strides)
        .map(|((name, shape, _), strides)| Stored {
            name,
            class: "FloatStorage",
            key: name,
            offset: 0,
            shape,
            strides,
        })
        .collect();
    let mut all: Vec<_> =
        tensors.iter().zip(&numbers).map(|((name, ..), it)| (name.as_str(), &it[..])).collect();
    stored.extend(more.iter().map(|it| Stored { ..*it }));
    all.extend(storages);
    file(&state_dict(&stored), &all)
}

/// The last embeddings of some tokens.
fn embeddings(model: &GptNeo<Cpu>) -> Vec<f32> {
    let (ids, shape) = Tensors::read("gptneo/m1_mixed/forward.safetensors").integers("input_ids");
    host_floats(model.forward(&Batch { ids, length: shape[1] })).unwrap()
}

fn expected() -> Vec<f32> {
    embeddings(&checkpoint::load(&path("gptneo/m1_mixed"), &FlexDevice).unwrap())
}

fn load(folder: &Path) -> GptNeo<Cpu> {
    checkpoint::load(folder, &FlexDevice).unwrap()
}

fn refusal(folder: &Path) -> String {
    let error = checkpoint::load::<Cpu>(folder, &FlexDevice).unwrap_err();
    assert!(matches!(error, Error::Input(_)), "{error:?}");
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

/// A tied head in the embedding's storage, and the buffers that old versions saved.
fn head_and_masks(key: &'static str) -> Vec<Stored<'static>> {
    vec![
        Stored {
            name: "lm_head.weight",
            class: "FloatStorage",
            key,
            offset: 0,
            shape: &[211, 32],
            strides: &[32, 1],
        },
        Stored {
            name: "transformer.h.0.attn.attention.bias",
            class: "ByteStorage",
            key: "mask",
            offset: 0,
            shape: &[1, 1, 2, 2],
            strides: &[4, 4, 2, 1],
        },
        Stored {
            name: "transformer.h.0.attn.attention.masked_bias",
            class: "FloatStorage",
            key: "mask",
            offset: 0,
            shape: &[],
            strides: &[],
        },
    ]
}

#[test]
fn a_file_of_pytorch_gives_the_same_model_as_safetensors() {
    let folder = folder();
    let file = torch_file(&golden_tensors(), &head_and_masks(EMBEDDING), &[("mask", &[1, 0, 1, 1])]);
    fs::write(folder.path().join("pytorch_model.bin"), file).unwrap();
    assert_eq!(embeddings(&load(folder.path())), expected());
    assert_eq!(
        checkpoint::locate(folder.path(), None).unwrap().folder,
        folder.path().canonicalize().unwrap()
    );
}

#[test]
fn transposed_matrices_and_double_precision_give_the_same_model() {
    let folder = folder();
    let mut tensors = golden_tensors();
    let wide = "transformer.ln_f.bias";
    let turned = "transformer.h.1.mlp.c_fc.weight";
    let take = |tensors: &mut Vec<_>, name: &str| {
        let at =
            tensors.iter().position(|(found, ..): &(String, Vec<usize>, Vec<f32>)| found == name).unwrap();
        tensors.remove(at)
    };
    let (_, doubles_shape, doubles) = take(&mut tensors, wide);
    let (_, shape, matrix) = take(&mut tensors, turned);
    let doubles: Vec<u8> = doubles.iter().flat_map(|&x| f64::from(x).to_le_bytes()).collect();
    let [rows, columns] = shape[..] else { panic!("{shape:?}") };
    let transposed: Vec<f32> = (0..columns)
        .flat_map(|column| (0..rows).map(move |row| (row, column)))
        .map(|(r, c)| matrix[r * columns + c])
        .collect();
    let more = [
        Stored {
            name: wide,
            class: "DoubleStorage",
            key: "wide",
            offset: 0,
            shape: &doubles_shape,
            strides: &[1],
        },
        Stored {
            name: turned,
            class: "FloatStorage",
            key: "turned",
            offset: 3,
            shape: &shape,
            strides: &[1, rows],
        },
    ];
    let transposed = [vec![0; 12], bytes(&transposed)].concat();
    let file = torch_file(&tensors, &more, &[("wide", &doubles), ("turned", &transposed)]);
    fs::write(folder.path().join("pytorch_model.bin"), file).unwrap();
    assert_eq!(embeddings(&load(folder.path())), expected());
}

#[test]
fn shards_are_read_and_every_one_of_them_counts_for_the_hash() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let mut tensors = golden_tensors();
    let mut second = tensors.split_off(9);
    let map: serde_json::Map<_, _> = tensors
        .iter()
        .map(|(name, ..)| (name.clone(), "pytorch_model-00001-of-00002.bin".into()))
        .chain(second.iter().map(|(name, ..)| (name.clone(), "pytorch_model-00002-of-00002.bin".into())))
        .collect();
    let index = serde_json::json!({"metadata": {}, "weight_map": map});
    fs::write(at("pytorch_model.bin.index.json"), index.to_string()).unwrap();
    fs::write(at("pytorch_model-00001-of-00002.bin"), torch_file(&tensors, &[], &[])).unwrap();
    let missing = refusal(folder.path());
    assert!(missing.contains("pytorch_model-00002-of-00002.bin: no such file"), "{missing}");

    fs::write(at("pytorch_model-00002-of-00002.bin"), torch_file(&second, &[], &[])).unwrap();
    assert_eq!(embeddings(&load(folder.path())), expected());
    let hash = checkpoint::weights::hash(folder.path()).unwrap();
    assert_eq!(checkpoint::weights::hash(folder.path()).unwrap(), hash);
    second[0].2[0] += 1.0;
    fs::write(at("pytorch_model-00002-of-00002.bin"), torch_file(&second, &[], &[])).unwrap();
    assert_ne!(checkpoint::weights::hash(folder.path()).unwrap(), hash);

    let name = second.remove(0).0;
    fs::write(at("pytorch_model-00002-of-00002.bin"), torch_file(&second, &[], &[])).unwrap();
    assert!(refusal(folder.path()).contains(&format!("no tensor {name}")));
}

#[test]
fn safetensors_win_over_a_file_of_pytorch() {
    let folder = folder();
    fs::write(folder.path().join("pytorch_model.bin"), "anything").unwrap();
    assert!(refusal(folder.path()).contains("pytorch_model.bin: not a file of torch.save"));
    fs::copy(path("gptneo/m1_mixed/model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    assert_eq!(embeddings(&load(folder.path())), expected());
    let hash = worker::files::sha256(&folder.path().join("model.safetensors")).unwrap();
    assert_eq!(checkpoint::weights::hash(folder.path()).unwrap(), hash);
}

#[test]
fn of_tied_weights_the_head_alone_is_enough_and_different_ones_are_refused() {
    let folder = folder();
    let mut tensors = golden_tensors();
    let values = tensors.iter().find(|(name, ..)| name == EMBEDDING).unwrap().2.clone();
    let write = |tensors: &[(String, Vec<usize>, Vec<f32>)]| {
        let file = torch_file(tensors, &[], &[]);
        fs::write(folder.path().join("pytorch_model.bin"), file).unwrap();
    };
    tensors.push(("lm_head.weight".into(), vec![211, 32], values));
    write(&tensors);
    assert_eq!(embeddings(&load(folder.path())), expected());
    tensors.last_mut().unwrap().2[5] += 1.0;
    write(&tensors);
    let line = refusal(folder.path());
    assert!(line.contains("lm_head.weight and transformer.wte.weight differ"), "{line}");
    tensors.last_mut().unwrap().2[5] -= 1.0;
    tensors.retain(|(name, ..)| name != EMBEDDING);
    write(&tensors);
    assert_eq!(embeddings(&load(folder.path())).len(), expected().len());
}

#[test]
fn wrong_shapes_types_and_damage_are_refused_by_name() {
    let folder = folder();
    let file = folder.path().join("pytorch_model.bin");
    let mut tensors = golden_tensors();
    let whole = torch_file(&tensors, &[], &[]);
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let line = refusal(folder.path());
    assert!(line.contains("pytorch_model.bin: damaged or cut short"), "{line}");

    let (name, shape, values) = tensors.remove(0);
    let whole: Vec<u8> = values.iter().flat_map(|&x| (x as i64).to_le_bytes()).collect();
    let wrong =
        Stored { name: &name, class: "LongStorage", key: "x", offset: 0, shape: &shape, strides: &[32, 1] };
    fs::write(&file, torch_file(&tensors, &[wrong], &[("x", &whole)])).unwrap();
    let line = refusal(folder.path());
    assert!(line.contains("pytorch_model.bin: `transformer.wte.weight` is I64"), "{line}");

    tensors.insert(0, (name, vec![32, 211], values));
    fs::write(&file, torch_file(&tensors, &[], &[])).unwrap();
    let line = refusal(folder.path());
    assert!(
        line.contains("transformer.wte.weight has shape [32, 211]; the configuration asks for [211, 32]"),
        "{line}"
    );
    fs::remove_file(&file).unwrap();
    assert!(refusal(folder.path()).contains("neither model.safetensors nor pytorch_model.bin in it"));
}

#[test]
fn measures_read_the_same_head_and_parameters_from_every_form() {
    let root = tempfile::tempdir().unwrap();
    let stats = root.path().join("stats");
    let tensors = golden_tensors();
    let checkpoint = |name: &str| {
        let means = Means {
            counts: (1..=211).collect(),
            totals: (0..211 * 32).map(|at| f64::from(at * at % 97)).collect(),
            dim: 32,
            squares: None,
            meta: Meta::default(),
        };
        means.write(&stats::path(&stats, protocol::stage::StageKind::Means, 0, name)).unwrap();
        let folder = root.path().join("models").join(name).join("checkpoint-1");
        fs::create_dir_all(&folder).unwrap();
        fs::copy(path("gptneo/m1_mixed/config.json"), folder.join("config.json")).unwrap();
        folder
    };
    fs::copy(path("gptneo/m1_mixed/model.safetensors"), checkpoint("plain").join("model.safetensors"))
        .unwrap();
    let write =
        |name: &str, file: Vec<u8>| fs::write(checkpoint(name).join("pytorch_model.bin"), file).unwrap();
    write("torch", torch_file(&tensors, &head_and_masks(EMBEDDING), &[("mask", &[1, 0, 1, 1])]));
    let bare = |(name, shape, values): &(String, Vec<usize>, Vec<f32>)| {
        (name.strip_prefix("transformer.").unwrap().to_owned(), shape.clone(), values.clone())
    };
    write("bare", torch_file(&tensors.iter().map(bare).collect::<Vec<_>>(), &[], &[]));
    let head = |(name, shape, values): &(String, Vec<usize>, Vec<f32>)| {
        (name.replace(EMBEDDING, "lm_head.weight"), shape.clone(), values.clone())
    };
    let views: Vec<_> =
        tensors.iter().map(head).map(|(name, shape, values)| (name, shape, bytes(&values))).collect();
    let views = views
        .iter()
        .map(|(name, shape, values)| (name, TensorView::new(Dtype::F32, shape.clone(), values).unwrap()));
    fs::write(checkpoint("head").join("model.safetensors"), safetensors::serialize(views, None).unwrap())
        .unwrap();

    let spec = AnalyzeSpec {
        stats: stats.clone(),
        models: root.path().join("models"),
        only: None,
        measures: vec!["loss".into(), "dual".into()],
        min_per_class: 1,
        max_per_class: None,
        out: None,
        foreign_stats: None,
        compat: false,
        device: "cpu".to_owned(),
        per_class: None,
    };
    let output = analyze(&spec, &Report::silent()).unwrap();
    assert_eq!(output.rows.len(), 4);
    let figures = golden::json("gptneo/m1_mixed/expected.json");
    for row in &output.rows {
        assert_eq!(row.values["n_params"].0, figures["n_params_unique"].as_f64().unwrap(), "{}", row.model);
        assert_eq!(row.values, output.rows[0].values, "{}", row.model);
        assert!(row.values.contains_key("dual_error"), "{row:?}");
    }
}
