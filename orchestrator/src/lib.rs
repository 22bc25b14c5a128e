//! Plans, records and runs neural-collapse studies.
//!
//! * [`domain`]: studies, grids, stages and their transitions; pure;
//! * [`engine`]: decides what follows from what happened, records it, and makes it so;
//! * [`store`]: the record, and all SQL;
//! * [`table`]: all runs in memory, for questions about many of them;
//! * [`executor`]: where attempts run;
//! * [`fault`]: where tests let the daemon die;
//! * [`files`], [`secret`], [`address`]: whole files or none, locks; tokens; where a daemon is reached;
//! * [`results`]: tables of measures as files; [`report`]: how measures go along with validation loss;
//! * [`schedule`]: what is done by the clock;
//! * [`http`]: the API and the dashboard;
//! * [`daemon`]: all of them together, the process behind `lcctl serve`;
//! * [`client`]: that API as typed calls;
//! * [`config`]: where settings come from;
//! * [`cli`]: the `lcctl` command.
//!
//! Arrows point one way: cli -> client, config, daemon; http -> engine, table -> domain; engine -> store,
//! executor; table -> store.

pub mod address;
pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod engine;
pub mod executor;
pub mod fault;
pub mod files;
pub mod http;
pub mod report;
pub mod results;
pub mod schedule;
pub mod secret;
pub mod store;
pub mod table;
