//! What Slurm answers when it is asked or handed something, with a played one: no real one does so on request.

use super::{
    chain::fake_work,
    fake::{Fake, WITHOUT_ACCOUNTING, attempts, finish, stage, sweep, wait},
};
use protocol::stage::{AttemptState, StageKind, StageState};
use serde_json::{Value, json};
use std::fs;

#[test]
fn answers_of_a_federation_and_banners_are_understood() {
    let Some(fake) = Fake::new() else { return };
    fake.behave(&json!({
        "sbatch": [{"cluster": "north", "banner": "*** maintenance on Monday ***\n", "banner_stdout": "Welcome!\n", "times": "forever"}],
        "squeue": [{"banner": "*** maintenance on Monday ***\n", "banner_stdout": "Welcome | to | the | north\n", "times": "forever"}],
    }));
    let site = fake.site("");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    finish(&fake, &site, 0);
    assert_eq!(fake.calls("sbatch"), 7);
}

#[test]
fn an_answer_that_got_lost_is_found_in_the_queue_and_not_repeated() {
    let Some(fake) = Fake::new() else { return };
    let lost = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n";
    fake.behave(&json!({"sbatch": [{"rc": 1, "stderr": lost, "accept": true}]}));
    let site = fake.site("pause_seconds = 1");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    assert_eq!(fake.calls("sbatch"), 7, "one call for each array");
    finish(&fake, &site, 0);
}

#[test]
fn what_is_proven_absent_is_handed_over_again() {
    let Some(fake) = Fake::new() else { return };
    let lost = "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received\n";
    fake.behave(&json!({"sbatch": [{"rc": 1, "stderr": lost, "accept": false}]}));
    let site = fake.site("pause_seconds = 1");
    sweep(&site);
    let (state, _) = wait(&site, "an unclear answer", || {
        let found = stage(&site, StageKind::Prepare);
        found.1.contains("Zero Bytes").then_some(found)
    });
    assert_eq!(state, StageState::Queued);
    wait(&site, "all jobs", || fake.job("analyze"));
    assert_eq!(fake.calls("sbatch"), 8);
    finish(&fake, &site, 0);
    assert_eq!(attempts(&site, StageKind::Prepare), [AttemptState::Succeeded], "the same attempt, once more");
}

#[test]
fn a_job_that_is_lost_with_its_id_given_again_is_handed_over_again() {
    let Some(fake) = Fake::new() else { return };
    // The controller dies after its answer: the job is gone, and the next one has its id.
    fake.behave(&json!({"sbatch": [{"forget": true}]}));
    let site = fake.site("");
    sweep(&site);
    wait(&site, "a second attempt", || (attempts(&site, StageKind::Prepare).len() == 2).then_some(()));
    // What was queued behind the lost id, which is another job's now, is queued again behind the second one.
    let second = wait(&site, "a second job", || fake.job("prepare")).0;
    wait(&site, "all jobs again", || fake.job("analyze").filter(|(id, _)| *id > second + 5));
    finish(&fake, &site, 0);
    assert_eq!(attempts(&site, StageKind::Prepare), [AttemptState::Lost, AttemptState::Succeeded]);
}

#[test]
fn a_limit_holds_back_and_says_why() {
    let Some(fake) = Fake::new() else { return };
    let limit = "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)\n";
    fake.behave(&json!({"sbatch": [{"rc": 1, "stderr": limit, "times": 2}]}));
    let site = fake.site("pause_seconds = 2");
    sweep(&site);
    let held = wait(&site, "a stage that is held back", || {
        let (state, why) = stage(&site, StageKind::Prepare);
        (state == StageState::Queued && why.contains("held back")).then_some(why)
    });
    assert!(held.contains("QOSMaxSubmitJobPerUserLimit") || held.contains("policy"), "{held}");
    assert!(site.cluster().paused.is_some());
    wait(&site, "all jobs", || fake.job("analyze"));
    finish(&fake, &site, 0);
}

#[test]
fn a_refusal_fails_with_slurms_words_and_a_retry_goes_on() {
    let Some(fake) = Fake::new() else { return };
    let wrong = "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n";
    fake.behave(&json!({"sbatch": [{"rc": 1, "stderr": wrong}]}));
    let site = fake.site("");
    sweep(&site);
    let why = wait(&site, "a failure", || {
        let (state, why) = stage(&site, StageKind::Prepare);
        (state == StageState::Failed).then_some(why)
    });
    assert!(why.contains("Invalid account") && why.contains("lcctl retry"), "{why}");
    assert_eq!(stage(&site, StageKind::Analyze).0, StageState::Skipped);
    site.run(&["retry", "s", "--quiet"]);
    wait(&site, "all jobs", || fake.job("analyze"));
    finish(&fake, &site, 0);
}

