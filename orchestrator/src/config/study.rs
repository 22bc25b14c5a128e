//! A study from layers: the user's defaults, the study file, and on top the flags (which
//! [`crate::cli`] lays itself).

use super::{
    file::{self, FileError},
    place,
};
use protocol::study::{
    AnalysisSpec, CollectionSpec, DataSpec, GridSpec, ModelSpec, ResourceSpec, StudySpec, TrainingSpec,
};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Keys of `[data]` that may hold a path.
const PATHS: [&str; 3] = ["dataset", "tokenizer", "validation"];

/// What a study file may hold: a study whose name may be left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read only to check the keys and values of a layer where lines are known")]
pub(super) struct Sections {
    name: Option<String>,
    #[serde(default)]
    data: DataSpec,
    #[serde(default)]
    grid: GridSpec,
    #[serde(default)]
    model: ModelSpec,
    #[serde(default)]
    training: TrainingSpec,
    #[serde(default)]
    collection: CollectionSpec,
    #[serde(default)]
    analysis: AnalysisSpec,
    #[serde(default)]
    resources: ResourceSpec,
}

/// One checked source of study settings, its paths absolute.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    path: PathBuf,
    prefix: &'static str,
    table: Table,
}

impl Layer {
    /// Reads a study file. Its relative paths are relative to its folder.
    ///
    /// # Errors
    /// When it can't be read, or holds what is not accepted.
    pub fn of_file(path: &Path) -> Result<Self, FileError> {
        let text = file::text(path)?;
        Self::of_text(path, &text)
    }

    /// As [`Self::of_file`], with the text given.
    ///
    /// # Errors
    /// When it holds what is not accepted.
    pub fn of_text(path: &Path, text: &str) -> Result<Self, FileError> {
        let _checked: Sections = file::parse(path, text)?;
        Self::checked(path, "", file::parse(path, text)?)
    }

    /// The `[study]` table of the user's configuration.
    pub(super) fn of_user(path: &Path, text: &str) -> Result<Self, FileError> {
        #[derive(Deserialize)]
        struct User {
            study: Table,
        }
        let user: User = file::parse(path, text)?;
        Self::checked(path, "study.", user.study)
    }

    /// With its paths made absolute, once its numbers were looked at: TOML has `inf` and `nan`, JSON has not.
    fn checked(path: &Path, prefix: &'static str, mut table: Table) -> Result<Self, FileError> {
        for (key, value) in &table {
            if let Some((key, given)) = not_finite(&format!("{prefix}{key}"), value) {
                return Err(FileError::NotFinite { path: path.to_owned(), key, given });
            }
        }
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().unwrap_or(Path::new("/"));
        if let Some(Value::Table(data)) = table.get_mut("data") {
            for key in PATHS {
                if let Some(Value::String(text)) = data.get_mut(key) {
                    *text = located(text, folder);
                }
            }
        }
        Ok(Self { path, prefix, table })
    }

    /// The study's name, if the layer gives it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.table.get("name")?.as_str()
    }

    /// Lays `upper` over `self`.
    #[must_use]
    pub fn under(mut self, upper: &Self) -> Self {
        give_way(&mut self.table, &upper.table);
        merge(&mut self.table, &upper.table);
        self
    }

    /// The study that the layers make.
    ///
    /// # Errors
    /// When the merged layers are not a study.
    pub fn study(&self, name: &str) -> Result<StudySpec, FileError> {
        let mut table = self.table.clone();
        table.insert("name".into(), Value::String(name.to_owned()));
        table.try_into().map_err(|error: toml::de::Error| FileError::Refused {
            path: self.path.clone(),
            line: 1,
            message: file::plain(&error),
        })
    }

    /// Checks that the paths which this layer gives exist, except those for which `overruled` holds.
    ///
    /// # Errors
    /// When one doesn't.
    pub fn check_paths(&self, overruled: impl Fn(&str) -> bool) -> Result<(), FileError> {
        let Some(Value::Table(data)) = self.table.get("data") else { return Ok(()) };
        for key in PATHS.into_iter().filter(|key| !overruled(key)) {
            if let Some(Value::String(text)) = data.get(key)
                && is_path(text)
                && !Path::new(text).exists()
            {
                return Err(FileError::Missing {
                    path: self.path.clone(),
                    key: format!("{}data.{key}", self.prefix),
                    given: text.clone(),
                });
            }
        }
        Ok(())
    }

    /// Whether this layer gives `data.<key>`.
    #[must_use]
    pub fn gives_data(&self, key: &str) -> bool {
        self.table.get("data").and_then(|data| data.get(key)).is_some()
    }
}

