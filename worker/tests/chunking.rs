//! The chunking rule against the reference: counts, hashes and sequences are exact.

use protocol::{output::PrepareOutput, spec::PrepareSpec};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
};
use worker::{
    data::{self, Manifest, Sequences, Tokenizer},
    report::Report,
};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chunking").join(name)
}

fn expected() -> Value {
    serde_json::from_slice(&fs::read(golden("expected.json")).unwrap()).unwrap()
}

/// The texts of a split, read independently of the code under test.
fn texts(split: &str) -> Vec<String> {
    let read = |name: &str| -> Vec<String> {
        let lines = fs::read_to_string(golden(name)).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned())
            .collect()
    };
    match split {
        "edge" => {
            let mut texts = read("texts_train.jsonl");
            texts.truncate(2000);
            texts.push("Bye.".to_owned());
            texts
        }
        split => read(&format!("texts_{split}.jsonl")),
    }
}

fn sha256(ids: impl IntoIterator<Item = u32>) -> String {
    let mut hash = Sha256::new();
    for id in ids {
        hash.update(id.to_le_bytes());
    }
    hex::encode(hash.finalize())
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn prepare(train: &Path, shards: u32, out: &Path) -> PrepareOutput {
    let spec = PrepareSpec {
        dataset: train.display().to_string(),
        tokenizer: golden("tokenizer.json").display().to_string(),
        validation: Some(golden("texts_validation.jsonl")),
        block_size: 64,
        shards,
        out: out.to_owned(),
    };
    data::prepare(&spec, &Report::silent()).unwrap()
}

#[test]
fn every_text_has_the_tokens_of_the_reference() {
    let tokenizer = Tokenizer::load(golden("tokenizer.json").to_str().unwrap(), &Report::silent()).unwrap();
    let expected = expected();
    assert_eq!(u64::from(tokenizer.vocab_size()), expected["vocab_size"].as_u64().unwrap());
    assert_eq!(tokenizer.end_of_text(), Some(0));
    for split in ["train", "validation", "edge"] {
        let expected = &expected["splits"][split];
        let tokens: Vec<Vec<u32>> = texts(split).iter().map(|text| tokenizer.encode(text).unwrap()).collect();
        assert_eq!(tokens.len() as u64, expected["n_texts"].as_u64().unwrap(), "{split}");
        assert_eq!(tokens.concat().len() as u64, expected["n_tokens"].as_u64().unwrap(), "{split}");
        let empty = tokens.iter().filter(|ids| ids.is_empty()).count();
        assert_eq!(empty as u64, expected["n_empty_token_lists"].as_u64().unwrap(), "{split}");
        assert_eq!(sha256(tokens.concat()), expected["sha256_all_token_ids_i32le"], "{split}");
        assert_eq!(
            sha256(tokens.iter().map(|ids| ids.len() as u32)),
            expected["sha256_text_lengths_i32le"],
            "{split}"
        );
        for (found, expected) in tokens.iter().zip(expected["first_8_texts_ids"].as_array().unwrap()) {
            assert_eq!(*found, ids(expected), "{split}");
        }
    }
}

#[test]
fn sequences_are_those_of_the_reference_for_every_number_of_shards() {
    let folder = tempfile::tempdir().unwrap();
    let edge = folder.path().join("edge.jsonl");
    let lines = texts("edge").into_iter().map(|text| serde_json::json!({ "text": text }).to_string() + "\n");
    fs::write(&edge, lines.collect::<String>()).unwrap();

    let expected = expected();
    for shards in 1..=3 {
        for (split, file) in [("train", golden("texts_train.jsonl")), ("edge", edge.clone())] {
            let out = folder.path().join(format!("{split}-{shards}"));
            let output = prepare(&file, shards, &out);
            assert_eq!((output.block_size, output.vocab_size), (64, 512));
            for (made, split) in [("train", split), ("validation", "validation")] {
                let context = format!("{split}, {shards} shards");
                let found = &output.splits[made];
                let tokens = &expected["splits"][split];
                let expected = &tokens["num_proc"][shards.to_string()];
                assert_eq!(found.texts, tokens["n_texts"].as_u64().unwrap(), "{context}");
                assert_eq!(found.tokens, tokens["n_tokens"].as_u64().unwrap(), "{context}");
                assert_eq!(found.sequences, expected["n_sequences"].as_u64().unwrap(), "{context}");
                assert_eq!(found.targets, expected["n_targets"].as_u64().unwrap(), "{context}");
                assert_eq!(found.dropped_tokens, expected["dropped_tokens"].as_u64().unwrap(), "{context}");
                assert_eq!(found.sha256, expected["sha256_input_ids_i32le"], "{context}");

                let sequences = Sequences::open(&out, made).unwrap();
                assert_eq!((sequences.len() as u64, sequences.block_size()), (found.sequences, 64));
                assert_eq!(sequences.get(0), ids(&expected["first"]), "{context}");
                assert_eq!(sequences.get(sequences.len() - 1), ids(&expected["last"]), "{context}");
                assert_eq!(sha256(sequences.iter().flatten().copied()), found.sha256, "{context}");
            }
        }
    }
}

#[test]
fn the_folder_says_what_it_was_made_from_and_carries_the_tokenizer() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("data");
    let output = prepare(&golden("texts_train.jsonl"), 2, &out);
    let manifest = Manifest::read(&out).unwrap();
    assert_eq!(manifest.output(), output);
    assert_eq!((manifest.eos_token_id, manifest.bos_token_id), (Some(0), Some(0)));
    assert_eq!(manifest.inputs.shards, 2);
    assert_eq!(manifest.inputs.files["train"][0].path, golden("texts_train.jsonl"));
    let copied = data::tokenizer_file(&out).unwrap();
    assert_eq!(fs::read(copied).unwrap(), fs::read(golden("tokenizer.json")).unwrap());
    let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["manifest.json", "tokenizer.json", "train.bin", "validation.bin"]);
}