#[test]
fn a_queue_that_does_not_answer_proves_nothing() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site("");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    site.run(&["stop", "--quiet"]);
    let impatient = fake_work(0.0, "").replace("call_seconds = 20", "call_seconds = 1");
    site.profile(&impatient.replace("settle_seconds = 4", "settle_seconds = 2"));
    // Half a minute for an answer, then nonsense, then none at all.
    fake.behave(&json!({"squeue": [
        {"delay": 30}, {"rc": 1, "stderr": "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"},
        {"rc": 1, "stderr": "\u{0}\u{1}nonsense\n"}, {"delay": 30},
    ]}));
    wait(&site, "trouble", || site.cluster().trouble);
    wait(&site, "an end of the trouble", || site.cluster().trouble.is_none().then_some(()));
    assert_eq!(fake.calls("sbatch"), 7);
    assert_eq!(attempts(&site, StageKind::Train).len(), 1);
    finish(&fake, &site, 0);
}

#[test]
fn what_is_known_of_a_cluster_is_shown_while_it_does_not_answer() {
    let Some(fake) = Fake::new() else { return };
    fake.behave(&json!({"scontrol": [{"delay": 15}]}));
    let site = fake.site("");
    site.profile(&fake_work(0.0, "").replace("call_seconds = 20", "call_seconds = 60"));
    site.run(&["status"]);
    wait(&site, "a question", || (fake.calls("scontrol") == 1).then_some(()));
    assert_eq!(site.cluster().name, None);
    let text = fs::read_to_string(fake.state().join("calls.jsonl")).unwrap();
    let calls = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let asked: Vec<_> = calls.filter(|call| call["command"] == "scontrol").collect();
    assert!(asked.len() == 1 && asked[0]["end"].is_null(), "{asked:?}");
    wait(&site, "an answer", || site.cluster().name);
}

#[test]
fn ten_thousand_jobs_of_others_and_absurd_reasons_do_no_harm() {
    let Some(fake) = Fake::new() else { return };
    fake.fake(&["fill", "10000"]);
    let site = fake.site("");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    let (id, _) = fake.job("prepare").unwrap();
    let absurd = "(Nodes | required, for job are DOWN, \u{1f525} or \"reserved\" | for jobs)";
    fake.fake(&["set", &format!("{id}_0"), "PENDING", &format!("reason={absurd}")]);
    let shown = wait(&site, "the reason", || {
        let (_, why) = stage(&site, StageKind::Prepare);
        why.contains("\u{1f525}").then_some(why)
    });
    assert!(shown.contains("reserved"), "{shown}");
    finish(&fake, &site, 0);
}

#[test]
fn an_array_that_is_too_large_for_the_queue_goes_in_parts() {
    let Some(fake) = Fake::new() else { return };
    let limit = "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)\n";
    fake.behave(&json!({"sbatch": [{"rc": 1, "stderr": limit, "times": 2, "match": "/train/"}]}));
    let site = fake.site("pause_seconds = 1");
    site.run(&["sweep", "--name", "s", "--width", "64", "--seed", "0..3"]);
    wait(&site, "all jobs", || {
        let waits = site.cluster().waits;
        (waits.values().sum::<u64>() == 25 && site.states("s").get(&StageState::Queued) == Some(&25))
            .then_some(())
    });
    let arrays: Vec<_> = fake
        .jobs()
        .iter()
        .filter(|job| job["name"].as_str().unwrap().starts_with("lc-train-"))
        .map(|job| job["tasks"].as_array().unwrap().len())
        .collect();
    // Four were too many, and so were two.
    assert_eq!(arrays, [1, 3]);
    let attempts: Vec<_> =
        site.study("s").runs.iter().flat_map(|run| site.show(&run.name).attempts).collect();
    let split = attempts
        .iter()
        .filter(|attempt| attempt.message.as_deref().is_some_and(|why| why.contains("smaller array")));
    assert!(split.clone().all(|attempt| attempt.state == AttemptState::Cancelled));
    assert_eq!(split.count(), 3);
}

