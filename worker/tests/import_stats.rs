//! Statistics of the published tool, taken over: golden values, section 6 (`pt_example`).

mod golden;
mod torch_save;

use golden::{Tensors, path};
use protocol::{spec::AnalyzeSpec, stage::StageKind};
use std::{
    fs,
    path::{Path, PathBuf},
    slice,
};
use torch_save::{Stored, file, int, state_dict, tensor, text};
use worker::{
    Error,
    analyze::analyze,
    report::Report,
    stats::{self, Decs, ImportOutcome, Means, Vars, import, means_hash},
};

const STAGES: [StageKind; 3] = [StageKind::Means, StageKind::Vars, StageKind::Decs];

fn example() -> PathBuf {
    path("analyze/pt_example")
}

fn source(stage: StageKind) -> PathBuf {
    example().join(format!("{stage}@0/TS01x0032_01n@0-{stage}.pt"))
}

fn ours(stats: &Path, stage: StageKind) -> PathBuf {
    stats::path(stats, stage, 0, "01x0032_01n")
}

fn refusal(from: &[PathBuf], stats: &Path) -> String {
    let error = import(from, stats, false).unwrap_err();
    assert!(matches!(error, Error::Input(_)), "{error}");
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

#[test]
fn the_published_tools_statistics_become_ours_to_the_bit() {
    let stats = tempfile::tempdir().unwrap();
    let import = import(&[example()], stats.path(), false).unwrap();
    assert!(import.skipped.is_empty());
    let stages: Vec<_> = import.files.iter().map(|file| file.stage).collect();
    assert_eq!(stages.len(), 3);
    let expected = Tensors::read("analyze/stats/01x0032_01n@0.safetensors");
    let info = &golden::json("analyze/stats/info.json")["01x0032_01n"];
    for record in &import.files {
        assert_eq!(record.file, ours(stats.path(), record.stage));
        assert_eq!(record.from, source(record.stage));
        assert_eq!((record.model.as_str(), record.checkpoint), ("01x0032_01n", 0));
        assert_eq!(info[record.stage.as_str()]["hash"], record.hash);
        assert_eq!(info[record.stage.as_str()]["N_seqs"], record.sequences);
        assert_eq!(record.outcome, ImportOutcome::Written);
        let counts = expected.integers(&format!("{}.Ns_toks", record.stage)).0;
        assert_eq!(record.classes, counts.iter().filter(|&&n| n > 0).count() as u64);
        let read = match record.stage {
            StageKind::Means => {
                let means = Means::read(&record.file).unwrap();
                assert_eq!((means.dim, &means.totals), (32, &expected.doubles("means.totals")));
                assert_eq!(means_hash(&means), record.hash);
                (means.counts, means.meta)
            }
            StageKind::Vars => {
                let vars = Vars::read(&record.file).unwrap();
                assert_eq!(vars.totals, expected.doubles("vars.totals"));
                (vars.counts, vars.meta)
            }
            _ => {
                let decs = Decs::read(&record.file).unwrap();
                assert_eq!(decs.totals, expected.integers("decs.totals").0);
                (decs.counts, decs.meta)
            }
        };
        assert_eq!(read.0, counts);
        assert_eq!((read.1.hash, read.1.n_seqs), (record.hash.clone(), record.sequences));
        assert_eq!(read.1.made_from["imported_from"], record.from.file_name().unwrap().to_str().unwrap());
        assert_eq!(read.1.made_from["model"], "TinyStories-01x0032_01n@0");
    }
}

#[test]
fn measures_of_imported_statistics_are_the_published_tools() {
    let stats = tempfile::tempdir().unwrap();
    import(&[example()], stats.path(), false).unwrap();
    let spec = AnalyzeSpec {
        stats: stats.path().to_owned(),
        models: path("analyze/models"),
        only: None,
        measures: vec!["all".into()],
        min_per_class: 1,
        max_per_class: None,
        out: None,
        foreign_stats: None,
        compat: false,
        device: "cpu".to_owned(),
        per_class: None,
    };
    let output = analyze(&spec, &Report::silent()).unwrap();
    let mut golden = csv::Reader::from_path(path("analyze/all.csv")).unwrap();
    let columns = golden.headers().unwrap().clone();
    let line = golden.records().map(Result::unwrap).find(|line| &line[0] == "01x0032_01n@0").unwrap();
    assert_eq!(output.rows.len(), 1);
    assert_eq!(output.rows[0].model, "01x0032_01n@0");
    assert_eq!(output.columns, columns.iter().skip(1).collect::<Vec<_>>());
    for (column, value) in columns.iter().zip(&line).skip(1) {
        let (found, value): (f64, f64) = (output.rows[0].values[column].0, value.parse().unwrap());
        // Those that the published tool computes in single precision.
        let single = ["cdnv", "log_kern", "dual", "simcos", "dists"].iter().any(|it| column.starts_with(it));
        let exact = ["n_params", "hits", "misses", "val_acc", "val_loss", "perplex"].contains(&column);
        let tolerance = if exact {
            0.0
        } else if single {
            1e-5
        } else {
            1e-6
        };
        assert!((found - value).abs() <= tolerance * value.abs(), "{column}: {found}, expected {value}");
    }
}

#[test]
fn what_is_there_already_stays_and_what_differs_is_replaced_only_on_request() {
    let stats = tempfile::tempdir().unwrap();
    import(&[example()], stats.path(), false).unwrap();
    let modified =
        || STAGES.map(|stage| fs::metadata(ours(stats.path(), stage)).unwrap().modified().unwrap());
    let before = modified();
    for replace in [false, true] {
        let again = import(&STAGES.map(source), stats.path(), replace).unwrap();
        assert!(again.files.iter().all(|file| file.outcome == ImportOutcome::Unchanged));
    }
    assert_eq!(modified(), before);

    // One that differs in one number keeps everything from being written.
    let path = ours(stats.path(), StageKind::Vars);
    let mut vars = Vars::read(&path).unwrap();
    vars.totals[7] += 1.0;
    vars.write(&path).unwrap();
    fs::remove_file(ours(stats.path(), StageKind::Means)).unwrap();
    let line = refusal(&[example()], stats.path());
    assert!(line.contains("vars@0/01x0032_01n-vars.safetensors") && line.contains("--replace"), "{line}");
    assert!(!ours(stats.path(), StageKind::Means).exists());
    let replaced = import(&[example()], stats.path(), true).unwrap();
    let outcome = |stage| replaced.files.iter().find(|file| file.stage == stage).unwrap().outcome;
    assert_eq!(
        STAGES.map(outcome),
        [ImportOutcome::Written, ImportOutcome::Replaced, ImportOutcome::Unchanged]
    );
    assert_ne!(Vars::read(&path).unwrap().totals[7], vars.totals[7]);

    // A damaged file is one that differs.
    fs::write(&path, "half").unwrap();
    assert!(refusal(&[example()], stats.path()).contains("--replace"));
}

/// Takes the entries' sums out of a file: zero is what PyTorch writes where it does not compute them.
fn without_sums(file: &mut [u8]) {
    let entries = file.windows(4).enumerate().filter(|(_, window)| window == b"PK\x01\x02");
    for at in entries.map(|(at, _)| at + 16).collect::<Vec<_>>() {
        file[at..at + 4].fill(0);
    }
}

/// A copy of an example's file for another identifier, over so many sequences.
fn copy_of(stage: StageKind, folder: &Path, identifier: &str, sequences: u8) -> PathBuf {
    let mut bytes = fs::read(source(stage)).unwrap();
    let key = bytes.windows(6).position(|window| window == b"N_seqs").unwrap();
    // The number follows a place in the memo.
    assert_eq!([bytes[key + 6], bytes[key + 8]], *b"qK");
    bytes[key + 9] = sequences;
    without_sums(&mut bytes);
    let path = folder.join(format!("TS{identifier}@0-{stage}.pt"));
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn unfinished_statistics_are_told_by_their_number_of_sequences() {
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("stats");
    let copies = |[means, vars, decs]: [u8; 3]| {
        [(StageKind::Means, means), (StageKind::Vars, vars), (StageKind::Decs, decs)]
            .map(|(stage, sequences)| copy_of(stage, folder.path(), "01x0032_02n", sequences))
    };
    let given = [&STAGES.map(source)[..], &copies([150, 150, 20])].concat();
    assert_eq!(import(&given, &stats, false).unwrap().warnings, Vec::<String>::new());

    let given = [&STAGES.map(source)[..], &copies([150, 150, 7])].concat();
    let [line] = &import(&given, &stats, true).unwrap().warnings[..] else { panic!("one line") };
    let named = "TS01x0032_02n@0-decs.pt: over 7 sequences, those of another model over 20; ";
    assert!(line.contains(named) && line.ends_with("it is unfinished"), "{line}");

    for sequences in [[150, 149, 20], [149, 150, 20]] {
        let line = refusal(&copies(sequences), &folder.path().join("other"));
        assert!(line.contains("01x0032_02n@0-vars.pt: over 1") && line.contains("is unfinished"), "{line}");
        assert!(!folder.path().join("other").exists());
    }
}

#[test]
fn means_that_do_not_have_their_hash_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("TS01x0032_01n@0-means.pt");
    let mut bytes = fs::read(source(StageKind::Means)).unwrap();
    // The exponent of some total.
    let place = bytes.len() / 2;
    bytes[place | 7] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let stats = folder.path().join("stats");
    let line = refusal(slice::from_ref(&file), &stats);
    assert!(line.contains("TS01x0032_01n@0-means.pt: damaged: `data/1` in it"), "{line}");
    without_sums(&mut bytes);
    fs::write(&file, &bytes).unwrap();
    let line = refusal(slice::from_ref(&file), &stats);
    assert!(line.contains("TS01x0032_01n@0-means.pt") && line.contains("its means have the hash"), "{line}");
    assert!(!stats.exists());
}

#[test]
fn names_that_say_nothing_and_files_of_something_else_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("stats");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    };
    let vars = fs::read(source(StageKind::Vars)).unwrap();
    let unnamed = write("unnamed/weights.pt", &vars);
    assert!(refusal(&[unnamed], &stats).contains("TS01x0032_01n@0-means.pt"));
    assert!(refusal(&[folder.path().join("unnamed")], &stats).contains("no statistics"));

    let twice = write("twice/TS01x0032_01n@0-vars.pt", &vars);
    assert!(refusal(&[example(), twice], &stats).contains("give one of them"));
    let wrong = write("wrong/TS01x0032_01n@0-means.pt", &vars);
    assert!(refusal(&[wrong], &stats).contains("`totals` has shape [512]; expected 2 axes"));
    let wrong = write("wrong/TS01x0032_01n@0-decs.pt", &vars);
    assert!(refusal(&[wrong], &stats).contains("`totals` is F64; accepted: I32, I64"));
    let short = write("short/TS01x0032_01n@0-vars.pt", &vars[..vars.len() - 9]);
    assert!(refusal(&[short], &stats).contains("cut short"));
    assert!(!stats.exists());

    let other = write("mixed/TS01x0032_01n@0-vars.pt", &vars);
    let skipped = write("mixed/deeper/covariance.pt", &vars);
    let import = import(&[folder.path().join("mixed")], &stats, false).unwrap();
    assert_eq!((import.files[0].from.clone(), import.skipped), (other, vec![skipped]));
}

