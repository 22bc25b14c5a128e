//! Nothing is lost: real processes, real signals, real damage, really full disks.

#[path = "../daemon/mod.rs"]
mod daemon;
mod damage;
mod full_disk;
mod interruption;
mod keeping;
mod process;
mod start;

use nix::sys::signal::Signal;
use process::Place;
use std::{fs, path::Path};
use worker::stats::Means;

#[test]
fn other_settings_do_not_resume() {
    let place = Place::with(32, 4);
    let train = "train --config config.json --data data --out model --max-steps 2 --device cpu";
    place.succeed(train);
    place.run(train).assert_refused(&["model: has checkpoints already", "--resume"]);
    let other = format!("{train} --resume --weight-decay 0.1");
    place.run(&other).assert_refused(&["weight_decay 0.0, asked to resume with 0.1"]);
    let config = fs::read_to_string(place.path("config.json")).unwrap();
    fs::write(place.path("wide.json"), config.replace("\"hidden_size\": 32", "\"hidden_size\": 64")).unwrap();
    place
        .run(&format!("{train} --resume").replace("config.json", "wide.json"))
        .assert_refused(&["model: its checkpoints have hidden_size 32, asked to resume with 64"]);

    // What can't be told from a damaged folder is not touched.
    fs::remove_file(place.path("model/checkpoint-2/SHA256SUMS")).unwrap();
    place.run(&format!("{train} --resume")).assert_refused(&["checkpoint-2: no SHA256SUMS in it"]);
    assert!(place.path("model/checkpoint-2").exists());
}

#[test]
fn a_list_of_batches_that_was_changed_does_not_resume() {
    let place = Place::with(32, 4);
    let train = "train --resume --config config.json --data data --out model --order batches.json --device cpu \
                 --max-steps 4 --save-every 1";
    let list = |first: usize| {
        let batches: Vec<Vec<usize>> = (0..8).map(|step| vec![(first + step) % 32, step]).collect();
        fs::write(place.path("batches.json"), serde_json::to_vec(&batches).unwrap()).unwrap();
    };
    list(1);
    place.succeed(train);
    place.succeed(train);
    // The same list by another name.
    let elsewhere = place.path("elsewhere.json");
    fs::copy(place.path("batches.json"), &elsewhere).unwrap();
    place
        .succeed(&train.replace("batches.json", elsewhere.to_str().unwrap()))
        .line(&["going on from step 4"]);
    place
        .run(&train.replace("batches.json", "shuffled"))
        .assert_refused(&["made with order \"batches.json\""]);
    list(2);
    place.run(train).assert_refused(&["checkpoint-4/trainer_state.json: made with order_sha256 "]);

    // A checkpoint of an earlier version did not record all that one does now.
    change_state(&place.path("model/checkpoint-4"), |state| {
        state.as_object_mut().unwrap().remove("device").expect("it is recorded");
        for added in ["order_sha256", "block_size", "init"] {
            state["settings"].as_object_mut().unwrap().remove(added).expect("it is recorded");
        }
    });
    place.succeed(train).line(&["going on from step 4"]);
}

