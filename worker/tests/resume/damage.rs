//! Damaged files are noticed, named and never used, and what was good before is gone on from.

use crate::process::{Place, assert_same, copy, logged, names, steps};
use nix::sys::signal::Signal;
use std::{
    fs,
    path::{Path, PathBuf},
};

const TRAIN: &str = "train --resume --config config.json --data data --epochs 3 --batch-size 4 \
                     --learning-rate 1e-3 --save-every 5 --device cpu";

/// What can happen to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    CutShort,
    Emptied,
    Flipped,
    Missing,
}

const DAMAGES: [Damage; 4] = [Damage::CutShort, Damage::Emptied, Damage::Flipped, Damage::Missing];

impl Damage {
    fn happen_to(self, file: &Path) {
        let mut bytes = fs::read(file).unwrap();
        match self {
            Self::CutShort => bytes.truncate(bytes.len() * 2 / 3),
            Self::Emptied => bytes.clear(),
            Self::Flipped => {
                let middle = bytes.len() * 2 / 3;
                bytes[middle] ^= 4;
            }
            Self::Missing => return fs::remove_file(file).unwrap(),
        }
        fs::write(file, bytes).unwrap();
    }
}

/// The folders of a model folder.
fn folders(model: &Path) -> Vec<String> {
    names(model).into_iter().filter(|name| model.join(name).is_dir()).collect()
}

#[test]
fn a_damaged_checkpoint_is_set_aside_and_the_one_before_gone_on_from() {
    let place = Place::with(32, 4);
    place.succeed(&format!("{TRAIN} --out whole"));
    // Epochs end after 8, 16 and 24 steps.
    let (held, ended) = place
        .interrupt(&format!("{TRAIN} --out model"), Signal::SIGKILL, 11, || logged(&place.path("model")));
    assert!(held.is_some() && ended.signal.is_some(), "{ended:?}");
    let step = |name: &str| name.rsplit_once('-').unwrap().1.parse::<u64>().unwrap();
    let mut left = folders(&place.path("model"));
    left.retain(|name| !name.starts_with(".unfinished-"));
    left.sort_by_key(|name| step(name));
    let [.., before, newest] = left.as_slice() else { panic!("{left:?}") };

    let files =
        ["model.safetensors", "optimizer.safetensors", "trainer_state.json", "config.json", "SHA256SUMS"];
    for (case, (file, damage)) in
        files.iter().flat_map(|file| DAMAGES.iter().map(move |damage| (file, damage))).enumerate()
    {
        if matches!((*file, damage), ("SHA256SUMS", Damage::Missing)) {
            continue; // Not damage, but a folder that is not ours.
        }
        let (name, out) = (format!("model-{case}"), place.path(&format!("model-{case}")));
        copy(&place.path("model"), &out);
        damage.happen_to(&out.join(newest).join(file));
        let ended = place.succeed(&format!("{TRAIN} --out {name}"));
        let instead = format!("as damaged-{newest}, going on from {before}");
        ended.line(&["warn: ", &format!("{newest}/"), ": damaged", &instead]);
        assert!(ended.stderr.contains(file), "{file} {damage:?}: {ended:?}");
        assert_eq!(ended.number_after("going on from step "), Some(step(before)), "{file} {damage:?}");
        let aside = format!("damaged-{newest}");
        assert_eq!(folders(&out), ["checkpoint-16", "checkpoint-24", "checkpoint-8", &aside]);
        assert_same(&out, &place.path("whole"));
        assert_eq!(steps(&out), steps(&place.path("whole")));
    }

    // All are damaged, and one of that name was set aside before.
    let out = place.path("model");
    fs::create_dir(out.join(format!("damaged-{before}"))).unwrap();
    for name in &left {
        Damage::Flipped.happen_to(&out.join(name).join("optimizer.safetensors"));
    }
    let ended = place.succeed(&format!("{TRAIN} --out model"));
    ended.line(&[
        &format!("{newest}/optimizer.safetensors"),
        "no whole checkpoint is left, training starts anew",
    ]);
    ended.line(&[
        &format!("{before}/optimizer.safetensors"),
        &format!("set aside as damaged-{before}.2, no whole"),
    ]);
    assert_same(&out, &place.path("whole"));
}

