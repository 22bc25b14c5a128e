//! Values of flags, checked at the door. Each message says what is accepted; the parser adds the flag.

use protocol::{
    resources::Pack,
    settings::{Device, Order},
    words::{UnknownWord, whole},
};
use std::{
    ffi::OsStr,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

/// A whole number from 0 up.
pub(super) fn at_least_zero<T: std::str::FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    whole(text, 0)
}

/// A whole number from 1 up.
pub(super) fn at_least_one<T: std::str::FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    whole(text, 1)
}

/// A whole number from 2 up.
pub(super) fn at_least_two<T: std::str::FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    whole(text, 2)
}

/// How many attempts share a job.
pub(super) fn pack(text: &str) -> Result<NonZeroU32, String> {
    match text.parse::<Pack>() {
        Ok(Pack::Runs(runs)) => Ok(runs),
        _ => Err(format!("expected a whole number from 1 to {}", Pack::MOST)),
    }
}

/// A number that is zero or greater.
pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    finite(text).filter(|&value| value >= 0.0).ok_or_else(|| "expected a number from 0 up".to_owned())
}

/// A number above zero.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    finite(text).filter(|&value| value > 0.0).ok_or_else(|| "expected a number above 0".to_owned())
}

fn finite(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

/// The name of a device; whether it is there is found out later.
pub(super) fn device(text: &str) -> Result<String, UnknownWord> {
    text.parse::<Device>().map(|_| text.to_owned())
}

/// A file to read.
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_file() { Ok(path) } else { Err("no such file".to_owned()) }
}

/// A folder to read.
pub(super) fn folder(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err("no such folder".to_owned()) }
}

/// A file or a folder to read.
pub(super) fn file_or_folder(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.exists() { Ok(path) } else { Err("no such file or folder".to_owned()) }
}

/// Endings of other formats of tables.
const OTHER_TABLES: [&str; 13] =
    ["arrow", "feather", "html", "json", "jsonl", "md", "ods", "parquet", "pkl", "tex", "tsv", "xls", "xlsx"];

/// A table to write; a name that ends as another format's would promise that format.
pub(super) fn csv(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_other = |ending: &OsStr| OTHER_TABLES.iter().any(|other| ending.eq_ignore_ascii_case(other));
    if path.extension().is_some_and(is_other) {
        return Err("it is written as CSV; expected a name that ends in .csv".to_owned());
    }
    Ok(path)
}

/// The order of training data.
pub(super) fn order(text: &str) -> Result<String, String> {
    if text.parse::<Order>().is_ok() || Path::new(text).is_file() {
        Ok(text.to_owned())
    } else {
        Err("expected shuffled, sequential or an existing JSON file with the row numbers of every batch"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_their_range_are_refused() {
        assert_eq!(at_least_one::<u32>("4294967295"), Ok(u32::MAX));
        for text in ["0", "-1", "1.5", "", "4294967296", "x"] {
            assert!(at_least_one::<u32>(text).is_err(), "{text}");
        }
        assert!(at_least_two::<u32>("1").is_err());
        assert_eq!(not_negative("0"), Ok(0.0));
        assert_eq!(positive("5e-5"), Ok(5e-5));
        for text in ["-0.1", "nan", "inf", "1e999", "", "x"] {
            assert!(not_negative(text).is_err(), "{text}");
        }
        assert!(positive("0").is_err());
    }

    #[test]
    fn a_table_may_have_any_name_but_one_of_another_format() {
        for name in ["results.csv", "results.CSV", "results", "res_lr5e-05.v2", "a.b/c"] {
            assert_eq!(csv(name), Ok(PathBuf::from(name)));
        }
        for name in ["results.xlsx", "results.Parquet", "a.csv/b.json"] {
            assert!(csv(name).unwrap_err().contains("ends in .csv"), "{name}");
        }
    }

    #[test]
    fn an_order_is_a_word_or_an_existing_file() {
        assert!(order("shuffled").is_ok());
        assert!(order(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).is_ok());
        assert!(order("random").unwrap_err().contains("sequential"));
    }
}
