//! Interrupted work ends in the bytes of uninterrupted work, wherever and however it was interrupted.

use crate::{
    daemon::{self, Daemon},
    process::{Ended, Place, assert_same, checkpoints, ended, logged, names, steps},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use protocol::attempt::{AttemptFile, EventBody};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use std::{fs, path::Path, process::Stdio, thread::sleep, time::Duration};
use worker::stats::Summary;

/// Interruptions of one piece of work; a few may come too late, when it is done already.
const INTERRUPTIONS: usize = 3;
const ENOUGH: usize = 2;
const SIGNALS: [Signal; 4] = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGHUP];

/// Choices that differ from run to run; `LC_TEST_SEED` repeats those of a failed one.
struct Choices(ChaCha8Rng);

impl Choices {
    fn of(test: &str) -> Self {
        let clock = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = std::env::var("LC_TEST_SEED").map_or_else(|_| clock(), |text| text.parse().unwrap());
        println!("{test}: LC_TEST_SEED={seed}");
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// The exit that a signal asks for: within the unit of work in hand, with a code that says "go on".
fn assert_exit(signal: Signal, ended: &Ended) {
    match signal {
        Signal::SIGKILL => assert_eq!(ended.signal, Some(Signal::SIGKILL as i32), "{ended:?}"),
        _ => assert_eq!(ended.code, Some(75), "{signal}: {ended:?}"),
    }
}

#[test]
fn training_ends_the_same_however_it_was_interrupted() {
    const EPOCHS: u64 = 3;
    const SAVE_EVERY: u64 = 4;
    let mut choices = Choices::of("train");
    let place = Place::with(102, 4);
    let total = EPOCHS * 102_u64.div_ceil(4);
    let words = |out: &str, keep: &str| {
        format!(
            "train --resume --config config.json --data data --out {out} --epochs {EPOCHS} --batch-size 4 \
             --learning-rate 1e-3 --seed 3 --device cpu --save-every {SAVE_EVERY} --keep-checkpoints {keep}"
        )
    };
    for (case, keep) in ["all", "weights", "2"].into_iter().enumerate() {
        let (whole, out) = (format!("whole-{case}"), format!("interrupted-{case}"));
        place.succeed(&words(&whole, keep));
        let (whole, model, words) = (place.path(&whole), place.path(&out), words(&out, keep));
        assert_eq!(
            checkpoints(&whole).iter().filter(|(name, _)| name.ends_with("model.safetensors")).count(),
            if keep == "2" { 2 } else { 3 }
        );

        let (mut at, mut happened, mut expected) = (0, 0, None);
        let check_start = |ended: &Ended, expected: Option<(u64, u64)>| {
            // A killed program may not have come to say where it started.
            let Some((least, most)) = expected.filter(|_| ended.signal.is_none()) else { return };
            let from = ended.number_after("going on from step ").unwrap_or(0);
            assert!((least..=most).contains(&from), "from {from}, not {least} to {most}: {ended:?}");
        };
        for _ in 0..INTERRUPTIONS {
            let (signal, target) = (choices.one_of(&SIGNALS), at + 1 + choices.below(total / 4));
            println!("case {case}: {signal} at step {target}");
            let (held, ended) = place.interrupt(&words, signal, target, || logged(&model));
            check_start(&ended, expected.take());
            let Some(held) = held.filter(|_| ended.code != Some(0)) else { continue };
            assert_exit(signal, &ended);
            at = logged(&model);
            expected = Some(match signal {
                Signal::SIGKILL => (held.saturating_sub(SAVE_EVERY), held),
                _ => (at, at),
            });
            assert!(at <= held + 1, "{signal} at step {held}, but step {at} was taken");
            happened += 1;
        }
        assert!(happened >= ENOUGH, "only {happened} interruptions");
        check_start(&place.succeed(&words), expected);
        assert_same(&model, &whole);
        assert_eq!(steps(&model), steps(&whole));
        assert_eq!(steps(&model).len() as u64, total);
    }
}

#[test]
fn statistics_end_the_same_however_their_collection_was_interrupted() {
    const SEQUENCES: u64 = 90;
    let mut choices = Choices::of("collect");
    let place = Place::with(SEQUENCES as usize, SEQUENCES as usize);
    place.succeed("train --config config.json --data data --out model --max-steps 3 --device cpu");
    for stage in ["means", "vars", "decs"] {
        let words = |stats: &str, batch: u64| {
            format!(
                "collect --stage {stage} --model model --data data --stats {stats} --batch-size {batch} \
                 --save-every 1 --device cpu"
            )
        };
        let file = |stats: &str| place.path(&format!("{stats}/{stage}@0/model-{stage}.safetensors"));
        place.succeed(&words("whole", 8));
        let (mut happened, partial) = (0, file("stats").with_extension("partial"));
        let position = || read(&partial);
        for _ in 0..INTERRUPTIONS {
            let (signal, batch) = (choices.one_of(&SIGNALS), 1 + choices.below(2));
            let target = position() + 1 + choices.below(SEQUENCES / 4);
            println!("{stage}: {signal} at sequence {target} in batches of {batch}");
            let from = position();
            let (held, ended) = place.interrupt(&words("stats", batch), signal, target, position);
            // A killed program may not have come to say where it started.
            if ended.signal.is_none() {
                assert_eq!(ended.number_after("going on from sequence ").unwrap_or(0), from, "{ended:?}");
            }
            let Some(held) = held.filter(|_| ended.code != Some(0)) else { break };
            assert_exit(signal, &ended);
            // One batch may be in hand, and one may have been saved without its file in place yet.
            assert!(position() <= held + 2 * batch, "{signal} at {held}, but at {} now", position());
            assert!(!file("stats").exists());
            happened += 1;
        }
        assert!(happened >= ENOUGH, "{stage}: only {happened} interruptions");
        place.succeed(&words("stats", 3));
        assert!(fs::read(file("stats")).unwrap() == fs::read(file("whole")).unwrap(), "{stage} differs");
        let folder = file("stats");
        assert_eq!(names(folder.parent().unwrap()), [format!("model-{stage}.safetensors")]);
    }
}

/// Sequences in unfinished statistics.
fn read(partial: &Path) -> u64 {
    if partial.exists() { Summary::read(partial).map_or(0, |summary| summary.n_seqs) } else { 0 }
}

#[test]
fn a_stage_that_saves_nothing_ends_as_by_the_signal() {
    let place = Place::with(400, 4);
    place.succeed("train --config config.json --data data --out model --max-steps 1 --device cpu");
    let evaluate = "evaluate --model model --data data --split train --batch-size 1 --device cpu";
    for (signal, code) in
        [(Signal::SIGTERM, 143), (Signal::SIGUSR1, 138), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)]
    {
        // The handlers are there before the data is read; a signal may still come too late.
        let ended = (0..10)
            .map(|_| place.interrupt(evaluate, signal, 1, || u64::from(listens(&place, "evaluate"))).1)
            .find(|ended| ended.code != Some(0))
            .expect("a signal in time");
        assert_eq!(ended.code, Some(code), "{ended:?}");
        ended.line(&["error: stopped, nothing was written"]);
    }
    assert!(!place.path("model/checkpoint-1/eval_results.json").exists());

    // A lock that is held makes the second one wait.
    let lock = fs::File::create(place.path(".other.lock")).unwrap();
    lock.lock().unwrap();
    let prepare = "prepare --dataset train.safetensors --validation validation.safetensors --tokenizer builtin \
                   --block-size 32 --out other";
    let (_, ended) = place.interrupt(prepare, Signal::SIGTERM, 1, || u64::from(listens(&place, "prepare")));
    assert_eq!(ended.code, Some(143), "{ended:?}");
    ended.line(&["error: ", "other: stopped, nothing was written"]);
    assert!(!place.path("other").exists());
}

#[test]
fn a_closed_terminal_does_not_stop_what_is_to_outlive_it() {
    let place = Place::with(400, 4);
    let words = "train --config config.json --data data --out model --batch-size 1 --device cpu";
    let plain = place.command(words);
    let mut command = std::process::Command::new("nohup");
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(place.path(""));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    while logged(&place.path("model")) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "{:?}", ended(child));
        sleep(Duration::from_millis(1));
    }
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGHUP).unwrap();
    let ended = ended(child);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(logged(&place.path("model")), 400);
}