#[test]
fn real_stories_have_the_tokens_that_gpt_neo_gives_them() {
    let shared = std::env::var_os("LC_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let dataset = shared.join("data/tinystories-sample");
    if !dataset.is_dir() {
        println!("skipped: no real stories in {} (set LC_SHARED)", dataset.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = shared.join("data/gpt-neo-tokenizer/tokenizer.json").display().to_string();
    let spec = PrepareSpec {
        dataset: dataset.display().to_string(),
        tokenizer: tokenizer.clone(),
        validation: None,
        block_size: 2048,
        shards: 2,
        out: folder.path().join("data"),
    };
    let output = data::prepare(&spec, &Report::silent()).unwrap();
    assert_eq!(output.vocab_size, 50257);
    let counts = |split: &str| (output.splits[split].texts, output.splits[split].tokens);
    assert_eq!(counts("train"), (900, 191_230));
    assert_eq!(counts("validation"), (93, 39_649));
    assert_eq!(Manifest::read(&spec.out).unwrap().eos_token_id, Some(50256));

    // A block of one text each would lose nothing; the smallest block loses at most one token per run.
    let spec = PrepareSpec { block_size: 2, shards: 1, out: folder.path().join("pairs"), ..spec };
    data::prepare(&spec, &Report::silent()).unwrap();
    let pairs = Sequences::open(&spec.out, "train").unwrap();
    let distinct: std::collections::BTreeSet<u32> = pairs.iter().flatten().copied().collect();
    assert_eq!(distinct.len(), 5015);

    let tokenizer = Tokenizer::load(&tokenizer, &Report::silent()).unwrap();
    assert_eq!(
        tokenizer.encode("Once upon a time, there was a little girl named Lily.").unwrap(),
        [7454, 2402, 257, 640, 11, 612, 373, 257, 1310, 2576, 3706, 20037, 13]
    );
}
