//! The real `lcctl` with the real daemon, from its start by a client to its end.

use protocol::{
    attempt::DaemonFile,
    view::{StudyDetail, StudyPlan, StudyState},
};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A root of its own, whose daemon ends with the test.
struct Place {
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    fn lcctl(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lcctl"));
        command.env_clear().env("HOME", self.home.path()).env("LC_ROOT", self.root());
        // A worker that ends without a word: what matters here is not what it would do.
        command.env("LC_WORKER", "/bin/true").env("LC_LISTEN", "127.0.0.1:0");
        command.args(args).current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        self.run_with(&[], args)
    }

    /// As [`Self::run`], with more in the environment.
    fn run_with(&self, environment: &[(&str, &str)], args: &[&str]) -> (i32, String, String) {
        let output = self.lcctl(args).envs(environment.iter().copied()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn daemon(&self) -> DaemonFile {
        serde_json::from_slice(&std::fs::read(self.root().join("daemon.json")).unwrap()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (code, _, stderr) = self.run(&["stop"]);
        if !std::thread::panicking() {
            assert_eq!(code, 0, "{stderr}");
        }
    }
}

fn plan(stdout: &str) -> StudyPlan {
    serde_json::from_str(stdout).unwrap()
}

#[test]
fn a_command_without_a_daemon_starts_one_and_says_so_once() {
    let place = Place::new();
    let (code, stdout, stderr) = place.run(&["status", "--json"]);
    assert_eq!((code, stdout.trim()), (0, "[]"), "{stderr}");
    let pid = place.daemon().pid;
    assert!(
        stderr.starts_with("started the daemon for ") && stderr.contains(&format!("(pid {pid})")),
        "{stderr}"
    );
    let (_, stdout, stderr) = place.run(&["status", "--quiet"]);
    assert_eq!((stdout.as_str(), stderr.as_str()), ("", ""));
    let (code, stdout, _) = place.run(&["login"]);
    assert_eq!(code, 0);
    assert!(stdout.starts_with(&place.daemon().url) && stdout.contains("/login?code="), "{stdout}");

    let (code, stdout, _) = place.run(&["stop", "--dry-run"]);
    assert_eq!(code, 0);
    assert!(stdout.starts_with("would stop"), "{stdout}");
    let (code, stdout, _) = place.run(&["stop"]);
    assert_eq!(code, 0);
    assert!(stdout.starts_with("stopped the daemon"), "{stdout}");
    assert!(!place.root().join("daemon.json").exists());
}

#[test]
fn two_clients_that_start_at_once_share_one_daemon() {
    let place = Place::new();
    let spawn =
        || place.lcctl(&["status", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let both = [spawn(), spawn()].map(|child| child.wait_with_output().unwrap());
    for output in &both {
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, b"[]\n");
    }
    let (code, _, stderr) = place.run(&["status", "--no-start"]);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn a_dry_run_records_nothing_and_a_repeated_sweep_adds_nothing() {
    let place = Place::new();
    let sweep = ["sweep", "--name", "s", "--width", "32,64", "--seed", "0,1", "--heads", "4", "--json"];
    let (code, stdout, stderr) = place.run(&[&sweep[..], &["--dry-run"]].concat());
    assert_eq!(code, 0, "{stderr}");
    let dry = plan(&stdout);
    // One shared prepare; train, evaluate, means, vars, decs, analyze for each of four runs.
    assert_eq!((dry.created, dry.runs.len(), dry.new_stages), (false, 4, 25));
    // Stages of the two checkpoints that are kept, after prepare and train.
    let fewer = ["sweep", "--name", "s", "--width", "32", "--heads", "4", "--epochs", "4", "--dry-run"];
    let (code, stdout, stderr) = place.run(&[&fewer[..], &["--keep-checkpoints", "2"]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("would add 1 run, 12 stages"), "{stdout}");
    assert!(stdout.contains("only the newest 2 checkpoints are kept and analysed"), "{stdout}");
    let (code, _, stderr) = place.run(&[&fewer[..], &["--keep-checkpoints", "0"]].concat());
    assert_eq!(code, 2);
    assert!(stderr.contains("use all, weights or a whole number above 0"), "{stderr}");
    assert_eq!(place.run(&["status", "--json"]).1.trim(), "[]");

    let first = plan(&place.run(&sweep).1);
    assert_eq!((first.created, first.new_stages), (true, 25));
    let (_, stdout, _) = place.run(&sweep);
    let again = plan(&stdout);
    assert_eq!((again.new_stages, again.existing_stages), (0, 25));
    assert!(again.runs.iter().all(|run| !run.new));
    let larger = ["sweep", "--name", "s", "--width", "32,64", "--seed", "0..2", "--heads", "4", "--json"];
    let larger = plan(&place.run(&larger).1);
    assert_eq!((larger.new_stages, larger.runs.len()), (12, 6));
}

#[test]
fn waiting_for_a_study_that_fails_tells_why_and_exits_1() {
    let place = Place::new();
    let sweep =
        ["sweep", "--name", "s", "--width", "32", "--heads", "4", "--attempts", "1", "--wait", "--json"];
    let (code, stdout, stderr) = place.run(&sweep);
    assert_eq!(code, 1, "{stderr}");
    let value: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(value["study"]["state"], "failed");
    assert!(stderr.contains("error: s prepare failed: "), "{stderr}");

    let (code, stdout, stderr) = place.run(&["status", "s", "--json"]);
    assert_eq!(code, 0, "{stderr}");
    let detail: StudyDetail = serde_json::from_str(&stdout).unwrap();
    assert_eq!(detail.summary.state, StudyState::Failed);
    let (code, stdout, _) = place.run(&["retry", "s", "--dry-run"]);
    assert_eq!(code, 0);
    assert!(stdout.starts_with("7 stages would be tried again"), "{stdout}");
    // What was skipped is given up.
    let (code, stdout, _) = place.run(&["cancel", "s"]);
    assert_eq!(code, 0);
    assert!(stdout.starts_with("6 stages cancelled"), "{stdout}");
    let (code, stdout, _) = place.run(&["cancel", "s"]);
    assert_eq!(code, 0);
    assert!(stdout.starts_with("nothing to cancel"), "{stdout}");
    assert_eq!(place.run(&["show", "s/01x0032_01d00"]).0, 0);
}

#[test]
fn what_does_not_fit_together_is_refused_in_one_line() {
    let place = Place::new();
    let (code, stdout, stderr) = place.run(&["sweep", "--width", "30", "--heads", "4", "--quiet"]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("width") && stderr.contains("heads") && stderr.lines().count() == 1, "{stderr}");
    let (code, _, stderr) = place.run(&["status", "nothing"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("nothing") && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn a_killed_daemon_is_replaced_by_the_next_command() {
    let place = Place::new();
    assert_eq!(place.run(&["sweep", "--name", "s", "--width", "32", "--heads", "4"]).0, 0);
    let pid = i32::try_from(place.daemon().pid).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    let (code, stdout, stderr) = place.run(&["status", "--quiet"]);
    assert_eq!((code, stdout.as_str()), (0, "s\n"), "{stderr}");
    assert_ne!(i32::try_from(place.daemon().pid).unwrap(), pid);
}

#[test]
fn a_daemon_that_can_not_be_asked_is_stopped_all_the_same() {
    let place = Place::new();
    for lost in ["daemon.json", "token"] {
        assert_eq!(place.run(&["status"]).0, 0);
        std::fs::remove_file(place.root().join(lost)).unwrap();
        assert!(place.run(&["stop", "--dry-run"]).1.starts_with("would stop the daemon"), "{lost}");
        let (code, stdout, stderr) = place.run(&["stop"]);
        assert_eq!(code, 0, "{lost}: {stderr}");
        assert!(stdout.starts_with("stopped the daemon"), "{lost}: {stdout}");
        assert!(place.run(&["stop"]).1.starts_with("no daemon runs"), "{lost}");
    }
}

#[test]
fn the_shipped_study_files_are_accepted() {
    let place = Place::new();
    let studies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/studies");
    let mut seen = 0;
    for entry in std::fs::read_dir(studies).unwrap() {
        let file = entry.unwrap().path();
        let (code, stdout, stderr) = place.run(&["sweep", file.to_str().unwrap(), "--dry-run", "--json"]);
        assert_eq!(code, 0, "{}: {stderr}", file.display());
        assert_eq!(plan(&stdout).name, file.file_stem().unwrap().to_str().unwrap());
        seen += 1;
    }
    assert!(seen >= 3);
}

#[test]
fn an_address_in_use_is_wrong_use_when_it_was_asked_for() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, stdout, stderr) = place.run(&["serve", "--listen", &address]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.lines().last().unwrap().starts_with("error: --listen: port "), "{stderr}");
    let (code, _, stderr) = place.run_with(&[("LC_LISTEN", &address)], &["status"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("error: LC_LISTEN: port ") && !stderr.contains("--listen"), "{stderr}");
}

#[test]
fn a_daemon_that_runs_stages_elsewhere_than_is_asked_for_is_not_used() {
    let place = Place::new();
    let root = std::fs::canonicalize(place.home.path()).unwrap().join("root");
    let refusal = |environment: &[(&str, &str)], args: &[&str]| {
        let (code, stdout, stderr) = place.run_with(environment, args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        stderr.trim_end().to_owned()
    };
    let sweep = ["sweep", "--name", "s", "--width", "32", "--heads", "4"];
    assert_eq!(place.run(&["status"]).0, 0);
    assert_eq!(
        refusal(&[("LC_PROFILE", "generic")], &sweep),
        format!(
            "error: the daemon for {} runs stages on this machine, but LC_PROFILE asks for Slurm; 'lcctl stop', then repeat",
            root.display()
        )
    );
    assert_eq!(place.run(&["status", "--quiet"]).1, "", "nothing was recorded");
    assert_eq!(place.run_with(&[("LC_EXECUTOR", "local"), ("LC_PROFILE", "generic")], &["status"]).0, 0);
    assert!(
        refusal(&[("LC_EXECUTOR", "here")], &["status"])
            .contains("LC_EXECUTOR=here is not accepted; use local or slurm")
    );

    // No Slurm is on this path: the daemon waits for one.
    assert_eq!(place.run_with(&[("LC_PROFILE", "generic")], &["stop"]).0, 0);
    assert_eq!(place.run_with(&[("LC_PROFILE", "generic")], &["status"]).0, 0);
    assert_eq!(place.run_with(&[("LC_EXECUTOR", "slurm")], &["status"]).0, 0);
    assert_eq!(place.run(&["status"]).0, 0, "who asks for nothing takes what is there");
    let line = refusal(&[("LC_EXECUTOR", "local")], &["status"]);
    assert!(
        line.contains("runs stages on Slurm (profile generic), but LC_EXECUTOR asks for this machine"),
        "{line}"
    );
    let line = refusal(&[("LC_PROFILE", "preemptible")], &["status"]);
    assert!(line.contains("but LC_PROFILE asks for the profile preemptible; 'lcctl stop'"), "{line}");
}

#[test]
fn a_root_of_a_cluster_is_not_served_on_this_machine_by_default() {
    let place = Place::new();
    std::fs::write(place.home.path().join("my.toml"), "tick_seconds = 5\n").unwrap();
    let file = std::fs::canonicalize(place.home.path()).unwrap().join("my.toml");
    let profile = [("LC_PROFILE", "my.toml")];
    let sweep = ["sweep", "--name", "s", "--width", "32", "--heads", "4"];
    assert_eq!(place.run_with(&profile, &[&sweep[..], &["--dry-run"]].concat()).0, 0);
    assert_eq!(place.run(&["stop"]).0, 0);
    assert_eq!(place.run(&["status"]).0, 0, "a dry run leaves the root as it is");
    assert_eq!(place.run(&["stop"]).0, 0);
    assert_eq!(place.run_with(&profile, &sweep).0, 0);
    assert_eq!(
        place.run_with(&[("LC_PROFILE", file.to_str().unwrap())], &["status"]).0,
        0,
        "it is the same profile"
    );
    assert_eq!(place.run(&["stop"]).0, 0);
    for command in ["status", "serve", "tick"] {
        let (code, stdout, stderr) = place.run(&[command]);
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (2, "", 1), "{command}: {stderr}");
        let needed =
            format!("was run on Slurm (profile {0}); set LC_PROFILE={0}, or profile in ", file.display());
        assert!(
            stderr.contains(&needed) && stderr.contains("or LC_EXECUTOR=local to go on"),
            "{command}: {stderr}"
        );
    }
    assert!(!place.root().join("daemon.json").exists());
    let (code, stdout, _) = place.run(&["doctor"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("PROBLEM  executor") && stdout.contains("was run on Slurm"), "{stdout}");

    // Once it was said in so many words, it holds.
    assert_eq!(place.run_with(&[("LC_EXECUTOR", "local")], &["status"]).0, 0);
    assert_eq!(place.run(&["stop"]).0, 0);
    assert_eq!(place.run(&["status"]).0, 0);
}

#[test]
fn a_profile_in_the_users_configuration_asks_for_slurm() {
    let place = Place::new();
    let config = place.home.path().join(".config/lcctl");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "profile = \"generic\"\n").unwrap();
    let (code, stdout, stderr) = place.run(&["schedule"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("queued the cluster's"), "{stdout}");
}

#[test]
fn what_is_not_there_is_told_with_what_to_do() {
    let place = Place::new();
    let (code, _, stderr) = place.run(&["schedule"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("for a cluster 'lcctl stop', then set LC_PROFILE (docs/slurm.md)"), "{stderr}");
    assert_eq!(place.run(&["sweep", "--name", "s", "--width", "32", "--heads", "4"]).0, 0);
    let (code, _, stderr) = place.run(&["script", "s/01x0032_01d00", "train"]);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("there is no script; for a cluster") && stderr.contains("set LC_PROFILE"),
        "{stderr}"
    );
    for command in ["status", "report"] {
        let (code, _, stderr) = place.run(&[command, "nope"]);
        assert_eq!(
            (code, stderr.as_str()),
            (2, "error: there is no study nope; 'lcctl status' lists them\n")
        );
    }
}

#[test]
fn a_damaged_record_is_told_once_with_what_to_do() {
    let place = Place::new();
    std::fs::create_dir_all(place.root()).unwrap();
    let record = place.root().join("lc.sqlite");
    let damaged = "no record at all, and long enough to be taken for the header of a database. ".repeat(20);
    std::fs::write(&record, damaged).unwrap();
    let (code, stdout, stderr) = place.run(&["status"]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert_eq!(stderr.matches("can't be used as the record").count(), 1, "{stderr}");
    let backups = std::fs::canonicalize(place.root()).unwrap().join("backups");
    let remedy =
        format!("; if it is damaged, put back the newest copy in {} (docs/resuming.md)", backups.display());
    assert!(stderr.contains(&remedy), "{stderr}");

    let (code, stdout, _) = place.run(&["doctor"]);
    assert_eq!(code, 1);
    let line =
        stdout.lines().find(|line| line.starts_with("PROBLEM  record")).unwrap_or_else(|| panic!("{stdout}"));
    assert!(line.contains(record.file_name().unwrap().to_str().unwrap()) && line.contains(&remedy), "{line}");
}

#[test]
fn doctor_opens_a_record_without_touching_it() {
    let place = Place::new();
    assert_eq!(place.run(&["sweep", "--name", "s", "--width", "32", "--heads", "4"]).0, 0);
    assert_eq!(place.run(&["stop"]).0, 0);
    let record = place.root().join("lc.sqlite");
    let before = std::fs::read(&record).unwrap();
    let (code, stdout, stderr) = place.run(&["doctor"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("lc.sqlite: 1 study"), "{stdout}");
    assert_eq!(std::fs::read(&record).unwrap(), before);
    assert!(!place.root().join("lc.sqlite-wal").exists());
}
