//! Wrong use of the command line, explained in one line.

use super::{code, complain};
use clap::{
    Error,
    error::{ContextKind, ContextValue, ErrorKind},
};
use protocol::exit;
use std::{error::Error as _, process::ExitCode};

/// Prints what the parser has to say: help and version to stdout, anything else as one line to stderr.
pub(super) fn explain(error: &Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed pipe (`| head`) is no failure.
        drop(error.print());
        return code(exit::SUCCESS);
    }
    let what = what(error);
    // After a question ("did you mean ...?") no other mark is due.
    let joint = if what.ends_with('?') { "" } else { ";" };
    complain(&format!("{what}{joint} see '{} --help'", command_in_use(error)));
    code(exit::USAGE)
}

fn what(error: &Error) -> String {
    let text = |kind| error.get(kind).map(written);
    let argument = || text(ContextKind::InvalidArg).unwrap_or_default();
    let value = || text(ContextKind::InvalidValue).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument => {
            format!("unexpected argument '{}'{}", argument(), hint(text(ContextKind::SuggestedArg)))
        }
        ErrorKind::InvalidSubcommand => {
            let given = text(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("unknown command '{given}'{}", hint(text(ContextKind::SuggestedSubcommand)))
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a command is missing".to_owned()
        }
        ErrorKind::MissingRequiredArgument => format!("missing {}", argument()),
        ErrorKind::InvalidValue if value().is_empty() => format!("a value is missing for '{}'", argument()),
        ErrorKind::InvalidValue => {
            let accepted = text(ContextKind::ValidValue).unwrap_or_default();
            format!("invalid value '{}' for '{}'; accepted: {accepted}", value(), argument())
        }
        ErrorKind::ValueValidation => {
            let reason = error.source().map(ToString::to_string).unwrap_or_default();
            format!("invalid value '{}' for '{}': {reason}", value(), argument())
        }
        ErrorKind::ArgumentConflict => {
            let other = text(ContextKind::PriorArg).unwrap_or_default();
            if other == argument() || other.is_empty() {
                format!("'{}' is given more than once", argument())
            } else {
                format!("'{}' cannot be used with '{other}'", argument())
            }
        }
        _ => {
            let rendered = error.render().to_string();
            let line = rendered.lines().next().unwrap_or_default();
            line.trim_start_matches("error: ").to_owned()
        }
    }
}

fn hint(suggestion: Option<String>) -> String {
    suggestion
        .filter(|text| !text.is_empty())
        .map(|text| format!(", did you mean '{text}'?"))
        .unwrap_or_default()
}

fn written(value: &ContextValue) -> String {
    match value {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.join(", "),
        other => other.to_string(),
    }
}

/// `lc-worker train` for whatever was wrong with `lc-worker train ...`.
fn command_in_use(error: &Error) -> String {
    let usage = error.get(ContextKind::Usage).map(|usage| usage.to_string()).unwrap_or_default();
    let known = |word: &&str| <super::Cli as clap::CommandFactory>::command().find_subcommand(word).is_some();
    // The usage line names the command; without one, the first argument that is a command does.
    let from_usage = usage.split_whitespace().find(|word| known(word)).map(str::to_owned);
    let from_arguments = || std::env::args().skip(1).find(|word| known(&word.as_str()));
    match from_usage.or_else(from_arguments) {
        Some(command) => format!("lc-worker {command}"),
        None => "lc-worker".to_owned(),
    }
}
