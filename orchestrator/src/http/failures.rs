//! What went wrong, by cause.

use super::{ApiError, App, extract::Query};
use crate::{
    domain::diagnosis::{self, Evidence},
    executor::folder,
    store::{FailedAttempt, Outcomes},
};
use axum::{Json, extract::State, http::StatusCode};
use protocol::{
    problem::Problem,
    stage::{AttemptState, StageKind, StageState},
    table::{FailureCase, FailureGroup, Failures},
};
use serde::Deserialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only of this study.
    study: Option<String>,
}

/// Attempts that failed, by cause, with evidence and what to do about it.
#[utoipa::path(get, path = "/failures", tag = "table", operation_id = "failures", params(Filter), responses(
    (status = 200, body = Failures),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(app): State<App>,
    Query(filter): Query<Filter>,
) -> Result<Json<Failures>, ApiError> {
    let found = app.store.failures(filter.study.as_deref()).await?;
    let groups = tokio::task::spawn_blocking(move || grouped(&found)).await;
    let groups = groups
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "failures", error.to_string()))?;
    Ok(Json(Failures { groups }))
}

/// Lines of a log that are shown.
const LINES: usize = 12;
/// Examples of a group.
const CASES: usize = 5;

/// Groups attempts that ended in the same way, the largest group first, and reads the logs of the examples.
fn grouped(found: &Outcomes) -> Vec<FailureGroup> {
    let mut groups: BTreeMap<(AttemptState, StageKind, String), Vec<&FailedAttempt>> = BTreeMap::new();
    for attempt in &found.attempts {
        let cause = diagnosis::cause(attempt.message.as_deref().unwrap_or("ended without a message"));
        groups.entry((attempt.state, attempt.kind, cause)).or_default().push(attempt);
    }
    let mut groups: Vec<FailureGroup> = groups
        .into_iter()
        .map(|((state, kind, cause), attempts)| group(state, kind, cause, &attempts, found))
        .collect();
    groups.sort_by_key(|group| (Reverse((group.failed, group.last)), group.cause.clone()));
    groups
}

fn group(
    state: AttemptState,
    kind: StageKind,
    cause: String,
    attempts: &[&FailedAttempt],
    found: &Outcomes,
) -> FailureGroup {
    let newest = attempts[0];
    let evidence =
        Evidence { message: newest.message.as_deref(), exit_code: newest.exit_code, signal: newest.signal };
    let advice = diagnosis::advice(state, evidence);
    let is_final = |attempt: &&&FailedAttempt| attempt.newest && attempt.stage_state == StageState::Failed;
    let failed: BTreeSet<_> = attempts.iter().filter(is_final).map(|attempt| attempt.stage).collect();
    let studies: BTreeSet<_> = attempts.iter().flat_map(|attempt| attempt.studies.iter().cloned()).collect();
    FailureGroup {
        state,
        kind,
        cause,
        suggestion: advice.suggestion,
        transient: advice.transient,
        retried: attempts.len() as u64 - attempts.iter().filter(is_final).count() as u64,
        skipped: failed.iter().filter_map(|stage| found.skipped.get(stage)).sum(),
        failed: failed.len() as u64,
        first: attempts.iter().map(|attempt| attempt.finished).min().unwrap_or(newest.finished),
        last: newest.finished,
        studies: studies.into_iter().collect(),
        cases: examples(attempts).into_iter().map(case).collect(),
    }
}

/// The newest attempts, of as many stages as there are.
fn examples<'a>(attempts: &[&'a FailedAttempt]) -> Vec<&'a FailedAttempt> {
    let mut stages = BTreeSet::new();
    let firsts = attempts.iter().copied().filter(|attempt| stages.insert(attempt.stage));
    firsts.take(CASES).collect()
}

fn case(attempt: &FailedAttempt) -> FailureCase {
    let log = folder::log_tail(&attempt.folder, 16 << 10).map(|(text, _)| text).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    FailureCase {
        run: attempt.run,
        identifier: attempt.identifier.clone(),
        stage: attempt.stage,
        checkpoint: attempt.checkpoint,
        attempt: attempt.id,
        number: attempt.number,
        message: attempt.message.clone(),
        place: attempt.place.clone(),
        node: attempt.node.clone(),
        slurm_state: attempt.slurm_state.clone(),
        exit_code: attempt.exit_code,
        signal: attempt.signal,
        heard: attempt.heard,
        finished: Some(attempt.finished),
        log: lines[lines.len().saturating_sub(LINES)..].iter().map(|&line| line.to_owned()).collect(),
    }
}
