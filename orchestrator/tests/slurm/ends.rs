//! How jobs end, and what is queued behind them, with a played Slurm: no real one does so on request.

use super::{
    chain::fake_work,
    fake::{Fake, WITHOUT_ACCOUNTING, attempts, finish, stage, sweep, wait},
};
use protocol::stage::{AttemptState, StageKind, StageState};
use serde_json::{Value, json};
use std::fs;

#[test]
fn what_is_released_too_early_is_refused_and_queued_again() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site("");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    // Slurm takes a parent that it has forgotten for a fulfilled dependency.
    let (early, _) = fake.job("train").unwrap();
    assert!(fake.fake(&["run", &format!("{early}_0")]).contains("FAILED"));
    wait(&site, "a second job", || fake.job("train").filter(|(id, _)| *id != early));
    let (second, _) = fake.job("train").unwrap();
    wait(&site, "all jobs again", || fake.job("analyze").filter(|(id, _)| *id > second));
    assert_eq!(site.ledger(), [], "nothing was begun");
    finish(&fake, &site, 0);
    assert_eq!(attempts(&site, StageKind::Train), [AttemptState::Cancelled, AttemptState::Succeeded]);
    // The time to ask for is learned from the one that got anywhere, though it was not the first.
    site.run(&["sweep", "--name", "t", "--width", "64", "--seed", "1"]);
    let (_, script) = wait(&site, "another run's job", || fake.job("train").filter(|(id, _)| *id > second));
    assert!(script.contains("0:15:00") && !script.contains("0:30:00"), "{script}");
}

#[test]
fn out_of_memory_asks_for_twice_the_memory() {
    let Some(fake) = Fake::new() else { return };
    fs::write(fake.state().join("sinfo.txt"), "gpu*|up|2-00:00:00|0/2/0/2|64|130|gpu:a100:4|a100\n").unwrap();
    let site = fake.site("");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    fake.work("prepare");
    let (first, script) = fake.job("train").unwrap();
    assert!(script.contains("--mem=50M"), "{script}");
    fake.fake(&["set", &format!("{first}_0"), "OUT_OF_MEMORY", "exit=0:125"]);
    let (_, script) = wait(&site, "a second job", || fake.job("train").filter(|(id, _)| *id != first));
    assert!(script.contains("--mem=100M"), "{script}");
    assert_eq!(attempts(&site, StageKind::Train)[0], AttemptState::OutOfMemory);
    // What waited for the first is queued again behind the second.
    wait(&site, "all jobs again", || fake.job("analyze").filter(|(id, _)| *id > first + 5));
    // Never more than a node has: no job would ever start.
    let (second, _) = fake.job("train").unwrap();
    fake.fake(&["set", &format!("{second}_0"), "OUT_OF_MEMORY", "exit=0:125"]);
    let (_, script) = wait(&site, "a third job", || fake.job("train").filter(|(id, _)| *id > second));
    assert!(script.contains("--mem=130M"), "{script}");
    let told = site.run(&["script", "01x0064_01d00", "train"]);
    assert!(told.contains("--mem=130M"), "{told}");
    wait(&site, "all jobs once more", || fake.job("analyze").filter(|(id, _)| *id > second + 5));
    finish(&fake, &site, 1);
}

#[test]
fn a_time_limit_without_progress_asks_for_twice_the_time_as_far_as_there_is_any() {
    let Some(fake) = Fake::new() else { return };
    fs::write(fake.state().join("sinfo.txt"), "gpu*|up|1:20:00|0/2/0/2|64|512000|gpu:a100:4|a100\n").unwrap();
    let site = fake.site("");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    fake.work("prepare");
    let (first, script) = fake.job("train").unwrap();
    assert!(
        script.contains("--time=0-00:30:00")
            || script.contains("--time=00:30:00")
            || script.contains("--time=0:30:00"),
        "{script}"
    );
    fake.fake(&["set", &format!("{first}_0"), "TIMEOUT"]);
    let (second, script) = wait(&site, "a second job", || fake.job("train").filter(|(id, _)| *id != first));
    assert!(script.contains("1:00:00"), "{script}");
    assert_eq!(attempts(&site, StageKind::Train)[0], AttemptState::TimedOut);
    fake.fake(&["set", &format!("{second}_0"), "TIMEOUT"]);
    let (_, script) = wait(&site, "a third job", || fake.job("train").filter(|(id, _)| *id > second));
    assert!(script.contains("1:20:00"), "{script}");
}

