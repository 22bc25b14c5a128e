//! Reading a TOML file so that whatever is wrong with it fits on one line.

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Why a settings file can't be used. Each says file, line, key and what is accepted, on one line.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read.
    #[error("can't read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: std::io::Error,
    },
    /// It holds what is not accepted.
    #[error("{} line {line}: {message}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// What was wrong.
        message: String,
    },
    /// A number in it is none to compute with.
    #[error("{}: {key} = {given}: expected a finite number", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The key, with its section.
        key: String,
        /// The value.
        given: f64,
    },
    /// A path in it leads nowhere.
    #[error("{}: {key} = {given:?}: no such file or folder", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The key, with its section.
        key: String,
        /// The value.
        given: String,
    },
}

/// The text of a file.
///
/// # Errors
/// When it can't be read, or is not UTF-8.
pub fn text(path: &Path) -> Result<String, FileError> {
    std::fs::read_to_string(path).map_err(|cause| FileError::Unreadable { path: path.to_owned(), cause })
}

/// Parses the text of `path`.
///
/// # Errors
/// When it is not TOML or not a `T`.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, FileError> {
    toml::from_str(text).map_err(|error| refusal(path, text, &error))
}

fn refusal(path: &Path, text: &str, error: &toml::de::Error) -> FileError {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = &text.as_bytes()[..at];
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let message = plain(error);
    // An unknown variant is a value.
    let accepted = if message.starts_with("unknown key") { "; accepted keys:" } else { "; accepted:" };
    let message = message.replace(", expected one of", accepted);
    // A value of the wrong type is told by its value alone: show the whole line, key and all.
    let written = text.lines().nth(line - 1).unwrap_or_default().trim();
    let message = if message.starts_with("unknown key") || written.is_empty() {
        message
    } else {
        format!("{written}: {message}")
    };
    FileError::Refused { path: path.to_owned(), line, message }
}

/// What is wrong, on one line, in the words of a file and not of a program: the value stands beside it already.
pub(super) fn plain(error: &toml::de::Error) -> String {
    let message = error.message().trim().replace('\n', "; ").replace('`', "'");
    let message = message.replace("unknown field", "unknown key");
    let wrong = message.starts_with("invalid type: ") || message.starts_with("invalid value: ");
    let wanted = match (message.rsplit_once(", expected "), message.strip_prefix("wanted ")) {
        (Some((_, wanted)), _) if wrong => wanted,
        (_, Some(wanted)) => wanted,
        _ if message == "too many characters in string" => "a character",
        _ => return message,
    };
    let wanted = match wanted {
        "u8" | "u16" | "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0 up",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "a nonzero u32" | "a nonzero u64" => "a whole number above 0",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "path string" | "string or table" | "string" => "a text in quotes",
        "a sequence" => "a list in brackets",
        "a character" => "a single letter",
        "a map" | "table" => "a section with keys of its own",
        wanted if wanted.starts_with("struct ") => "a section with keys of its own",
        // A list's or text's own words.
        wanted => wanted,
    };
    format!("expected {wanted}")
}
