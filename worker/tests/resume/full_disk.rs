//! Full disks, and one that can only be read: a file system of a few megabytes, in a mount namespace of its own.

use crate::{
    daemon,
    process::{Ended, Place, copy, ended, names},
};
use std::{fs, process::Command};

/// Mounts a file system with these options on `disk`, runs a script in `place`, and copies `disk` to `left`
/// before it goes away. None where such file systems can't be made.
fn on_small_disk(place: &Place, options: &str, script: &str) -> Option<Ended> {
    let mount = format!("mount -t tmpfs -o {options} tmpfs disk");
    let namespace = ["-m", "-rm"].into_iter().find(|flag| {
        fs::create_dir_all(place.path("disk")).unwrap();
        let tried =
            Command::new("unshare").args([flag, "sh", "-c", &mount]).current_dir(place.path("")).output();
        tried.is_ok_and(|output| output.status.success())
    });
    let Some(namespace) = namespace else {
        println!("skipped: full disks; needs unshare and the right to mount a file system (root has it)");
        return None;
    };
    let mut command = place.command("");
    let program = command.get_program().to_owned();
    command = Command::new("unshare");
    command
        .args([namespace, "sh", "-c"])
        .arg(format!("{mount} && {{ {script}; }}; code=$?; mkdir -p left; cp -r disk/. left; exit $code"))
        .env("WORKER", program)
        .current_dir(place.path(""))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped());
    Some(ended(command.spawn().unwrap()))
}

const TRAIN: &str = "train --resume --config config.json --data data --epochs 3 --batch-size 8 --device cpu";

/// Bytes of a folder's files.
fn bytes(folder: &std::path::Path) -> u64 {
    names(folder).iter().map(|name| fs::metadata(folder.join(name)).unwrap().len()).sum()
}

#[test]
fn a_checkpoint_that_does_not_fit_is_not_begun_and_the_one_before_stays() {
    let place = Place::with(16, 4);
    place.succeed(&format!("{TRAIN} --out whole"));
    // One checkpoint and a half.
    let size = bytes(&place.path("whole/checkpoint-2")) * 3 / 2;
    let command = format!("\"$WORKER\" {TRAIN} --out disk/model");
    let Some(ended) = on_small_disk(&place, &format!("size={size}"), &command) else { return };
    ended.assert_refused(&[
        "disk/model/checkpoint-4: needs ",
        " bytes, but ",
        " are available in disk/model; free some space",
    ]);
    let left = place.path("left/model");
    let mut folders = names(&left);
    folders.retain(|name| left.join(name).is_dir());
    assert_eq!(folders, ["checkpoint-2"], "no temporary files");
    // With more space it goes on from there.
    let again = place.succeed(&format!("{TRAIN} --out left/model"));
    assert_eq!(again.number_after("going on from step "), Some(2), "{again:?}");
    crate::process::assert_same(&left, &place.path("whole"));
}

#[test]
fn a_disk_that_fills_up_in_the_middle_of_a_save_leaves_the_checkpoint_before() {
    let place = Place::with(16, 4);
    place.succeed(&format!("{TRAIN} --out whole"));
    // No space is reported missing, but there are no more files to be had in the middle of the second one.
    let command = format!("\"$WORKER\" {TRAIN} --out disk/model");
    let Some(ended) = on_small_disk(&place, "size=64m,nr_inodes=13", &command) else { return };
    ended.assert_refused(&["disk/model/", "free some space or choose another folder"]);
    let left = place.path("left/model");
    let mut folders = names(&left);
    folders.retain(|name| left.join(name).is_dir());
    assert_eq!(folders, ["checkpoint-2"], "no temporary files");
    place.succeed(&format!("{TRAIN} --out left/model"));
    crate::process::assert_same(&left, &place.path("whole"));
}

#[test]
fn statistics_that_do_not_fit_leave_what_was_saved_before() {
    let place = Place::with(16, 4);
    place.succeed("train --config config.json --data data --out model --max-steps 2 --device cpu");
    let collect = |stats: &str| {
        format!("collect --stage means --model model --data data --save-every 4 --stats {stats} --device cpu")
    };
    place.succeed(&collect("whole"));
    let whole = fs::read(place.path("whole/means@0/model-means.safetensors")).unwrap();
    // The unfinished statistics fit, a second file beside them does not.
    let size = whole.len() * 3 / 2;
    let command = format!("\"$WORKER\" {}", collect("disk/stats"));
    let Some(ended) = on_small_disk(&place, &format!("size={size}"), &command) else { return };
    ended.assert_refused(&["model-means.", "needs ", "are available in disk/stats/means@0; free some space"]);
    assert_eq!(names(&place.path("left/stats/means@0")), ["model-means.partial"]);
    copy(&place.path("left/stats"), &place.path("stats"));
    let again = place.succeed(&collect("stats"));
    assert_eq!(again.number_after("going on from sequence "), Some(4), "{again:?}");
    assert!(fs::read(place.path("stats/means@0/model-means.safetensors")).unwrap() == whole);
}

#[test]
fn an_evaluation_that_can_not_be_written_is_refused_before_it_begins() {
    let place = Place::with(16, 4);
    place.succeed("train --config config.json --data data --out model --max-steps 1 --device cpu");
    let evaluate = |split: &str| {
        let command =
            format!("\"$WORKER\" evaluate --model disk/model --data data --split {split} --device cpu");
        let script =
            format!("cp -r model disk/model && mount -t tmpfs -o remount,ro tmpfs disk && {command}");
        on_small_disk(&place, "size=16m", &script)
    };
    let Some(ended) = evaluate("validation") else { return };
    ended.assert_refused(&["--model disk/model: no file can be made in ", "disk/model/checkpoint-1; check"]);
    // Nothing is written about the train split.
    let Some(ended) = evaluate("train") else { return };
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn an_attempt_that_finds_no_space_for_its_own_files_has_failed_but_its_input_is_not_wrong() {
    let place = Place::with(16, 4);
    fs::create_dir(place.path("attempt")).unwrap();
    daemon::attempt(&place.path("attempt"));
    let run = "LC_CLAIM_WAIT=0 \"$WORKER\" run --attempt disk/attempt.json --fake-work 0";
    // The folder, the attempt and the lock; there is no space for the events.
    let options = "size=64m,nr_inodes=3";
    let Some(ended) = on_small_disk(&place, options, &format!("cp attempt/attempt.json disk && {run}"))
    else {
        return;
    };
    assert_eq!(ended.code, Some(1), "{ended:?}");
    ended.line(&["error: ", "disk/events.jsonl", "free some space"]);
}
