//! What a watcher knows of a study: pure state, fed by snapshots and changes.

use protocol::{
    ids::{RunId, StageId},
    stage::{StageKind, StageState},
    view::{Change, ChangeBody, StageView, StudyDetail, StudyState},
};
use std::collections::{BTreeMap, HashMap};

/// A stage with the name of what it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Entry {
    /// `01x0032_01d00`, or the study's name for a shared `prepare`.
    pub label: String,
    /// The stage as last heard of.
    pub stage: StageView,
}

/// A stage came to a new state.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Moved {
    /// Before.
    pub from: StageState,
    /// The stage now.
    pub entry: Entry,
}

/// The study as last heard of.
#[derive(Debug)]
pub(in crate::cli) struct Board {
    state: StudyState,
    entries: BTreeMap<StageId, Entry>,
    losses: HashMap<RunId, f64>,
}

impl Board {
    /// A board that starts from a snapshot.
    pub(in crate::cli) fn new(detail: &StudyDetail) -> Self {
        let mut board =
            Self { state: detail.summary.state, entries: BTreeMap::new(), losses: HashMap::new() };
        board.catch_up(detail);
        board
    }

    /// Takes a newer snapshot, and tells what moved since.
    pub(in crate::cli) fn catch_up(&mut self, detail: &StudyDetail) -> Vec<Moved> {
        self.state = detail.summary.state;
        let mut moved = Vec::new();
        for run in &detail.runs {
            for stage in &run.stages {
                let label = match stage.run {
                    Some(_) => run.identifier.clone(),
                    None => detail.summary.name.clone(),
                };
                moved.extend(self.set(Entry { label, stage: stage.clone() }));
            }
        }
        moved
    }

    /// Takes a change, and tells what moved by it.
    pub(in crate::cli) fn apply(&mut self, change: &Change) -> Option<Moved> {
        match &change.body {
            ChangeBody::Stage { stage } => {
                // A stage that no snapshot named belongs to an extension: the next snapshot brings it.
                let label = self.entries.get(&stage.id)?.label.clone();
                self.set(Entry { label, stage: stage.clone() })
            }
            ChangeBody::Metrics { run, points } => {
                if let Some(point) = points.last() {
                    self.losses.insert(*run, point.loss.0);
                }
                None
            }
            ChangeBody::Study | ChangeBody::Results { .. } => None,
        }
    }

    /// Whether, by what was heard, every stage is final; a snapshot has the last word.
    pub(in crate::cli) fn looks_over(&self) -> bool {
        self.entries.values().all(|entry| entry.stage.state.is_final())
    }

    /// Where the study stands by the last snapshot.
    pub(in crate::cli) const fn state(&self) -> StudyState {
        self.state
    }

    /// The stages that run, in order of stage id.
    pub(in crate::cli) fn running(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| entry.stage.state == StageState::Running)
    }

    /// Stages that are final, and all stages.
    pub(in crate::cli) fn progress(&self) -> (u64, u64) {
        let over = self.entries.values().filter(|entry| entry.stage.state.is_final()).count();
        (over as u64, self.entries.len() as u64)
    }

    /// The newest training loss of the run that a stage trains.
    pub(in crate::cli) fn loss(&self, stage: &StageView) -> Option<f64> {
        (stage.kind == StageKind::Train).then_some(())?;
        self.losses.get(&stage.run?).copied()
    }

    fn set(&mut self, entry: Entry) -> Option<Moved> {
        let before = self.entries.insert(entry.stage.id, entry.clone());
        let from = before.map(|before| before.stage.state)?;
        (from != entry.stage.state).then_some(Moved { from, entry })
    }
}

#[cfg(test)]
mod tests {
    use super::Board;
    use protocol::{
        attempt::{MetricPoint, Progress},
        ids::{ChangeId, RunId, StageId},
        real::Real,
        stage::{StageKind, StageState},
        study::StudySpec,
        view::{
            Change, ChangeBody, RunSummary, StageCounts, StageView, StudyDetail, StudyState, StudySummary,
        },
    };

