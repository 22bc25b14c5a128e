//! How people name runs and stages: `01x0032_01d00`, `first/01x0032_01d00@0`, `train`, `means@2`.

use super::{failure::Failure, table};
use crate::client::Client;
use protocol::{
    stage::{StageRef, StageState},
    view::{RunSummary, StageView},
};

/// Shortest prefix of a hash that may stand for a run.
const HASH_PREFIX: usize = 6;

/// The stage of a run that is meant; of several checkpoints the newest that was started.
///
/// # Errors
/// When the run has no such stage.
pub(super) fn stage(run: &RunSummary, which: StageRef) -> Result<&StageView, Failure> {
    let named = || run.stages.iter().filter(|stage| which.means(stage.kind, stage.checkpoint));
    named().rfind(|stage| stage.attempts > 0).or_else(|| named().next_back()).ok_or_else(|| {
        let has: Vec<_> = run.stages.iter().map(|s| table::stage_name(s.kind, s.checkpoint)).collect();
        Failure::Usage(format!("run {} has no stage {which}; it has {}", run.name, has.join(", ")))
    })
}

/// The stage that a person most likely asks about: what runs, else what failed, else what came last.
pub(super) fn telling(run: &RunSummary) -> Option<&StageView> {
    let stages = || run.stages.iter();
    stages()
        .find(|stage| stage.state == StageState::Running)
        .or_else(|| stages().find(|stage| stage.state == StageState::Failed))
        .or_else(|| stages().rfind(|stage| stage.attempts > 0))
        .or_else(|| stages().next())
}

/// The run that `reference` names, within `study` or among all: by name, identifier, id or the
/// beginning of its hash.
///
/// # Errors
/// When none or several are meant, or the daemon refuses.
pub(super) async fn run(
    client: &Client,
    reference: &str,
    study: Option<&str>,
) -> Result<RunSummary, Failure> {
    let (study, name) = match reference.split_once('/') {
        Some((study, name)) => (Some(study), name),
        None => (study, reference),
    };
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let studies = match study {
        Some(study) => vec![study.to_owned()],
        // Imported results have no runs.
        None => {
            let all = client.studies().await?.into_iter().filter(|study| study.origin.is_none());
            all.map(|study| study.name).collect()
        }
    };
    let mut runs: Vec<Run> = Vec::new();
    for study in &studies {
        for run in client.study(study).await?.runs {
            // Studies share runs.
            if runs.iter().all(|(_, known)| known.id != run.id) {
                runs.push((study.clone(), run));
            }
        }
    }
    choose(runs, name).map_err(|others| {
        Failure::Usage(match study {
            _ if !others.is_empty() => format!("'{name}' may be {}; name one of them", others.join(" or ")),
            Some(study) => {
                format!("no run in study {study} is called '{name}'; 'lcctl status {study}' lists them")
            }
            None if studies.iter().any(|study| study == name) => {
                format!(
                    "{name} is a study; name one of its runs, as {name}/RUN; 'lcctl status {name}' lists them"
                )
            }
            None => format!("no run is called '{name}'; 'lcctl status STUDY' lists them"),
        })
    })
}

/// A run and a study that has it.
type Run = (String, RunSummary);

/// The one run that a name means, or all that it may mean, as STUDY/RUN.
fn choose(runs: Vec<Run>, name: &str) -> Result<RunSummary, Vec<String>> {
    let by: [&dyn Fn(&RunSummary) -> bool; 3] = [
        // The folder of one study's run may be called as another study's run is.
        &|run| run.name == name || run.identifier == name,
        &|run| run.id.to_string() == name,
        &|run| name.len() >= HASH_PREFIX && run.hash.starts_with(name),
    ];
    for meant in by {
        let found: Vec<_> = runs.iter().filter(|(_, run)| meant(run)).collect();
        match found[..] {
            [] => {}
            [(_, run)] => return Ok(run.clone()),
            _ => {
                return Err(found.iter().map(|(study, run)| format!("{study}/{}", run.identifier)).collect());
            }
        }
    }
    Err(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::choose;
    use protocol::{ids::RunId, view::RunSummary};

    fn run(id: i64, identifier: &str, name: &str, hash: &str) -> RunSummary {
        RunSummary {
            id: RunId(id),
            identifier: identifier.into(),
            name: name.into(),
            hash: hash.into(),
            layers: 1,
            width: 32,
            seed: 0,
            epochs: 1,
            weight_decay: 0.0,
            priority: 0,
            stages: Vec::new(),
        }
    }

    #[test]
    fn a_run_is_found_by_name_identifier_id_and_hash() {
        let runs = || {
            vec![
                ("a".to_owned(), run(1, "01x0032_01d00", "01x0032_01d00", "aaaaaaaa")),
                ("b".to_owned(), run(2, "01x0032_01d00", "b-01x0032_01d00", "aaaaaabb")),
                ("b".to_owned(), run(3, "01x0064_01d00", "b-01x0064_01d00", "cccccccc")),
            ]
        };
        let found = |name: &str| choose(runs(), name).map(|run| run.id.0);
        let both = Err(vec!["a/01x0032_01d00".to_owned(), "b/01x0032_01d00".to_owned()]);
        assert_eq!(found("01x0032_01d00"), both, "one's folder is called as the other is");
        assert_eq!(found("b-01x0032_01d00"), Ok(2));
        assert_eq!(found("01x0064_01d00"), Ok(3));
        assert_eq!(found("2"), Ok(2));
        assert_eq!(found("cccccc"), Ok(3));
        assert_eq!(found("aaaaaa"), both);
        assert_eq!(found("nothing"), Err(vec![]));
    }
}
