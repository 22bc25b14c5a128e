//! The identity of a run and of its data: SHA-256 over canonical JSON, so that the same model is
//! never trained twice, whatever study asks for it.

use protocol::{run::RunConfig, study::DataSpec};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// JSON without white space, the keys of every object in order of their bytes, and numbers in their
/// shortest form.
///
/// # Errors
/// When the value has no JSON form.
pub fn canonical_json<T: Serialize>(value: &T) -> serde_json::Result<String> {
    let mut text = String::new();
    write(&serde_json::to_value(value)?, &mut text);
    Ok(text)
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (position, (key, value)) in entries.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

fn sha256<T: Serialize>(value: &T) -> serde_json::Result<String> {
    Ok(hex::encode(Sha256::digest(canonical_json(value)?.as_bytes())))
}

/// The settings in which a configuration differs from another, as a study names them: `training.dtype = "bf16", not
/// "f32"`.
///
/// # Errors
/// When a configuration has no JSON form.
pub fn differences(one: &RunConfig, other: &RunConfig) -> serde_json::Result<Vec<String>> {
    let mut found = Vec::new();
    compare("", &serde_json::to_value(one)?, &serde_json::to_value(other)?, &mut found);
    Ok(found)
}

fn compare(at: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
    if let (Value::Object(ones), Value::Object(others)) = (one, other) {
        let keys: BTreeSet<&String> = ones.keys().chain(others.keys()).collect();
        for key in keys {
            let at = match (at, key.as_str()) {
                ("", "weight_decay") => "grid.weight_decay".to_owned(),
                ("", "checkpoints") => "collection.checkpoints".to_owned(),
                ("", _) => key.clone(),
                (at, _) => format!("{at}.{key}"),
            };
            let value = |of: &Map<String, Value>| of.get(key).cloned().unwrap_or_default();
            compare(&at, &value(ones), &value(others), found);
        }
    } else if one != other {
        found.push(format!("{at} = {one}, not {other}"));
    }
}

/// The identity of a run, 64 hex digits.
///
/// # Errors
/// When the configuration has no JSON form (a number that is not finite becomes null, never an error).
pub fn run_hash(config: &RunConfig) -> serde_json::Result<String> {
    sha256(config)
}

/// The identity of prepared data, 64 hex digits; its folder is named by the first 16.
///
/// # Errors
/// As [`run_hash`].
pub fn data_hash(data: &DataSpec) -> serde_json::Result<String> {
    sha256(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grid::expand;
    use protocol::study::StudySpec;

    #[test]
    fn canonical_json_sorts_keys_at_every_level() {
        let value = serde_json::json!({"b": {"d": 1, "c": [0.5, null, "x\n"]}, "a": true});
        assert_eq!(canonical_json(&value).unwrap(), r#"{"a":true,"b":{"c":[0.5,null,"x\n"],"d":1}}"#);
    }

    #[test]
    fn the_hash_of_a_run_is_fixed_for_all_time() {
        // Changing it would train every model of every root again.
        let run = &expand(&StudySpec::named("s")).unwrap()[0];
        assert_eq!(
            run_hash(run).unwrap(),
            "714e33a275b5554336f6f7d71b06459eb97bd6c85e380e7a50ab6da8073c167b"
        );
        assert_eq!(&data_hash(&run.data).unwrap()[..16], "c78208c0f017ebe8");
    }

    #[test]
    fn differences_are_named_as_a_study_names_them() {
        let of = |change: fn(&mut StudySpec)| {
            let mut spec = StudySpec::named("s");
            change(&mut spec);
            expand(&spec).unwrap().remove(0)
        };
        let plain = of(|_| {});
        let other = of(|s| {
            s.training.dtype = "bf16".into();
            s.data.block_size = 1024;
            s.collection.checkpoints = protocol::study::Checkpoints::Last;
        });
        let found = differences(&plain, &other).unwrap();
        assert!(found.contains(&r#"training.dtype = "f32", not "bf16""#.to_owned()), "{found:?}");
        assert!(found.contains(&"data.block_size = 2048, not 1024".to_owned()), "{found:?}");
        assert!(differences(&plain, &plain).unwrap().is_empty());
    }

    #[test]
    fn only_what_changes_results_changes_the_hash() {
        let hash = |change: fn(&mut StudySpec)| {
            let mut spec = StudySpec::named("s");
            change(&mut spec);
            run_hash(&expand(&spec).unwrap()[0]).unwrap()
        };
        let plain = hash(|_| {});
        assert_eq!(plain, hash(|s| s.name = "other".into()));
        assert_eq!(plain, hash(|s| s.resources.device = "cpu".into()));
        assert_eq!(plain, hash(|s| s.collection.batch_size = 1));
        assert_eq!(plain, hash(|s| s.model.intermediate = Some(256)));
        assert_eq!(plain, hash(|s| s.model.positions = Some(2048)));
        assert_eq!(plain, hash(|s| s.analysis.measures = vec!["etf".into(), "all".into()]));
        assert_ne!(plain, hash(|s| s.analysis.measures = vec!["freq".into(), "all".into()]));
        // What is kept counts where it leaves fewer checkpoints to analyse.
        assert_eq!(plain, hash(|s| s.training.keep_checkpoints = "weights".parse().unwrap()));
        assert_eq!(plain, hash(|s| s.training.keep_checkpoints = "1".parse().unwrap()));
        let of_three = |keep: &str| {
            let mut spec = StudySpec::named("s");
            spec.grid.epochs = protocol::axis::Counted(vec![3]);
            spec.training.keep_checkpoints = keep.parse().unwrap();
            run_hash(&expand(&spec).unwrap()[0]).unwrap()
        };
        assert_eq!(of_three("all"), of_three("3"));
        assert_ne!(of_three("all"), of_three("2"));
        assert_ne!(plain, hash(|s| s.training.learning_rate = 1e-3));
        assert_ne!(plain, hash(|s| s.data.block_size = 1024));
        assert_ne!(plain, hash(|s| s.analysis.min_per_class = 2));
    }
}