#[test]
fn incomplete_statistics_name_what_they_lack() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("TS01x0032_01n@0-vars.pt");
    let stored = |name, class, shape: &'static [usize]| {
        tensor(&Stored { name, class, key: name, offset: 0, shape, strides: &[1] })
    };
    let entry = |key: &str, value: Vec<u8>| [text(key), value].concat();
    let whole = [
        entry("hash", text("0123")),
        entry("N_seqs", int(3)),
        entry("Ns_toks", stored("n", "IntStorage", &[2])),
        entry("totals", stored("t", "DoubleStorage", &[2])),
    ];
    let write = |entries: &[Vec<u8>], counts: &[u8]| {
        let program = [b"\x80\x02}(".to_vec(), entries.concat(), b"u.".to_vec()].concat();
        fs::write(&path, file(&program, &[("n", counts), ("t", &[0; 16])])).unwrap();
    };
    let counts: &[u8] = &[1, 0, 0, 0, 2, 0, 0, 0];
    write(&whole, counts);
    assert_eq!(import(slice::from_ref(&path), folder.path(), false).unwrap().files[0].sequences, 3);
    for (missing, named) in
        ["text `hash`", "whole number `N_seqs`", "tensor `Ns_toks`", "tensor `totals`"].iter().enumerate()
    {
        let mut entries = whole.to_vec();
        entries.remove(missing);
        write(&entries, counts);
        let line = refusal(slice::from_ref(&path), folder.path());
        assert!(line.contains(&format!("no {named}")), "{line}");
    }
    write(&whole, &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    assert!(refusal(slice::from_ref(&path), folder.path()).contains("class 1 is negative"));
    let weights =
        Stored { name: "w", class: "FloatStorage", key: "t", offset: 0, shape: &[4], strides: &[1] };
    fs::write(&path, file(&state_dict(&[weights]), &[("t", &[0; 16])])).unwrap();
    let line = refusal(slice::from_ref(&path), folder.path());
    assert!(line.contains("statistics of the published tool") && line.contains("(it has: w)"), "{line}");
    let mut entries = whole.to_vec();
    entries[3] = entry("totals", stored("t", "DoubleStorage", &[1]));
    write(&entries, counts);
    assert!(refusal(slice::from_ref(&path), folder.path()).contains("`totals` has 1 classes, `Ns_toks` 2"));
}
