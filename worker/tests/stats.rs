//! Statistics files against golden hashes, and what happens to damaged ones.

use safetensors::SafeTensors;
use std::{
    fs,
    path::{Path, PathBuf},
};
use worker::stats::{Decs, Means, Meta, Vars, means_hash};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(golden(name)).unwrap()).unwrap()
}

/// The means of a golden file whose tensors carry `prefix`.
fn golden_means(name: &str, prefix: &str) -> Means {
    let bytes = fs::read(golden(name)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let counts = tensors.tensor(&format!("{prefix}Ns_toks")).unwrap();
    let totals = tensors.tensor(&format!("{prefix}totals")).unwrap();
    Means {
        counts: counts.data().as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect(),
        totals: totals.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        dim: totals.shape()[1],
        squares: None,
        meta: Meta::default(),
    }
}

#[test]
fn hashes_of_golden_means_are_reproduced_bit_for_bit() {
    let expected = json("collection/expected.json");
    for batch in ["1", "4"] {
        let means = golden_means(&format!("collection/stats_bs{batch}.safetensors"), "means.");
        assert_eq!(means_hash(&means), expected["by_batch_size"][batch]["means"]["hash"]);
        assert_eq!(means.classes_seen() as u64, expected["by_batch_size"][batch]["n_classes_seen"]);
        assert_eq!(means.tokens(), expected["by_batch_size"][batch]["means"]["N_toks"]);
    }
    for (name, kinds) in json("analyze/stats/info.json").as_object().unwrap() {
        let means = golden_means(&format!("analyze/stats/{name}@0.safetensors"), "means.");
        assert_eq!(means_hash(&means), kinds["means"]["hash"], "{name}");
    }
    for case in ["k64d16", "k64d16_zero", "k301d32", "k12d40"] {
        let means = golden_means(&format!("measures/{case}.safetensors"), "means.");
        assert_eq!(means_hash(&means), json(&format!("measures/{case}.json"))["means_hash"], "{case}");
    }
}

#[test]
fn counts_beyond_single_precision_are_rounded_as_published_means_are() {
    let means = golden_means("measures/big_counts.safetensors", "");
    assert_eq!(means_hash(&means), json("measures/big_counts.json")["hash_reference"]);
}

fn small_means() -> Means {
    let made_from = [("split".to_owned(), "train".to_owned()), ("checkpoint".to_owned(), "c".to_owned())];
    Means {
        counts: vec![2, 0, 1],
        totals: vec![1.0, 3.0, 0.0, 0.0, -0.5, 0.25],
        dim: 2,
        squares: Some(vec![5.5, 0.0, 0.3125]),
        meta: Meta { hash: String::new(), n_seqs: 7, made_from: made_from.into() },
    }
}

#[test]
fn what_is_written_is_read_back_and_equal_content_gives_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a/one"), folder.path().join("a/two"));
    let means = small_means();
    means.write(&first).unwrap();
    means.write(&second).unwrap();
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());

    let read = Means::read(&first).unwrap();
    assert_eq!(read.meta.hash, means_hash(&means));
    assert_eq!(Means { meta: Meta { hash: String::new(), ..read.meta.clone() }, ..read.clone() }, means);
    assert_eq!(read.means(), [0.5, 1.5, 0.0, 0.0, -0.5, 0.25]);

    for covariance in [None, Some(vec![1.5, -0.25, -0.25, 2.0])] {
        let (counts, totals, meta) = (vec![2, 0, 1], vec![0.5, 0.0, 0.0], read.meta.clone());
        let vars = Vars { counts, totals, covariance, meta };
        vars.write(&first).unwrap();
        assert_eq!(Vars::read(&first).unwrap(), vars);
    }
    let decs = Decs { counts: vec![2, 0, 1], totals: vec![1, 0, 1], meta: read.meta };
    decs.write(&first).unwrap();
    assert_eq!(Decs::read(&first).unwrap(), decs);
}

#[test]
fn variances_from_sums_are_not_negative_and_stay_nan_where_sums_are() {
    let mut means = small_means();
    // |(1, 3)|^2 is 10: two samples with a sum of squares below 5 do not exist, but by rounding.
    assert_eq!(means.within().unwrap(), [0.5, 0.0, 0.0]);
    means.squares = Some(vec![5.0 - 1e-15, 0.0, 0.3125]);
    assert_eq!(means.within().unwrap(), [0.0, 0.0, 0.0]);
    assert!(means.is_finite());
    means.totals[1] = f64::NAN;
    assert!(means.within().unwrap()[0].is_nan() && !means.is_finite());
}

#[test]
fn a_damaged_or_wrong_file_is_refused_by_name_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken-means.safetensors");
    small_means().write(&path).unwrap();
    let whole = fs::read(&path).unwrap();

    let refusal = |expected: &str| {
        let line = Means::read(&path).unwrap_err().to_string();
        assert!(line.contains("broken-means.safetensors") && line.contains(expected), "{line}");
        assert!(!line.contains('\n'), "{line}");
    };
    for length in [whole.len() - 1, whole.len() / 2, 9, 3, 0] {
        fs::write(&path, &whole[..length]).unwrap();
        refusal("make it again");
    }
    let hash = whole.windows(6).position(|w| w == b"\"hash\"").unwrap();
    let mut renamed = whole.clone();
    renamed[hash + 1] = b'H';
    fs::write(&path, &renamed).unwrap();
    refusal("no `hash`");
    Vars { counts: vec![1], totals: vec![1.0], covariance: None, meta: Meta::default() }
        .write(&path)
        .unwrap();
    refusal("expected F64 with 2 axes");
    fs::remove_file(&path).unwrap();
    refusal("No such file");
}
