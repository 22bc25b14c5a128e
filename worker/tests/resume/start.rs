//! Training that starts from a checkpoint.

use crate::process::{Place, assert_same, logged};
use nix::sys::signal::Signal;
use std::fs;

/// A place with a checkpoint `models/first` of a model whose configuration names no tokens, and with data `texts`,
/// whose tokenizer has such.
fn place() -> Place {
    let place = Place::with(16, 4);
    let text = "Once upon a time there was a little girl named Mia who lost her ball under the bed.";
    let line = serde_json::json!({ "text": text.repeat(60) }).to_string() + "\n";
    fs::write(place.path("texts.jsonl"), line.repeat(4)).unwrap();
    let config = fs::read_to_string(place.path("config.json")).unwrap();
    let config = config.replacen('{', r#"{"vocab_size": 1024, "max_position_embeddings": 32, "#, 1);
    fs::write(place.path("wide.json"), config).unwrap();
    place.succeed(
        "prepare --dataset texts.jsonl --validation texts.jsonl --tokenizer builtin --block-size 32 --out texts",
    );
    place.succeed("train --config wide.json --data data --out models/first --max-steps 1 --device cpu");
    place
}

#[test]
fn training_from_a_checkpoint_goes_on_after_an_interruption() {
    let place = place();
    let train = |out: &str| {
        format!(
            "train --resume --init models/first --config wide.json --data texts --out {out} --batch-size 4 --epochs 2 \
             --save-every 2 --device cpu"
        )
    };
    place.succeed(&train("whole"));
    let (held, ended) = place.interrupt(&train("model"), Signal::SIGTERM, 3, || logged(&place.path("model")));
    assert!(held.is_some() && ended.code == Some(75), "{ended:?}");
    place.succeed(&train("model")).line(&["going on from step "]);
    assert_same(&place.path("model"), &place.path("whole"));
    // Both configurations are that of the run: the tokens are those of its data.
    let config = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(place.path(name)).unwrap()).unwrap()
    };
    let steps = fs::read_dir(place.path("model")).unwrap().flatten();
    let checkpoint = steps.map(|entry| entry.file_name().into_string().unwrap());
    let checkpoint = checkpoint.filter(|name| name.starts_with("checkpoint-")).max().unwrap();
    assert_eq!(config(&format!("model/{checkpoint}/config.json")), config("model/config.json"));
    assert!(config("model/config.json")["eos_token_id"].is_u64());
    assert!(config("models/first/config.json")["eos_token_id"].is_null());
}

#[test]
fn a_configuration_must_agree_with_the_checkpoint_to_start_from() {
    let place = place();
    let train = |config: &str, out: &str| {
        fs::write(place.path("given.json"), config).unwrap();
        format!(
            "train --init models/first --config given.json --data texts --out {out} --max-steps 1 --device cpu"
        )
    };
    for (config, says) in [
        (r#"{"resid_dropout": 0.2}"#, ["resid_dropout 0.2", "has 0.1"]),
        (r#"{"num_hidden_layers": 3}"#, ["num_layers 3", "has 2"]),
        (r#"{"attention_types": [[["global"], 2]]}"#, ["attention_types [[[\"global\"],2]]", "local"]),
    ] {
        let refused = ["error: --config has ", "(--init)", says[0], says[1]];
        place.run(&train(config, "model")).assert_refused(&refused);
    }
    assert!(!place.path("model").exists());
    // The same in other words, and fields that no model depends on.
    let same = r#"{"hidden_size": 32, "num_attention_heads": 2, "attention_types": [[["global"], 1], [["local"], 1]],
                   "embed_dropout": 0, "transformers_version": "9.9"}"#;
    place.succeed(&train(same, "model"));
    // Nothing has to be said at all.
    place.succeed("train --init models/first --data texts --out other --max-steps 1 --device cpu");
    assert_same(&place.path("other"), &place.path("model"));
}

#[test]
fn training_is_only_resumed_with_the_weights_that_it_started_from() {
    let place = place();
    place.succeed(
        "train --config wide.json --data data --out models/second --seed 5 --max-steps 1 --device cpu",
    );
    let train = |start: &str, out: &str| {
        format!(
            "train --resume {start} --config wide.json --data texts --out {out} --max-steps 2 --device cpu"
        )
    };
    let (first, second) = ("--init models/first", "--init models/second/checkpoint-1");
    place.succeed(&train(first, "model"));
    // The same weights by another name.
    place.succeed(&train("--init models/first/checkpoint-1", "model"));
    place.succeed(&train("", "random"));
    for (start, out, says) in [
        (second, "model", ["trainer_state.json: made with init ", "use the same or another --out"]),
        ("", "model", ["made with init ", "asked to resume with \"random\""]),
        (first, "random", ["made with init \"random\", asked to resume with ", "use the same"]),
    ] {
        place.run(&train(start, out)).assert_refused(&says);
    }
}