/// Makes a whole checkpoint that says something else about its training.
fn change_state(folder: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let state = folder.join("trainer_state.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    change(&mut json);
    fs::write(&state, json.to_string()).unwrap();
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    let hash = worker::files::sha256(&state).unwrap();
    let line = |line: &str| match line.split_once("  ") {
        Some((_, "trainer_state.json")) => format!("{hash}  trainer_state.json\n"),
        _ => format!("{line}\n"),
    };
    fs::write(folder.join("SHA256SUMS"), sums.lines().map(line).collect::<String>()).unwrap();
}

#[test]
fn training_that_goes_on_on_another_kind_of_device_says_so() {
    let place = Place::with(32, 4);
    let train = "train --resume --config config.json --data data --out model --max-steps 2";
    place.succeed(train);
    let again = place.succeed(train);
    assert!(!again.stderr.contains("began on"), "{again:?}");
    change_state(&place.path("model/checkpoint-2"), |state| state["device"] = "abacus".into());
    place.succeed(train).line(&["warn: began on abacus, goes on on "]);
}

#[test]
fn statistics_that_go_on_on_another_kind_of_device_say_so_and_do_not_keep_it() {
    let place = Place::with(90, 4);
    place.succeed("train --config config.json --data data --out model --max-steps 1");
    let collect =
        "collect --stage means --model model --data data --stats stats --batch-size 1 --save-every 1";
    let partial = place.path("stats/means@0/model-means.partial");
    let (held, _) = place.interrupt(collect, Signal::SIGKILL, 1, || u64::from(partial.exists()));
    assert!(held.is_some());
    let mut means = Means::read(&partial).unwrap();
    means.meta.made_from.insert("device".to_owned(), "abacus".to_owned()).expect("it is recorded");
    means.write(&partial).unwrap();
    let ended = place.succeed(collect);
    ended.line(&["warn: began on abacus, goes on on "]);
    assert!(ended.number_after("going on from sequence ").is_some(), "{ended:?}");
    let whole = Means::read(&partial.with_extension("safetensors")).unwrap();
    assert!(!whole.meta.made_from.contains_key("device"), "{:?}", whole.meta);
}

#[test]
fn a_model_is_trained_by_one_process_at_a_time() {
    let place = Place::with(32, 4);
    fs::create_dir(place.path("model")).unwrap();
    let lock = fs::File::create(place.path("model/.lock")).unwrap();
    lock.lock().unwrap();
    fs::write(place.path("model/.unfinished-by-the-other"), "half").unwrap();
    let mut command =
        place.command("train --config config.json --data data --out model --max-steps 2 --device cpu");
    let mut second = command.stderr(fs::File::create(place.path("told")).unwrap()).spawn().unwrap();
    let told = || fs::read_to_string(place.path("told")).unwrap();
    while !told().contains("model: another process is training it; waiting") {
        assert!(second.try_wait().unwrap().is_none(), "{}", told());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(place.path("model/.unfinished-by-the-other").exists());
    drop(lock);
    assert!(second.wait().unwrap().success(), "{}", told());
    assert_eq!(process::names(&place.path("model")), ["checkpoint-2", "config.json", "train_log.jsonl"]);
}

#[test]
fn tokens_cut_into_other_sequences_are_other_data() {
    let place = Place::with(32, 4);
    let config = fs::read_to_string(place.path("config.json")).unwrap();
    let config = config.replacen('{', r#"{"max_position_embeddings": 32, "#, 1);
    fs::write(place.path("config.json"), config).unwrap();
    let train = "train --resume --config config.json --data data --out model --max-steps 2 --device cpu";
    let collect = |stage: &str| {
        format!("collect --stage {stage} --model model --data data --stats stats --batch-size 8 --device cpu")
    };
    place.succeed(train);
    place.succeed(&collect("means"));
    for split in ["train", "validation"] {
        let file = place.path(&format!("{split}.safetensors"));
        let bytes = fs::read(&file).unwrap();
        let ids = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let ids = ids.tensor("input_ids").unwrap();
        let shape = vec![ids.shape()[0] * 2, process::LENGTH / 2];
        let halves = safetensors::tensor::TensorView::new(ids.dtype(), shape, ids.data()).unwrap();
        fs::write(&file, safetensors::serialize([("input_ids", halves)], None).unwrap()).unwrap();
    }
    place.succeed(
        "prepare --dataset train.safetensors --validation validation.safetensors --tokenizer builtin --block-size 16 \
         --out data",
    );
    place.run(train).assert_refused(&["made with block_size 32, asked to resume with 16"]);
    for stage in ["vars", "decs"] {
        place
            .run(&collect(stage))
            .assert_refused(&["model-means.safetensors: outdated, made from other data"]);
    }
}

#[test]
fn weights_that_the_last_update_made_infinite_are_not_saved() {
    let place = Place::with(32, 4);
    let ended = place.run(
        "train --config config.json --data data --out model --max-steps 1 --learning-rate 1e38 --device cpu",
    );
    assert_eq!(ended.code, Some(1), "{ended:?}");
    ended.line(&["error: ", "model/checkpoint-1: ", " is not finite; try a smaller learning rate"]);
    assert_eq!(process::names(&place.path("model")), ["config.json", "train_log.jsonl"]);
}

#[test]
fn weight_decay_that_does_nothing_is_told_when_training_begins() {
    let place = Place::with(32, 4);
    let train = "train --resume --config config.json --data data --out model --max-steps 2 --weight-decay 0.0005 \
                 --device cpu";
    place.succeed(train).line(&["weight decay 0.0005 changes nothing"]);
    assert!(!place.succeed(train).stderr.contains("changes nothing"));
    place.succeed("train --config config.json --data data --out other --max-steps 2 --device cpu");
    let weights = |model: &str| fs::read(place.path(model).join("checkpoint-2/model.safetensors")).unwrap();
    assert!(weights("model") == weights("other"));
}

#[test]
fn a_model_beyond_the_memory_of_the_machine_is_refused_before_it_is_made() {
    let place = Place::with(8, 4);
    let config = fs::read_to_string(place.path("config.json")).unwrap();
    // So large that not even its address space could be reserved.
    let config =
        config.replace("\"hidden_size\": 32", "\"hidden_size\": 33554432, \"vocab_size\": 2147483647");
    fs::write(place.path("config.json"), config).unwrap();
    place
        .run("train --config config.json --data data --out model --max-steps 1 --device cpu")
        .assert_refused(&[
            "vocab_size 2147483647, hidden_size 33554432, ",
            " GiB to be trained, this machine has ",
        ]);
    assert!(!place.path("model").exists());
}
