//! Where this worker runs: host, process, and the cluster's job.

use protocol::attempt::{NotedExit, Process, SlurmJob};
use std::str::FromStr;

/// Host, process id, version and job of this worker.
#[must_use]
pub fn this_process() -> Process {
    let name = nix::unistd::gethostname();
    Process {
        host: name.map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().into_owned()),
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

/// A note of how a process of this job ended.
#[must_use]
pub fn noted_exit(code: Option<i32>, signal: Option<i32>) -> NotedExit {
    let job = slurm_job().map(|job| job.array_job_id.unwrap_or(job.job_id));
    NotedExit { code, signal, out_of_memory: false, job, restarts: restarts() }
}

fn slurm_job() -> Option<SlurmJob> {
    Some(SlurmJob {
        job_id: variable("SLURM_JOB_ID")?,
        array_job_id: variable("SLURM_ARRAY_JOB_ID"),
        array_task: variable("SLURM_ARRAY_TASK_ID"),
        restart_count: variable("SLURM_RESTART_COUNT").unwrap_or(0),
        node: variable("SLURMD_NODENAME"),
    })
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.trim().parse().ok()
}
