//! A study of a thousand runs, queued on a real cluster: how many calls that takes.

use super::{chain::fake_work, cluster::Cluster, site::Site};
use std::{fs, time::Duration};

#[test]
fn a_thousand_runs_are_queued_with_a_handful_of_calls() {
    let Some(cluster) = Cluster::get() else { return };
    // Jobs that wait for a date far away: nothing runs meanwhile.
    let profile = fake_work(0.0, "") + "extra = [\"--begin=2099-01-01\"]\n";
    let site = Site::new(&profile, Some(&cluster.conf()), None);
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
    let calls = log().matches("program=\"sbatch\"").count();
    assert!(calls <= 40, "{calls} calls of sbatch");
    let listed = cluster.squeue(&["-h", "-r", "-o", "%i"]);
    assert_eq!(listed.lines().count(), 6001);
    cluster.wait("a look at the queue", Duration::from_secs(60), || {
        let waits = site.cluster().waits;
        (waits.values().sum::<u64>() == 6001 && !waits.contains_key("handed over")).then_some(())
    });
    site.run(&["cancel", "big", "--quiet"]);
    cluster.wait("an empty queue", Duration::from_secs(120), || {
        cluster.squeue(&["-h"]).trim().is_empty().then_some(())
    });
}
