//! What went wrong, by cause.

use super::{ApiError, App, extract::Query};
use crate::{
    domain::{
        diagnosis::Evidence,
        failures::{self, FailedAttempt},
    },
    executor::folder,
    store::FailureDetail,
};
use axum::{Json, extract::State};
use protocol::{
    problem::Problem,
    table::{FailureCase, FailureGroup, Failures},
};
use serde::Deserialize;
use std::cmp::Reverse;
use utoipa::IntoParams;

/// Lines of a log that are shown.
const LINES: usize = 12;

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
    for (ending, attempts) in failures::grouped(&found.attempts) {
        let rows: Vec<i64> = failures::examples(&attempts).iter().map(|attempt| attempt.row).collect();
        let details = record.details(&rows).await?;
        let mut stages: Vec<_> = attempts.iter().map(|attempt| attempt.stage).collect();
        stages.dedup();
        read.push((ending, attempts, details, record.studies(&stages).await?));
    }
    // Logs may lie on a slow disk: nothing is held of the record meanwhile.
    drop(record);
    let mut groups = Vec::new();
    for (ending, attempts, details, studies) in read {
        let newest = attempts.first().and_then(|newest| details.get(&newest.row));
        let evidence = Evidence {
            message: attempts.first().and_then(|newest| newest.message.as_deref()),
            exit_code: newest.and_then(|detail| detail.exit_code),
            signal: newest.and_then(|detail| detail.signal),
        };
        let Some(mut group) = failures::group(ending, &attempts, evidence, &found.skipped) else { continue };
        group.studies = studies;
        for attempt in failures::examples(&attempts) {
            if let Some(detail) = details.get(&attempt.row) {
                group.cases.push(case(attempt, detail).await);
            }
        }
        groups.push(group);
    }
    groups.sort_by_key(|group: &FailureGroup| (Reverse((group.failed, group.last)), group.cause.clone()));
    Ok(Json(Failures { groups }))
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
