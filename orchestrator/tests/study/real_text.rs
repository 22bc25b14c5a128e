//! A study on real TinyStories text with the real GPT-Neo tokenizer, from flags alone.
//!
//! The text is not part of the project: `LC_SHARED` names a folder that holds
//! `data/tinystories-sample` and `data/gpt-neo-tokenizer`, by default `shared` beside the checkout.

use super::place::Place;
use std::{env, path::PathBuf};

#[test]
fn a_study_on_real_text_ends_with_a_full_table_on_which_the_identities_hold() {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = env::var_os("LC_SHARED").map_or(beside, PathBuf::from);
    let (dataset, tokenizer) =
        (shared.join("data/tinystories-sample"), shared.join("data/gpt-neo-tokenizer/tokenizer.json"));
    if !dataset.exists() || !tokenizer.exists() {
        println!("skipped: the study on real text; set LC_SHARED to a folder with data/tinystories-sample");
        return;
    }
    let place = Place::new();
    place.run(&[
        "sweep",
        "--name",
        "first",
        "--dataset",
        dataset.to_str().unwrap(),
        "--tokenizer",
        tokenizer.to_str().unwrap(),
        "--depth",
        "1",
        "--width",
        "32,64",
        "--seed",
        "0,1",
        "--heads",
        "4",
        "--block-size",
        "256",
        "--batch-size",
        "8",
        "--max-steps",
        "40",
        "--wait",
    ]);
    let rows = place.results("first");
    let names: Vec<_> = rows.iter().map(|row| row["model"].as_str()).collect();
    assert_eq!(names, ["01x0032_01d00@0", "01x0032_01d01@0", "01x0064_01d00@0", "01x0064_01d01@0"]);
    for row in &rows {
        assert_eq!(row.len(), 24, "{row:?}");
        assert!(row.values().all(|cell| !cell.is_empty()), "{row:?}");
        let value = |column: &str| row[column].parse::<f64>().unwrap();
        // Classes with a target in the train split: 5,015 distinct tokens, less those that only ever
        // begin a sequence or fall into a remainder.
        let k = 5008.0;
        let spread = value("norms_mean").powi(2) + value("norms_var") * (k - 1.0) / k;
        let interference = -spread / (k - 1.0);
        assert!((interference / value("interfere_mean") - 1.0).abs() < 1e-9, "{row:?}");
        let distances = value("dists_mean").powi(2) + value("dists_var") * (k - 1.0) / k;
        assert!((distances - (2.0 - 2.0 * value("simcos_mean"))).abs() < 1e-6, "{row:?}");
        let rank = (k - 1.0) * (1.0 - value("etf_error").powi(2) / 2.0).powi(2);
        let width: f64 = row["model"][3..7].parse().unwrap();
        assert!(rank > 1.0 && rank <= width, "participation ratio {rank} of {width}");
        assert!((value("val_loss").exp() / value("perplex") - 1.0).abs() < 1e-9, "{row:?}");
        assert_eq!(value("hits") + value("misses"), DECIDED, "{row:?}");
    }
}

/// Validation targets whose class has a sample in the train split; the others are not among the classes kept.
const DECIDED: f64 = 38_730.0;
