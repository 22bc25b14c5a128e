//! Slurm, for real: the daemon and its workers in the queue of a cluster on this machine
//! (`deploy/slurm/test-cluster.sh`), with all that goes wrong there; and the same with played commands
//! (`tests/fake_slurm`) for what no real cluster does on request.

mod answers;
mod chain;
mod chaos;
mod cluster;
mod ends;
mod fake;
mod pack;
mod site;
mod volume;
#[path = "../waiting/mod.rs"]
mod waiting;
