//! One axis of a grid: `1,2,4`, `0..9`, `64..1024` or `64..1024:64`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// How an axis reads `a..b` without a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeStep {
    /// Every whole number from `a` to `b`, both included (seeds, depths, epochs).
    One,
    /// `a`, `2a`, `4a`, ... to `b`, which must be one of them (widths).
    Doubling,
}

/// Why a text is not an axis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AxisError {
    /// Nothing between the commas.
    #[error("{0:?} holds no value; expected for example 1,2,4 or 0..9 or 64..1024:64")]
    Empty(String),
    /// A part that is neither a number nor a range.
    #[error("{0:?} is neither a whole number nor a range; expected for example 1,2,4 or 0..9 or 64..1024:64")]
    NotANumber(String),
    /// `b < a`, or a step of zero.
    #[error("the range {0:?} is empty; write the smaller end first and a step above zero")]
    EmptyRange(String),
    /// Doubling from `a` never gives `b`.
    #[error("{range:?} doubles to {last} and does not reach {to}; write {instead}")]
    NotReached {
        /// The range.
        range: String,
        /// The last value that it gives.
        last: u32,
        /// Its end.
        to: u32,
        /// What gives all of these.
        instead: String,
    },
    /// More values than any grid can use.
    #[error("{0:?} gives more than {MOST} values")]
    TooMany(String),
    /// The same value twice.
    #[error("{0:?} gives the value {1} twice")]
    Repeated(String, u32),
}

/// The most values one axis may have.
pub const MOST: usize = 100_000;

/// Parses the values of an axis, in the order given.
///
/// Parts are separated by commas; each is a whole number, `a..b` (both ends included; `default`
/// says which steps) or `a..b:step`.
///
/// # Errors
/// When a part is not of this form, a range or the whole is empty, or a value comes twice.
pub fn parse(text: &str, default: RangeStep) -> Result<Vec<u32>, AxisError> {
    let mut values = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let number = |s: &str| s.trim().parse::<u32>().map_err(|_| AxisError::NotANumber(part.to_owned()));
        let Some((from, to)) = part.split_once("..") else {
            values.push(number(part)?);
            continue;
        };
        let (to, step) = match to.split_once(':') {
            Some((to, step)) => (to, Some(number(step)?)),
            None => (to, None),
        };
        let (from, to) = (number(from)?, number(to)?);
        let doubling = step.is_none() && default == RangeStep::Doubling;
        if to < from || step == Some(0) || (doubling && from == 0) {
            return Err(AxisError::EmptyRange(part.to_owned()));
        }
        let mut value = from;
        while value <= to {
            values.push(value);
            if values.len() > MOST {
                return Err(AxisError::TooMany(text.to_owned()));
            }
            let next = if doubling { value.checked_mul(2) } else { value.checked_add(step.unwrap_or(1)) };
            match next {
                Some(next) => value = next,
                None => break,
            }
        }
        if let Some(&last) = values.last().filter(|&&last| doubling && last != to) {
            let first = if last == from { from.to_string() } else { format!("{from}..{last}") };
            let (range, instead) = (part.to_owned(), format!("{first},{to}"));
            return Err(AxisError::NotReached { range, last, to, instead });
        }
    }
    if values.is_empty() {
        return Err(AxisError::Empty(text.to_owned()));
    }
    let mut seen = std::collections::HashSet::new();
    match values.iter().find(|&&value| !seen.insert(value)) {
        Some(&value) => Err(AxisError::Repeated(text.to_owned(), value)),
        None => Ok(values),
    }
}

macro_rules! axis {
    ($(#[$doc:meta])* $name:ident, $step:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<u32>))]
        pub struct $name(pub Vec<u32>);

        impl std::str::FromStr for $name {
            type Err = AxisError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse(text, $step).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(
                    untagged,
                    expecting = "expected whole numbers, for example 4, [1, 2, 4], \"1,2,4\", \"0..9\" or \"64..1024:64\""
                )]
                enum Written {
                    One(u32),
                    List(Vec<u32>),
                    Text(String),
                }
                let text = match Written::deserialize(deserializer)? {
                    Written::One(value) => value.to_string(),
                    Written::List(values) => {
                        values.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
                    }
                    Written::Text(text) => text,
                };
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

axis!(
    /// Values of an axis whose ranges count by one: a number, a list, or a text such as `"0..9"`.
    Counted,
    RangeStep::One
);
axis!(
    /// Values of an axis whose ranges double: a number, a list, or a text such as `"64..1024"`.
    Doubled,
    RangeStep::Doubling
);

#[cfg(test)]
mod tests {
    use super::{AxisError, Counted, Doubled};

    #[test]
    fn lists_and_ranges_mix() {
        assert_eq!("0..3,8, 10".parse::<Counted>().unwrap().0, [0, 1, 2, 3, 8, 10]);
        assert_eq!("64..1024".parse::<Doubled>().unwrap().0, [64, 128, 256, 512, 1024]);
        assert_eq!("64..256:64,768".parse::<Doubled>().unwrap().0, [64, 128, 192, 256, 768]);
        assert_eq!("4294967295".parse::<Counted>().unwrap().0, [u32::MAX]);
        assert_eq!("4294967294..4294967295".parse::<Counted>().unwrap().0.len(), 2);
    }

    #[test]
    fn nonsense_is_refused() {
        use AxisError as E;
        assert!(matches!("".parse::<Counted>(), Err(E::Empty(_))));
        assert!(matches!(" , ".parse::<Counted>(), Err(E::Empty(_))));
        assert!(matches!("a".parse::<Counted>(), Err(E::NotANumber(_))));
        assert!(matches!("1..".parse::<Counted>(), Err(E::NotANumber(_))));
        assert!(matches!("-1".parse::<Counted>(), Err(E::NotANumber(_))));
        assert!(matches!("9..0".parse::<Counted>(), Err(E::EmptyRange(_))));
        assert!(matches!("0..9:0".parse::<Counted>(), Err(E::EmptyRange(_))));
        assert!(matches!("0..64".parse::<Doubled>(), Err(E::EmptyRange(_))));
        for (range, why) in [
            ("64..768", "\"64..768\" doubles to 512 and does not reach 768; write 64..512,768"),
            ("512..768", "\"512..768\" doubles to 512 and does not reach 768; write 512,768"),
        ] {
            assert_eq!(range.parse::<Doubled>().unwrap_err().to_string(), why);
        }
        assert!(matches!("1,1".parse::<Counted>(), Err(E::Repeated(_, 1))));
        assert!(matches!("0..4000000000".parse::<Counted>(), Err(E::TooMany(_))));
    }

    #[test]
    fn study_files_may_use_any_form() {
        for text in ["[0,1]", "\"0..1\"", "\"0,1\""] {
            assert_eq!(serde_json::from_str::<Counted>(text).unwrap().0, [0, 1]);
        }
        assert_eq!(serde_json::from_str::<Counted>("7").unwrap().0, [7]);
        assert_eq!(serde_json::to_string(&Counted(vec![1, 2])).unwrap(), "[1,2]");
        assert!(serde_json::from_str::<Counted>("[]").is_err());
        for text in ["-1", "1.5", "[64,\"128\"]", "true"] {
            let why = serde_json::from_str::<Doubled>(text).unwrap_err().to_string();
            assert!(why.starts_with("expected whole numbers, for example 4, [1, 2, 4]"), "{text}: {why}");
        }
    }
}