#[test]
fn what_a_killed_evaluation_left_half_written_is_removed() {
    let place = Place::with(8, 4);
    place.succeed("train --config config.json --data data --out model --max-steps 1 --device cpu");
    let checkpoint = place.path("model/checkpoint-1");
    let before = names(&checkpoint);
    fs::write(checkpoint.join(".unfinished-eval_results.json-xyz"), "{").unwrap();
    place.succeed("evaluate --model model --data data --device cpu");
    let mut after = names(&checkpoint);
    after.retain(|name| name != "eval_results.json");
    assert_eq!(after, before);
}

#[test]
fn data_that_a_killed_process_left_half_made_is_made_anew() {
    let place = Place::with(8, 4);
    let prepare = |out: &str| {
        format!("prepare --dataset builtin:stories --tokenizer builtin --block-size 64 --out {out}")
    };
    place.succeed(&prepare("whole"));
    let begun = || u64::from(place.path(".other.unfinished/train.bin").exists());
    let (held, ended) = place.interrupt(&prepare("other"), Signal::SIGKILL, 1, begun);
    assert!(held.is_some() && ended.signal.is_some(), "{ended:?}");
    assert!(!place.path("other").exists());
    place.succeed(&prepare("other"));
    let left = names(&place.path(""));
    assert!(!left.iter().any(|name| name.starts_with('.')), "{left:?}");
    for file in names(&place.path("whole")) {
        let [whole, other] = ["whole", "other"].map(|out| fs::read(place.path(out).join(&file)).unwrap());
        assert!(whole == other, "{file} differs");
    }
}

