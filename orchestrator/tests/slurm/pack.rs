//! Runs that share a job and its GPU, and yet live and die alone.

use super::{chain::fake_work, cluster::Cluster, site::Site};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use protocol::stage::{AttemptState, StageKind, StageState};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

const MINUTES: Duration = Duration::from_secs(180);

/// The processes of trainings that began, by attempt.
fn trainings(site: &Site) -> BTreeMap<String, i32> {
    let text = fs::read_to_string(site.root().join("fake-work.jsonl")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["stage"] == "train" && line["what"] == "started")
        .map(|line| (line["attempt"].as_str().unwrap().to_owned(), line["pid"].as_i64().unwrap() as i32))
        .collect()
}

/// The training's attempts of a run: id, state, message.
fn attempts(site: &Site, run: &str) -> Vec<(String, AttemptState, String)> {
    let of_it = site.show(run).attempts.into_iter().filter(|attempt| attempt.kind == StageKind::Train);
    of_it.map(|a| (a.id.to_string(), a.state, a.message.unwrap_or_default())).collect()
}

#[test]
fn runs_share_jobs_and_yet_end_each_for_itself() {
    let Some(cluster) = Cluster::get() else { return };
    let site = Site::new(&fake_work(5.0, ""), Some(&cluster.conf()), None);
    site.run(&["sweep", "--name", "packed", "--width", "64", "--seed", "0..4", "--pack", "3"]);
    let names = |study: &str| site.study(study).runs.into_iter().map(|run| run.name).collect::<BTreeSet<_>>();
    let runs: Vec<_> = names("packed").into_iter().collect();
    let run = |seed: usize| runs[seed].clone();
    // Of the three in the first job one dies, one is given up, and one goes on.
    let process = |seed| {
        let of_run = attempts(&site, &run(seed));
        trainings(&site).get(&of_run.first()?.0).copied()
    };
    let dies = cluster.wait("the first job", MINUTES, || {
        [1, 2].into_iter().all(|seed| process(seed).is_some()).then(|| process(0)).flatten()
    });
    kill(Pid::from_raw(dies), Signal::SIGKILL).unwrap();
    site.run(&["cancel", "packed", "--run", &run(1)]);
    let arrays: Vec<_> = fs::read_dir(site.root().join("logs/train")).unwrap().flatten().collect();
    let script = fs::read_to_string(arrays[0].path().join("job.sh")).unwrap();
    for line in ["#SBATCH --array=0-1", "#SBATCH --cpus-per-task=3", "#SBATCH --mem=150M"] {
        assert!(script.lines().any(|written| written == line), "{line}\n{script}");
    }
    let done =
        |seed| site.show(&run(seed)).summary.stages.iter().all(|stage| stage.state == StageState::Done);
    cluster.wait("the runs that were left alone", MINUTES, || [2, 3, 4].into_iter().all(done).then_some(()));
    for seed in [2, 3, 4] {
        let of_run = attempts(&site, &run(seed));
        assert_eq!(of_run.len(), 1, "{of_run:?}");
    }
    cluster.wait("the run that died", MINUTES, || done(0).then_some(()));
    let of_run = attempts(&site, &run(0));
    assert_eq!(of_run[0].1, AttemptState::Lost, "{of_run:?}");
    assert!(of_run[0].2.contains("killed by signal 9"), "{of_run:?}");
    assert_eq!((of_run.len(), of_run[1].1), (2, AttemptState::Succeeded), "{of_run:?}");
    assert_eq!(attempts(&site, &run(1))[0].1, AttemptState::Cancelled);
    site.run(&["retry", "packed"]);
    site.run(&["watch", "packed", "--quiet"]);
    site.assert_done_once("packed");

    // Where nobody needs a job any more, it is cancelled.
    site.run(&["sweep", "--name", "gone", "--width", "128", "--seed", "0..2", "--pack", "3"]);
    cluster.wait("three trainings", MINUTES, || (trainings(&site).len() == 10).then_some(()));
    site.run(&["cancel", "gone"]);
    cluster.wait("an empty queue", Duration::from_secs(60), || {
        cluster.squeue(&["-h", "-t", "PD,R,CG"]).trim().is_empty().then_some(())
    });
    for run in names("gone") {
        let of_run = attempts(&site, &run);
        assert_eq!((of_run.len(), of_run[0].1), (1, AttemptState::Cancelled), "{of_run:?}");
    }

    // A job that somebody cancels takes all of its runs with it, and is not started again.
    site.run(&["sweep", "--name", "taken", "--width", "256", "--seed", "0..2", "--pack", "3"]);
    cluster.wait("three trainings", MINUTES, || (trainings(&site).len() == 13).then_some(()));
    let job = cluster.squeue(&["-h", "-t", "R", "-o", "%i"]);
    assert!(cluster.command("scancel").args(job.split_whitespace()).status().unwrap().success());
    cluster.wait("cancelled stages", Duration::from_secs(60), || {
        (site.states("taken").get(&StageState::Cancelled) == Some(&3)).then_some(())
    });
    for run in names("taken") {
        let of_run = attempts(&site, &run);
        assert_eq!((of_run.len(), of_run[0].1), (1, AttemptState::Cancelled), "{of_run:?}");
    }
}

