//! What no real cluster does on request, with Slurm's commands played by `tests/fake_slurm/fake`.

use super::{chain::fake_work, site::Site};
use protocol::stage::{AttemptState, StageKind, StageState};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread::sleep,
    time::{Duration, Instant},
};

/// Played commands in a folder for `PATH`.
struct Fake {
    home: tempfile::TempDir,
}

impl Fake {
    /// None where Python is missing, which is said in a visible line.
    fn new() -> Option<Self> {
        if Command::new("python3").arg("--version").output().is_err() {
            println!("skipped: tests with a played Slurm: python3 is not installed");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("bin")).unwrap();
        fs::create_dir_all(home.path().join("state")).unwrap();
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_slurm/fake");
        for name in ["sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo", "sacctmgr", "fake"] {
            symlink(&fake, home.path().join("bin").join(name)).unwrap();
        }
        Some(Self { home })
    }

    fn bin(&self) -> PathBuf {
        self.home.path().join("bin")
    }

    fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// A site whose daemon calls these.
    fn site(&self, more: &str) -> Site {
        self.site_that_works(0.0, more)
    }

    /// One whose workers take so many seconds.
    fn site_that_works(&self, seconds: f64, more: &str) -> Site {
        let profile = fake_work(seconds, more).replace("settle_seconds = 4", "settle_seconds = 2");
        let mut site = Site::new(&profile, None, Some(&self.bin()));
        site.set("FAKE_SLURM", self.state().to_str().unwrap());
        site
    }

    fn behave(&self, rules: &Value) {
        let file = self.state().join("behaviour.json");
        fs::write(file.with_extension("new"), rules.to_string()).unwrap();
        fs::rename(file.with_extension("new"), file).unwrap();
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.bin().join(name));
        command.args(arguments).env("FAKE_SLURM", self.state());
        command
    }

    /// Calls one of Slurm's commands as a person does.
    fn call(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.command(name, arguments).output().unwrap();
        assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn fake(&self, arguments: &[&str]) -> String {
        self.call("fake", arguments)
    }

    fn jobs(&self) -> Vec<Value> {
        serde_json::from_str(&self.fake(&["jobs"])).unwrap()
    }

    /// The newest job of a kind of stage: its id and script.
    fn job(&self, kind: &str) -> Option<(u64, String)> {
        let jobs = self.jobs();
        let of_kind = jobs
            .iter()
            .rfind(|job| job["name"].as_str().unwrap_or_default().starts_with(&format!("lc-{kind}-")))?;
        Some((of_kind["job"].as_u64().unwrap(), of_kind["script"].as_str().unwrap().to_owned()))
    }

    /// How often a command was called.
    fn calls(&self, command: &str) -> usize {
        let text = fs::read_to_string(self.state().join("calls.jsonl")).unwrap_or_default();
        text.lines().filter(|line| serde_json::from_str::<Value>(line).unwrap()["command"] == command).count()
    }

    /// Runs the only task of the newest job of a kind.
    fn work(&self, kind: &str) -> String {
        let (id, _) = self.job(kind).unwrap();
        self.fake(&["run", &format!("{id}_0")])
    }

    /// Begins to run the only task of the newest job of a kind: gives its id, its script and what runs it.
    fn begin(&self, site: &Site, kind: StageKind) -> (u64, String, Child) {
        let (id, script) = self.job(kind.as_str()).unwrap();
        let run = self.command("fake", &["run", &format!("{id}_0")]).spawn().unwrap();
        wait(site, "a worker", || (stage(site, kind).0 == StageState::Running).then_some(()));
        (id, script, run)
    }
}

fn wait<T>(site: &Site, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(Instant::now() < deadline, "no {what}\n{}", site.log());
        sleep(Duration::from_millis(100));
    }
}

fn sweep(site: &Site) {
    site.run(&["sweep", "--name", "s", "--width", "64", "--seed", "0"]);
}

/// The state of the only stage of a kind, and its reason.
fn stage(site: &Site, kind: StageKind) -> (StageState, String) {
    let study = site.study("s");
    let stage = study.runs[0].stages.iter().find(|stage| stage.kind == kind).unwrap().clone();
    (stage.state, stage.reason.unwrap_or_default())
}

fn attempts(site: &Site, kind: StageKind) -> Vec<AttemptState> {
    let detail = site.show("01x0064_01d00");
    detail.attempts.iter().filter(|a| a.kind == kind).map(|a| a.state).collect()
}

const KINDS: [&str; 7] = ["prepare", "train", "evaluate", "means", "vars", "decs", "analyze"];

fn finish(fake: &Fake, site: &Site, from: usize) {
    for kind in &KINDS[from..] {
        assert!(fake.work(kind).contains("COMPLETED"), "{kind}");
    }
    wait(site, "end of the study", || (site.states("s").get(&StageState::Done) == Some(&7)).then_some(()));
    site.assert_done_once("s");
}

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
fn out_of_memory_asks_for_twice_the_memory() {
    let Some(fake) = Fake::new() else { return };
    fs::write(fake.state().join("sinfo.txt"), "gpu*|up|2-00:00:00|2|64|130|gpu:a100:4|a100\n").unwrap();
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
    fs::write(fake.state().join("sinfo.txt"), "gpu*|up|1:20:00|2|64|512000|gpu:a100:4|a100\n").unwrap();
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
fn a_queue_that_does_not_answer_proves_nothing() {
    let Some(fake) = Fake::new() else { return };
    let site = fake.site("").tap(|site| {
        site.profile(
            &fake_work(0.0, "")
                .replace("call_seconds = 20", "call_seconds = 1")
                .replace("settle_seconds = 4", "settle_seconds = 2"),
        )
    });
    sweep(&site);
    wait(&site, "all jobs", || fake.job("analyze"));
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
    let site = fake
        .site("")
        .tap(|site| site.profile(&fake_work(0.0, "").replace("call_seconds = 20", "call_seconds = 60")));
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

const WITHOUT_ACCOUNTING: &str = "ClusterName = small\nMaxArraySize = 1001\nMinJobAge = 300 sec\nAccountingStorageType = accounting_storage/none\n";

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
fn an_account_that_is_not_yours_is_refused_where_the_cluster_tells_which_are() {
    let profile = fake_work(0.0, "").replace("cpus = 1", "cpus = 1\naccount = \"nosuch\"");
    let Some(fake) = Fake::new() else { return };
    let site = fake.site("").tap(|site| site.profile(&profile));
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
    let site = fake.site("").tap(|site| site.profile(&profile));
    sweep(&site);
    let (_, script) = wait(&site, "a job", || fake.job("prepare"));
    assert!(script.contains("#SBATCH --account=nosuch"), "{script}");
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
    sleep(Duration::from_secs(2));
    assert_eq!(fake.calls("sbatch"), 0);
    let told = site.run(&["schedule"]);
    assert!(told.contains("opens"), "{told}");
}

trait Tap: Sized {
    fn tap(self, change: impl FnOnce(&Self)) -> Self {
        change(&self);
        self
    }
}

impl Tap for Site {}

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
