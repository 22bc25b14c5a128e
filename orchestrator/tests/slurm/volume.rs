//! A study of a thousand runs, queued on a real cluster: how many calls that takes.

use super::{chain::fake_work, cluster::Cluster, site::Site};
use std::{
    fs,
    time::{Duration, Instant},
};

#[test]
fn a_thousand_runs_are_queued_with_a_handful_of_calls() {
    let Some(cluster) = Cluster::get() else { return };
    // Jobs that wait for a date far away: nothing runs meanwhile.
    let profile = fake_work(0.0, "") + "extra = [\"--begin=2099-01-01\"]\n";
    let site = Site::new(&profile, Some(&cluster.conf()), None);
    let began = Instant::now();
    site.run(&[
        "sweep",
        "--name",
        "big",
        "--width",
        "64,128,256,512,1024",
        "--depth",
        "1,2,4,8",
        "--seed",
        "0..49",
        "--quiet",
    ]);
    let log = || fs::read_to_string(site.root().join("daemon.log")).unwrap();
    cluster.wait("6,001 queued stages", Duration::from_secs(120), || {
        (log().matches(" queued ").count() >= 7).then_some(())
    });
    let took = began.elapsed();
    let calls = log().matches("program=\"sbatch\"").count();
    assert!(calls <= 40, "{calls} calls of sbatch");
    let listed = cluster.squeue(&["-h", "-r", "-o", "%i"]);
    assert_eq!(listed.lines().count(), 6001);
    let view = cluster.wait("a look at the queue", Duration::from_secs(60), || {
        let view = site.cluster();
        (view.waits.values().sum::<u64>() == 6001 && !view.waits.contains_key("handed over")).then_some(view)
    });
    let status = fs::read_to_string(format!("/proc/{}/status", site.daemon().unwrap())).unwrap();
    let memory = status.lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned();
    // The rounds that asked the queue, with everything queued: what a look costs in all.
    let text = log();
    let mut ticks = Vec::new();
    let mut looked = false;
    for line in text.lines() {
        looked |= line.contains("program=\"squeue\"");
        if let Some((_, after)) = line.split_once("reconciled milliseconds=") {
            let milliseconds = after.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
            ticks.extend(milliseconds.filter(|_| std::mem::take(&mut looked)));
        }
    }
    println!("rounds with a look at the queue, in milliseconds: {ticks:?}");
    println!(
        "1,000 runs, 6,001 stages: {calls} calls of sbatch, {:.1} s; a look at the queue {:.2} s; daemon {memory}; waits {:?}",
        took.as_secs_f64(),
        view.tick_seconds.unwrap(),
        view.waits
    );
    site.run(&["cancel", "big", "--quiet"]);
    cluster.wait("an empty queue", Duration::from_secs(120), || {
        cluster.squeue(&["-h"]).trim().is_empty().then_some(())
    });
}
