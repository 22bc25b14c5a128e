//! Slurm, for real: the daemon and its workers in the queue of a cluster on this machine
//! (`deploy/slurm/test-cluster.sh`), with all that goes wrong there; and the same with played commands
//! (`tests/fake_slurm`) for what no real cluster does on request.

mod chain;
mod chaos;
mod cluster;
mod pack;
mod played;
mod site;
mod volume;
