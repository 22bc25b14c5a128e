//! What Slurm's commands print, read into values: no I/O, no clock, no panics.
//!
//! | module | reads |
//! |---|---|
//! | [`state`] | the states of jobs, and what each one means |
//! | [`squeue`] | the jobs that the controller still knows |
//! | [`sacct`] | the runs of jobs that accounting has recorded |
//! | [`sbatch`] | the number of a new job, or why there is none |
//! | [`config`] | the cluster: its settings, partitions and associations |
//! | [`reason`] | why a job waits |
//!
//! Sites print banners where Slurm prints answers: a line that is none of ours is passed over, never an
//! error.

pub mod config;
mod field;
mod limit;
pub mod reason;
mod refusal;
pub mod sacct;
pub mod sbatch;
pub mod squeue;
pub mod state;
mod tasks;
mod texts;

#[cfg(test)]
mod commands;
#[cfg(test)]
mod noise;
