//! Lists as people write them in files: a list, or what it would hold alone. A text may hold several, separated by commas.

use serde::{
    Deserialize, Deserializer,
    de::{Error, IntoDeserializer as _, SeqAccess, Visitor, value::StrDeserializer},
};
use std::{fmt, marker::PhantomData};

/// Words: `["all", "rank"]`, `"all"` or `"all,rank"`.
///
/// # Errors
/// When it is something else, or a word is none of `T`.
pub fn words<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_any(Written { splits: true, of: PhantomData })
}

/// Lines: `["module load cuda", "ulimit -n 4096"]`, or one alone. A comma is part of its line.
///
/// # Errors
/// When it is something else.
pub fn lines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(Written { splits: false, of: PhantomData })
}

/// As [`lines`], where they may be left out.
///
/// # Errors
/// When it is something else.
pub fn lines_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    struct Lines(#[serde(deserialize_with = "lines")] Vec<String>);
    Ok(Option::<Lines>::deserialize(deserializer)?.map(|lines| lines.0))
}

/// Numbers: `[0.0005, 0.1]`, `0.1` or `"0.0005,0.1"`.
///
/// # Errors
/// When it is something else.
pub fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    deserializer.deserialize_any(Numbers)
}

struct Written<T> {
    splits: bool,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Written<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let one = |word: &str| -> Result<T, E> {
            let deserializer: StrDeserializer<'_, E> = word.trim().into_deserializer();
            T::deserialize(deserializer)
        };
        if !self.splits {
            return Ok(vec![one(text)?]);
        }
        text.split(',').filter(|word| !word.trim().is_empty()).map(one).collect()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element()? {
            found.push(item);
        }
        Ok(found)
    }
}

struct Numbers;

impl<'de> Visitor<'de> for Numbers {
    type Value = Vec<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a list of numbers")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(vec![value])
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(vec![value as f64])
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(vec![value as f64])
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let number = |word: &str| {
            word.trim().parse::<f64>().map_err(|_| {
                E::custom(format!("{word:?} is no number; expected a number or a list of numbers"))
            })
        };
        text.split(',').filter(|word| !word.trim().is_empty()).map(number).collect()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element()? {
            found.push(item);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        resources::ResourceRule,
        stage::StageKind,
        study::{AnalysisSpec, GridSpec},
    };

    #[test]
    fn what_a_list_would_hold_may_stand_alone() {
        for text in ["0.1", "[0.1]", "\"0.1\""] {
            let grid: GridSpec = serde_json::from_str(&format!("{{\"weight_decay\": {text}}}")).unwrap();
            assert_eq!(grid.weight_decay, [0.1]);
        }
        let grid: GridSpec = serde_json::from_str("{\"weight_decay\": \"0, 0.1\"}").unwrap();
        assert_eq!(grid.weight_decay, [0.0, 0.1]);
        for text in ["\"all,rank\"", "[\"all\", \"rank\"]"] {
            let analysis: AnalysisSpec = serde_json::from_str(&format!("{{\"measures\": {text}}}")).unwrap();
            assert_eq!(analysis.measures, ["all", "rank"]);
        }
        let rule = "{\"stages\": \"train\", \"extra\": \"--mail-type=FAIL,END\"}";
        let rule: ResourceRule = serde_json::from_str(rule).unwrap();
        assert_eq!(rule.stages, [StageKind::Train]);
        assert_eq!(rule.extra.unwrap(), ["--mail-type=FAIL,END"]);
    }

    #[test]
    fn anything_else_is_refused() {
        for (text, why) in [
            ("{\"weight_decay\": true}", "expected a number or a list of numbers"),
            ("{\"weight_decay\": \"much\"}", "\"much\" is no number"),
        ] {
            let told = serde_json::from_str::<GridSpec>(text).unwrap_err().to_string();
            assert!(told.contains(why), "{told}");
        }
        let told = serde_json::from_str::<AnalysisSpec>("{\"measures\": 5}").unwrap_err().to_string();
        assert!(told.contains("expected a text or a list of texts"), "{told}");
        let told = serde_json::from_str::<ResourceRule>("{\"stages\": \"trian\"}").unwrap_err().to_string();
        assert!(told.contains("unknown variant `trian`"), "{told}");
    }
}
