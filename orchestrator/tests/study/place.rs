//! A root of its own, with the programs as they were built.

use protocol::{
    attempt::DaemonFile,
    view::{RunDetail, StudyDetail},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A root whose daemon ends with the test.
pub struct Place {
    home: tempfile::TempDir,
}

impl Place {
    /// An empty root.
    pub fn new() -> Self {
        let worker = Path::new(env!("CARGO_BIN_EXE_lcctl")).with_file_name("lc-worker");
        assert!(worker.exists(), "{}: build it first, with cargo build -p worker", worker.display());
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// `LC_ROOT`.
    pub fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    /// A client command.
    pub fn lcctl(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lcctl"));
        command.env_clear().env("HOME", self.home.path()).env("LC_ROOT", self.root());
        command.env("LC_LISTEN", "127.0.0.1:0").args(args).stdin(Stdio::null());
        command
    }

    /// Runs a client command that must succeed; gives its standard output.
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.lcctl(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "lcctl {args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The study as the daemon sees it.
    pub fn study(&self, name: &str) -> StudyDetail {
        serde_json::from_str(&self.run(&["show", name, "--json"])).unwrap()
    }

    /// A run as the daemon sees it.
    pub fn show(&self, run: &str) -> RunDetail {
        serde_json::from_str(&self.run(&["show", run, "--json"])).unwrap()
    }

    /// Process id of the daemon.
    pub fn daemon(&self) -> u32 {
        let file = fs::read(self.root().join("daemon.json")).unwrap();
        serde_json::from_slice::<DaemonFile>(&file).unwrap().pid
    }

    /// Process ids of the workers of a kind of stage.
    pub fn workers(&self, stage: &str) -> Vec<u32> {
        let folder = self.root().join("logs").join(stage);
        let folder = folder.to_str().unwrap();
        let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let path = entry.ok()?.path();
            let pid = path.file_name()?.to_str()?.parse::<u32>().ok()?;
            let command = fs::read(path.join("cmdline")).ok()?;
            String::from_utf8_lossy(&command).contains(folder).then_some(pid)
        });
        processes.collect()
    }

    /// Rows of the results, by column.
    pub fn results(&self, name: &str) -> Vec<std::collections::HashMap<String, String>> {
        let file = self.root().join("results").join(format!("{name}.csv"));
        csv::Reader::from_path(file).unwrap().deserialize().map(Result::unwrap).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.lcctl(&["stop", "--quiet"]).output();
    }
}
