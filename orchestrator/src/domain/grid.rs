//! Expands a study into its runs.

use super::validate::violations;
use protocol::{
    keep::KeepCheckpoints,
    measures::{ALL, PUBLISHED},
    run::RunConfig,
    study::{AnalysisSpec, Checkpoints, ModelSpec, StudySpec, TrainingSpec},
};
use std::collections::HashSet;

/// The most runs that one study may have.
pub const MOST_RUNS: usize = 20_000;

/// What is wrong with a study: one line per violation, each naming the field and what is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Invalid(pub Vec<String>);

/// Weight decays that have a letter in the published tables.
pub const DECAY_LETTERS: [(char, f64); 3] = [('n', 0.0), ('d', 0.0005), ('L', 0.1)];

/// The letter of a weight decay in this study.
#[must_use]
pub fn decay_letter(spec: &StudySpec, decay: f64) -> Option<char> {
    let own = spec.grid.decay_letters.iter().map(|(&letter, &value)| (letter, value));
    DECAY_LETTERS.into_iter().chain(own).find_map(|(letter, value)| (value == decay).then_some(letter))
}

/// The runs of a study in canonical form, ordered by depth, width, epochs, weight decay and seed as
/// the study lists them.
///
/// # Errors
/// When the study is not valid; every violation is listed.
pub fn expand(spec: &StudySpec) -> Result<Vec<RunConfig>, Invalid> {
    let mut found = violations(spec);
    let grid = &spec.grid;
    let axes = [
        grid.depth.0.len(),
        grid.width.0.len(),
        grid.epochs.0.len(),
        grid.weight_decay.len(),
        grid.seed.0.len(),
    ];
    let size = axes.iter().try_fold(1_usize, |size, &axis| size.checked_mul(axis)).unwrap_or(usize::MAX);
    if size > MOST_RUNS {
        found.push(format!("grid: gives {size} runs; at most {MOST_RUNS} are accepted in one study"));
    }
    if !found.is_empty() {
        return Err(Invalid(found));
    }
    let mut runs = Vec::with_capacity(size);
    for &layers in &grid.depth.0 {
        for &width in &grid.width.0 {
            for &epochs in &grid.epochs.0 {
                for &weight_decay in &grid.weight_decay {
                    let Some(decay) = decay_letter(spec, weight_decay) else { continue };
                    for &seed in &grid.seed.0 {
                        runs.push(RunConfig {
                            data: spec.data.clone(),
                            layers,
                            width,
                            seed,
                            epochs,
                            weight_decay,
                            decay,
                            model: canonical_model(&spec.model, width, spec.data.block_size),
                            training: canonical_training(spec, layers, width, epochs),
                            checkpoints: spec.collection.checkpoints,
                            analysis: canonical_analysis(&spec.analysis),
                        });
                    }
                }
            }
        }
    }
    let mut seen = HashSet::new();
    let twice: Vec<_> = runs
        .iter()
        .map(RunConfig::identifier)
        .filter(|&identifier| !seen.insert(identifier))
        .map(|identifier| {
            format!("grid: gives the run {identifier} twice; every value of an axis may come once")
        })
        .collect();
    if twice.is_empty() { Ok(runs) } else { Err(Invalid(twice)) }
}

/// Settings that say what the default says anyway are left out, so that both ways of writing give
/// the same run.
fn canonical_model(model: &ModelSpec, width: u32, block_size: u32) -> ModelSpec {
    ModelSpec {
        intermediate: model.intermediate.filter(|&given| Some(given) != width.checked_mul(4)),
        positions: model.positions.filter(|&given| given != block_size),
        ..model.clone()
    }
}

