//! Where this worker runs: host, process, and the cluster's job.

use protocol::attempt::{Process, SlurmJob};
use std::{fs, str::FromStr};

/// Host, process id, version and job of this worker.
#[must_use]
pub fn this_process() -> Process {
    let host = fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned());
    Process {
        host,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slurm: slurm_job(),
    }
}

/// How often the cluster has started this job again; 0 outside of one.
#[must_use]
pub fn restarts() -> u32 {
    slurm_job().map_or(0, |job| job.restart_count)
}

fn slurm_job() -> Option<SlurmJob> {
    Some(SlurmJob {
        job_id: number("SLURM_JOB_ID")?,
        array_job_id: number("SLURM_ARRAY_JOB_ID"),
        array_task: number("SLURM_ARRAY_TASK_ID"),
        restart_count: number("SLURM_RESTART_COUNT").unwrap_or(0),
        node: number("SLURMD_NODENAME"),
    })
}

fn number<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.trim().parse().ok()
}
