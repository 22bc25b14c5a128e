//! The `lcctl` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    orchestrator::cli::main()
}