#[test]
fn a_damaged_log_costs_lines_but_not_the_model() {
    let place = Place::with(32, 4);
    place.succeed(&format!("{TRAIN} --out whole"));
    place.interrupt(&format!("{TRAIN} --out model"), Signal::SIGTERM, 9, || logged(&place.path("model")));
    let log = place.path("model/train_log.jsonl");
    let text = fs::read_to_string(&log).unwrap().replace("\"step\":3,", "\"step\":\u{0},");
    fs::write(&log, text).unwrap();
    let ended = place.succeed(&format!("{TRAIN} --out model"));
    ended.line(&["warn: ", "train_log.jsonl: 1 of ", "the model is whole"]);
    assert_same(&place.path("model"), &place.path("whole"));
    let mut expected = steps(&place.path("whole"));
    expected.remove(2);
    assert_eq!(steps(&place.path("model")), expected);

    // The steps that follow tell the same numbers when nothing is left of those before.
    place.interrupt(&format!("{TRAIN} --out other"), Signal::SIGTERM, 9, || logged(&place.path("other")));
    let taken = logged(&place.path("other")) as usize;
    fs::remove_file(place.path("other/train_log.jsonl")).unwrap();
    place.succeed(&format!("{TRAIN} --out other"));
    assert_eq!(steps(&place.path("other")), steps(&place.path("whole"))[taken..]);
}

#[test]
fn a_lost_end_of_the_log_is_not_made_up_from_what_is_left() {
    let place = Place::with(32, 4);
    let loss = || {
        let mut command = place.command(&format!("{TRAIN} --out model --json"));
        let output = command.stdout(std::process::Stdio::piped()).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["final_loss"].clone()
    };
    let trained = loss();
    assert!(trained.is_f64() && loss() == trained, "{trained}");
    let log = place.path("model/train_log.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text.replace("\"step\":24,", "\"step\":\u{0},")).unwrap();
    assert_eq!(loss(), "nan");
}

