//! The real cluster that the tests share, one at a time.

use super::waiting;
use nix::fcntl::{Flock, FlockArg};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// A cluster that runs, held by one test until it is dropped.
pub struct Cluster {
    dir: PathBuf,
    _turn: Flock<File>,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/slurm/test-cluster.sh")
}

impl Cluster {
    /// The cluster, started if need be; none where Slurm is not installed, which is said in a visible line.
    pub fn get() -> Option<Self> {
        let there = |program: &str| {
            ["/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"]
                .iter()
                .any(|dir| Path::new(dir).join(program).exists())
        };
        if !there("slurmctld") || !there("slurmdbd") || !there("mariadbd") {
            println!(
                "skipped: tests on a real Slurm cluster: it is not installed (deploy/slurm/test-cluster.sh install, as root)"
            );
            return None;
        }
        let dir = std::env::temp_dir().join(format!("lc-cluster-{}", nix::unistd::geteuid()));
        let turn = File::create(dir.with_extension("turn")).unwrap();
        let turn = Flock::lock(turn, FlockArg::LockExclusive).map_err(|(_, error)| error).unwrap();
        let cluster = Self { dir, _turn: turn };
        cluster.start();
        cluster.command("scancel").args(["-u", &user()]).output().unwrap();
        // A node that a test took away comes back by itself; one that was drained does not.
        for node in ["n1", "n2", "n3", "n4"] {
            let _ = cluster
                .command("scontrol")
                .args(["update", &format!("nodename={node}"), "state=resume"])
                .output();
        }
        let empty = || cluster.squeue(&["-h", "-t", "R,CG,PD"]).lines().count() == 0;
        cluster.wait("an empty queue", Duration::from_secs(60), || empty().then_some(()));
        Some(cluster)
    }

    /// Starts whatever does not run.
    pub fn start(&self) {
        let output = self.environment(Command::new(script()).arg("start")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LC_CLUSTER_DIR", &self.dir).env("LC_CLUSTER_PORT", "27817").env("LC_CLUSTER_GPUS", "4")
    }

    /// Its configuration file.
    pub fn conf(&self) -> PathBuf {
        self.dir.join("etc/slurm.conf")
    }

    /// A command of Slurm.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.conf());
        command
    }

    /// What `squeue` prints; empty if it fails.
    pub fn squeue(&self, arguments: &[&str]) -> String {
        let output = self.command("squeue").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Lets nodes start jobs (`RESUME`) or only take them in (`DRAIN`).
    pub fn nodes(&self, state: &str) {
        let arguments = ["update", "NodeName=ALL", &format!("State={state}"), "Reason=test"];
        let output = self.command("scontrol").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Sends a signal to one of its daemons: `slurmctld`, `slurmdbd`, `slurmd-n4`.
    pub fn signal(&self, daemon: &str, signal: nix::sys::signal::Signal) {
        let file = self.dir.join("run").join(format!("{daemon}.pid"));
        let Some(pid) = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()) else {
            return;
        };
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
    }

    /// Waits until `found` gives something.
    pub fn wait<T>(&self, what: &str, limit: Duration, found: impl FnMut() -> Option<T>) -> T {
        waiting::wait(what, limit, Duration::from_millis(200), found, || {
            let waits = self.squeue(&["-r", "-o", "%i %j %P %T %r %N %S"]);
            format!("queue:\n{waits}\nand what is over:\n{}", self.squeue(&["-r", "-t", "all"]))
        })
    }
}

pub fn user() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap();
    user.unwrap().name
}
