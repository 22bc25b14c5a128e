//! The `lc-worker` command: arguments in, a stage run, its output on stdout, everything else on stderr.
//!
//! One file per command; [`dispatch`] is where the stages are called, [`usage`] makes one line of what
//! the argument parser finds wrong.

mod analyze;
mod collect;
mod dispatch;
mod evaluate;
mod fake;
mod import_stats;
mod logits;
mod measures;
mod memory;
mod output;
mod pack;
mod panics;
mod prepare;
mod run;
mod train;
mod usage;
mod values;

use crate::{
    Result,
    report::{Report, reporter::Reporter, signals},
};
use clap::{Parser, Subcommand};
use protocol::{exit, spec::StageSpec};
use std::{io::Write as _, process::ExitCode};

/// The version, and the kinds of devices that this build can compute on.
const VERSION: &str = match (cfg!(feature = "cuda"), cfg!(feature = "vulkan")) {
    (false, false) => concat!(env!("CARGO_PKG_VERSION"), " (cpu)"),
    (true, false) => concat!(env!("CARGO_PKG_VERSION"), " (cpu, cuda)"),
    (false, true) => concat!(env!("CARGO_PKG_VERSION"), " (cpu, vulkan)"),
    (true, true) => concat!(env!("CARGO_PKG_VERSION"), " (cpu, cuda, vulkan)"),
};

/// Runs one stage of a study on one device: prepares data, trains a GPT-Neo model, evaluates it, collects
/// statistics of its embeddings, or computes measures of neural collapse from them.
#[derive(Parser)]
#[command(
    name = "lc-worker",
    version = VERSION,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong use, bad input or a full disk, 75 interrupted and saved \
                  (train --resume and collect go on), 129 (SIGHUP), 130 (SIGINT), 138 (SIGUSR1) and 143 (SIGTERM) \
                  stopped with nothing saved (prepare, evaluate and analyze start anew).\n\
                  Environment: LC_LOG sets the log filter (error, warn, info, debug, trace or module=level; \
                  default warn)."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Print the result as one JSON value on standard output.
    #[arg(long, global = true, display_order = 900)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    Prepare(prepare::Args),
    Train(train::Args),
    Evaluate(evaluate::Args),
    Collect(collect::Args),
    Analyze(analyze::Args),
    ImportStats(import_stats::Args),
    Logits(logits::Args),
    Run(run::Args),
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::explain(&error),
    };
    panics::keep_quiet();
    log_to_stderr();
    let json = cli.json;
    let done = match cli.command {
        Command::Prepare(args) => args.into_spec().and_then(|spec| by_hand(&spec, json)),
        Command::Train(args) => args.into_spec().and_then(|spec| by_hand(&spec, json)),
        Command::Evaluate(args) => by_hand(&args.into_spec(), json),
        Command::Collect(args) => args.into_spec().and_then(|spec| by_hand(&spec, json)),
        Command::Analyze(args) => args.run(json),
        Command::ImportStats(args) => args.run(json),
        Command::Logits(args) => args.run(json),
        Command::Run(args) => args.run(json),
    };
    match done {
        Ok(()) => code(exit::SUCCESS),
        Err(error) => {
            complain(&error.to_string());
            code(error.exit_code())
        }
    }
}

/// Runs a stage for a person at a shell.
fn by_hand(spec: &StageSpec, json: bool) -> Result<()> {
    let report = Report::listening();
    watch_signals(&report)?;
    let reporter = Reporter::to_terminal(report, spec.kind().as_str())?;
    let output = panics::caught(|| dispatch::stage(spec, reporter.report()));
    reporter.close();
    output::print(&output?, json)
}

fn watch_signals(report: &Report) -> Result<()> {
    signals::watch(report).map_err(crate::Error::io("signal handlers"))
}

/// One line on standard error.
fn complain(message: &str) {
    tell("error", message);
}

/// One line on standard error, about what is done all the same.
fn warn(message: &str) {
    tell("warn", message);
}

fn tell(level: &str, message: &str) {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    // Nobody is left to tell when standard error is closed.
    drop(writeln!(std::io::stderr(), "{level}: {line}"));
}

fn code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::WARN.into())
        .with_env_var("LC_LOG")
        .from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn examples_can_be_pasted_from_the_help() {
        let root = super::Cli::command();
        for command in root.get_subcommands().chain([&root]) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let mut before = "";
            for line in help.lines() {
                if line.starts_with("  ") {
                    assert!(line.chars().count() < 98, "it would be wrapped: {line}");
                }
                // What goes on is indented further.
                assert_eq!(line.starts_with("    "), before.ends_with('\\'), "{before}\n{line}");
                before = line;
            }
        }
    }
}
