//! A study without its runs: how many stages are in which state, what they took and what is left.

use super::{
    field::{self, AXES, Moment},
    grid::Places,
    inner::Study,
};
use crate::{
    domain::forecast::{self, StageTime},
    store::TableStage,
};
use chrono::{DateTime, Utc};
use protocol::{
    stage::StageKind,
    study::StudySpec,
    table::{KindCounts, SavedView, StudyBoard},
    view::{StageCounts, StudyState, StudySummary},
};
use std::collections::HashSet;

/// A study without its runs.
pub(super) fn board(
    study: &Study<'_>,
    mut summary: StudySummary,
    spec: Option<StudySpec>,
    views: Vec<SavedView>,
    now: DateTime<Utc>,
) -> StudyBoard {
    summarise(study, &mut summary, now);
    let moment = Moment { checkpoint: None, now: now.timestamp_millis() };
    let kinds = StageKind::ALL.iter().map(|&kind| {
        let mut counts = StageCounts::default();
        stages(study).filter(|(_, stage)| stage.kind == kind).for_each(|(_, stage)| counts.add(stage.state));
        KindCounts { kind, counts }
    });
    StudyBoard {
        kinds: kinds.collect(),
        axes: AXES.iter().map(|axis| Places::of(axis, &study.runs, moment).axis).collect(),
        columns: field::all(study).iter().map(|field| field.column(study)).collect(),
        last_checkpoint: study.runs.iter().filter_map(|run| run.checkpoint(None)).max(),
        summary,
        spec,
        views,
    }
}

/// Imported results: nothing but where they come from.
pub(super) const fn without_runs(summary: StudySummary) -> StudyBoard {
    StudyBoard {
        summary,
        spec: None,
        kinds: Vec::new(),
        axes: Vec::new(),
        columns: Vec::new(),
        last_checkpoint: None,
        views: Vec::new(),
    }
}

/// Every stage once, also a `prepare` that runs share, with the architecture of its run.
fn stages<'a>(study: &'a Study<'_>) -> impl Iterator<Item = ((u32, u32), &'a TableStage)> {
    let mut shared = HashSet::new();
    study
        .runs
        .iter()
        .flat_map(|run| run.stages.iter().map(|stage| ((run.layers, run.width), stage)))
        .filter(move |(_, stage)| stage.kind != StageKind::Prepare || shared.insert(stage.id))
}

/// Fills in what a summary says about the stages.
pub(super) fn summarise(study: &Study<'_>, summary: &mut StudySummary, now: DateTime<Utc>) {
    let (mut counts, mut finished) = (StageCounts::default(), None);
    let milliseconds = now.timestamp_millis();
    let mut times = Vec::new();
    for (architecture, stage) in stages(study) {
        counts.add(stage.state);
        finished = finished.max(stage.finished);
        times.push(StageTime {
            kind: stage.kind,
            architecture,
            state: stage.state,
            started: stage.attempt_started,
            finished: stage.finished,
        });
    }
    let forecast = forecast::forecast(&times, milliseconds);
    summary.state = counts.study_state();
    summary.stages = counts;
    summary.runs = study.runs.len() as u64;
    summary.finished =
        finished.filter(|_| summary.state != StudyState::Active).and_then(DateTime::from_timestamp_millis);
    summary.gpu_hours = study.runs.iter().map(|run| run.gpu_hours(milliseconds)).sum();
    // What is left shares devices as what is over did.
    let (held, took) = study
        .runs
        .iter()
        .fold((0.0, 0.0), |(held, took), run| (held + run.device_ms, took + run.took_ms as f64));
    let share = if took > 0.0 { held / took } else { 1.0 };
    summary.gpu_hours_left = forecast.hours_left.map(|hours| hours * share);
    summary.expected_end = forecast.end.and_then(DateTime::from_timestamp_millis);
}
