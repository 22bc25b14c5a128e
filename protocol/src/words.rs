//! Vocabularies: closed lists of words, the same on the wire, in the database and on screen.

/// A whole number from `least` up, as people write it.
///
/// # Errors
/// When it is none: what is accepted.
pub fn whole<T: std::str::FromStr + PartialOrd + From<u8>>(text: &str, least: u8) -> Result<T, String> {
    let number = text.trim().parse().ok().filter(|value| *value >= T::from(least));
    number.ok_or_else(|| format!("expected a whole number from {least} up, within the range of its type"))
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        // Not `rename = $word` per variant: utoipa does not see a literal that a macro passes on. A
        // test holds both forms together.
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$vdoc])* $variant),+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used on the wire, in the database and on screen.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// All words, in the order of declaration.
            pub fn words() -> impl Iterator<Item = &'static str> {
                Self::ALL.iter().map(|word| word.as_str())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().copied().find(|word| word.as_str() == text);
                found.ok_or_else(|| $crate::words::UnknownWord::new(text, Self::words()))
            }
        }
    };
}
pub(crate) use words;

/// A word that is not one of a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not accepted; use {accepted}")]
pub struct UnknownWord {
    given: String,
    accepted: String,
}

impl UnknownWord {
    /// The error about a text that is none of these.
    pub(crate) fn new<'a>(given: &str, accepted: impl IntoIterator<Item = &'a str>) -> Self {
        let words: Vec<&str> = accepted.into_iter().collect();
        let accepted = match &words[..] {
            [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
            words => words.concat(),
        };
        Self { given: given.to_owned(), accepted }
    }
}