#[test]
fn a_stage_that_is_cancelled_in_the_queue_stays_cancelled() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site("");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    let (id, _) = fake.job("prepare").unwrap();
    fake.fake(&["set", &format!("{id}_0"), "CANCELLED", "by=1000"]);
    wait(&site, "a cancelled stage", || {
        (stage(&site, StageKind::Prepare).0 == StageState::Cancelled).then_some(())
    });
    assert_eq!(stage(&site, StageKind::Train).0, StageState::Skipped);
    // Nothing that was queued behind it is left.
    wait(&site, "an empty queue", || {
        let jobs = fake.jobs();
        let tasks = || jobs.iter().flat_map(|job| job["tasks"].as_array().unwrap());
        tasks().all(|task| task["state"] != "PENDING").then_some(())
    });
}

#[test]
fn what_the_queue_cancels_for_a_job_that_succeeded_by_its_workers_word_is_queued_again() {
    for forgotten in [false, true] {
        let Some(fake) = Fake::new() else { return };
        let site = fake.site("");
        sweep(&site);
        wait(&site, "all jobs", || fake.job("analyze"));
        fake.work("prepare");
        wait(&site, "its end", || (stage(&site, StageKind::Prepare).0 == StageState::Done).then_some(()));
        // The node went away when the result was told, say. The queue may have forgotten until somebody looks.
        let (last, _) = fake.job("analyze").unwrap();
        if forgotten {
            site.kill();
        }
        let (id, _) = fake.job("prepare").unwrap();
        fake.fake(&["set", &format!("{id}_0"), "NODE_FAIL"]);
        if forgotten {
            fake.jobs().iter().for_each(|job| drop(fake.fake(&["forget", &job["job"].to_string()])));
        }
        wait(&site, "all jobs again", || {
            site.study("s");
            fake.job("analyze").filter(|(id, _)| *id > last + 5)
        });
        finish(&fake, &site, 1);
        let trainings = attempts(&site, StageKind::Train);
        assert_eq!(trainings, [AttemptState::Cancelled, AttemptState::Succeeded], "forgotten: {forgotten}");
    }
}

#[test]
fn what_is_cancelled_does_not_start_when_the_daemon_stops_at_once() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site("");
    site.profile(&fake_work(0.0, "").replace("tick_seconds = 1\n", "tick_seconds = 600\n"));
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    wait(&site, "the only look at the queue", || (fake.calls("squeue") > 0).then_some(()));
    site.run(&["cancel", "s", "--quiet"]);
    site.run(&["stop", "--quiet"]);
    assert_eq!(fake.calls("scancel"), 0);
    assert!(fake.work("prepare").contains("FAILED 2:0"));
    assert_eq!(site.ledger(), []);
}

/// The time that a script asks for.
fn time_of(script: &str) -> Option<&str> {
    script.lines().find(|line| line.starts_with("#SBATCH --time="))
}

#[test]
fn what_makes_room_has_not_failed_and_needs_no_more_time() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site_that_works(600.0, "");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    let mut last = 0;
    // More often than it may fail.
    for _ in 0..3 {
        let (_, script) = wait(&site, "a job", || fake.job("prepare").filter(|(id, _)| *id > last));
        assert_eq!(time_of(&script), Some("#SBATCH --time=0-00:30:00"), "{script}");
        let (id, _, mut run) = fake.begin(&site, StageKind::Prepare);
        fake.fake(&["set", &format!("{id}_0"), "PREEMPTED"]);
        run.wait().unwrap();
        last = id;
    }
    let (_, script) = wait(&site, "a job", || fake.job("prepare").filter(|(id, _)| *id > last));
    assert_eq!(time_of(&script), Some("#SBATCH --time=0-00:30:00"), "{script}");
    assert_eq!(attempts(&site, StageKind::Prepare)[..3], [AttemptState::Preempted; 3]);
}

