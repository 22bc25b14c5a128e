//! Nothing is lost: real processes, real signals, real damage, really full disks.

mod damage;
mod full_disk;
mod interruption;
mod keeping;
mod process;
mod start;

use process::Place;
use std::fs;

#[test]
fn other_settings_do_not_resume() {
    let place = Place::with(32, 4);
    let train = "train --config config.json --data data --out model --max-steps 2 --device cpu";
    place.succeed(train);
    place.run(train).assert_refused(&["model: has checkpoints already", "--resume"]);
    let other = format!("{train} --resume --weight-decay 0.1");
    place.run(&other).assert_refused(&["weight_decay 0.0, asked to resume with 0.1"]);

    // What can't be told from a damaged folder is not touched.
    fs::remove_file(place.path("model/checkpoint-2/SHA256SUMS")).unwrap();
    place.run(&format!("{train} --resume")).assert_refused(&["checkpoint-2: no SHA256SUMS in it"]);
    assert!(place.path("model/checkpoint-2").exists());
}