#[test]
fn damaged_weights_and_data_are_refused_by_name() {
    let place = Place::with(32, 4);
    place.succeed("train --config config.json --data data --out model --max-steps 2 --device cpu");
    let place_of = |name: &str| place.path(name);
    let weights = place_of("model/checkpoint-2/model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    let evaluate = "evaluate --model model --data data --device cpu";
    let collect = "collect --stage means --model model --data data --stats stats --device cpu";
    for damage in DAMAGES {
        damage.happen_to(&weights);
        for command in [evaluate, collect] {
            place.run(command).assert_refused(&["checkpoint-2/model.safetensors: damaged", "restore it"]);
        }
        fs::write(&weights, &bytes).unwrap();
    }
    assert!(!place_of("stats").exists());
    place.succeed(evaluate);
    let prepare = "prepare --dataset train.safetensors --validation validation.safetensors --tokenizer builtin \
                   --block-size 32 --out data";
    let train = "train --config config.json --data data --out other --device cpu";
    let decs = "collect --stage decs --model model --data data --stats stats --device cpu";
    for (split, commands) in [("train", [collect, train]), ("validation", [evaluate, decs])] {
        let file = place_of(&format!("data/{split}.bin"));
        let bytes = fs::read(&file).unwrap();
        for damage in DAMAGES {
            damage.happen_to(&file);
            for command in commands {
                let name = format!("data/{split}.bin: damaged");
                place.run(command).assert_refused(&[&name, "prepare the data again"]);
            }
            // As the line says.
            place.succeed(prepare);
            assert!(fs::read(&file).unwrap() == bytes, "{split} {damage:?}");
        }
    }
    assert!(!place_of("other").exists());
    place.succeed(evaluate);
}

#[test]
fn analysis_refuses_damaged_weights_and_statistics_of_others() {
    let place = Place::with(40, 20);
    let train = "train --config config.json --data data --out models/model --max-steps 2 --device cpu";
    let collect = "collect --stage means --model models/model --data data --stats stats --device cpu";
    let analyze = |measures: &str| {
        format!("analyze --stats stats --models models --measures {measures} --out results.csv")
    };
    place.succeed(train);
    place.succeed(collect);
    place.succeed(&analyze("loss,dual"));
    fs::remove_file(place.path("results.csv")).unwrap();

    let weights = place.path("models/model/checkpoint-2/model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    for damage in DAMAGES {
        damage.happen_to(&weights);
        for measures in ["loss", "dual"] {
            place
                .run(&analyze(measures))
                .assert_refused(&["checkpoint-2/model.safetensors: damaged", "restore it"]);
        }
        fs::write(&weights, &bytes).unwrap();
    }

    // Other weights under the same name.
    fs::remove_dir_all(place.path("models/model")).unwrap();
    place.succeed(&format!("{train} --seed 5"));
    for measures in ["loss", "dual"] {
        place.run(&analyze(measures)).assert_refused(&[
            "model-means.safetensors: outdated, made from other weights than",
            "models/model/checkpoint-2; collect the statistics again",
        ]);
    }
    assert!(!place.path("results.csv").exists());
    place
        .run(collect)
        .assert_refused(&["model-means.safetensors: was made with checkpoint_sha256", "--replace"]);
    place.succeed(&format!("{collect} --replace"));
    place.succeed(&analyze("loss,dual"));
}

#[test]
fn damaged_unfinished_statistics_are_not_used_and_damaged_finished_ones_refused() {
    let place = Place::with(60, 60);
    place.succeed("train --config config.json --data data --out models/model --max-steps 2 --device cpu");
    let collect = |stage: &str, stats: &str| {
        format!(
            "collect --stage {stage} --model models/model --data data --stats {stats} --batch-size 1 --save-every 1 \
             --device cpu"
        )
    };
    let file = |stage: &str, stats: &str| -> PathBuf {
        place.path(&format!("{stats}/{stage}@0/model-{stage}.safetensors"))
    };
    let stages = ["means", "vars", "decs"];
    for stage in stages {
        place.succeed(&collect(stage, "whole"));
        let partial = file(stage, "stats").with_extension("partial");
        let position = || u64::from(partial.exists());
        let (held, ended) = place.interrupt(&collect(stage, "stats"), Signal::SIGTERM, 1, position);
        assert!(held.is_some() && ended.code == Some(75), "{ended:?}");
        let bytes = fs::read(&partial).unwrap();
        for damage in [Damage::CutShort, Damage::Emptied, Damage::Flipped] {
            fs::write(&partial, &bytes).unwrap();
            damage.happen_to(&partial);
            let ended = place.succeed(&collect(stage, "stats"));
            ended.line(&["warn: ", &format!("model-{stage}.partial: "), "damaged, starting over"]);
            assert!(!ended.stderr.contains("going on from"), "{ended:?}");
            assert!(fs::read(file(stage, "stats")).unwrap() == fs::read(file(stage, "whole")).unwrap());
            fs::remove_file(file(stage, "stats")).unwrap();
        }
        place.succeed(&collect(stage, "stats"));
    }

    let analyze = "analyze --stats stats --models models --measures nor,snr,decs --out results.csv";
    place.succeed(analyze);
    fs::remove_file(place.path("results.csv")).unwrap();
    for stage in stages {
        let bytes = fs::read(file(stage, "stats")).unwrap();
        for damage in [Damage::CutShort, Damage::Emptied, Damage::Flipped] {
            damage.happen_to(&file(stage, "stats"));
            for command in [collect(stage, "stats"), analyze.to_owned()] {
                let name = format!("model-{stage}.safetensors: damaged");
                place.run(&command).assert_refused(&[&name, "delete it and"]);
            }
            fs::write(file(stage, "stats"), &bytes).unwrap();
        }
    }
    assert!(!place.path("results.csv").exists());
}

#[test]
fn statistics_of_outdated_means_are_refused_until_they_are_collected_again() {
    let place = Place::with(40, 20);
    place.succeed("train --config config.json --data data --out models/model --max-steps 2 --device cpu");
    let collect = |stage: &str| {
        format!(
            "collect --stage {stage} --model models/model --data data --stats stats --batch-size 8 --device cpu"
        )
    };
    let analyze = |measures: &str| {
        format!("analyze --stats stats --models models --measures {measures} --out results.csv")
    };
    ["means", "vars", "decs"].iter().for_each(|stage| drop(place.succeed(&collect(stage))));
    place.succeed(&analyze("nor,snr,decs"));

    // Other weights under the same name: first the means are outdated, then what was made with them.
    fs::remove_dir_all(place.path("models/model")).unwrap();
    place.succeed(
        "train --config config.json --data data --out models/model --max-steps 2 --seed 5 --device cpu",
    );
    for stage in ["vars", "decs"] {
        place
            .run(&collect(stage))
            .assert_refused(&["model-means.safetensors: outdated, made from other weights"]);
    }
    place.succeed(&format!("{} --replace", collect("means")));
    place
        .run(&analyze("snr"))
        .assert_refused(&["model-vars.safetensors: made with other means", "collect vars again"]);
    place.run(&analyze("decs")).assert_refused(&["model-decs.safetensors: made with other means"]);
    place.succeed(&analyze("nor"));
    ["vars", "decs"].iter().for_each(|stage| drop(place.succeed(&format!("{} --replace", collect(stage)))));
    place.succeed(&analyze("nor,snr,decs"));

    // Other data.
    fs::rename(place.path("validation.safetensors"), place.path("kept.safetensors")).unwrap();
    fs::copy(place.path("train.safetensors"), place.path("validation.safetensors")).unwrap();
    fs::rename(place.path("kept.safetensors"), place.path("train.safetensors")).unwrap();
    place.succeed(
        "prepare --dataset train.safetensors --validation validation.safetensors --tokenizer builtin \
         --block-size 32 --out data",
    );
    for stage in ["vars", "decs"] {
        place
            .run(&collect(stage))
            .assert_refused(&["model-means.safetensors: outdated, made from other data than"]);
    }
}

#[test]
fn analysis_refuses_an_evaluation_of_other_weights_or_data() {
    let place = Place::with(40, 20);
    place.succeed("train --config config.json --data data --out models/model --max-steps 2 --device cpu");
    place.succeed("evaluate --model models/model --data data --device cpu");
    for stage in ["means", "decs"] {
        place.succeed(&format!(
            "collect --stage {stage} --model models/model --data data --stats stats --device cpu"
        ));
    }
    let analyze = "analyze --stats stats --models models --measures loss,decs --out results.csv";
    place.succeed(analyze);
    let file = place.path("models/model/checkpoint-2/eval_results.json");
    let whole: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let with = |key: &str, value: serde_json::Value| {
        let mut results = whole.clone();
        *results.get_mut(key).expect("it is recorded") = value;
        fs::write(&file, results.to_string()).unwrap();
    };
    with("checkpoint_sha256", "of others".into());
    place.run(analyze).assert_refused(&[
        "eval_results.json: outdated, made from other weights than",
        "models/model/checkpoint-2; evaluate it again",
    ]);
    with("function_sha256", "of others".into());
    place.run(analyze).assert_refused(&[
        "eval_results.json: outdated, made from other settings than",
        "models/model/checkpoint-2/config.json; evaluate it again",
    ]);
    with("data_sha256", "of others".into());
    place.run(analyze).assert_refused(&[
        "eval_results.json: made from other data than",
        "model-decs.safetensors; evaluate and collect from the same",
    ]);
    with("block_size", 16.into());
    place.run(analyze).assert_refused(&[
        "eval_results.json: made from sequences of 16 tokens, but ",
        "model-decs.safetensors from such of 32; evaluate and collect from the same",
    ]);
    let other = whole["eval_samples"].as_u64().unwrap() + 3;
    with("eval_samples", other.into());
    let over =
        format!("but the evaluation was over {other}; unless that was over other data, they are unfinished");
    place.succeed(analyze).line(&["warn: model@0: decisions over ", &over]);
    // Of earlier versions, and of other programs.
    let mut results = whole.clone();
    for key in ["checkpoint_sha256", "function_sha256", "data_sha256", "block_size"] {
        results.as_object_mut().unwrap().remove(key);
    }
    fs::write(&file, results.to_string()).unwrap();
    place.succeed(analyze);
}