#[test]
fn an_account_that_is_not_yours_is_refused_where_the_cluster_tells_which_are() {
    let profile = fake_work(0.0, "").replace("cpus = 1", "cpus = 1\naccount = \"nosuch\"");
    let Some(fake) = Fake::new() else { return };
    let site = fake.site("");
    site.profile(&profile);
    let told = "account: \"nosuch\" is not yours; yours: lab";
    let output = site.lcctl(&["sweep", "--name", "s", "--width", "64", "--seed", "0"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let lines: Vec<_> = stderr.lines().filter(|line| line.contains("nosuch")).collect();
    assert!(lines.len() == 1 && lines[0].contains(told), "{stderr}");
    assert_eq!(site.run(&["status", "--json"]).trim(), "[]", "nothing is recorded");
    assert_eq!(fake.calls("sbatch"), 0);
    let output = site.lcctl(&["doctor"]).output().unwrap();
    let findings = String::from_utf8(output.stdout).unwrap();
    let problem = |line: &str| line.starts_with("PROBLEM  rules") && line.ends_with(told);
    assert!(findings.lines().any(problem), "{findings}");

    // Without accounting nobody knows whose accounts are.
    let Some(fake) = Fake::new() else { return };
    fs::write(fake.state().join("scontrol-show-config.txt"), WITHOUT_ACCOUNTING).unwrap();
    let site = fake.site("");
    site.profile(&profile);
    sweep(&site);
    let (_, script) = wait(&site, "a job", || fake.job("prepare"));
    assert!(script.contains("#SBATCH --account=nosuch"), "{script}");
}

#[test]
fn nothing_is_concluded_while_it_is_unknown_whether_there_is_accounting() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site("pause_seconds = 1");
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
    site.kill();
    let (first, _) = fake.job("prepare").unwrap();
    fake.fake(&["set", &format!("{first}_0"), "FAILED", "exit=0:9"]);
    fake.behave(&json!({"scontrol": [{"rc": 1, "stderr": "slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)\n", "times": "forever"}]}));
    // Another daemon, which looks for longer than an end without a result has to be seen.
    site.insist(&["status"]);
    let looks = fake.calls("squeue");
    wait(&site, "some looks", || (fake.calls("squeue") > looks + 5).then_some(()));
    assert_eq!(fake.calls("sacct"), 0);
    assert!(!attempts(&site, StageKind::Prepare)[0].is_final());
    fake.behave(&json!({}));
    wait(&site, "another job", || fake.job("prepare").filter(|(next, _)| *next > first));
    assert_eq!(attempts(&site, StageKind::Prepare)[0], AttemptState::Lost, "as accounting has it");
}

#[test]
fn a_window_that_is_shut_holds_everything_back() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site("[schedule]\nsubmit = [\"0 0 3 29 2 *\"]");
    sweep(&site);
    let view = site.cluster();
    assert!(!view.open && view.opens.is_some(), "{view:?}");
    // The round after one that may have begun before the sweep.
    let rounds = || fs::read_to_string(site.root().join("daemon.log")).unwrap().matches("reconciled").count();
    let before = rounds();
    wait(&site, "two rounds", || (rounds() >= before + 2).then_some(()));
    assert_eq!(fake.calls("sbatch"), 0);
    let told = site.run(&["schedule"]);
    assert!(told.contains("opens"), "{told}");
}

#[test]
fn doctor_finds_a_worker_that_can_not_use_the_gpus_asked_for() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(fake) = Fake::new() else { return };
    let site = fake.site("");
    site.profile(&fake_work(0.0, "").replace("cpus = 1", "cpus = 1\ngres = \"gpu:1\""));
    let doctor = |version: &str| {
        let worker = site.root().join("worker");
        fs::write(&worker, format!("#!/bin/sh\necho '{version}'\n")).unwrap();
        fs::set_permissions(&worker, fs::Permissions::from_mode(0o755)).unwrap();
        let output = site.lcctl(&["doctor", "--worker", worker.to_str().unwrap()]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let told = doctor("lc-worker 0.1.0 (cpu)");
    let problem =
        told.lines().find(|line| line.starts_with("PROBLEM  worker")).unwrap_or_else(|| panic!("{told}"));
    assert!(problem.contains("GPUs (gpu:1)") && problem.contains("'make cuda'"), "{problem}");
    for version in ["lc-worker 0.1.0 (cpu, cuda)", "lc-worker 0.1.0"] {
        let told = doctor(version);
        assert!(!told.contains("PROBLEM  worker"), "{told}");
    }
}
