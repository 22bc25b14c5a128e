//! The `lcctl` command: one file per subcommand, and what they share.
//!
//! Data goes to standard output, everything else to standard error; with `--json` exactly one JSON
//! value goes to standard output. Subcommands talk to the daemon through [`crate::client`] and do not reach its record
//! (`doctor`, which needs no daemon, looks at a copy of it). Of its files, those that start, stop or find a daemon read
//! where it listens, its token, its lock and its log.

mod cancel;
mod change;
mod cluster;
mod completions;
mod connect;
mod context;
mod demo;
mod doctor;
mod export;
mod failure;
mod find;
mod import;
mod launch;
mod login;
mod logs;
mod moment;
mod output;
mod plot;
mod remove;
mod report;
mod results;
mod retry;
mod schedule;
mod script;
mod serve;
mod show;
mod status;
mod stop;
mod sweep;
mod table;
mod tick;
mod usage;
mod watch;

use clap::{Args, Parser, Subcommand, ValueHint};
use context::Context;
use failure::Failure;
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

/// Shown below `lcctl --help`.
const AFTER_HELP: &str = "\
Examples:
  lcctl demo                              # see a whole study on this machine, in a minute
  lcctl sweep --name grid --dataset hf:roneneldan/TinyStories \\
      --tokenizer hf:EleutherAI/gpt-neo-125M --depth 1,2,4 --width 64..1024 --seed 0..9
  lcctl watch grid                        # follow it; Ctrl-C leaves it running
  lcctl report grid                       # its measures against validation loss
  lcctl export grid --out grid.parquet

Settings come from flags, then the environment (LC_ROOT, LC_LISTEN, LC_SLOTS, LC_WORKER, LC_EXECUTOR, LC_PROFILE, \
LC_DATASET, LC_TOKENIZER, LC_DEVICE), then the study file, then ~/.config/lcctl/config.toml (under $XDG_CONFIG_HOME, \
where that is set), then defaults. NO_COLOR is respected.

Exit codes:
  0    done
  1    the work failed
  2    wrong use: an unknown flag, a value that is not accepted, input that can't be read
  130  interrupted with Ctrl-C; a study that was started goes on";

/// Plan, run and watch neural-collapse studies of language models.
#[derive(Debug, Parser)]
#[command(name = "lcctl", version, after_help = AFTER_HELP, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// Folder that holds all studies, their record and their daemon
    /// [default: ~/.local/share/linguistic-collapse]
    #[arg(long, global = true, value_name = "DIR", env = "LC_ROOT", hide_env_values = true)]
    #[arg(value_hint = ValueHint::DirPath)]
    root: Option<PathBuf>,
    /// Print exactly one JSON value on standard output
    #[arg(long, global = true)]
    json: bool,
    /// Print only what a script needs; errors are still told
    #[arg(long, short, global = true)]
    quiet: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: clap::ColorChoice,
    /// Fail instead of starting a daemon when none runs
    #[arg(long, global = true)]
    no_start: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Sweep(Box<sweep::Sweep>),
    Status(status::Status),
    Watch(watch::Watch),
    Show(show::Show),
    Logs(logs::Logs),
    Cancel(cancel::Cancel),
    Retry(retry::Retry),
    Remove(remove::Remove),
    Export(export::Export),
    Report(report::Report),
    Import(import::Import),
    Doctor(doctor::Doctor),
    Schedule(schedule::Schedule),
    Script(script::Script),
    Tick(tick::Tick),
    Login(login::Login),
    Stop(stop::Stop),
    Completions(completions::Completions),
}

/// Runs `lcctl` with the process's arguments and gives its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error, &args),
    };
    let out = output::Output::new(cli.global.json, cli.global.quiet, cli.global.color);
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("can't start the runtime: {error}")))
        .and_then(|runtime| {
            let outcome = runtime.block_on(run(cli, out));
            // A read of the terminal or a lookup that hangs must not keep the process.
            runtime.shutdown_background();
            outcome
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn run(cli: Cli, out: output::Output) -> Result<(), Failure> {
    // Completions are asked for by shells at their start: they must not depend on any file.
    if let Command::Completions(command) = &cli.command {
        return command.run(cli.global.json);
    }
    let context = Context::new(&cli.global, out)?;
    match cli.command {
        Command::Serve(command) => command.run(&context).await,
        Command::Demo(command) => command.run(context).await,
        Command::Sweep(command) => command.run(&context).await,
        Command::Status(command) => command.run(&context).await,
        Command::Watch(command) => command.run(&context).await,
        Command::Show(command) => command.run(&context).await,
        Command::Logs(command) => command.run(&context).await,
        Command::Cancel(command) => command.run(&context).await,
        Command::Retry(command) => command.run(&context).await,
        Command::Remove(command) => command.run(&context).await,
        Command::Export(command) => command.run(&context).await,
        Command::Report(command) => command.run(&context).await,
        Command::Import(command) => command.run(&context).await,
        Command::Doctor(command) => command.run(&context).await,
        Command::Schedule(command) => command.run(&context).await,
        Command::Script(command) => command.run(&context).await,
        Command::Tick(command) => command.run(&context).await,
        Command::Login(command) => command.run(&context).await,
        Command::Stop(command) => command.run(&context).await,
        Command::Completions(command) => command.run(cli.global.json),
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("lcctl {}", command.get_name())), "{}", command.get_name());
        }
    }

    #[test]
    fn examples_can_be_pasted_from_the_help() {
        let root = Cli::command();
        for command in root.get_subcommands().chain([&root]) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let mut before = "";
            for line in help.lines() {
                if line.starts_with("  ") {
                    assert!(line.chars().count() < 98, "it would be wrapped: {line}");
                }
                // What goes on is indented further.
                assert_eq!(line.starts_with("      "), before.ends_with('\\'), "{before}\n{line}");
                before = line;
            }
        }
    }
}
