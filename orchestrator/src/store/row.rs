//! Between column types and ours.

use super::{Result, StoreError};
use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use std::str::FromStr;

/// A word of a vocabulary or an id in its text form.
pub(super) fn word<T: FromStr>(what: &'static str, text: &str) -> Result<T> {
    text.parse().map_err(|_| StoreError::Corrupt { what, value: text.to_owned() })
}

/// A structure in its JSON form.
pub(super) fn json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt { what, value: text.to_owned() })
}

/// The JSON form of a structure.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    Ok(serde_json::to_string(value)?)
}

/// A moment.
pub(super) fn time(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}

/// A number that is never negative.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// A small number that is never negative.
pub(super) fn small(value: i64) -> u32 {
    u32::try_from(value).unwrap_or_default()
}

/// SQLite's integers are signed; ours stay far below the limit.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
