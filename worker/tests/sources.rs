//! Every form of dataset gives the same sequences; what can't be used is refused in one line and leaves
//! nothing behind.

use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use protocol::{output::PrepareOutput, spec::PrepareSpec};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;
use worker::{
    Error, Result,
    data::{self, Manifest, Sequences},
    report::Report,
};

/// A folder with inputs; `out` in it is where the data goes.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn spec(&self, dataset: &str, validation: Option<&str>) -> PrepareSpec {
        let dataset =
            if dataset.contains(':') { dataset.to_owned() } else { self.path(dataset).display().to_string() };
        PrepareSpec {
            dataset,
            tokenizer: "builtin".to_owned(),
            validation: validation.map(|name| self.path(name)),
            block_size: 8,
            shards: 2,
            out: self.path("out"),
        }
    }

    fn prepare(&self, dataset: &str, validation: Option<&str>) -> Result<PrepareOutput> {
        data::prepare(&self.spec(dataset, validation), &Report::silent())
    }

    /// The one line that refuses the input.
    #[track_caller]
    fn refused(&self, dataset: &str, validation: Option<&str>) -> String {
        self.refused_spec(&self.spec(dataset, validation))
    }

    #[track_caller]
    fn refused_spec(&self, spec: &PrepareSpec) -> String {
        let error = data::prepare(spec, &Report::silent()).unwrap_err();
        let line = error.to_string();
        assert!(matches!(error, Error::Input(_)), "{line}");
        assert!(!line.contains('\n'), "{line}");
        assert!(!spec.out.exists(), "{line}");
        assert!(!self.left().iter().any(|name| name.starts_with('.')), "{line}");
        line
    }

    /// The names in it.
    fn left(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

const TRAIN: [&str; 5] = [
    "Once upon a time there was a little girl named Mia.",
    "Tom lost his ball. \"Where is it?\" he asked.\n\nIt was under the bed.",
    "Ein Bär > zwei Bären: 熊",
    "The cat sat near the pond and looked at the ducks.",
    "Lily shared her cake.",
];
const VALIDATION: [&str; 2] =
    ["Ben was afraid of the dark, but then he saw a star.", "They played until dinner."];

fn jsonl(texts: &[&str]) -> String {
    texts.iter().map(|text| serde_json::json!({ "id": 1, "text": text }).to_string() + "\n").collect()
}

fn parquet(texts: &[&str], compression: Compression, optional: bool) -> Vec<u8> {
    let repetition = if optional { "optional" } else { "required" };
    let schema = format!("message rows {{ required int64 id; {repetition} binary text (UTF8); }}");
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut file = Vec::new();
    let mut writer = SerializedFileWriter::new(
        &mut file,
        Arc::new(parse_message_type(&schema).unwrap()),
        Arc::new(properties),
    )
    .unwrap();
    // Row groups of two: a text must not get lost between them.
    for texts in texts.chunks(2) {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&vec![7; texts.len()], None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        // An empty text stands for a missing one where that is possible.
        let values: Vec<ByteArray> = texts
            .iter()
            .filter(|text| !optional || !text.is_empty())
            .map(|text| ByteArray::from(*text))
            .collect();
        let levels: Vec<i16> = texts.iter().map(|text| i16::from(!text.is_empty())).collect();
        column.typed::<ByteArrayType>().write_batch(&values, optional.then_some(&levels[..]), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
    file
}

fn safetensors(name: &str, ids: &[i64], shape: [usize; 2]) -> Vec<u8> {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let tensor =
        safetensors::tensor::TensorView::new(safetensors::Dtype::I64, shape.to_vec(), &bytes).unwrap();
    safetensors::serialize([(name, tensor)], None).unwrap()
}

#[test]
fn every_form_of_the_same_texts_gives_the_same_sequences() {
    let folder = Folder::new();
    folder.write("validation.jsonl", jsonl(&VALIDATION));
    folder.write("a/train.jsonl", format!("\n{}  \n", jsonl(&TRAIN)));
    folder.write("b.txt", TRAIN.join("\n<|endoftext|>\n") + "\n");
    for (index, text) in TRAIN.iter().enumerate() {
        folder.write(&format!("c/{index}.txt"), format!("{text}\n"));
    }
    folder.write("c/README.md", "not a story");
    let zstd = Compression::ZSTD(ZstdLevel::default());
    folder.write("d.parquet", parquet(&TRAIN, Compression::SNAPPY, true));
    folder.write("e/data/train-00000-of-00002.parquet", parquet(&TRAIN[..3], zstd, false));
    folder
        .write("e/data/train-00001-of-00002.parquet", parquet(&TRAIN[3..], Compression::UNCOMPRESSED, true));
    folder.write("e/data/validation-00000-of-00001.parquet", parquet(&VALIDATION, zstd, true));
    folder.write("e/data/test-00000-of-00001.parquet", parquet(&["never read"], zstd, true));
    folder.write("e/notes.txt", "not a story");
    folder.write("f/train/0.jsonl", jsonl(&TRAIN));
    folder.write("f/valid/0.jsonl", jsonl(&VALIDATION));

    let expected = folder.prepare("a/train.jsonl", Some("validation.jsonl")).unwrap();
    assert_eq!(expected.splits["train"].texts, 5);
    folder.write("mark.jsonl", format!("\u{feff}\n{}", jsonl(&TRAIN)));
    let forms =
        [("mark.jsonl", true), ("b.txt", true), ("c", true), ("d.parquet", true), ("e", false), ("f", false)];
    for (dataset, flag) in forms {
        let found = folder.prepare(dataset, flag.then_some("validation.jsonl")).unwrap();
        assert_eq!(found, expected, "{dataset}");
    }
}

#[test]
fn the_built_in_stories_need_nothing() {
    let folder = Folder::new();
    let spec = PrepareSpec { block_size: 128, ..folder.spec("builtin:stories", None) };
    let output = data::prepare(&spec, &Report::silent()).unwrap();
    assert_eq!(output.vocab_size, 1024);
    assert!(output.splits["train"].sequences > 1000, "{output:?}");
    assert!(output.splits["validation"].sequences > 100, "{output:?}");
}

#[test]
fn tokenized_sequences_are_taken_as_they_are() {
    let folder = Folder::new();
    let ids: Vec<i64> = (0..24).map(|id| id * 3).collect();
    folder.write("train.safetensors", safetensors("input_ids", &ids, [3, 8]));
    folder.write("validation.safetensors", safetensors("input_ids", &ids[..8], [1, 8]));
    let output = folder.prepare("train.safetensors", Some("validation.safetensors")).unwrap();
    assert_eq!((output.vocab_size, output.splits["train"].sequences), (70, 3));
    assert_eq!(output.splits["validation"].dropped_tokens, 0);
    let sequences = Sequences::open(&folder.path("out"), "train").unwrap();
    assert_eq!(sequences.get(1), [24, 27, 30, 33, 36, 39, 42, 45]);
    assert_eq!(data::tokenizer_file(&folder.path("out")), None);

    let folder = Folder::new();
    folder.write("train.safetensors", safetensors("input_ids", &ids, [2, 12]));
    folder.write("negative.safetensors", safetensors("input_ids", &[0, 1, 2, 3, 4, -5, 6, 7], [1, 8]));
    folder.write("other.safetensors", safetensors("labels", &ids, [3, 8]));
    folder.write("corrupt.safetensors", b"\x08\0\0\0\0\0\0\0{\"a\": 1}");
    folder.write("texts.jsonl", jsonl(&TRAIN));
    let with = |name: &str| folder.refused(name, Some(name));
    assert!(with("train.safetensors").contains("accepted: --block-size 12"));
    assert!(with("negative.safetensors").contains("row 0, column 5: -5"));
    assert!(with("other.safetensors").contains("it has labels"));
    assert!(with("corrupt.safetensors").contains("corrupt.safetensors: corrupt"));
    assert!(folder.refused("train.safetensors", None).contains("--validation"));
    assert!(folder.refused("train.safetensors", Some("texts.jsonl")).contains(".safetensors"));
    assert!(folder.refused("texts.jsonl", Some("train.safetensors")).contains(".safetensors"));
}

#[test]
fn nothing_is_held_out_silently() {
    let folder = Folder::new();
    folder.write("train.jsonl", jsonl(&TRAIN));
    folder.write("d/train.jsonl", jsonl(&TRAIN));
    folder.write("d/test.jsonl", jsonl(&TRAIN));
    folder.write("e/validation.jsonl", jsonl(&TRAIN));
    assert!(folder.refused("train.jsonl", None).contains("--validation FILE"));
    let line = folder.refused("d", None);
    assert!(line.contains("--validation FILE") && line.contains("it has test"), "{line}");
    assert!(folder.refused("e", None).contains("no train split"));
}

#[test]
fn what_is_wrong_with_a_text_is_said_with_its_place() {
    let folder = Folder::new();
    folder.write("v.jsonl", jsonl(&VALIDATION));
    folder.write("latin.txt", b"fine\nfine\ncaf\xe9\n");
    folder.write("latin.jsonl", b"{\"text\": \"fine\"}\n{\"text\": \"caf\xe9\"}\n");
    folder.write("key.jsonl", "{\"text\": \"fine\"}\n\n{\"story\": \"no\", \"id\": 1}\n");
    folder.write("number.jsonl", "{\"text\": 5}\n");
    folder.write("broken.jsonl", "{\"text\": \"fine\"}\n{\"text\": \"fi\n");
    folder.write("null.parquet", parquet(&["a", "b", "c", "", "e"], Compression::SNAPPY, true));
    let with = |name: &str| folder.refused(name, Some("v.jsonl"));
    assert!(with("latin.txt").contains("latin.txt: line 3: not UTF-8"));
    assert!(with("latin.jsonl").contains("latin.jsonl: line 2: not UTF-8"));
    let line = with("key.jsonl");
    assert!(line.contains("key.jsonl: line 3: no `text`; it has id, story"), "{line}");
    assert!(with("number.jsonl").contains("line 1: `text` is not a string"));
    assert!(with("broken.jsonl").contains("line 2: not JSON"));
    assert!(with("null.parquet").contains("null.parquet: row 4: no text"));
}

#[test]
fn files_that_are_not_datasets_are_refused() {
    let folder = Folder::new();
    folder.write("v.jsonl", jsonl(&VALIDATION));
    folder.write("empty.jsonl", "\n \n");
    folder.write("empty.txt", "");
    folder.write("story.doc", "?");
    folder.write("corrupt.parquet", "PAR1 and then nothing");
    let whole = parquet(&TRAIN, Compression::SNAPPY, true);
    let mut damaged = whole.clone();
    damaged[20..60].fill(0xff);
    folder.write("damaged.parquet", damaged);
    folder.write("short.parquet", &whole[..whole.len() - 9]);
    let mut renamed = whole;
    for at in 0..renamed.len() - 4 {
        if &renamed[at..at + 4] == b"text" {
            renamed[at..at + 4].copy_from_slice(b"body");
        }
    }
    folder.write("renamed.parquet", renamed);
    fs::create_dir(folder.path("nothing")).unwrap();
    folder.write("two/wiki-2/train.jsonl", jsonl(&TRAIN));
    folder.write("two/wiki-103/train.jsonl", jsonl(&TRAIN));
    let with = |name: &str| folder.refused(name, Some("v.jsonl"));
    assert!(with("empty.jsonl").contains("empty.jsonl: split train is empty"));
    assert!(with("empty.txt").contains("is empty"));
    assert!(with("story.doc").contains("accepted: builtin:stories"));
    assert!(with("missing.jsonl").contains("no such file"));
    assert!(with("builtin:poems").contains("hf:owner/name"));
    assert!(with("corrupt.parquet").contains("corrupt.parquet: can't be read as Parquet"));
    assert!(with("damaged.parquet").contains("damaged.parquet"));
    assert!(with("short.parquet").contains("short.parquet: can't be read as Parquet"));
    assert!(with("renamed.parquet").contains("no column `text` of texts; it has id, body"));
    assert!(with("nothing").contains("no .parquet, .jsonl or .txt file"));
    assert!(with("two").contains("several datasets"));
    assert!(folder.refused("v.jsonl", Some("missing.jsonl")).contains("--validation"));
    assert!(folder.refused("v.jsonl", Some("story.doc")).contains("--validation"));
    folder.write("empty-validation.jsonl", "");
    assert!(folder.refused("v.jsonl", Some("empty-validation.jsonl")).contains("split validation is empty"));
}

#[test]
fn settings_that_give_nothing_are_refused() {
    let folder = Folder::new();
    folder.write("train.jsonl", jsonl(&TRAIN));
    folder.write("other.json", "{}");
    let spec = folder.spec("train.jsonl", Some("train.jsonl"));
    let line = folder.refused_spec(&PrepareSpec { block_size: 500, ..spec.clone() });
    assert!(line.contains("--block-size 500") && line.contains("tokens in 5 texts"), "{line}");
    assert!(folder.refused_spec(&PrepareSpec { block_size: 1, ..spec.clone() }).contains("2 or more"));
    assert!(folder.refused_spec(&PrepareSpec { shards: 0, ..spec.clone() }).contains("--shards"));
    let tokenizer = |tokenizer: &str| PrepareSpec { tokenizer: tokenizer.to_owned(), ..spec.clone() };
    assert!(folder.refused_spec(&tokenizer("gpt2")).contains("accepted: builtin, a tokenizer.json"));
    let other = folder.path("other.json").display().to_string();
    assert!(folder.refused_spec(&tokenizer(&other)).contains("not a tokenizer.json"));
}

#[test]
fn two_that_prepare_the_same_folder_do_not_disturb_each_other() {
    let folder = Folder::new();
    folder.write("train.jsonl", jsonl(&TRAIN));
    let spec = folder.spec("train.jsonl", Some("train.jsonl"));
    let outputs: Vec<PrepareOutput> = std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..4).map(|_| scope.spawn(|| data::prepare(&spec, &Report::silent()).unwrap())).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(outputs.iter().all(|output| *output == outputs[0]));
    assert_eq!(folder.left(), ["out", "train.jsonl"]);
}

#[test]
fn data_that_others_replace_stays_whole() {
    let folder = Folder::new();
    folder.write("train.jsonl", jsonl(&TRAIN));
    let spec = folder.spec("train.jsonl", Some("train.jsonl"));
    std::thread::scope(|scope| {
        for block_size in 8..14 {
            let spec = PrepareSpec { block_size, ..spec.clone() };
            scope.spawn(move || {
                for shards in 1..6 {
                    data::prepare(&PrepareSpec { shards, ..spec.clone() }, &Report::silent()).unwrap();
                }
            });
        }
    });
    assert_eq!(folder.left(), ["out", "train.jsonl"]);
    for split in ["train", "validation"] {
        Sequences::open(&spec.out, split).unwrap();
    }
    assert_eq!(fs::read_dir(&spec.out).unwrap().count(), 4);
}

#[test]
fn what_a_killed_run_left_beside_whole_data_goes_away() {
    let folder = Folder::new();
    folder.write("train.jsonl", jsonl(&TRAIN));
    let first = folder.prepare("train.jsonl", Some("train.jsonl")).unwrap();
    folder.write(".out.unfinished/train.bin", "half");
    folder.write(".out.replaced/train.bin", "old");
    let lock = fs::File::create(folder.path(".out.lock")).unwrap();
    lock.lock().unwrap();
    // Somebody makes it again just now: nothing of theirs is touched.
    assert_eq!(folder.prepare("train.jsonl", Some("train.jsonl")).unwrap(), first);
    assert!(folder.path(".out.unfinished/train.bin").exists());
    drop(lock);
    assert_eq!(folder.prepare("train.jsonl", Some("train.jsonl")).unwrap(), first);
    assert_eq!(folder.left(), ["out", "train.jsonl"]);
}

#[test]
fn prepared_data_is_kept_remade_or_left_alone() {
    let folder = Folder::new();
    folder.write("train.jsonl", jsonl(&TRAIN));
    let out = folder.path("out");
    let made = |path: &Path| fs::metadata(path.join("manifest.json")).unwrap().modified().unwrap();

    // What a killed run left is in nobody's way.
    for left in [".out.unfinished/train.bin", ".out.replaced/train.bin", ".out.lock"] {
        folder.write(left, "half");
    }
    let first = folder.prepare("train.jsonl", Some("train.jsonl")).unwrap();
    assert_eq!(folder.left(), ["out", "train.jsonl"]);
    let when = made(&out);

    assert_eq!(folder.prepare("train.jsonl", Some("train.jsonl")).unwrap(), first);
    assert_eq!(made(&out), when, "the same inputs again: nothing to do");

    let spec = PrepareSpec { block_size: 16, ..folder.spec("train.jsonl", Some("train.jsonl")) };
    data::prepare(&spec, &Report::silent()).unwrap();
    assert_eq!(Sequences::open(&out, "train").unwrap().block_size(), 16);

    folder.write("train.jsonl", jsonl(&TRAIN[..4]));
    data::prepare(&spec, &Report::silent()).unwrap();
    assert_eq!(Manifest::read(&out).unwrap().splits["train"].texts, 4, "the dataset was changed");

    // A token file that lost its end is noticed by whoever reads it, and made again.
    let bin = out.join("train.bin");
    fs::write(&bin, &fs::read(&bin).unwrap()[4..]).unwrap();
    let line = Sequences::open(&out, "train").unwrap_err().to_string();
    assert!(line.contains("train.bin") && line.contains("manifest"), "{line}");
    data::prepare(&spec, &Report::silent()).unwrap();
    Sequences::open(&out, "train").unwrap();
    let tokenizer = out.join("tokenizer.json");
    let whole = fs::read(&tokenizer).unwrap();
    fs::write(&tokenizer, &whole[1..]).unwrap();
    data::prepare(&spec, &Report::silent()).unwrap();
    assert_eq!(fs::read(&tokenizer).unwrap(), whole);
    // So is a manifest that lost its end.
    let manifest = out.join("manifest.json");
    let whole = fs::read(&manifest).unwrap();
    fs::write(&manifest, &whole[..whole.len() / 2]).unwrap();
    data::prepare(&spec, &Report::silent()).unwrap();
    assert_eq!(fs::read(&manifest).unwrap(), whole);
    assert!(Sequences::open(&out, "test").unwrap_err().to_string().contains("it has train, validation"));

    // A folder with other things in it is never replaced.
    let other = folder.write("other/thesis.tex", "years of work");
    let spec = PrepareSpec { out: folder.path("other"), ..spec };
    let line = data::prepare(&spec, &Report::silent()).unwrap_err().to_string();
    assert!(line.contains("--out"), "{line}");
    assert!(other.exists());
    assert!(Manifest::read(&spec.out).unwrap_err().to_string().contains("manifest.json"));
}

#[test]
fn folders_that_only_look_like_prepared_data_are_left_alone() {
    let folder = Folder::new();
    folder.write("train.jsonl", jsonl(&TRAIN));
    let spec = folder.spec("train.jsonl", Some("train.jsonl"));
    let refused = |out: &str, says: &str| {
        let spec = PrepareSpec { out: folder.path(out), ..spec.clone() };
        let error = data::prepare(&spec, &Report::silent()).unwrap_err();
        let line = error.to_string();
        assert!(matches!(error, Error::Input(_)) && !line.contains('\n'), "{line}");
        assert!(line.starts_with("--out ") && line.contains(says), "{line}");
        assert!(!folder.left().iter().any(|name| name.starts_with('.')), "{line}");
    };
    // The manifest of something else, alone and with more beside it.
    folder.write("other/manifest.json", r#"{"name": "thesis", "format": 1}"#);
    refused("other", "no manifest.json of prepared data");
    folder.write("other/src/thesis.txt", "years of work");
    refused("other", "has src in it");
    assert_eq!(fs::read(folder.path("other/src/thesis.txt")).unwrap(), b"years of work");

    // Prepared data in which somebody put a model: nothing is done while it is up to date.
    let first = folder.prepare("train.jsonl", Some("train.jsonl")).unwrap();
    let weights = folder.write("out/models/mine/model.safetensors", "days of work");
    assert_eq!(folder.prepare("train.jsonl", Some("train.jsonl")).unwrap(), first);
    folder.write("train.jsonl", jsonl(&TRAIN[..4]));
    refused("out", "has models in it");
    assert_eq!(fs::read(&weights).unwrap(), b"days of work");
    assert_eq!(Manifest::read(&spec.out).unwrap().splits["train"].texts, 5);
    fs::remove_dir_all(folder.path("out/models")).unwrap();
    data::prepare(&spec, &Report::silent()).unwrap();
    assert_eq!(Manifest::read(&spec.out).unwrap().splits["train"].texts, 4);
}

#[test]
fn through_a_link_the_folder_that_it_leads_to_is_filled() {
    let folder = Folder::new();
    folder.write("train.jsonl", jsonl(&TRAIN));
    fs::create_dir_all(folder.path("store/texts")).unwrap();
    std::os::unix::fs::symlink(folder.path("store/texts"), folder.path("out")).unwrap();
    for (block_size, out) in [(8, "out"), (16, "out"), (8, "out/")] {
        let spec = folder.spec("train.jsonl", Some("train.jsonl"));
        let spec = PrepareSpec { block_size, out: folder.path(out), ..spec };
        let first = data::prepare(&spec, &Report::silent()).unwrap();
        assert_eq!(data::prepare(&spec, &Report::silent()).unwrap(), first);
        assert!(folder.path("out").is_symlink());
        let found = Sequences::open(&folder.path("store/texts"), "train").unwrap().block_size();
        assert_eq!(found, block_size as usize);
        assert_eq!(folder.left(), ["out", "store", "train.jsonl"]);
        assert_eq!(fs::read_dir(folder.path("store")).unwrap().count(), 1);
    }
    fs::rename(folder.path("store"), folder.path("away")).unwrap();
    let error =
        data::prepare(&folder.spec("train.jsonl", Some("train.jsonl")), &Report::silent()).unwrap_err();
    assert!(matches!(error, Error::Input(_)), "{error}");
    assert!(error.to_string().contains("a link to what is not there"), "{error}");
    assert_eq!(folder.left(), ["away", "out", "train.jsonl"]);
}

#[test]
fn asked_to_stop_it_leaves_nothing() {
    let folder = Folder::new();
    folder.write("train.jsonl", jsonl(&TRAIN));
    let report = Report::listening();
    report.request_stop();
    let spec = folder.spec("train.jsonl", Some("train.jsonl"));
    let error = data::prepare(&spec, &report).unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    assert_eq!(folder.left(), ["train.jsonl"]);
}
