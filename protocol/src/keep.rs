//! Which checkpoints training keeps.

use serde::{Deserialize, Serialize};
use std::{fmt, num::NonZeroU32, str::FromStr};

/// What training keeps of the checkpoints that it writes, one per epoch: `all`, `weights` or a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "KeepWritten", into = "KeepWritten")]
pub enum KeepCheckpoints {
    /// All of them, each whole.
    #[default]
    All,
    /// All of them, but the optimizer's state, two thirds of a checkpoint, only of the newest.
    Weights,
    /// The newest so many; they keep their indices.
    Newest(NonZeroU32),
}

/// How [`KeepCheckpoints`] is written in JSON and TOML.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged, expecting = "expected all, weights or a whole number above 0")]
pub enum KeepWritten {
    /// A word.
    Word(KeepWord),
    /// The newest so many.
    Newest(u32),
}

/// The words for what is kept.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeepWord {
    /// Every checkpoint, whole.
    All,
    /// The weights of every checkpoint, and the optimizer's state of the newest.
    Weights,
}

/// A text or number that says nothing about checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not accepted; use all, weights or a whole number above 0 (the newest so many)")]
pub struct KeepError(String);

impl KeepCheckpoints {
    /// Whether this is the default, which is left out where a study is written.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

impl TryFrom<KeepWritten> for KeepCheckpoints {
    type Error = KeepError;

    fn try_from(written: KeepWritten) -> Result<Self, KeepError> {
        match written {
            KeepWritten::Word(KeepWord::All) => Ok(Self::All),
            KeepWritten::Word(KeepWord::Weights) => Ok(Self::Weights),
            KeepWritten::Newest(count) => {
                NonZeroU32::new(count).map(Self::Newest).ok_or_else(|| KeepError(count.to_string()))
            }
        }
    }
}

impl From<KeepCheckpoints> for KeepWritten {
    fn from(keep: KeepCheckpoints) -> Self {
        match keep {
            KeepCheckpoints::All => Self::Word(KeepWord::All),
            KeepCheckpoints::Weights => Self::Word(KeepWord::Weights),
            KeepCheckpoints::Newest(count) => Self::Newest(count.get()),
        }
    }
}

impl FromStr for KeepCheckpoints {
    type Err = KeepError;

    fn from_str(text: &str) -> Result<Self, KeepError> {
        match text.trim() {
            "all" => Ok(Self::All),
            "weights" => Ok(Self::Weights),
            other => other.parse().map(Self::Newest).map_err(|_| KeepError(text.to_owned())),
        }
    }
}

impl fmt::Display for KeepCheckpoints {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => out.write_str("all"),
            Self::Weights => out.write_str("weights"),
            Self::Newest(count) => write!(out, "{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_and_writes_as_a_word_or_a_number() {
        for (json, text) in [("\"all\"", "all"), ("\"weights\"", "weights"), ("3", "3")] {
            let keep: KeepCheckpoints = serde_json::from_str(json).unwrap();
            assert_eq!(keep, text.parse().unwrap());
            assert_eq!(keep.to_string(), text);
            assert_eq!(serde_json::to_string(&keep).unwrap(), json);
        }
        for json in ["0", "\"none\"", "-1", "1.5", "null"] {
            let refused = serde_json::from_str::<KeepCheckpoints>(json).unwrap_err().to_string();
            assert!(refused.contains("all, weights or a whole number above 0"), "{json}: {refused}");
        }
        for text in ["0", "none", "-1", ""] {
            assert!(text.parse::<KeepCheckpoints>().is_err(), "{text}");
        }
    }
}