/// Whether a command that runs in this place catches SIGTERM already.
fn listens(place: &Place, command: &str) -> bool {
    let here = place.path("").canonicalize().unwrap();
    let of_place = |process: &Path| {
        let words = fs::read(process.join("cmdline")).unwrap_or_default();
        fs::read_link(process.join("cwd")).is_ok_and(|folder| folder == here)
            && words.split(|&byte| byte == 0).nth(1) == Some(command.as_bytes())
    };
    let catches = |process: &Path| {
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        let mask = status
            .lines()
            .find_map(|line| u64::from_str_radix(line.strip_prefix("SigCgt:")?.trim(), 16).ok());
        mask.is_some_and(|mask| mask & (1 << (Signal::SIGTERM as u32 - 1)) != 0)
    };
    fs::read_dir("/proc").unwrap().flatten().any(|entry| of_place(&entry.path()) && catches(&entry.path()))
}

#[test]
fn training_that_lost_its_attempt_leaves_the_folder_to_the_next_worker() {
    // One epoch that is long enough.
    let place = Place::with(20_000, 4);
    let folder = place.path("attempt");
    fs::create_dir(&folder).unwrap();
    let daemon = Daemon::start();
    daemon.announce(&folder);
    let path = daemon::attempt(&folder);
    let mut file: AttemptFile = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("config.json")).unwrap()).unwrap();
    file.spec = serde_json::from_value(serde_json::json!({
        "stage": "train", "config": config, "data": "data", "out": "model", "init": null, "seed": 0, "epochs": 1,
        "max_steps": null, "batch_size": 1, "learning_rate": 5e-5, "weight_decay": 0.1, "max_grad_norm": 1.0,
        "order": "shuffled", "device": "cpu", "dtype": "f32", "resume": true,
    }))
    .unwrap();
    fs::write(&path, serde_json::to_vec(&file).unwrap()).unwrap();
    let mut worker = place.command("run --attempt attempt/attempt.json").spawn().unwrap();
    let steps = || {
        daemon.with(|record| {
            record.events.values().any(|event| matches!(event.body, EventBody::Metrics { .. }))
        })
    };
    while !steps() {
        assert!(worker.try_wait().unwrap().is_none(), "{:?}", ended(worker));
        sleep(Duration::from_millis(5));
    }
    daemon.with(|record| record.refusing = vec!["events"]);
    let ended = ended(worker);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    ended.line(&["fenced"]);
    let model = place.path("model");
    assert!(names(&model).iter().all(|name| !model.join(name).is_dir()), "{:?}", names(&model));
}
