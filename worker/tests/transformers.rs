//! Checkpoints and statistics against an installed PyTorch and Hugging Face `transformers`, in both
//! directions. `LC_PYTHON` names the interpreter; `deploy/python.sh` installs one and prints it.

mod golden;

use burn_flex::FlexDevice;
use golden::{Tensors, assert_close, path};
use serde_json::{Value, json};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use worker::{
    kernels::backend::Cpu,
    model::{GptNeoConfig, checkpoint, init},
};

/// Runs one of the programs beside this file; nothing, and one line that says so, without an interpreter.
fn python<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Option<String> {
    let Some(interpreter) = std::env::var_os("LC_PYTHON") else {
        println!("skipped: the comparison with transformers; set LC_PYTHON=$(deploy/python.sh)");
        return None;
    };
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transformers").join(program);
    let output = Command::new(&interpreter)
        .arg("-B")
        .arg(&program)
        .args(arguments)
        .env("HF_HUB_OFFLINE", "1")
        .env("CUDA_VISIBLE_DEVICES", "")
        .output()
        .unwrap_or_else(|error| panic!("LC_PYTHON {}: {error}", interpreter.display()));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", program.display());
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Runs `lc-worker` and gives its standard output.
fn worker<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_lc-worker")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn compare_logits(checkpoint: &Path, ids: &Path, expected: &Path) {
    let out = checkpoint.join("ours.safetensors");
    let flags = ["logits", "--device", "cpu", "--model"].map(OsStr::new);
    let rest =
        [checkpoint.as_os_str(), "--input".as_ref(), ids.as_os_str(), "--out".as_ref(), out.as_os_str()];
    worker(flags.into_iter().chain(rest));
    let (ours, theirs) = (Tensors::at(&out), Tensors::at(expected));
    let shown = checkpoint.display().to_string();
    assert_close(&ours.floats("logits"), &theirs.floats("logits"), 1e-5, &shown);
}

/// The folders in a folder, by name.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

#[test]
fn their_checkpoints_give_the_same_logits_here_in_every_form() {
    let root = tempfile::tempdir().unwrap();
    let Some(_) = python("make.py", [root.path()]) else { return };
    let cases = folders(root.path());
    assert_eq!(cases.len(), 6);
    for case in cases {
        let forms = folders(&case);
        assert_eq!(forms.len(), 8 * 4, "{}", case.display());
        for form in forms {
            let name = form.file_name().unwrap().to_str().unwrap();
            let holds = |file: &str| form.join(file).exists();
            assert_eq!(holds("model.safetensors.index.json"), name.starts_with("sharded"), "{name}");
            assert_eq!(holds("pytorch_model.bin.index.json"), name.starts_with("bin sharded"), "{name}");
            compare_logits(&form, &case.join("ids.safetensors"), &case.join(format!("{name}.safetensors")));
        }
    }
}

/// Configurations that users write, and one that a half-precision checkpoint comes with.
fn configurations() -> Vec<Value> {
    vec![
        json!({"hidden_size": 16, "num_layers": 2, "num_heads": 2, "vocab_size": 64, "max_position_embeddings": 40}),
        json!({"hidden_size": 15, "num_hidden_layers": 1, "num_attention_heads": 5, "vocab_size": 60001,
            "max_position_embeddings": 33, "attention_types": [[["local"], 1]], "window_size": 1}),
        json!({"hidden_size": 24, "num_layers": 3, "num_heads": 3, "vocab_size": 64, "intermediate_size": 7,
            "max_position_embeddings": 32, "attention_layers": ["local", "local", "global"], "window_size": 6,
            "eos_token_id": 3, "layer_norm_epsilon": 0, "resid_dropout": 0.25, "pad_token_id": null}),
        json!({"hidden_size": 16, "num_layers": 1, "num_heads": 4, "vocab_size": 64, "max_position_embeddings": 32,
            "attention_types": [[["global"], 1]], "torch_dtype": "bfloat16", "architectures": ["GPTNeoModel"],
            "transformers_version": "4.28.1", "use_cache": false, "activation_function": "gelu_python_tanh"}),
    ]
}

