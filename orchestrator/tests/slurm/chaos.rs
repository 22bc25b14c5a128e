//! Everything goes wrong, on a real cluster; and yet each stage is done exactly once.
//!
//! The faults come from a seed that is printed; `LC_CHAOS_SEED` repeats them, `LC_CHAOS_RUNS` asks for more runs.

use super::{chain::fake_work, cluster::Cluster, site::Site};
use nix::sys::signal::Signal;
use protocol::stage::StageState;
use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

/// SplitMix64: the same seed does the same harm.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % sides
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Where the daemon makes something permanent, or has just told it to somebody.
const POINTS: [&str; 8] =
    ["folders", "intent", "submitted", "recorded", "claimed", "events", "result", "cleared-up"];

#[test]
fn a_daemon_that_dies_at_any_commit_point_loses_and_repeats_nothing() {
    let Some(cluster) = Cluster::get() else { return };
    for point in POINTS {
        let mut site = Site::new(&fake_work(0.1, ""), Some(&cluster.conf()), None);
        // What is unclear has to be cleared up first: by a death between the call and the record of its answer.
        let deaths =
            if point == "cleared-up" { [(1, "submitted"), (1, point)] } else { [(1, point), (3, point)] };
        if point == "cleared-up" {
            // Nor may the job start meanwhile: its worker's claim would clear it up before the queue is looked at.
            cluster.nodes("DRAIN");
        }
        for (passage, point) in deaths {
            site.set("LC_FAULT", &format!("{point}:{passage}"));
            let _ =
                site.lcctl(&["sweep", "--name", "s", "--width", "64", "--seed", "0..1", "--quiet"]).output();
            let before = site.daemon();
            let died = Instant::now() + Duration::from_secs(20);
            while before
                .is_some_and(|pid| fs::exists(format!("/proc/{pid}/stat")).unwrap_or(false) && !is_dead(pid))
            {
                if Instant::now() > died {
                    // Not every point is passed so often.
                    site.kill();
                }
                sleep(Duration::from_millis(50));
            }
        }
        if point == "cleared-up" {
            cluster.nodes("RESUME");
        }
        let log = fs::read_to_string(site.root().join("daemon.log")).unwrap();
        assert!(log.contains(&format!("point=\"{point}\"")), "no daemon died at {point}");
        site.set("LC_FAULT", "");
        site.insist(&["sweep", "--name", "s", "--width", "64", "--seed", "0..1", "--quiet"]);
        cluster.wait(point, Duration::from_secs(90), || {
            (site.states("s").get(&StageState::Done) == Some(&13)).then_some(())
        });
        site.assert_done_once("s");
    }
}