/// The first number in a value that is not finite, with its key.
fn not_finite(key: &str, value: &Value) -> Option<(String, f64)> {
    match value {
        Value::Float(number) if !number.is_finite() => Some((key.to_owned(), *number)),
        Value::Array(items) => items.iter().find_map(|item| not_finite(key, item)),
        Value::Table(table) => {
            table.iter().find_map(|(inner, value)| not_finite(&format!("{key}.{inner}"), value))
        }
        _ => None,
    }
}

/// Whether a data source or tokenizer is a path, and not a builtin or a name on a hub.
#[must_use]
pub fn is_path(text: &str) -> bool {
    text != "builtin" && !text.starts_with("builtin:") && !text.starts_with("hf:")
}

/// A source or tokenizer with its path made absolute against `folder`.
#[must_use]
pub fn located(text: &str, folder: &Path) -> String {
    if !is_path(text) {
        return text.to_owned();
    }
    let joined = folder.join(place::at_home(Path::new(text)));
    // The canonical path makes `../data` and `/x/data` the same data, and so the same runs.
    std::fs::canonicalize(&joined).unwrap_or(joined).display().to_string()
}

/// What a layer says of all architectures goes over the rules of those below it.
fn give_way(lower: &mut Table, upper: &Table) {
    let Some(above) = upper.get("training").and_then(Value::as_table) else { return };
    let below = lower.get_mut("training").and_then(|training| training.get_mut("rules"));
    let Some(rules) = below.and_then(Value::as_array_mut) else { return };
    let settings = ["batch_size", "learning_rate"];
    rules.retain_mut(|rule| {
        let Some(rule) = rule.as_table_mut() else { return true };
        let before = rule.len();
        for setting in settings.iter().filter(|&&setting| above.contains_key(setting)) {
            rule.remove(*setting);
        }
        rule.len() == before || settings.iter().any(|&setting| rule.contains_key(setting))
    });
}