/// What an architecture trains with. What is kept of the checkpoints counts only where it leaves fewer of them to analyse.
fn canonical_training(spec: &StudySpec, layers: u32, width: u32, epochs: u32) -> TrainingSpec {
    let keep_checkpoints = match (spec.collection.checkpoints, spec.training.keep_checkpoints) {
        (Checkpoints::All, fewer @ KeepCheckpoints::Newest(count)) if count.get() < epochs => fewer,
        _ => KeepCheckpoints::All,
    };
    let mut training = TrainingSpec { keep_checkpoints, rules: Vec::new(), ..spec.training.clone() };
    for rule in spec.training.rules.iter().filter(|rule| rule.is_for(layers, width)) {
        training.batch_size = rule.batch_size.unwrap_or(training.batch_size);
        training.learning_rate = rule.learning_rate.unwrap_or(training.learning_rate);
    }
    training
}

fn canonical_analysis(analysis: &AnalysisSpec) -> AnalysisSpec {
    let mut measures = analysis.measures.clone();
    measures.sort_unstable();
    measures.dedup();
    // The groups that `all` holds need not be named again.
    if measures.iter().any(|name| name == ALL) {
        measures.retain(|name| !PUBLISHED.contains(&name.as_str()));
    }
    AnalysisSpec { measures, ..analysis.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{
        axis::{Counted, Doubled},
        study::TrainingRule,
    };

    #[test]
    fn a_grid_gives_every_combination_once_in_order() {
        let mut spec = StudySpec::named("s");
        spec.grid.depth = Counted(vec![1, 2]);
        spec.grid.width = Doubled(vec![64, 128]);
        spec.grid.seed = Counted(vec![0, 7]);
        spec.grid.weight_decay = vec![0.0005, 0.1];
        let names: Vec<_> = expand(&spec).unwrap().iter().map(|run| run.identifier().to_string()).collect();
        assert_eq!(names.len(), 16);
        assert_eq!(
            names[..5],
            ["01x0064_01d00", "01x0064_01d07", "01x0064_01L00", "01x0064_01L07", "01x0128_01d00"]
        );
        assert_eq!(names[15], "02x0128_01L07");
    }

    #[test]
    fn rules_say_what_an_architecture_trains_with_and_leave_no_trace_in_its_identity() {
        let mut spec = StudySpec::named("s");
        spec.grid.depth = Counted(vec![1, 2, 4]);
        spec.grid.width = Doubled(vec![64, 1024]);
        let rule = |depth: Option<&str>, width: Option<&str>, batch_size, learning_rate| TrainingRule {
            depth: depth.map(|span| span.parse().unwrap()),
            width: width.map(|span| span.parse().unwrap()),
            batch_size,
            learning_rate,
        };
        spec.training.rules = vec![
            rule(Some("2.."), Some("512.."), Some(8), None),
            rule(Some("4.."), None, Some(4), Some(1e-4)),
        ];
        let runs = expand(&spec).unwrap();
        let told: Vec<_> = runs.iter().map(|run| (run.layers, run.width, run.training.batch_size)).collect();
        assert_eq!(told, [(1, 64, 16), (1, 1024, 16), (2, 64, 16), (2, 1024, 8), (4, 64, 4), (4, 1024, 4)]);
        assert_eq!((runs[3].training.learning_rate, runs[4].training.learning_rate), (5e-5, 1e-4));

        let mut plain = StudySpec::named("s");
        plain.grid.depth = Counted(vec![2]);
        plain.grid.width = Doubled(vec![1024]);
        plain.training.batch_size = 8;
        assert_eq!(expand(&plain).unwrap()[0], runs[3]);
    }

    #[test]
    fn own_decays_need_a_letter() {
        let mut spec = StudySpec::named("s");
        spec.grid.weight_decay = vec![0.01];
        assert!(expand(&spec).unwrap_err().0[0].starts_with("grid.weight_decay: 0.01 has no letter"));
        spec.grid.decay_letters.insert('m', 0.01);
        assert_eq!(expand(&spec).unwrap()[0].identifier().to_string(), "01x0064_01m00");
    }

    #[test]
    fn a_grid_beyond_all_measure_is_refused_without_being_built() {
        let mut spec = StudySpec::named("s");
        spec.grid.seed = Counted((0..100_000).collect());
        spec.grid.depth = Counted((1..=100_000).collect());
        assert!(expand(&spec).unwrap_err().0[0].contains("gives 10000000000 runs"));
    }
}
