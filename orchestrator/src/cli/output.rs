//! What every command prints through: a table for people, one JSON value, or only what a script needs.

use super::failure::Failure;
use anstyle::{AnsiColor, Style};
use clap::ColorChoice;
use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};

/// A value that a command answers with.
pub(super) trait View: Serialize {
    /// For people. Several lines; the last one need not end.
    fn table(&self, screen: Screen) -> String;

    /// For scripts that asked to be quiet: names, paths, or nothing.
    fn brief(&self) -> String {
        String::new()
    }
}

/// Where a table is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Screen {
    /// Columns of the terminal; none if it is a file or a pipe.
    pub width: Option<u16>,
}

impl Screen {
    /// Whether people look at it directly.
    pub(super) const fn is_terminal(self) -> bool {
        self.width.is_some()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Table,
    Json,
    Quiet,
}

/// The form of a command's output, chosen once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    form: Form,
    quiet: bool,
}

impl Output {
    /// Chooses the form, and whether colour is used from now on.
    pub(super) fn new(json: bool, quiet: bool, color: ColorChoice) -> Self {
        match color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        let form = match (json, quiet) {
            (true, _) => Form::Json,
            (false, true) => Form::Quiet,
            (false, false) => Form::Table,
        };
        Self { form, quiet }
    }

    /// Whether one JSON value is asked for.
    pub(super) fn is_json(self) -> bool {
        self.form == Form::Json
    }

    /// Whether live bars make sense.
    pub(super) fn is_live(self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }

    /// The screen behind standard output.
    pub(super) fn screen() -> Screen {
        let terminal = std::io::stdout().is_terminal();
        Screen { width: terminal.then(|| comfy_table::Table::new().width().unwrap_or(80)) }
    }

    /// Answers the command.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub(super) fn answer(self, view: &impl View) -> Result<(), Failure> {
        match self.form {
            Form::Json => {
                let json = serde_json::to_string_pretty(view)
                    .map_err(|error| Failure::Failed(format!("can't write the answer as JSON: {error}")))?;
                line(&json)
            }
            Form::Table => line(view.table(Self::screen()).trim_end()),
            Form::Quiet => match view.brief() {
                brief if brief.is_empty() => Ok(()),
                brief => line(brief.trim_end()),
            },
        }
    }

    /// Prints a line of data as it comes (a log, a change), where one JSON value is not asked for.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub(super) fn stream(self, text: &str) -> Result<(), Failure> {
        if self.form == Form::Json { Ok(()) } else { line(text) }
    }

    /// Tells something beside the data, on standard error.
    pub(super) fn note(self, text: &str) {
        if !self.quiet {
            // With standard error gone there is nowhere left to say so.
            let _gone = writeln!(anstream::stderr(), "{text}");
        }
    }
}

/// Bytes to standard output, as they are.
///
/// # Errors
/// When standard output can't be written.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}

/// One error line.
pub(super) fn error(text: &str) {
    let red = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
    let _gone = writeln!(anstream::stderr(), "{red}error:{red:#} {text}");
}

fn line(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}
