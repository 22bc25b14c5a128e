//! Studies through a real queue, in good weather.

use super::{cluster::Cluster, site::Site};
use protocol::stage::{AttemptState, StageKind, StageState};
use std::{
    fs,
    time::{Duration, Instant},
};

const MINUTES: Duration = Duration::from_secs(240);

/// A profile for the test cluster whose workers only sleep.
pub fn fake_work(seconds: f64, more: &str) -> String {
    format!(
        "tick_seconds = 1\nsettle_seconds = 4\ncall_seconds = 20\nwarn_seconds = 0\n\
         worker_args = [\"--fake-work\", \"{seconds}\"]\nsetup = [\"export LC_CLAIM_WAIT=3 LC_RESULT_WAIT=1\"]\n{more}\n\
         [[rules]]\npartition = \"gpu\"\ncpus = 1\nmem = \"50M\"\ntime = \"30\"\n"
    )
}

#[test]
fn the_first_study_goes_through_the_queue_as_arrays_and_chains() {
    let Some(cluster) = Cluster::get() else { return };
    // Real work, on the GPUs that the nodes claim to have.
    let profile = "tick_seconds = 1\nsettle_seconds = 4\n\
                   [[rules]]\npartition = \"gpu\"\ngres = \"gpu:1\"\ncpus = 1\nmem = \"500M\"\ntime = \"20\"\n\
                   [[rules]]\nstages = [\"prepare\", \"analyze\"]\ngres = \"\"\n";
    let site = Site::new(profile, Some(&cluster.conf()), None);
    site.line("sweep --name first --depth 1,2 --width 16,32 --seed 0 --heads 4 --block-size 64 --batch-size 8 --max-steps 40 --device cpu");
    // All of it is queued at once: seven arrays, each behind those it needs.
    let log = || fs::read_to_string(site.root().join("daemon.log")).unwrap();
    cluster.wait("seven arrays", MINUTES, || (log().matches(" queued ").count() == 7).then_some(()));
    let queued = cluster.squeue(&["-h", "-t", "all", "-o", "%j|%E|%F|%K"]);
    for (kind, how) in [("train", "afterok:"), ("vars", "aftercorr:"), ("analyze", "aftercorr:")] {
        let folder =
            fs::read_dir(site.root().join("logs").join(kind)).unwrap().next().unwrap().unwrap().path();
        let script = fs::read_to_string(folder.join("job.sh")).unwrap();
        assert!(script.contains(&format!("--dependency={how}")), "{script}");
        assert!(script.contains("#SBATCH --array=0-3\n"), "{script}");
        assert!(queued.contains(&format!("lc-{kind}-")), "{queued}");
    }
    site.run(&["watch", "first", "--quiet"]);
    let study = site.study("first");
    for run in &study.runs {
        assert!(run.stages.iter().all(|stage| stage.state == StageState::Done), "{:?}", run.stages);
        for attempt in site.show(&run.name).attempts {
            assert_eq!((attempt.number, attempt.state), (1, AttemptState::Succeeded));
            assert!(attempt.place.unwrap().contains(", job "));
        }
    }
    let table = fs::read_to_string(site.root().join("results/first.csv")).unwrap();
    assert_eq!(table.lines().count(), 5);
    // One call of sbatch per kind of stage.
    assert_eq!(log().matches(" queued ").count(), 7, "{}", log());
    // What was measured plans the next time limits; a plan shows arrays, cost and scripts, and changes nothing.
    let plan = site.line("sweep --name first --depth 1,2 --width 16,32 --seed 0,1 --heads 4 --block-size 64 --batch-size 8 --max-steps 40 --device cpu --dry-run");
    assert!(plan.contains("24 jobs in 6 arrays") && plan.contains("15 min"), "{plan}");
    assert!(plan.contains("#SBATCH --gres=gpu:1") && plan.contains("--time=0-00:15:00"), "{plan}");
    assert_eq!(site.study("first").runs.len(), 4);
    let script = site.run(&["script", "first/01x0016_01d00", "train"]);
    assert!(script.starts_with("#!/bin/bash") && script.contains("--time=0-00:20:00"), "{script}");
    let view = site.cluster();
    assert_eq!(view.name.as_deref(), Some("lab"));
    assert!(view.calls >= 8);
}