fn merge(lower: &mut Table, upper: &Table) {
    for (key, value) in upper {
        match (lower.get_mut(key), value) {
            // Letters belong to the axis that names them; replacing the axis replaces them too.
            (Some(Value::Table(below)), Value::Table(above)) if key != "decay_letters" => merge(below, above),
            _ => {
                lower.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Layer;
    use std::path::Path;

    fn layer(text: &str) -> Layer {
        Layer::of_text(Path::new("/studies/a.toml"), text).unwrap()
    }

    fn refusal(text: &str) -> String {
        Layer::of_text(Path::new("/studies/a.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn upper_layers_replace_single_keys() {
        let lower = layer("[training]\nbatch_size = 4\norder = \"sequential\"\n[model]\nheads = 2");
        let upper = layer("[training]\nbatch_size = 8\n[grid]\nwidth = \"64..256\"");
        let spec = lower.under(&upper).study("s").unwrap();
        assert_eq!((spec.training.batch_size, spec.training.order.as_str()), (8, "sequential"));
        assert_eq!((spec.model.heads, spec.model.window), (2, 256));
        assert_eq!(spec.grid.width.0, [64, 128, 256]);
    }

    #[test]
    fn what_an_upper_layer_says_of_all_architectures_goes_over_rules_below() {
        let rules = "[[training.rules]]\ndepth = \"4..\"\nbatch_size = 8\nlearning_rate = 1e-4\n\
                     [[training.rules]]\ndepth = 12\nbatch_size = 4";
        let under = |upper: &str| layer(rules).under(&layer(upper)).study("s").unwrap().training;
        assert_eq!(under("[model]\nheads = 2").rules.len(), 2);
        let training = under("[training]\nbatch_size = 32");
        assert_eq!((training.batch_size, training.rules.len()), (32, 1));
        assert_eq!((training.rules[0].batch_size, training.rules[0].learning_rate), (None, Some(1e-4)));
        // In one layer, rules go over what holds for all.
        assert_eq!(
            layer(&format!("[training]\nbatch_size = 32\n{rules}")).study("s").unwrap().training.rules.len(),
            2
        );
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let spec = layer("[data]\ndataset = \"texts\"\ntokenizer = \"hf:a/b\"").study("s").unwrap();
        assert_eq!(spec.data.dataset, "/studies/texts");
        assert_eq!(spec.data.tokenizer, "hf:a/b");
    }

    #[test]
    fn a_missing_path_names_file_and_key() {
        let missing = layer("[data]\ndataset = \"texts\"");
        assert_eq!(
            missing.check_paths(|_| false).unwrap_err().to_string(),
            "/studies/a.toml: data.dataset = \"/studies/texts\": no such file or folder"
        );
        assert!(missing.check_paths(|key| key == "dataset").is_ok());
    }

    #[test]
    fn what_a_list_would_hold_may_stand_alone() {
        let spec =
            layer("[grid]\nweight_decay = 0.1\n[analysis]\nmeasures = \"all,rank\"").study("s").unwrap();
        assert_eq!(spec.grid.weight_decay, [0.1]);
        assert_eq!(spec.analysis.measures, ["all", "rank"]);
    }

    #[test]
    fn an_unknown_key_gets_one_line_with_the_accepted_ones() {
        let line = refusal("name = \"a\"\n\n[grid]\nwidht = 64\n");
        assert!(
            line.starts_with("/studies/a.toml line 4: unknown key 'widht'; accepted keys: 'depth', 'width'"),
            "{line}"
        );
        assert!(!line.contains('\n'));
    }

    #[test]
    fn a_wrong_value_shows_its_line() {
        let line = refusal("[model]\nheads = \"many\"\n");
        assert_eq!(
            line,
            "/studies/a.toml line 2: heads = \"many\": expected a whole number from 0 to 4294967295"
        );
        for (text, wanted) in [
            ("[training]\nbatch_size = -3", "a whole number from 0 to 4294967295"),
            ("[training]\nlearning_rate = \"fast\"", "a number"),
            ("[training]\nmax_steps = 1.5", "a whole number from 0 up"),
            ("[collection]\ncheckpoints = 5", "a text in quotes"),
            ("[collection]\none_pass = 1", "true or false"),
            ("[data]\ndataset = 5", "a text in quotes"),
            ("[analysis]\nmeasures = 5", "a text or a list of texts"),
            ("[grid]\nweight_decay = true", "a number or a list of numbers"),
            ("[grid.decay_letters]\nmm = 0.2", "a single letter"),
            ("[[resources.rules]]\nmem = 32", "a text in quotes"),
            ("[[resources.rules]]\nextra = 3", "a text or a list of texts"),
            ("name = \"a\"\ndata = 5", "a section with keys of its own"),
        ] {
            let line = refusal(text);
            let written = text.lines().nth(1).unwrap();
            assert_eq!(line, format!("/studies/a.toml line 2: {written}: expected {wanted}"));
        }
        let line = refusal("[grid]\nseed = \"9..0\"\n");
        assert!(line.contains("line 2: seed = \"9..0\": the range"), "{line}");
        for wrong in ["-1", "1.5", "[1, \"2\"]"] {
            let line = refusal(&format!("[grid]\ndepth = {wrong}\n"));
            assert!(
                line.contains(&format!("line 2: depth = {wrong}: expected whole numbers, for example 4")),
                "{line}"
            );
        }
        let line = refusal("[grid]\nweight_decay = [0.0, inf]\n");
        assert_eq!(line, "/studies/a.toml: grid.weight_decay = inf: expected a finite number");
        let line = refusal("[model\nheads = 1\n");
        assert!(line.contains("line 1") && !line.contains('\n'), "{line}");
    }
}