#[test]
fn a_worker_that_somebody_cancels_is_not_started_again() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site_that_works(600.0, "");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    let (id, _, mut run) = fake.begin(&site, StageKind::Prepare);
    fake.call("scancel", &[&format!("{id}_0")]);
    run.wait().unwrap();
    wait(&site, "a cancelled stage", || {
        (stage(&site, StageKind::Prepare).0 == StageState::Cancelled).then_some(())
    });
    assert_eq!(attempts(&site, StageKind::Prepare), [AttemptState::Cancelled]);
    assert_eq!(stage(&site, StageKind::Train).0, StageState::Skipped);
    assert_eq!(fake.calls("sbatch"), 7);
}

#[test]
fn an_interruption_that_the_queue_has_forgotten_goes_on_after_a_while() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site_that_works(600.0, "");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    let (id, _, mut run) = fake.begin(&site, StageKind::Prepare);
    // While nobody can look at it, the job ends and is forgotten, by accounting as well.
    fake.behave(&json!({"squeue": [{"rc": 1, "stderr": "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", "times": "forever"}]}));
    fake.call("scancel", &["--batch", "--signal=TERM", &format!("{id}_0")]);
    run.wait().unwrap();
    assert_eq!(attempts(&site, StageKind::Prepare), [AttemptState::Running], "nobody has said why it ended");
    fake.fake(&["erase", &format!("{id}_0")]);
    fake.behave(&json!({}));
    wait(&site, "another job", || fake.job("prepare").filter(|(next, _)| *next > id));
    assert_eq!(attempts(&site, StageKind::Prepare)[0], AttemptState::Preempted);
}

#[test]
fn a_worker_that_lives_is_not_replaced_though_the_queue_does_not_list_it() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site_that_works(600.0, "");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    let (id, _, mut run) = fake.begin(&site, StageKind::Prepare);
    fake.fake(&["forget", &format!("{id}_0")]);
    let asked = fake.calls("sacct");
    wait(&site, "questions what became of it", || (fake.calls("sacct") > asked + 3).then_some(()));
    assert_eq!(attempts(&site, StageKind::Prepare), [AttemptState::Running]);
    assert_eq!((fake.calls("sbatch"), fake.calls("scancel")), (7, 0));
    fake.fake(&["set", &format!("{id}_0"), "TIMEOUT"]);
    run.wait().unwrap();
    wait(&site, "another job", || fake.job("prepare").filter(|(next, _)| *next > id));
}

#[test]
fn what_the_queue_does_not_list_is_taken_out_by_name_before_it_is_queued_again() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site("");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    let (id, _) = fake.job("prepare").unwrap();
    let name = fake.jobs()[0]["name"].as_str().unwrap().to_owned();
    let away = "scancel: error: Unable to contact slurm controller (connect failure)\n";
    fake.behave(&json!({"scancel": [{"rc": 8, "stderr": away}]}));
    // Accounting says that it waits, now and for ever.
    fake.fake(&["forget", &format!("{id}_0")]);
    wait(&site, "another job", || fake.job("prepare").filter(|(next, _)| *next > id));
    let calls = fake.all_calls();
    let scancel = json!([format!("--name={name}"), format!("{id}_[0]")]);
    let taken_out = calls.iter().filter(|call| call["argv"] == scancel).map(|call| call["rc"].as_i64());
    assert_eq!(taken_out.collect::<Vec<_>>(), [Some(8), Some(0)], "until it is certain");
    let at = |what: &Value| calls.iter().rposition(|call| call["argv"] == *what).unwrap();
    assert!(calls[at(&scancel)..].iter().any(|call| call["command"] == "sbatch"), "{calls:?}");
    assert_eq!(attempts(&site, StageKind::Prepare)[0], AttemptState::Lost);
}

