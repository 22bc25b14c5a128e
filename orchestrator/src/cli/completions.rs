//! `lcctl completions`: scripts for shells.

use super::{Cli, failure::Failure, output};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Print a script that completes commands and flags in your shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lcctl completions bash > ~/.local/share/bash-completion/completions/lcctl"
)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, json: bool) -> Result<(), Failure> {
        if json {
            return Err(Failure::Usage(
                "completions are a script for a shell, not JSON; leave out --json".into(),
            ));
        }
        // Into memory first: the generator panics when a pipe closes.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "lcctl", &mut script);
        output::bytes(&script)
    }
}
