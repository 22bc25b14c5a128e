//! What went wrong, by cause.

use super::{ApiError, App, extract::Query};
use crate::{
    domain::diagnosis::{self, Evidence},
    executor::folder,
    store::{FailedAttempt, FailureDetail, Outcomes},
};
use axum::{Json, extract::State};
use protocol::{
    problem::Problem,
    stage::{AttemptState, StageKind, StageState},
    table::{FailureCase, FailureGroup, Failures},
};
use serde::Deserialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
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
    let mut record = app.store.failures().await?;
    let found = record.outcomes(filter.study.as_deref()).await?;
    let mut read = Vec::new();
    for (ending, attempts) in grouped(&found.attempts) {
        let rows: Vec<i64> = examples(&attempts).iter().map(|attempt| attempt.row).collect();
        let details = record.details(&rows).await?;
        let mut stages: Vec<_> = attempts.iter().map(|attempt| attempt.stage).collect();
        stages.dedup();
        read.push((ending, attempts, details, record.studies(&stages).await?));
    }
    // Logs may lie on a slow disk: nothing is held of the record meanwhile.
    drop(record);
    let mut groups = Vec::new();
    for (ending, attempts, details, studies) in read {
        groups.push(group(&found, ending, &attempts, &details, studies).await);
    }
    groups.sort_by_key(|group: &FailureGroup| (Reverse((group.failed, group.last)), group.cause.clone()));
    Ok(Json(Failures { groups }))
}

/// Lines of a log that are shown.
const LINES: usize = 12;
/// Examples of a group.
const CASES: usize = 5;

/// How attempts ended: what those of a group have in common.
type Ending = (AttemptState, StageKind, String);

/// Attempts that ended in the same way, the newest first.
fn grouped(attempts: &[FailedAttempt]) -> BTreeMap<Ending, Vec<&FailedAttempt>> {
    let mut groups: BTreeMap<Ending, Vec<&FailedAttempt>> = BTreeMap::new();
    let mut causes: HashMap<Option<&str>, String> = HashMap::new();
    for attempt in attempts {
        let message = attempt.message.as_deref();
        let cause = causes
            .entry(message)
            .or_insert_with(|| diagnosis::cause(message.unwrap_or("ended without a message")));
        groups.entry((attempt.state, attempt.kind, cause.clone())).or_default().push(attempt);
    }
    groups
}

async fn group(
    found: &Outcomes,
    (state, kind, cause): Ending,
    attempts: &[&FailedAttempt],
    details: &HashMap<i64, FailureDetail>,
    studies: Vec<String>,
) -> FailureGroup {
    let newest = attempts[0];
    let detail = details.get(&newest.row);
    let evidence = Evidence {
        message: newest.message.as_deref(),
        exit_code: detail.and_then(|detail| detail.exit_code),
        signal: detail.and_then(|detail| detail.signal),
    };
    let advice = diagnosis::advice(state, evidence);
    let is_final = |attempt: &&&FailedAttempt| attempt.newest && attempt.stage_state == StageState::Failed;
    let failed: BTreeSet<_> = attempts.iter().filter(is_final).map(|attempt| attempt.stage).collect();
    let mut cases = Vec::with_capacity(details.len());
    for attempt in examples(attempts) {
        if let Some(detail) = details.get(&attempt.row) {
            cases.push(case(attempt, detail).await);
        }
    }
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
        studies,
        cases,
    }
}

/// The newest attempts, of as many stages as there are.
fn examples<'a>(attempts: &[&'a FailedAttempt]) -> Vec<&'a FailedAttempt> {
    let mut stages = BTreeSet::new();
    let firsts = attempts.iter().copied().filter(|attempt| stages.insert(attempt.stage));
    firsts.take(CASES).collect()
}

async fn case(attempt: &FailedAttempt, detail: &FailureDetail) -> FailureCase {
    let folder = detail.folder.clone();
    let read = move || folder::log_tail(&folder, 16 << 10).map(|(text, _)| text).unwrap_or_default();
    let log = tokio::task::spawn_blocking(read).await.unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let detail = detail.clone();
    FailureCase {
        run: detail.run,
        identifier: detail.identifier,
        stage: attempt.stage,
        checkpoint: detail.checkpoint,
        attempt: detail.id,
        number: detail.number,
        message: attempt.message.clone(),
        place: detail.place,
        node: detail.node,
        slurm_state: detail.slurm_state,
        exit_code: detail.exit_code,
        signal: detail.signal,
        heard: detail.heard,
        finished: Some(attempt.finished),
        log: lines[lines.len().saturating_sub(LINES)..].iter().map(|&line| line.to_owned()).collect(),
    }
}