    fn stage(id: i64, kind: StageKind, state: StageState) -> StageView {
        StageView {
            id: StageId(id),
            run: (kind != StageKind::Prepare).then_some(RunId(1)),
            kind,
            checkpoint: None,
            state,
            progress: Some(Progress { done: 1, total: 2, unit: "steps".into() }),
            attempts: 1,
            started: None,
            attempt_started: None,
            finished: None,
            reason: None,
        }
    }

    fn detail(stages: Vec<StageView>) -> StudyDetail {
        let none = StageCounts {
            waiting: 0,
            ready: 0,
            queued: 0,
            running: 0,
            done: 0,
            failed: 0,
            cancelled: 0,
            skipped: 0,
        };
        StudyDetail {
            summary: StudySummary {
                name: "s".into(),
                state: StudyState::Active,
                created: chrono::DateTime::UNIX_EPOCH,
                finished: None,
                runs: 1,
                stages: none,
                results: None,
                gpu_hours: 0.0,
                gpu_hours_left: None,
                expected_end: None,
                origin: None,
            },
            spec: StudySpec::named("s"),
            runs: vec![RunSummary {
                id: RunId(1),
                identifier: "01x0032_01d00".into(),
                name: "01x0032_01d00".into(),
                hash: String::new(),
                layers: 1,
                width: 32,
                seed: 0,
                epochs: 1,
                weight_decay: 0.0,
                priority: 0,
                stages,
            }],
        }
    }

    fn change(body: ChangeBody) -> Change {
        Change { id: ChangeId(1), studies: vec!["s".into()], body }
    }

    #[test]
    fn a_change_of_state_is_told_once() {
        let mut board = Board::new(&detail(vec![
            stage(1, StageKind::Prepare, StageState::Done),
            stage(2, StageKind::Train, StageState::Queued),
        ]));
        let running = change(ChangeBody::Stage { stage: stage(2, StageKind::Train, StageState::Running) });
        let moved = board.apply(&running).unwrap();
        assert_eq!((moved.from, moved.entry.label.as_str()), (StageState::Queued, "01x0032_01d00"));
        assert_eq!(board.apply(&running), None);
        assert_eq!(board.running().count(), 1);
        assert_eq!(board.progress(), (1, 2));
        assert!(!board.looks_over());
    }

    #[test]
    fn a_snapshot_tells_what_was_missed() {
        let mut board = Board::new(&detail(vec![stage(2, StageKind::Train, StageState::Running)]));
        let moved = board.catch_up(&detail(vec![stage(2, StageKind::Train, StageState::Done)]));
        assert_eq!(moved.len(), 1);
        assert!(board.looks_over());
    }

    #[test]
    fn a_stage_that_is_not_of_the_study_is_ignored() {
        let mut board = Board::new(&detail(vec![stage(2, StageKind::Train, StageState::Running)]));
        let other = change(ChangeBody::Stage { stage: stage(9, StageKind::Train, StageState::Failed) });
        assert_eq!(board.apply(&other), None);
        assert_eq!(board.progress(), (0, 1));
    }

    #[test]
    fn the_loss_shown_is_the_newest() {
        let train = stage(2, StageKind::Train, StageState::Running);
        let mut board = Board::new(&detail(vec![train.clone()]));
        assert_eq!(board.loss(&train), None);
        let point = |loss| MetricPoint {
            step: 1,
            epoch: 0.1,
            loss: Real(loss),
            learning_rate: 0.0,
            grad_norm: Real(1.0),
            tokens_per_s: 1.0,
        };
        board.apply(&change(ChangeBody::Metrics { run: RunId(1), points: vec![point(5.0), point(4.0)] }));
        assert_eq!(board.loss(&train), Some(4.0));
    }
}