#[test]
fn a_worker_that_somebody_cancels_while_accounting_is_down_is_not_started_again() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site_that_works(600.0, "");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    let (id, _, mut run) = fake.begin(&site, StageKind::Prepare);
    // While nobody can look at it, the job is cancelled and forgotten; then the database is away.
    fake.behave(&json!({"squeue": [{"rc": 1, "stderr": "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", "times": "forever"}]}));
    fake.call("scancel", &[&format!("{id}_0")]);
    run.wait().unwrap();
    fake.fake(&["forget", &format!("{id}_0")]);
    fake.behave(&json!({"sacct": [{"rc": 1, "stderr": "sacct: error: slurm_persist_conn_open: Failed to open persistent connection to host:localhost:6819: Connection refused\n", "times": "forever"}]}));
    wait(&site, "the reason", || {
        let mut attempts = site.show("01x0064_01d00").attempts.into_iter();
        let waits = attempts.find(|attempt| attempt.kind == StageKind::Prepare)?.waits?;
        waits.contains("how it ended can't be told now").then_some(())
    });
    let asked = fake.calls("sacct");
    wait(&site, "more questions", || (fake.calls("sacct") > asked + 2).then_some(()));
    assert_eq!(attempts(&site, StageKind::Prepare), [AttemptState::Running], "nobody has said why it ended");
    fake.behave(&json!({}));
    wait(&site, "a cancelled stage", || {
        (stage(&site, StageKind::Prepare).0 == StageState::Cancelled).then_some(())
    });
    assert_eq!(attempts(&site, StageKind::Prepare), [AttemptState::Cancelled]);
    assert_eq!(fake.calls("sbatch"), 7);
}

#[test]
fn what_can_never_start_is_taken_out_and_queued_again() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site("");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    // Its dependency became hopeless in a way that the record knows nothing of: another job has its parent's id.
    let (first, _) = fake.job("means").unwrap();
    fake.fake(&["set", &format!("{first}_0"), "PENDING", "reason=DependencyNeverSatisfied"]);
    wait(&site, "a second job", || fake.job("means").filter(|(id, _)| *id != first));
    assert_eq!(attempts(&site, StageKind::Means)[0], AttemptState::Cancelled);
    // The generation behind it, which Slurm does not mark, too.
    let last = fake.job("means").unwrap().0;
    wait(&site, "all jobs again", || fake.job("analyze").filter(|(id, _)| *id > last));
    finish(&fake, &site, 0);
}

#[test]
fn a_node_that_loses_job_after_job_is_left_out_and_one_that_was_restarted_is_not() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site("");
    let jobs =
        || fake.jobs().into_iter().filter(|job| job["name"].as_str().unwrap().starts_with("lc-train-"));
    site.run(&["sweep", "--name", "s", "--width", "64", "--seed", "0..2"]);
    wait(&site, "all jobs", || fake.job("analyze"));
    fake.work("prepare");
    let (first, script) = fake.job("train").unwrap();
    assert!(!script.contains("--exclude"), "{script}");
    for task in 0..3 {
        fake.fake(&["set", &format!("{first}_{task}"), "RUNNING", "node=n2"]);
    }
    wait(&site, "three jobs that run", || (site.cluster().waits.get("starts") == Some(&3)).then_some(()));
    for task in 0..3 {
        fake.fake(&["set", &format!("{first}_{task}"), "NODE_FAIL"]);
    }
    // A reboot: all at once.
    let (second, script) = wait(&site, "new jobs", || fake.job("train").filter(|(id, _)| *id > first + 3));
    assert!(!script.contains("--exclude"), "{script}");
    // The same again and again, by the record.
    site.sql("UPDATE attempts SET finished = finished - 1000000 * rowid WHERE state = 'node_failed'");
    let lose_one = || {
        let of_job = |job: Value| {
            let waits = job["tasks"].as_array()?.iter().find(|task| task["state"] == "PENDING")?;
            Some(format!("{}_{}", job["job"], waits["task"]))
        };
        let id = jobs().find_map(of_job).unwrap();
        fake.fake(&["set", &id, "RUNNING", "node=n1"]);
        fake.fake(&["set", &id, "FAILED", "exit=0:9"]);
    };
    lose_one();
    let left_out = wait(&site, "a job elsewhere", || {
        fake.job("train").filter(|(id, script)| *id > second && script.contains("#SBATCH --exclude=n2"))
    });
    // A queue that does not know the node: the job goes out all the same.
    let wrong = "sbatch: error: Batch job submission failed: Invalid node name specified\n";
    fake.behave(&json!({"sbatch": [{"rc": 1, "stderr": wrong, "match": "/train/"}]}));
    lose_one();
    let (_, script) = wait(&site, "a job anywhere", || fake.job("train").filter(|(id, _)| *id > left_out.0));
    assert!(!script.contains("--exclude"), "{script}");
    assert!(!site.states("s").contains_key(&StageState::Failed));
}

