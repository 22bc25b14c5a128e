//! The daemon through its real door: the real router over a real SQLite file. The tests are the
//! workers: they claim, send events and report results as `lc-worker` does.

mod auth;
mod bench;
mod chain;
mod changes;
mod decide;
mod ends;
mod failure;
mod learn;
mod local;
mod person;
mod plan;
mod queue;
mod remove;
mod report;
mod restart;
mod serve;
mod table;
mod worker;
