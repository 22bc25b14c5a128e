//! `.jsonl`: one JSON object per line, the text under the key `text`; blank lines don't count.

use super::lines::{Pieces, count_lines};
use crate::{Error, Result};
use serde_json::Value;
use std::path::Path;

/// Number of lines that are not blank.
///
/// # Errors
/// When the file can't be read.
pub fn count(path: &Path) -> Result<u64> {
    count_lines(path)
}

/// The texts in order.
///
/// # Errors
/// When the file can't be opened. An item fails for a line that is not UTF-8, not a JSON object, or has no
/// string under `text`; it names the line.
pub fn read(path: &Path) -> Result<impl Iterator<Item = Result<String>> + use<>> {
    let mut lines = Pieces::open(path, b"\n")?;
    let path = lines.path().to_owned();
    let mut failed = false;
    Ok(std::iter::from_fn(move || {
        while !failed {
            match lines.next() {
                Ok(None) => return None,
                Ok(Some((_, line))) if line.trim_ascii().is_empty() => {}
                Ok(Some((number, line))) => {
                    let text = text_of(line)
                        .map_err(|why| Error::input(format!("{}: line {number}: {why}", path.display())));
                    failed = text.is_err();
                    return Some(text);
                }
                Err(error) => {
                    failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }))
}

fn text_of(line: &str) -> Result<String, String> {
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(mut object)) => match object.remove("text") {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err("`text` is not a string".into()),
            None => Err(format!(
                "no `text`; it has {}",
                object.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            )),
        },
        Ok(_) => Err("not an object with a `text`".into()),
        Err(error) => Err(format!("not JSON: {error}; accepted: an object with a string under `text`")),
    }
}
