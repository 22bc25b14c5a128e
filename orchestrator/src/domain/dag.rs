//! The stages of a run, and what each of them waits for.

use protocol::{
    keep::KeepCheckpoints,
    run::RunConfig,
    stage::{StageKind, StageState},
    study::Checkpoints,
};

/// A stage of one run, before it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStage {
    /// Kind.
    pub kind: StageKind,
    /// Checkpoint index, for kinds that have one.
    pub checkpoint: Option<u32>,
    /// Positions, in the run's list, of the stages that must be done first.
    pub parents: Vec<usize>,
}

/// The checkpoint indices that are analysed: one checkpoint is written per epoch, and no more are
/// analysed than are kept.
#[must_use]
pub fn checkpoints(config: &RunConfig) -> std::ops::Range<u32> {
    let first = match (config.checkpoints, config.training.keep_checkpoints) {
        (Checkpoints::Last, _) => config.epochs.saturating_sub(1),
        (Checkpoints::All, KeepCheckpoints::Newest(count)) => config.epochs.saturating_sub(count.get()),
        (Checkpoints::All, KeepCheckpoints::All | KeepCheckpoints::Weights) => 0,
    };
    first..config.epochs
}

/// All stages of a run in topological order; the first is the `prepare` that it shares with every
/// run on the same data.
#[must_use]
pub fn stages(config: &RunConfig) -> Vec<PlannedStage> {
    let mut planned: Vec<PlannedStage> = Vec::new();
    let once = StageKind::ALL.iter().filter(|kind| !kind.per_checkpoint()).map(|&kind| (kind, None));
    let each = checkpoints(config).flat_map(|checkpoint| {
        StageKind::ALL.iter().filter(|kind| kind.per_checkpoint()).map(move |&kind| (kind, Some(checkpoint)))
    });
    for (kind, checkpoint) in once.chain(each) {
        let is_parent = |stage: &PlannedStage| {
            kind.parents().contains(&stage.kind)
                && (stage.checkpoint.is_none() || stage.checkpoint == checkpoint)
        };
        let parents = planned
            .iter()
            .enumerate()
            .filter_map(|(position, stage)| is_parent(stage).then_some(position))
            .collect();
        planned.push(PlannedStage { kind, checkpoint, parents });
    }
    planned
}

/// The state that a stage which waits, or was queued ahead of its parents' end, takes because of them, if
/// another one.
#[must_use]
pub fn settled(own: StageState, parents: &[StageState]) -> Option<StageState> {
    use StageState as S;
    if !matches!(own, S::Waiting | S::Queued) {
        return None;
    }
    if parents.iter().any(|parent| matches!(parent, S::Failed | S::Cancelled | S::Skipped)) {
        return Some(S::Skipped);
    }
    if own == S::Queued {
        return None;
    }
    parents.iter().all(|&parent| parent == S::Done).then_some(S::Ready)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grid::expand;
    use protocol::{axis::Counted, study::StudySpec};

    fn planned(epochs: u32, checkpoints: Checkpoints) -> Vec<PlannedStage> {
        let mut spec = StudySpec::named("s");
        spec.grid.epochs = Counted(vec![epochs]);
        spec.collection.checkpoints = checkpoints;
        stages(&expand(&spec).unwrap()[0])
    }

    #[test]
    fn a_run_has_one_chain_per_checkpoint() {
        let stages = planned(2, Checkpoints::All);
        assert_eq!(stages.len(), 2 + 2 * 5);
        let text: Vec<_> = stages
            .iter()
            .map(|s| format!("{}{:?}<{:?}", s.kind, s.checkpoint.map_or(-1, i64::from), s.parents))
            .collect();
        assert_eq!(
            text,
            [
                "prepare-1<[]",
                "train-1<[0]",
                "evaluate0<[1]",
                "means0<[1]",
                "vars0<[3]",
                "decs0<[3]",
                "analyze0<[2, 3, 4, 5]",
                "evaluate1<[1]",
                "means1<[1]",
                "vars1<[8]",
                "decs1<[8]",
                "analyze1<[7, 8, 9, 10]",
            ]
        );
    }

    #[test]
    fn the_last_checkpoint_alone_keeps_its_index() {
        let stages = planned(3, Checkpoints::Last);
        assert_eq!(stages.len(), 7);
        assert!(stages.iter().skip(2).all(|stage| stage.checkpoint == Some(2)));
    }

    #[test]
    fn only_checkpoints_that_are_kept_get_stages() {
        let analysed = |keep: &str, which| {
            let mut spec = StudySpec::named("s");
            spec.grid.epochs = Counted(vec![5]);
            spec.collection.checkpoints = which;
            spec.training.keep_checkpoints = keep.parse().unwrap();
            checkpoints(&expand(&spec).unwrap()[0])
        };
        assert_eq!(analysed("2", Checkpoints::All), 3..5);
        assert_eq!(analysed("7", Checkpoints::All), 0..5);
        assert_eq!(analysed("weights", Checkpoints::All), 0..5);
        assert_eq!(analysed("2", Checkpoints::Last), 4..5);
        // Training is told what the study says, and leaves all that the plan needs.
        for newest in 1..8_u32 {
            for which in [Checkpoints::All, Checkpoints::Last] {
                let kept = 5_u32.saturating_sub(newest)..5;
                assert!(analysed(&newest.to_string(), which).all(|index| kept.contains(&index)), "{newest}");
            }
        }
    }

    #[test]
    fn a_stage_waits_for_all_parents_and_is_skipped_with_any() {
        use StageState as S;
        assert_eq!(settled(S::Waiting, &[]), Some(S::Ready));
        assert_eq!(settled(S::Waiting, &[S::Done, S::Running]), None);
        assert_eq!(settled(S::Waiting, &[S::Done, S::Done]), Some(S::Ready));
        assert_eq!(settled(S::Waiting, &[S::Running, S::Skipped]), Some(S::Skipped));
        assert_eq!(settled(S::Running, &[S::Failed]), None);
        assert_eq!(settled(S::Queued, &[S::Failed]), Some(S::Skipped));
        assert_eq!(settled(S::Queued, &[S::Done]), None);
    }
}
