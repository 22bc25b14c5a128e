//! A root whose daemon hands its stages to a cluster.

use protocol::{
    attempt::DaemonFile,
    stage::{AttemptState, StageState},
    view::{ClusterView, RunDetail, StudyDetail},
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// A root, its profile, and the environment of its commands.
pub struct Site {
    home: tempfile::TempDir,
    name: String,
    environment: BTreeMap<OsString, OsString>,
}

impl Site {
    /// With this profile, and `PATH` and `SLURM_CONF` as given.
    pub fn new(profile: &str, conf: Option<&Path>, path: Option<&Path>) -> Self {
        Self::named("root", profile, conf, path)
    }

    /// As [`Self::new`], with a name for the root's folder.
    pub fn named(name: &str, profile: &str, conf: Option<&Path>, path: Option<&Path>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut environment = BTreeMap::new();
        let mut set = |name: &str, value: OsString| drop(environment.insert(OsString::from(name), value));
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let paths = path.map(Path::to_owned).into_iter().chain(std::env::split_paths(&usual));
        set("PATH", std::env::join_paths(paths.chain(["/usr/sbin".into()])).unwrap());
        set("HOME", home.path().into());
        set("LC_ROOT", home.path().join(name).into());
        set("LC_LISTEN", "0.0.0.0:0".into());
        set("LC_LOG", "info,orchestrator=debug".into());
        set("LC_PROFILE", home.path().join("profile.toml").into());
        if let Some(conf) = conf {
            set("SLURM_CONF", conf.into());
        }
        let site = Self { home, name: name.to_owned(), environment };
        site.profile(profile);
        fs::create_dir(site.root()).unwrap();
        site
    }

    /// Changes the profile; a daemon that runs keeps the one before.
    pub fn profile(&self, profile: &str) {
        fs::write(self.home.path().join("profile.toml"), profile).unwrap();
    }

    /// A further variable of the environment; an empty one is taken away.
    pub fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.environment.remove(&OsString::from(name));
        } else {
            self.environment.insert(name.into(), value.into());
        }
    }

    /// Changes the record under the daemon.
    pub fn sql(&self, statement: &'static str) {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.root().join("lc.sqlite"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut record = sqlx::ConnectOptions::connect(&options).await.unwrap();
            sqlx::query(statement).execute(&mut record).await.unwrap();
        });
    }

    /// `LC_ROOT`.
    pub fn root(&self) -> PathBuf {
        self.home.path().join(&self.name)
    }

    /// A client command.
    pub fn lcctl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lcctl"));
        command.env_clear().envs(&self.environment).args(arguments).stdin(Stdio::null());
        command
    }

    /// Another program in the same environment.
    pub fn other(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.environment).stdin(Stdio::null());
        command
    }

    /// Runs a client command that must succeed; gives its standard output.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.lcctl(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "lcctl {arguments:?}: {stderr}{}", self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    /// As [`Self::run`], with the arguments in one line, separated by blanks.
    pub fn line(&self, arguments: &str) -> String {
        self.run(&arguments.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs a client command, and again while it fails, as when the daemon dies under it.
    pub fn insist(&self, arguments: &[&str]) -> String {
        for _ in 0..60 {
            let output = self.lcctl(arguments).output().unwrap();
            if output.status.success() {
                return String::from_utf8(output.stdout).unwrap();
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        self.run(arguments)
    }

    /// The end of the daemon's log.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.root().join("daemon.log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    pub fn study(&self, name: &str) -> StudyDetail {
        serde_json::from_str(&self.insist(&["show", name, "--json"])).unwrap()
    }

    pub fn show(&self, run: &str) -> RunDetail {
        serde_json::from_str(&self.insist(&["show", run, "--json"])).unwrap()
    }

    pub fn cluster(&self) -> ClusterView {
        serde_json::from_str(&self.insist(&["schedule", "--json"])).unwrap()
    }

    /// Process id of the daemon, if one serves.
    pub fn daemon(&self) -> Option<i32> {
        let file = fs::read(self.root().join("daemon.json")).ok()?;
        Some(serde_json::from_slice::<DaemonFile>(&file).ok()?.pid as i32)
    }

    /// Kills the daemon as nothing may be lost by.
    pub fn kill(&self) {
        if let Some(pid) = self.daemon() {
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }

    /// Stages by state.
    pub fn states(&self, study: &str) -> BTreeMap<StageState, usize> {
        let mut counts = BTreeMap::new();
        let mut shared = std::collections::BTreeSet::new();
        for stage in self.study(study).runs.into_iter().flat_map(|run| run.stages) {
            if shared.insert(stage.id) {
                *counts.entry(stage.state).or_default() += 1;
            }
        }
        counts
    }

    /// What the fake workers wrote down: (attempt, what).
    pub fn ledger(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.root().join("fake-work.jsonl")).unwrap_or_default();
        text.lines()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let word = |name: &str| line[name].as_str().unwrap().to_owned();
                (word("attempt"), word("what"))
            })
            .collect()
    }

    /// Checks that each stage of a study was done, once and by one attempt.
    pub fn assert_done_once(&self, study: &str) {
        let finished =
            self.ledger().into_iter().filter(|(_, what)| what == "finished").map(|(attempt, _)| attempt);
        let finished: Vec<_> = finished.collect();
        let mut seen = std::collections::BTreeSet::new();
        for run in self.study(study).runs {
            let detail = self.show(&run.name);
            for stage in &run.stages {
                assert_eq!(stage.state, StageState::Done, "{} {}: {:?}", run.name, stage.kind, stage.reason);
                if !seen.insert(stage.id) {
                    continue;
                }
                let won: Vec<_> = detail
                    .attempts
                    .iter()
                    .filter(|a| a.stage == stage.id && a.state == AttemptState::Succeeded)
                    .map(|a| a.id.to_string())
                    .collect();
                assert_eq!(won.len(), 1, "{} {}", run.name, stage.kind);
                let times = finished.iter().filter(|attempt| **attempt == won[0]).count();
                assert_eq!(times, 1, "{} {} was worked on to its end {times} times", run.name, stage.kind);
            }
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.lcctl(&["stop", "--quiet", "--no-start"]).output();
        if std::thread::panicking() {
            let kept = std::env::temp_dir().join(format!("lc-failed-{}.log", std::process::id()));
            let _ = fs::copy(self.root().join("daemon.log"), &kept);
            println!("the daemon's log: {}", kept.display());
        }
    }
}
