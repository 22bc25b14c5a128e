//! Wrong use, told in one line: what was wrong, what was meant or is accepted, where to read more.

use super::Cli;
use clap::{
    CommandFactory as _, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::{ffi::OsString, process::ExitCode};

/// Prints help, the version or one line about wrong use, and gives the exit code.
pub(super) fn report(error: &Error, args: &[OsString]) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe (`lcctl --help | head`) is no failure.
            let _closed = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _closed = error.print();
            ExitCode::from(2)
        }
        _ => super::failure::Failure::Usage(line(error, args)).report(),
    }
}

/// The one line, without `error: `.
pub(super) fn line(error: &Error, args: &[OsString]) -> String {
    let word = |kind| words(error, kind).into_iter().next();
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(line) = of_the_daemon(&word(ContextKind::InvalidArg).unwrap_or_default(), args)
    {
        return line;
    }
    let arg = word(ContextKind::InvalidArg).unwrap_or_default();
    // A value that no flag gives comes from the environment.
    let named = variable(&arg, args).unwrap_or_else(|| format!("'{arg}'"));
    let value = word(ContextKind::InvalidValue).unwrap_or_default();
    let mut parts = vec![match error.kind() {
        ErrorKind::UnknownArgument => format!("unexpected argument '{arg}'"),
        ErrorKind::InvalidSubcommand => {
            format!("unknown command '{}'", word(ContextKind::InvalidSubcommand).unwrap_or_default())
        }
        ErrorKind::MissingSubcommand => "a command is missing".to_owned(),
        ErrorKind::InvalidValue if value.is_empty() => format!("{named} needs a value"),
        ErrorKind::InvalidValue => format!("invalid value '{value}' for {named}"),
        ErrorKind::ValueValidation => {
            let cause =
                std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("invalid value '{value}' for {named}{cause}")
        }
        ErrorKind::MissingRequiredArgument => {
            format!("missing {}", words(error, ContextKind::InvalidArg).join(", "))
        }
        ErrorKind::ArgumentConflict => {
            format!("'{arg}' can't be used with {}", words(error, ContextKind::PriorArg).join(", "))
        }
        _ => first_line(error),
    }];
    let meant = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue]
        .into_iter()
        .find_map(word);
    if let Some(meant) = meant {
        parts.push(format!("did you mean '{meant}'?"));
    }
    let valid = words(error, ContextKind::ValidValue);
    if !valid.is_empty() {
        parts.push(format!("accepted: {}", valid.join(", ")));
    }
    parts.push(format!("see '{} --help'", command(args)));
    // A question mark already separates.
    parts.join("; ").replace("?; ", "? ")
}

/// What to do instead of giving a command a flag of the daemon that it may start.
fn of_the_daemon(arg: &str, args: &[OsString]) -> Option<String> {
    let flag = arg.split('=').next()?.strip_prefix("--")?;
    let root = Cli::command();
    let mut of_serve = root.find_subcommand("serve")?.get_arguments();
    let found = of_serve.find(|argument| argument.get_long() == Some(flag))?;
    let variable = found.get_env()?.to_string_lossy().into_owned();
    let command = command(args);
    let name = command.strip_prefix("lcctl ").filter(|name| !["completions", "stop"].contains(name))?;
    let mut words = args.iter().filter_map(|word| word.to_str()).skip_while(|word| !word.starts_with(arg));
    let value = match words.next()?.split_once('=') {
        Some((_, value)) => Some(value),
        None => words.next().filter(|next| !next.starts_with('-')),
    };
    let value = value.unwrap_or("...");
    Some(format!(
        "{name} takes no --{flag}; set {variable}={value}, or start the daemon with 'lcctl serve --{flag} {value}'"
    ))
}

/// The variable that gave an argument (`--slots <N>`) its value, where the command line did not.
fn variable(arg: &str, args: &[OsString]) -> Option<String> {
    let flag = arg.split([' ', '=']).next()?.strip_prefix("--")?;
    let is_flag = |word: &str| {
        word.strip_prefix("--")
            .and_then(|word| word.strip_prefix(flag))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    if args.iter().filter_map(|word| word.to_str()).any(is_flag) {
        return None;
    }
    let root = Cli::command();
    let commands = root.get_subcommands().chain([&root]);
    let mut arguments = commands.flat_map(clap::Command::get_arguments);
    let found =
        arguments.find(|argument| argument.get_long() == Some(flag) && argument.get_env().is_some())?;
    Some(found.get_env()?.to_string_lossy().into_owned())
}

fn words(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(word)) => vec![word.clone()],
        Some(ContextValue::Strings(words)) => words.clone(),
        Some(other) => vec![other.to_string()],
        None => Vec::new(),
    }
}

fn first_line(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// `lcctl sweep`: the first argument that names a command (clap attaches no usage to some errors).
fn command(args: &[OsString]) -> String {
    let root = Cli::command();
    let mut words = args.iter().skip(1).filter_map(|arg| arg.to_str());
    match words.find(|word| root.find_subcommand(word).is_some()) {
        Some(name) => format!("lcctl {name}"),
        None => "lcctl".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Cli, line};
    use clap::Parser as _;
    use std::ffi::OsString;

    fn told(args: &str) -> String {
        let args: Vec<OsString> = args.split(' ').map(OsString::from).collect();
        line(&Cli::try_parse_from(&args).unwrap_err(), &args)
    }

    #[test]
    fn a_misspelt_flag_is_one_line_with_what_was_meant() {
        assert_eq!(
            told("lcctl sweep --widht 64"),
            "unexpected argument '--widht'; did you mean '--width'? see 'lcctl sweep --help'"
        );
        assert_eq!(told("lcctl swep"), "unknown command 'swep'; did you mean 'sweep'? see 'lcctl --help'");
    }

    #[test]
    fn a_flag_of_the_daemon_is_told_with_where_it_belongs() {
        let line = "sweep takes no --profile; set LC_PROFILE=my.toml, or start the daemon with 'lcctl serve --profile my.toml'";
        assert_eq!(told("lcctl sweep --profile my.toml --depth 1"), line);
        assert_eq!(told("lcctl sweep study.toml --profile=my.toml"), line);
        assert!(
            told("lcctl status --executor")
                .starts_with("status takes no --executor; set LC_EXECUTOR=..., or")
        );
        // These start no daemon.
        assert!(told("lcctl stop --profile my.toml").starts_with("unexpected argument '--profile'"));
    }

    #[test]
    fn a_bad_value_names_the_flag_and_what_is_accepted() {
        assert_eq!(
            told("lcctl sweep --dtype f16"),
            "invalid value 'f16' for '--dtype <TYPE>'; did you mean 'bf16'? accepted: f32, bf16; see 'lcctl sweep --help'"
        );
        let axis = told("lcctl sweep --seed 9..0");
        assert!(
            axis.starts_with("invalid value '9..0' for '--seed <AXIS>': the range \"9..0\" is empty"),
            "{axis}"
        );
        assert!(!axis.contains('\n'));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(told("lcctl show"), "missing <RUN|STUDY>; see 'lcctl show --help'");
        assert_eq!(told("lcctl sweep --name"), "'--name <NAME>' needs a value; see 'lcctl sweep --help'");
    }
}
