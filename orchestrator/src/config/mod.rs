//! Where settings come from: flags over environment over the study file over the user's own
//! configuration over defaults.
//!
//! * [`place`]: the folders of the XDG base directory specification;
//! * [`user`][]: `$XDG_CONFIG_HOME/lcctl/config.toml`;
//! * [`profile`]: what is true of a cluster;
//! * [`executor`]: what a root was served with last;
//! * [`study`]: a study's TOML file, laid over the user's study defaults;
//! * [`file`](mod@file): reading TOML with errors of one line.

pub mod executor;
pub mod file;
pub mod place;
pub mod profile;
pub mod study;
pub mod user;
