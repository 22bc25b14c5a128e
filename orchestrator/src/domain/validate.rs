//! What is wrong with a study, one line per violation: the field, the value, what is accepted.

use super::grid::{DECAY_LETTERS, decay_letter};
use protocol::{
    measures::{COVARIANCE, FOREIGN, GROUPS},
    settings::{Attention, Device, Dtype, Order},
    study::{AnalysisSpec, Checkpoints, DataSpec, ModelSpec, StudySpec, TrainingSpec},
    words::UnknownWord,
};
use std::{path::Path, str::FromStr};

/// Every violation of a study; none if it can be planned.
#[must_use]
pub fn violations(spec: &StudySpec) -> Vec<String> {
    let mut found = Vec::new();
    name(&spec.name, &mut found);
    data(&spec.data, &mut found);
    grid(spec, &mut found);
    model(spec, &mut found);
    training(&spec.training, &mut found);
    rest(spec, &mut found);
    found
}

/// What is wrong with the name of a study.
pub fn name(name: &str, found: &mut Vec<String>) {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !starts || name.len() > 64 || !name.chars().all(letters) {
        found.push(format!(
            "name: {name:?} is not accepted; use 1 to 64 letters, digits, '.', '_' and '-', a letter or digit first"
        ));
    }
}

fn positive(field: &str, value: u64, found: &mut Vec<String>) {
    if value == 0 {
        found.push(format!("{field}: 0 is not accepted; use a whole number above 0"));
    }
}

fn rate(field: &str, value: f64, found: &mut Vec<String>) {
    if !value.is_finite() || value <= 0.0 {
        found.push(format!("{field}: {value} is not accepted; use a finite number above 0"));
    }
}

/// A text that has to be a word of the vocabulary `T`.
fn word<T: FromStr<Err = UnknownWord>>(field: &str, text: &str, found: &mut Vec<String>) {
    if let Err(error) = text.parse::<T>() {
        found.push(format!("{field}: {error}"));
    }
}

fn data(data: &DataSpec, found: &mut Vec<String>) {
    let hub = |text: &str| {
        text.strip_prefix("hf:").is_some_and(|name| {
            name.split_once('/')
                .is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty() && !name.contains('/'))
        })
    };
    let path = |text: &str| Path::new(text).is_absolute();
    if data.dataset != "builtin:stories" && !hub(&data.dataset) && !path(&data.dataset) {
        found.push(format!(
            "data.dataset: {:?} is not accepted; use builtin:stories, hf:owner/name or the absolute path of a folder or file",
            data.dataset
        ));
    }
    if data.tokenizer != "builtin" && !hub(&data.tokenizer) && !path(&data.tokenizer) {
        found.push(format!(
            "data.tokenizer: {:?} is not accepted; use builtin, hf:owner/name or the absolute path of a tokenizer.json",
            data.tokenizer
        ));
    }
    if let Some(file) = data.validation.as_deref().filter(|file| !path(file)) {
        found.push(format!("data.validation: {file:?} is not accepted; use the absolute path of a file"));
    }
    if data.block_size < 2 {
        found.push(format!("data.block_size: {} is not accepted; use 2 or more tokens", data.block_size));
    }
    positive("data.shards", data.shards.into(), found);
}

fn grid(spec: &StudySpec, found: &mut Vec<String>) {
    let grid = &spec.grid;
    let axes = [
        ("grid.depth", &grid.depth.0, 1),
        ("grid.width", &grid.width.0, 1),
        ("grid.epochs", &grid.epochs.0, 1),
        ("grid.seed", &grid.seed.0, 0),
    ];
    for (field, values, least) in axes {
        if values.is_empty() {
            found.push(format!(
                "{field}: the grid is empty; give at least one value, for example 1,2,4 or 0..9"
            ));
        }
        for value in values.iter().filter(|&&value| value < least) {
            found.push(format!("{field}: {value} is not accepted; use whole numbers above 0"));
        }
    }
    if grid.weight_decay.is_empty() {
        found.push(
            "grid.weight_decay: the grid is empty; give at least one value, for example 0.0005".to_owned(),
        );
    }
    for &decay in &grid.weight_decay {
        if !decay.is_finite() || decay < 0.0 {
            found.push(format!("grid.weight_decay: {decay} is not accepted; use finite numbers from 0"));
        } else if decay_letter(spec, decay).is_none() {
            found.push(format!(
                "grid.weight_decay: {decay} has no letter; 0 (n), 0.0005 (d) and 0.1 (L) have one, others need one in \
                 grid.decay_letters, for example {{ m = {decay} }}"
            ));
        }
    }
    for (&letter, &value) in &grid.decay_letters {
        if !letter.is_ascii_alphabetic() {
            found.push(format!(
                "grid.decay_letters: {letter:?} is not accepted; use single letters a-z or A-Z"
            ));
        }
        let published = DECAY_LETTERS.iter().any(|&(taken, decay)| (taken == letter) != (decay == value));
        let twice = grid.decay_letters.values().filter(|&&other| other == value).count() > 1;
        if published || twice {
            found.push(format!(
                "grid.decay_letters: {letter} = {value} is not accepted; n, d and L stand for 0, 0.0005 and 0.1, and \
                 every decay has one letter"
            ));
        }
    }
}

