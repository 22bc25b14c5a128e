//! Slurm's commands, played by `tests/fake_slurm/fake`, and what its tests do again and again.

use super::{chain::fake_work, site::Site, waiting};
use protocol::stage::{AttemptState, StageKind, StageState};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

/// What a cluster without accounting says about itself.
pub const WITHOUT_ACCOUNTING: &str = "ClusterName = small\nMaxArraySize = 1001\nMinJobAge = 300 sec\nAccountingStorageType = accounting_storage/none\n";

/// Played commands in a folder for `PATH`.
pub struct Fake {
    home: tempfile::TempDir,
}

impl Fake {
    /// None where Python is missing, which is said in a visible line.
    pub fn new() -> Option<Self> {
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

    /// Where answers are laid down, and calls counted.
    pub fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// A site whose daemon calls these.
    pub fn site(&self, more: &str) -> Site {
        self.site_that_works(0.0, more)
    }

    /// One whose workers take so many seconds.
    pub fn site_that_works(&self, seconds: f64, more: &str) -> Site {
        let profile = fake_work(seconds, more).replace("settle_seconds = 4", "settle_seconds = 2");
        let mut site = Site::new(&profile, None, Some(&self.bin()));
        site.set("FAKE_SLURM", self.state().to_str().unwrap());
        site
    }

    /// How the commands answer from now on.
    pub fn behave(&self, rules: &Value) {
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
    pub fn call(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.command(name, arguments).output().unwrap();
        assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Moves jobs as the cluster would.
    pub fn fake(&self, arguments: &[&str]) -> String {
        self.call("fake", arguments)
    }

    /// All of ours.
    pub fn jobs(&self) -> Vec<Value> {
        serde_json::from_str(&self.fake(&["jobs"])).unwrap()
    }

    /// The newest job of a kind of stage: its id and script.
    pub fn job(&self, kind: &str) -> Option<(u64, String)> {
        let jobs = self.jobs();
        let of_kind = jobs
            .iter()
            .rfind(|job| job["name"].as_str().unwrap_or_default().starts_with(&format!("lc-{kind}-")))?;
        Some((of_kind["job"].as_u64().unwrap(), of_kind["script"].as_str().unwrap().to_owned()))
    }

    /// All calls, in order.
    pub fn all_calls(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.state().join("calls.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How often a command was called.
    pub fn calls(&self, command: &str) -> usize {
        self.all_calls().iter().filter(|call| call["command"] == command).count()
    }

    /// Runs the only task of the newest job of a kind.
    pub fn work(&self, kind: &str) -> String {
        let (id, _) = self.job(kind).unwrap();
        self.fake(&["run", &format!("{id}_0")])
    }

    /// Begins to run the only task of the newest job of a kind: gives its id, its script and what runs it.
    pub fn begin(&self, site: &Site, kind: StageKind) -> (u64, String, Child) {
        let (id, script) = self.job(kind.as_str()).unwrap();
        let run = self.command("fake", &["run", &format!("{id}_0")]).spawn().unwrap();
        wait(site, "a worker", || (stage(site, kind).0 == StageState::Running).then_some(()));
        (id, script, run)
    }
}

/// Waits until `found` gives something.
pub fn wait<T>(site: &Site, what: &str, found: impl FnMut() -> Option<T>) -> T {
    waiting::wait(what, Duration::from_secs(60), Duration::from_millis(100), found, || site.log())
}

/// Adds a study of one run.
pub fn sweep(site: &Site) {
    site.run(&["sweep", "--name", "s", "--width", "64", "--seed", "0"]);
}

/// The state of the only stage of a kind, and its reason.
pub fn stage(site: &Site, kind: StageKind) -> (StageState, String) {
    let study = site.study("s");
    let stage = study.runs[0].stages.iter().find(|stage| stage.kind == kind).unwrap().clone();
    (stage.state, stage.reason.unwrap_or_default())
}

/// The states of the attempts at its only stage of a kind.
pub fn attempts(site: &Site, kind: StageKind) -> Vec<AttemptState> {
    let detail = site.show("01x0064_01d00");
    detail.attempts.iter().filter(|a| a.kind == kind).map(|a| a.state).collect()
}

const KINDS: [&str; 7] = ["prepare", "train", "evaluate", "means", "vars", "decs", "analyze"];

/// Runs what is queued, in order and beginning with this kind of stage, to the end of the study.
pub fn finish(fake: &Fake, site: &Site, from: usize) {
    for kind in &KINDS[from..] {
        let end = fake.work(kind);
        assert!(end.contains("COMPLETED"), "{kind}: {end}{}", site.log());
    }
    wait(site, "end of the study", || (site.states("s").get(&StageState::Done) == Some(&7)).then_some(()));
    site.assert_done_once("s");
}