#[test]
fn chains_go_on_while_no_daemon_runs() {
    let Some(cluster) = Cluster::get() else { return };
    let site = Site::new(&fake_work(0.5, ""), Some(&cluster.conf()), None);
    site.run(&["sweep", "--name", "away", "--width", "64,128", "--seed", "0..9"]);
    let log = || fs::read_to_string(site.root().join("daemon.log")).unwrap();
    cluster.wait("all arrays", MINUTES, || (log().matches(" queued ").count() == 7).then_some(()));
    site.kill();
    // Slurm releases what is due; workers look for themselves whether their parents succeeded.
    cluster.wait("end of the queue", MINUTES, || {
        cluster.squeue(&["-h", "-t", "PD,R,CG"]).trim().is_empty().then_some(())
    });
    let started = Instant::now();
    let done = |site: &Site| site.states("away").get(&StageState::Done).copied();
    cluster.wait("the whole study", Duration::from_secs(30), || (done(&site) == Some(121)).then_some(()));
    println!("the record was complete {:.1} s after the daemon's return", started.elapsed().as_secs_f64());
    site.assert_done_once("away");
}

#[test]
fn odd_characters_in_paths_do_no_harm() {
    let Some(cluster) = Cluster::get() else { return };
    let name = "it's a \"root\" #1 $HOME `id` %a \u{e4}\u{df};&";
    let site = Site::named(name, &fake_work(0.1, ""), Some(&cluster.conf()), None);
    site.line("sweep --name odd --width 64 --seed 0 --wait --quiet");
    site.assert_done_once("odd");
    let submission = fs::read_dir(site.root().join("logs/train")).unwrap().next().unwrap().unwrap().path();
    assert!(submission.join("0/worker.log").exists(), "the output lies beside the attempt");
}