fn model(spec: &StudySpec, found: &mut Vec<String>) {
    let ModelSpec { heads, window, attention, intermediate, vocab_size, positions, dropout } = &spec.model;
    positive("model.heads", (*heads).into(), found);
    positive("model.window", (*window).into(), found);
    if *heads > 0 {
        for width in spec.grid.width.0.iter().filter(|&&width| width % heads != 0) {
            found.push(format!(
                "grid.width: {width} is not divisible by model.heads = {heads}; use multiples of {heads} or other heads"
            ));
        }
    }
    if attention.is_empty() {
        found.push(
            "model.attention: is empty; use global and local, for example [\"global\", \"local\"]".to_owned(),
        );
    }
    for text in attention {
        word::<Attention>("model.attention", text, found);
    }
    positive("model.intermediate", intermediate.unwrap_or(1).into(), found);
    positive("model.vocab_size", vocab_size.unwrap_or(1).into(), found);
    if let Some(positions) = positions.filter(|&positions| positions < spec.data.block_size) {
        found.push(format!(
            "model.positions: {positions} is less than data.block_size = {}; use at least as many",
            spec.data.block_size
        ));
    }
    if !(0.0..1.0).contains(dropout) {
        found.push(format!("model.dropout: {dropout} is not accepted; use 0 or more and less than 1"));
    }
}

fn training(training: &TrainingSpec, found: &mut Vec<String>) {
    positive("training.batch_size", training.batch_size.into(), found);
    rate("training.learning_rate", training.learning_rate, found);
    rate("training.max_grad_norm", training.max_grad_norm, found);
    for (number, rule) in training.rules.iter().enumerate() {
        let field = format!("training.rules[{number}]");
        if (rule.batch_size, rule.learning_rate) == (None, None) {
            found.push(format!("{field}: changes nothing; give it batch_size or learning_rate"));
        }
        positive(&format!("{field}.batch_size"), rule.batch_size.unwrap_or(1).into(), found);
        rate(&format!("{field}.learning_rate"), rule.learning_rate.unwrap_or(1.0), found);
    }
    positive("training.max_steps", training.max_steps.unwrap_or(1), found);
    word::<Order>("training.order", &training.order, found);
    word::<Dtype>("training.dtype", &training.dtype, found);
}

fn rest(spec: &StudySpec, found: &mut Vec<String>) {
    // One checkpoint is written per epoch begun. How many epochs a number of steps begins is known
    // only once the data is prepared, so stages per checkpoint could not be planned.
    let epochs = spec.grid.epochs.0.iter().any(|&epochs| epochs > 1);
    if spec.training.max_steps.is_some() && epochs {
        let which = match spec.collection.checkpoints {
            Checkpoints::All => "all",
            Checkpoints::Last => "last",
        };
        found.push(format!(
            "training.max_steps: is accepted only with grid.epochs = 1 (collection.checkpoints = {which} needs to know \
             the number of checkpoints)"
        ));
    }
    positive("collection.batch_size", spec.collection.batch_size.into(), found);
    positive("collection.save_every", spec.collection.save_every.into(), found);
    if spec.collection.one_pass && spec.collection.covariance {
        found.push(
            "collection.covariance: needs a second pass over the data; leave out collection.one_pass"
                .to_owned(),
        );
    }
    let analysis = &spec.analysis;
    measures(analysis, spec.collection.covariance, found);
    positive("analysis.min_per_class", analysis.min_per_class.into(), found);
    if let Some(most) = analysis.max_per_class.filter(|&most| most <= analysis.min_per_class) {
        found.push(format!(
            "analysis.max_per_class: {most} keeps no class; use more than analysis.min_per_class = {}",
            analysis.min_per_class
        ));
    }
    word::<Device>("resources.device", &spec.resources.device, found);
    positive("resources.attempts", spec.resources.attempts.into(), found);
    found.extend(super::rules::violations("resources.rules", &spec.resources.rules));
}