#[test]
fn a_cluster_without_accounting_is_enough() {
    let Some(fake) = Fake::new() else { return };
    fs::write(fake.state().join("scontrol-show-config.txt"), WITHOUT_ACCOUNTING).unwrap();
    fake.behave(&json!({"sacct": [{"rc": 1, "stderr": "Slurm accounting storage is disabled\n", "times": "forever"}]}));
    let site = fake.site("");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    // A worker that was killed leaves no word, and nobody else has one.
    let (first, _) = fake.job("prepare").unwrap();
    fake.fake(&["set", &format!("{first}_0"), "FAILED", "exit=0:9"]);
    wait(&site, "a second job", || fake.job("prepare").filter(|(id, _)| *id != first));
    wait(&site, "all jobs again", || fake.job("analyze").filter(|(id, _)| *id > first + 7));
    finish(&fake, &site, 0);
    assert_eq!(fake.calls("sacct"), 0);
}

#[test]
fn a_node_on_which_no_worker_can_start_is_left_out_by_the_next_attempt() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site("");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    let mut last = 0;
    // A library is missing there, or the file system; it all happens between two looks at the queue.
    for (node, exit) in [("g1", "exit=127:0"), ("g2", "exit=0:53")] {
        let (id, _) = wait(&site, "a job", || fake.job("prepare").filter(|(id, _)| *id > last));
        fake.fake(&["set", &format!("{id}_0"), "FAILED", exit, &format!("node={node}")]);
        let (_, script) = wait(&site, "another job", || fake.job("prepare").filter(|(next, _)| *next > id));
        assert!(script.contains(&format!("#SBATCH --exclude={node}")), "{script}");
        last = id;
    }
    let detail = site.show("01x0064_01d00");
    let nodes: Vec<_> = detail
        .attempts
        .iter()
        .filter(|attempt| attempt.kind == StageKind::Prepare)
        .map(|attempt| (attempt.node.as_deref().unwrap_or_default(), attempt.started.is_some()))
        .collect();
    assert_eq!(nodes[..2], [("g1", false), ("g2", false)]);
}

#[test]
fn without_accounting_a_worker_that_is_warned_of_its_time_limit_has_not_failed() {
    let Some(fake) = Fake::new() else { return };
    fs::write(fake.state().join("scontrol-show-config.txt"), WITHOUT_ACCOUNTING).unwrap();
    let site = fake.site_that_works(600.0, "requeue = true");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    let (id, _, mut run) = fake.begin(&site, StageKind::Prepare);
    fake.call("scancel", &["--batch", "--signal=USR1", &format!("{id}_0")]);
    run.wait().unwrap();
    wait(&site, "another job", || fake.job("prepare").filter(|(next, _)| *next > id));
    assert_eq!(attempts(&site, StageKind::Prepare)[0], AttemptState::Preempted);
}
