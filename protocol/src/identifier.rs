//! `LLxWWWW_EER[SS]@C`: the name of a model in the published tables, for example `02x0768_01d07@0`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// Layers, width, epochs, weight-decay letter and seed of one model.
///
/// The text form is `LLxWWWW_EER[SS]`; it sorts as the published tables do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier {
    /// Number of transformer blocks.
    pub layers: u32,
    /// Width of the embeddings.
    pub width: u32,
    /// Epochs trained.
    pub epochs: u32,
    /// Letter that stands for the weight decay: `n` 0, `d` 0.0005, `L` 0.1, or a study's own.
    pub decay: char,
    /// Seed of the weights and the data order; published single-seed models have none.
    pub seed: Option<u32>,
}

/// Why a text is not an [`Identifier`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a model identifier; expected LLxWWWW_EER[SS], for example 02x0768_01d07")]
pub struct NotAnIdentifier(String);

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}x{:04}_{:02}{}", self.layers, self.width, self.epochs, self.decay)?;
        match self.seed {
            Some(seed) => write!(f, "{seed:02}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Identifier {
    type Err = NotAnIdentifier;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (layers, rest) = text.split_once('x')?;
            let (width, rest) = rest.split_once('_')?;
            let letter = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let (epochs, rest) = rest.split_at(letter);
            let (decay, seed) = rest.split_at(1);
            Some(Self {
                layers: digits(layers, 2)?,
                width: digits(width, 4)?,
                epochs: digits(epochs, 2)?,
                decay: decay.chars().next()?,
                seed: if seed.is_empty() { None } else { Some(digits(seed, 2)?) },
            })
        };
        parse().ok_or_else(|| NotAnIdentifier(text.to_owned()))
    }
}

/// A decimal number of at least `least` digits.
fn digits(text: &str, least: usize) -> Option<u32> {
    let plain = text.len() >= least && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

impl Identifier {
    /// The identifier at the end of a folder's or file's name: `TinyStories-02x0768_01d07`,
    /// `TS02x0768_01d07` or plain `02x0768_01d07`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let tail = name.rsplit('-').next()?;
        let start = tail.find(|c: char| c.is_ascii_digit())?;
        tail[start..].parse().ok()
    }

    /// The row name of a checkpoint in the tables: `02x0768_01d07@0`.
    #[must_use]
    pub fn at(&self, checkpoint: u32) -> String {
        format!("{self}@{checkpoint}")
    }
}

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Identifier {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        String::schema()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Identifier {}

#[cfg(test)]
mod tests {
    use super::Identifier;

    #[test]
    fn published_names_round_trip() {
        for name in ["02x0768_01d07", "01x0064_10L", "12x1024_03d", "01x0032_01n", "100x16384_120d1234"] {
            let id: Identifier = name.parse().unwrap();
            assert_eq!(id.to_string(), name);
        }
    }

    #[test]
    fn a_folder_prefix_is_ignored() {
        let plain: Identifier = "02x0768_01d07".parse().unwrap();
        assert_eq!(Identifier::from_name("TinyStories-02x0768_01d07"), Some(plain));
        assert_eq!(Identifier::from_name("my-study-02x0768_01d07"), Some(plain));
        assert_eq!(Identifier::from_name("TS02x0768_01d07"), Some(plain));
        assert_eq!(Identifier::from_name("checkpoint"), None);
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in
            ["", "2x768_1d", "02x0768", "02x0768_01", "02x0768_01dd", "02x0768_01d7", "02x0768_01d07@0"]
        {
            assert!(bad.parse::<Identifier>().is_err(), "{bad}");
        }
    }
}