/// A study may ask for the groups that need no more than it collects.
fn measures(analysis: &AnalysisSpec, covariance: bool, found: &mut Vec<String>) {
    let accepted: Vec<&str> = GROUPS.into_iter().filter(|&group| group != FOREIGN).collect();
    if analysis.measures.is_empty() {
        found.push(format!("analysis.measures: is empty; use some of {}", accepted.join(", ")));
    }
    for name in analysis.measures.iter().filter(|name| !accepted.contains(&name.as_str())) {
        found.push(format!(
            "analysis.measures: {name:?} is not accepted; use some of {}",
            accepted.join(", ")
        ));
    }
    if analysis.measures.iter().any(|name| name == COVARIANCE) && !covariance {
        found.push(format!("analysis.measures: {COVARIANCE:?} needs collection.covariance = true"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{
        axis::{Counted, Doubled},
        study::TrainingRule,
    };

    fn after(change: impl FnOnce(&mut StudySpec)) -> Vec<String> {
        let mut spec = StudySpec::named("good.name-1");
        change(&mut spec);
        violations(&spec)
    }

    #[test]
    fn the_defaults_are_accepted() {
        assert_eq!(after(|_| {}), Vec::<String>::new());
        assert_eq!(after(|s| s.data.dataset = "hf:roneneldan/TinyStories".into()), Vec::<String>::new());
        assert_eq!(after(|s| s.resources.device = "cuda:3".into()), Vec::<String>::new());
        assert_eq!(after(|s| s.model.positions = Some(4096)), Vec::<String>::new());
    }

    #[test]
    fn every_violation_is_one_line_that_names_its_field() {
        type Change = fn(&mut StudySpec);
        let cases: &[(&str, Change)] = &[
            ("name", |s| s.name = "../x".into()),
            ("name", |s| s.name = String::new()),
            ("name", |s| s.name = "x".repeat(65)),
            ("data.dataset", |s| s.data.dataset = "stories".into()),
            ("data.dataset", |s| s.data.dataset = "hf:nobody".into()),
            ("data.tokenizer", |s| s.data.tokenizer = "./tokenizer.json".into()),
            ("data.validation", |s| s.data.validation = Some("v.txt".into())),
            ("data.block_size", |s| s.data.block_size = 1),
            ("data.shards", |s| s.data.shards = 0),
            ("grid.depth", |s| s.grid.depth = Counted(vec![])),
            ("grid.depth", |s| s.grid.depth = Counted(vec![0])),
            ("grid.width", |s| s.grid.width = Doubled(vec![0])),
            ("grid.width", |s| s.grid.width = Doubled(vec![100])),
            ("grid.epochs", |s| s.grid.epochs = Counted(vec![0])),
            ("grid.weight_decay", |s| s.grid.weight_decay = vec![]),
            ("grid.weight_decay", |s| s.grid.weight_decay = vec![f64::NAN]),
            ("grid.weight_decay", |s| s.grid.weight_decay = vec![-0.1]),
            ("grid.weight_decay", |s| s.grid.weight_decay = vec![0.2]),
            ("grid.decay_letters", |s| {
                let _ = s.grid.decay_letters.insert('é', 0.2);
            }),
            ("grid.decay_letters", |s| {
                let _ = s.grid.decay_letters.insert('d', 0.2);
            }),
            ("grid.decay_letters", |s| {
                let _ = s.grid.decay_letters.insert('q', 0.1);
            }),
            ("model.heads", |s| s.model.heads = 0),
            ("model.window", |s| s.model.window = 0),
            ("model.attention", |s| s.model.attention = vec![]),
            ("model.attention", |s| s.model.attention = vec!["sparse".into()]),
            ("model.intermediate", |s| s.model.intermediate = Some(0)),
            ("model.vocab_size", |s| s.model.vocab_size = Some(0)),
            ("model.positions", |s| s.model.positions = Some(2047)),
            ("model.dropout", |s| s.model.dropout = 1.0),
            ("training.batch_size", |s| s.training.batch_size = 0),
            ("training.learning_rate", |s| s.training.learning_rate = 0.0),
            ("training.max_grad_norm", |s| s.training.max_grad_norm = f64::INFINITY),
            ("training.max_steps", |s| s.training.max_steps = Some(0)),
            ("training.max_steps", |s| {
                s.training.max_steps = Some(5);
                s.grid.epochs = Counted(vec![1, 3]);
            }),
            ("training.rules[0]", |s| s.training.rules = vec![TrainingRule::default()]),
            ("training.rules[0].batch_size", |s| {
                s.training.rules = vec![TrainingRule { batch_size: Some(0), ..TrainingRule::default() }];
            }),
            ("training.rules[0].learning_rate", |s| {
                s.training.rules =
                    vec![TrainingRule { learning_rate: Some(-1.0), ..TrainingRule::default() }];
            }),
            ("training.order", |s| s.training.order = "random".into()),
            ("training.dtype", |s| s.training.dtype = "f16".into()),
            ("collection.batch_size", |s| s.collection.batch_size = 0),
            ("collection.save_every", |s| s.collection.save_every = 0),
            ("collection.covariance", |s| {
                (s.collection.one_pass, s.collection.covariance) = (true, true);
            }),
            ("analysis.measures", |s| s.analysis.measures = vec![]),
            ("analysis.measures", |s| s.analysis.measures = vec!["cov".into()]),
            ("analysis.measures", |s| s.analysis.measures = vec!["nc1".into()]),
            ("analysis.measures", |s| s.analysis.measures = vec!["ood".into()]),
            ("analysis.min_per_class", |s| s.analysis.min_per_class = 0),
            ("analysis.max_per_class", |s| s.analysis.max_per_class = Some(1)),
            ("resources.device", |s| s.resources.device = "cuda:".into()),
            ("resources.attempts", |s| s.resources.attempts = 0),
        ];
        for (field, change) in cases {
            let found = after(change);
            assert_eq!(found.len(), 1, "{field}: {found:?}");
            assert!(
                found[0].starts_with(&format!("{field}: ")) && !found[0].contains('\n'),
                "{field}: {found:?}"
            );
        }
    }
}