#[test]
fn what_waits_for_a_run_that_succeeded_is_done_though_the_others_of_its_job_were_cancelled() {
    let Some(cluster) = Cluster::get() else { return };
    let site = Site::new(&fake_work(3.0, ""), Some(&cluster.conf()), None);
    site.run(&["sweep", "--name", "three", "--width", "64", "--seed", "0..2", "--pack", "3"]);
    cluster.wait("three trainings", MINUTES, || (trainings(&site).len() == 3).then_some(()));
    let runs: Vec<_> = site.study("three").runs.into_iter().map(|run| run.name).collect();
    let stuck: Vec<_> = runs[1..].iter().map(|run| trainings(&site)[&attempts(&site, run)[0].0]).collect();
    for &process in &stuck {
        kill(Pid::from_raw(process), Signal::SIGSTOP).unwrap();
    }
    let trained = || {
        site.show(&runs[0])
            .attempts
            .iter()
            .any(|a| a.kind == StageKind::Train && a.state == AttemptState::Succeeded)
    };
    cluster.wait("the first training's end", MINUTES, || trained().then_some(()));
    // Now nobody needs the job: it is cancelled, and Slurm cancels what waits for it.
    for run in &runs[1..] {
        site.run(&["cancel", "three", "--run", run]);
    }
    for &process in &stuck {
        // Ended by the queue meanwhile, perhaps.
        let _ = kill(Pid::from_raw(process), Signal::SIGCONT);
    }
    let states =
        |run: &str| site.show(run).summary.stages.into_iter().map(|stage| stage.state).collect::<Vec<_>>();
    cluster.wait("the run that was left alone", MINUTES, || {
        let states = states(&runs[0]);
        assert!(!states.contains(&StageState::Cancelled), "{states:?}");
        states.iter().all(|state| *state == StageState::Done).then_some(())
    });
    for run in &runs[1..] {
        assert_eq!(states(run)[1], StageState::Cancelled);
    }
}

#[test]
fn a_job_that_made_room_goes_on_with_all_of_its_runs() {
    let Some(cluster) = Cluster::get() else { return };
    let profile =
        fake_work(5.0, "requeue = true").replace("\"gpu\"", "\"preempt\"").replace("cpus = 1", "cpus = 20");
    let site = Site::new(&profile, Some(&cluster.conf()), None);
    site.run(&["sweep", "--name", "low", "--width", "64", "--seed", "0..2", "--pack", "3"]);
    cluster.wait("three trainings", MINUTES, || (trainings(&site).len() == 3).then_some(()));
    // Somebody with a higher priority wants all nodes.
    let mut high = cluster.command("sbatch");
    high.args(["--partition=cpu", "--nodes=4", "--exclusive", "--time=5", "--output=/dev/null"]);
    assert!(high.args(["--wrap", "sleep 3"]).status().unwrap().success());
    site.run(&["watch", "low", "--quiet"]);
    site.assert_done_once("low");
    for run in site.study("low").runs {
        let of_run = attempts(&site, &run.name);
        assert_eq!((of_run.len(), of_run[0].1), (1, AttemptState::Succeeded), "{of_run:?}");
        let of_it = site.ledger().into_iter().filter(|(attempt, _)| *attempt == of_run[0].0);
        let words: Vec<_> = of_it.map(|(_, what)| what).collect();
        assert_eq!(words, ["started", "interrupted", "started", "finished"], "{}", run.name);
    }
}
