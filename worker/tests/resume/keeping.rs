//! `--keep-checkpoints`: what stays, and under which index.

use crate::process::{Place, names};
use std::fs;

/// Five epochs of two steps.
const TRAIN: &str = "train --resume --config config.json --data data --epochs 5 --batch-size 4 --device cpu";

#[test]
fn the_newest_checkpoints_keep_their_indices() {
    let place = Place::with(8, 4);
    place.succeed(&format!("{TRAIN} --out all"));
    place.succeed(&format!("{TRAIN} --out two --keep-checkpoints 2"));
    let two = place.path("two");
    let folders = |model: &str| {
        let mut names = names(&place.path(model));
        names.retain(|name| place.path(model).join(name).is_dir());
        names
    };
    assert_eq!(folders("two"), ["checkpoint-10", "checkpoint-8"]);
    for file in ["checkpoint-8/model.safetensors", "checkpoint-10/model.safetensors"] {
        assert!(
            fs::read(two.join(file)).unwrap() == fs::read(place.path("all").join(file)).unwrap(),
            "{file}"
        );
    }
    let collect = |model: &str, index: u32| {
        format!(
            "collect --stage means --model {model} --checkpoint {index} --data data --stats stats --device cpu"
        )
    };
    place.succeed(&collect("two", 3));
    place.succeed(&collect("all", 3));
    let means = |model: &str| {
        worker::stats::Means::read(&place.path(&format!("stats/means@3/{model}-means.safetensors"))).unwrap()
    };
    assert_eq!(means("two").totals, means("all").totals);
    let evaluate = "evaluate --model two --data data --device cpu";
    for command in [collect("two", 0), format!("{evaluate} --checkpoint 2")] {
        place
            .run(&command)
            .assert_refused(&["two: no checkpoint", "it has 2 (3 to 4), the others were not kept"]);
    }
    place.succeed(evaluate);
    assert!(two.join("checkpoint-10/eval_results.json").exists());

    // Another number applies to what is there, and the finished training is only looked at.
    place.succeed(&format!("{TRAIN} --out two --keep-checkpoints 1"));
    assert_eq!(folders("two"), ["checkpoint-10"]);
    place.succeed(&format!("{evaluate} --checkpoint 4"));
}

#[test]
fn weights_alone_are_a_third_and_can_be_analysed_but_not_resumed() {
    let place = Place::with(8, 4);
    place.succeed(&format!("{TRAIN} --out model --keep-checkpoints weights"));
    let model = place.path("model");
    let whole =
        ["SHA256SUMS", "config.json", "model.safetensors", "optimizer.safetensors", "trainer_state.json"];
    assert_eq!(names(&model.join("checkpoint-10")), whole);
    let without: Vec<_> = whole.into_iter().filter(|name| !name.starts_with("optimizer")).collect();
    for step in [2, 4, 6, 8] {
        assert_eq!(names(&model.join(format!("checkpoint-{step}"))), without);
    }
    for index in 0..5 {
        place.succeed(&format!("evaluate --model model --checkpoint {index} --data data --device cpu"));
    }

    // The one checkpoint that could be gone on from is damaged: training starts anew and ends the same.
    let weights = model.join("checkpoint-10/model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..100]).unwrap();
    let again = place.succeed(&format!("{TRAIN} --out model --keep-checkpoints weights"));
    again.line(&["model.safetensors: damaged", "no whole checkpoint is left, training starts anew"]);
    assert!(fs::read(&weights).unwrap() == bytes);
}

#[test]
fn what_is_kept_is_a_word_or_a_number() {
    let place = Place::with(8, 4);
    for keep in ["0", "some", "-1"] {
        place
            .run(&format!("{TRAIN} --out model --keep-checkpoints {keep}"))
            .assert_refused(&["--keep-checkpoints", "use all, weights or a whole number above 0"]);
    }
    assert!(!place.path("model").exists());
}