/// Prepares golden data, trains a model on it and goes on from a half-precision checkpoint.
fn trained(root: &Path) -> Vec<PathBuf> {
    let at = |name: &str| root.join(name).into_os_string().into_string().unwrap();
    let texts = path("chunking").into_os_string().into_string().unwrap();
    let (data, first, second) = (at("data"), at("01x0016_01n00"), at("01x0016_02n00"));
    let prepare = format!(
        "--dataset {texts}/texts_train.jsonl --validation {texts}/texts_validation.jsonl \
                           --tokenizer {texts}/tokenizer.json --block-size 64 --out {data}"
    );
    worker("prepare".split(' ').chain(prepare.split_whitespace()));
    let config = json!({"hidden_size": 16, "num_layers": 2, "num_heads": 2, "window_size": 4,
        "attention_types": [[["global", "local"], 1]], "dtype": "bfloat16"});
    fs::write(root.join("config.json"), config.to_string()).unwrap();
    let train = format!("train --data {data} --max-steps 3 --batch-size 4 --learning-rate 1e-2 --device cpu");
    let run = |rest: &str| worker(train.split(' ').chain(rest.split_whitespace()));
    run(&format!("--config {} --out {first}", at("config.json")));
    run(&format!("--init {first} --config {} --out {second}", at("config.json")));
    [first, second].iter().flat_map(|model| folders(Path::new(model))).collect()
}

#[test]
fn our_checkpoints_load_there_unchanged_and_without_a_word() {
    if std::env::var_os("LC_PYTHON").is_none() {
        python("load.py", [""; 0]);
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let mut checkpoints = trained(root.path());
    assert_eq!(checkpoints.len(), 2);
    for (seed, fields) in configurations().into_iter().enumerate() {
        let config = GptNeoConfig::from_fields(fields.as_object().unwrap().clone()).unwrap();
        let folder = root.path().join(format!("initialised-{seed}"));
        let model = init::random::<Cpu>(&config, seed as u32, &FlexDevice);
        checkpoint::save(&folder, &model, None).unwrap();
        checkpoints.push(folder);
    }
    let ids = root.path().join("ids.safetensors");
    let tokens: Vec<u8> = (0..2 * 31).flat_map(|at: i64| (at * at * 7 % 61).to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![2, 31], &tokens).unwrap();
    fs::write(&ids, safetensors::serialize([("input_ids", view)], None).unwrap()).unwrap();

    let report = python("load.py", [&ids].into_iter().chain(&checkpoints)).unwrap();
    let report: serde_json::Map<String, Value> = serde_json::from_str(&report).unwrap();
    assert_eq!(report.len(), checkpoints.len());
    for (folder, said) in report {
        let silent = json!({"keys": {}, "warnings": [], "dtype": "torch.float32", "tied": true});
        assert_eq!(said, silent, "{folder}");
        compare_logits(Path::new(&folder), &ids, &Path::new(&folder).join("theirs.safetensors"));
    }
}

#[test]
fn statistics_saved_by_an_installed_pytorch_are_imported() {
    let root = tempfile::tempdir().unwrap();
    let source = path("analyze/stats/02x0048_01d@0.safetensors");
    let Some(_) = python("save_stats.py", [&source, root.path()]) else { return };
    let stats = root.path().join("stats");
    let flags = ["--json", "import-stats", "--from"].map(OsStr::new);
    let rest = [root.path().as_os_str(), "--stats".as_ref(), stats.as_os_str()];
    let import: Value = serde_json::from_str(&worker(flags.into_iter().chain(rest))).unwrap();
    let info = golden::json("analyze/stats/info.json");
    let expected = Tensors::at(&source);
    let files = import["files"].as_array().unwrap();
    assert_eq!(files.len(), 3);
    for file in files {
        let stage = file["stage"].as_str().unwrap();
        assert_eq!(file["hash"], info["02x0048_01d"][stage]["hash"]);
        let ours = Tensors::at(Path::new(file["file"].as_str().unwrap()));
        assert_eq!(ours.integers("Ns_toks"), expected.integers(&format!("{stage}.Ns_toks")));
        if stage == "decs" {
            assert_eq!(ours.integers("totals"), expected.integers("decs.totals"));
        } else {
            assert_eq!(ours.doubles("totals"), expected.doubles(&format!("{stage}.totals")));
        }
    }
}