#[test]
fn what_the_cluster_does_not_have_is_said_before_anything_is_recorded() {
    let Some(cluster) = Cluster::get() else { return };
    let profile = "[[rules]]\npartition = \"nosuch\"\n[[rules]]\nstages = [\"train\"]\npartition = \"gpu\"\ngres = \"gpu:h100:1\"\ntime = \"30-0\"\n";
    let site = Site::new(profile, Some(&cluster.conf()), None);
    let output = site.lcctl(&["sweep", "--name", "wrong", "--width", "64"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for part in ["\"nosuch\" does not exist; there are", "gpu:h100:1", "minutes are more than"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert!(
        site.run(&["status", "--json"]).trim().starts_with("[]") || !site.run(&["status"]).contains("wrong")
    );
}

#[test]
fn a_preempted_attempt_goes_on_where_slurm_starts_it_again() {
    let Some(cluster) = Cluster::get() else { return };
    let profile =
        fake_work(5.0, "requeue = true").replace("\"gpu\"", "\"preempt\"").replace("cpus = 1", "cpus = 64");
    let site = Site::new(&profile, Some(&cluster.conf()), None);
    site.run(&["sweep", "--name", "low", "--width", "64", "--seed", "0"]);
    let training = || {
        let detail = site.show("01x0064_01d00");
        detail.attempts.into_iter().find(|a| a.kind == StageKind::Train && a.state == AttemptState::Running)
    };
    let first = cluster.wait("a training that runs", MINUTES, training);
    // Somebody with a higher priority wants all nodes.
    let mut high = cluster.command("sbatch");
    high.args([
        "--partition=cpu",
        "--nodes=4",
        "--exclusive",
        "--time=5",
        "--output=/dev/null",
        "--wrap",
        "sleep 3",
    ]);
    assert!(high.status().unwrap().success());
    site.run(&["watch", "low", "--quiet"]);
    site.assert_done_once("low");
    let detail = site.show("01x0064_01d00");
    let trainings: Vec<_> = detail.attempts.iter().filter(|a| a.kind == StageKind::Train).collect();
    assert_eq!(trainings.len(), 1, "Slurm started it again, not the daemon");
    assert_eq!(trainings[0].id, first.id);
    let id = first.id.to_string();
    let words: Vec<_> =
        site.ledger().into_iter().filter(|(attempt, _)| *attempt == id).map(|(_, what)| what).collect();
    assert_eq!(words, ["started", "interrupted", "started", "finished"]);
}

#[test]
fn a_second_daemon_and_a_tick_leave_the_root_to_the_first() {
    let Some(cluster) = Cluster::get() else { return };
    let site = Site::new(&fake_work(0.2, ""), Some(&cluster.conf()), None);
    // Without a daemon, ticks alone carry a study through: a line of scrontab.
    site.run(&["sweep", "--name", "ticks", "--width", "64", "--seed", "0..2"]);
    site.run(&["tick"]);
    site.run(&["stop", "--quiet"]);
    cluster.wait("the end of the study", MINUTES, || {
        let text = site.run(&["tick", "--json"]);
        let tick: serde_json::Value = serde_json::from_str(&text).unwrap();
        (tick["open"] == 0).then_some(())
    });
    site.assert_done_once("ticks");
}

#[test]
fn training_that_is_warned_of_its_time_limit_goes_on_in_a_new_job() {
    let Some(cluster) = Cluster::get() else { return };
    let profile = "tick_seconds = 1\nsettle_seconds = 4\nwarn_seconds = 60\n\
                   [[rules]]\npartition = \"cpu\"\ncpus = 1\nmem = \"500M\"\ntime = \"20\"\n";
    let site = Site::new(profile, Some(&cluster.conf()), None);
    site.line(
        "sweep --name long --width 16 --heads 4 --block-size 64 --batch-size 1 --max-steps 3000 --device cpu",
    );
    let log = site.root().join("models/01x0016_01d00/train_log.jsonl");
    let steps = || fs::read_to_string(&log).map_or(0, |text| text.lines().count());
    cluster.wait("steps", MINUTES, || (steps() > 50).then_some(()));
    // What `--signal=B:USR1@60` does: the batch script, which is the worker, gets the signal.
    let listed = cluster.squeue(&["-h", "-t", "R", "-o", "%i|%j"]);
    let job = listed
        .lines()
        .find(|line| line.contains("lc-train-"))
        .and_then(|line| line.split('|').next())
        .unwrap();
    assert!(cluster.command("scancel").args(["--batch", "--signal=USR1", job]).status().unwrap().success());
    site.run(&["watch", "long", "--quiet"]);
    let detail = site.show("01x0016_01d00");
    let states: Vec<_> =
        detail.attempts.iter().filter(|a| a.kind == StageKind::Train).map(|a| (a.number, a.state)).collect();
    assert_eq!(states, [(1, AttemptState::Preempted), (2, AttemptState::Succeeded)]);
    assert_eq!(steps(), 3000, "every step once");
    // What was queued behind the first job was queued again behind the second, and done once.
    for kind in [StageKind::Means, StageKind::Analyze] {
        let states: Vec<_> = detail.attempts.iter().filter(|a| a.kind == kind).map(|a| a.state).collect();
        assert_eq!(states, [AttemptState::Cancelled, AttemptState::Succeeded], "{kind}");
    }
}

#[test]
fn the_daemon_renews_itself_as_a_job() {
    let Some(cluster) = Cluster::get() else { return };
    let site = Site::new(&fake_work(0.2, ""), Some(&cluster.conf()), None);
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/slurm/daemon.sh");
    let submitted = site
        .other("sbatch")
        .current_dir(site.root())
        .env("LCCTL", env!("CARGO_BIN_EXE_lcctl"))
        .args(["--parsable", "--partition=cpu", "--mem=100M", "--time=60"])
        .arg(&script)
        .output()
        .unwrap();
    assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));
    let first = cluster.wait("a daemon", MINUTES, || site.daemon());
    site.line("sweep --name s --width 64 --seed 0,1 --wait --quiet --no-start");
    // Its time is over: Slurm ends it as it ends every job, and the successor that it queued takes over.
    let daemons = || {
        let listed = cluster.squeue(&["-h", "-n", "lc-daemon", "-o", "%i|%T"]);
        listed.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(daemons().len(), 2, "{:?}", daemons());
    let id = String::from_utf8(submitted.stdout).unwrap();
    assert!(cluster.command("scancel").arg(id.trim()).status().unwrap().success());
    let second = cluster.wait("its successor", MINUTES, || site.daemon().filter(|pid| *pid != first));
    assert_ne!(first, second);
    site.line("sweep --name s --width 64 --seed 0..3 --wait --quiet --no-start");
    site.assert_done_once("s");
    assert!(cluster.command("scancel").arg("--name=lc-daemon").status().unwrap().success());
    cluster.wait("no daemon", MINUTES, || daemons().is_empty().then_some(()));
}