/// A process that was killed stays listed until its parent takes notice.
fn is_dead(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn every_stage_is_done_once_whatever_dies() {
    let Some(cluster) = Cluster::get() else { return };
    let seed = number("LC_CHAOS_SEED", std::process::id().into());
    let runs = number("LC_CHAOS_RUNS", 34);
    println!("seed {seed}");
    let mut dice = Dice(seed);
    // Where jobs make room for others.
    let mut profile = fake_work(0.7, "").replace("\"gpu\"", "\"preempt\"");
    if seed % 2 == 1 {
        // Every other time with several runs in a job.
        profile.push_str("pack = 3\n");
    }
    let mut site = Site::new(&profile, Some(&cluster.conf()), None);
    // The daemon dies at one of forty places where something was made permanent.
    site.set("LC_FAULT", &format!("{seed}%40"));
    let last = (runs - 1).to_string();
    site.insist(&[
        "sweep",
        "--name",
        "chaos",
        "--width",
        "64",
        "--seed",
        &format!("0..{last}"),
        "--attempts",
        "20",
    ]);

    let deadline = Instant::now() + Duration::from_secs(900);
    let (mut harm, mut deaths) = (Vec::new(), 0);
    let mut daemon = site.daemon();
    let mut faults = 12;
    loop {
        assert!(Instant::now() < deadline, "not done in time; harm: {harm:?}\n{}", site.log());
        // A client starts a daemon where none runs; each new one has other places to die.
        site.set("LC_FAULT", &if faults > 0 { format!("{}%40", dice.roll(1 << 30)) } else { String::new() });
        let states = site.states("chaos");
        if site.daemon() != daemon {
            deaths += 1;
            daemon = site.daemon();
        }
        let open =
            states.iter().filter(|(state, _)| !state.is_final()).map(|(_, count)| count).sum::<usize>();
        if open == 0 {
            if states.len() == 1 && states.contains_key(&StageState::Done) {
                break;
            }
            // What a person cancelled in the queue, and what used its tries up.
            site.insist(&["retry", "chaos", "--quiet"]);
        }
        sleep(Duration::from_millis(300 + dice.roll(900)));
        if faults == 0 {
            continue;
        }
        faults -= 1;
        let what = dice.roll(9);
        harm.push(what);
        match what {
            0 => site.kill(),
            1 => {
                // Right after an answer of sbatch, if one comes soon: what it answered may be lost.
                let calls = || {
                    let log = fs::read_to_string(site.root().join("daemon.log")).unwrap_or_default();
                    log.matches("program=\"sbatch\"").count()
                };
                let (before, soon) = (calls(), Instant::now() + Duration::from_secs(3));
                while calls() == before && Instant::now() < soon {
                    sleep(Duration::from_millis(5));
                }
                cluster.signal("slurmctld", Signal::SIGKILL);
                sleep(Duration::from_millis(dice.roll(3000)));
                cluster.start();
            }
            2 => {
                cluster.signal("slurmctld", Signal::SIGSTOP);
                sleep(Duration::from_secs(11 + dice.roll(4)));
                cluster.signal("slurmctld", Signal::SIGCONT);
            }
            3 => {
                // The node is lost, the processes on it are not.
                cluster.signal("slurmd-n4", Signal::SIGKILL);
            }
            4 => {
                let listed = cluster.squeue(&["-h", "-r", "-o", "%F_%K"]);
                let jobs: Vec<_> = listed.lines().collect();
                if !jobs.is_empty() {
                    let job = jobs[dice.roll(jobs.len() as u64) as usize];
                    let _ = cluster.command("scancel").arg(job).output();
                }
            }
            5 => cluster.signal("slurmdbd", Signal::SIGTERM),
            6 => cluster.start(),
            7 => {
                // Somebody with a higher priority takes two nodes.
                let mut high = cluster.command("sbatch");
                high.args(["--partition=cpu", "--nodes=2", "--exclusive", "--time=5", "--output=/dev/null"]);
                let _ = high.args(["--wrap", "sleep 2"]).output();
            }
            _ => {
                let listed = cluster.squeue(&["-h", "-r", "-t", "R", "-o", "%F_%K"]);
                if let Some(job) = listed.lines().next() {
                    let _ = cluster.command("scontrol").args(["requeue", job]).output();
                }
            }
        }
        if faults == 0 {
            cluster.start();
        }
    }
    println!("harm {harm:?}, {deaths} daemons died");
    site.assert_done_once("chaos");
    // No event was lost: each training told its whole curve.
    let text = fs::read_to_string(site.root().join("token")).unwrap();
    let file = fs::read(site.root().join("daemon.json")).unwrap();
    let url = serde_json::from_slice::<protocol::attempt::DaemonFile>(&file).unwrap().url;
    let client = orchestrator::client::Client::new(&url, text.trim());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for run in site.study("chaos").runs {
        let curve = runtime.block_on(client.curve(run.id, 100)).unwrap();
        assert_eq!(curve.step.len(), 4, "{}", run.name);
    }
    // No job is left. A controller that was killed comes back with the queue as it was last saved, and what ended since,
    // or was being started when its node was lost, stays listed until it asks the nodes for their jobs: minutes later.
    cluster.wait("an empty queue", Duration::from_secs(240), || {
        cluster.squeue(&["-h", "-t", "PD,R"]).trim().is_empty().then_some(())
    });
}
