//! Stages: log, script, cancel, retry.

use super::{
    ApiError, App,
    extract::{DryRun, Path, Query, Within},
    problem::NEEDS_CLUSTER,
};
use crate::{engine::EngineError, executor::folder};
use axum::{Json, extract::State};
use protocol::{
    ids::StageId,
    problem::Problem,
    target::Target,
    view::{Changed, LogTail, StageScript},
};
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Tail {
    /// At most so many bytes, up to 4 MiB; 65,536 if missing.
    #[param(minimum = 1, maximum = 4194304)]
    bytes: Option<u32>,
    /// Number of the attempt within the stage; the newest one if missing.
    attempt: Option<u32>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichAttempt {
    /// Number of the attempt within the stage; the newest one if missing.
    attempt: Option<u32>,
}

/// The end of an attempt's log.
#[utoipa::path(get, path = "/stages/{id}/log", tag = "stages", operation_id = "stage_log",
    params(("id" = StageId, Path, description = "Id of the stage"), Tail), responses(
    (status = 200, body = LogTail),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn log(
    State(app): State<App>,
    Path(id): Path<StageId>,
    Query(tail): Query<Tail>,
) -> Result<Json<LogTail>, ApiError> {
    let newest = app.store.attempt_folder(id, tail.attempt).await?;
    let newest = newest.ok_or_else(|| ApiError::missing("stage", id))?;
    let Some((attempt, folder)) = newest else {
        return Ok(Json(LogTail { attempt: None, text: String::new(), total_bytes: 0 }));
    };
    let bytes = tail.bytes.unwrap_or(65_536).clamp(1, 4 << 20);
    let read = tokio::task::spawn_blocking(move || folder::log_tail(&folder, u64::from(bytes))).await;
    match read {
        Ok(Ok((text, total_bytes))) => Ok(Json(LogTail { attempt: Some(attempt), text, total_bytes })),
        Ok(Err(error)) => Err(ApiError::internal("log", error)),
        Err(error) => Err(ApiError::internal("log", error)),
    }
}

/// The stage's batch script.
#[utoipa::path(get, path = "/stages/{id}/script", tag = "stages", operation_id = "stage_script",
    params(("id" = StageId, Path, description = "Id of the stage"), WhichAttempt), responses(
    (status = 200, body = StageScript),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn script(
    State(app): State<App>,
    Path(id): Path<StageId>,
    Query(which): Query<WhichAttempt>,
) -> Result<Json<StageScript>, ApiError> {
    match app.engine.script(id, which.attempt).await {
        Err(none @ EngineError::Conflict(_)) if !app.engine.capabilities().queue => {
            Err(ApiError::from(none).hint(NEEDS_CLUSTER))
        }
        script => Ok(Json(script?)),
    }
}

/// Stops the stage.
#[utoipa::path(post, path = "/stages/{id}/cancel", tag = "stages", operation_id = "cancel_stage",
    params(("id" = StageId, Path, description = "Id of the stage"), Within), responses(
    (status = 200, body = Changed),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn cancel(
    State(app): State<App>,
    Path(id): Path<StageId>,
    Query(Within { study, dry_run }): Query<Within>,
) -> Result<Json<Changed>, ApiError> {
    Ok(Json(app.engine.cancel(&Target::Stage(id), study.as_deref(), dry_run).await?))
}

/// Tries the stage, and what was skipped because of it, again.
#[utoipa::path(post, path = "/stages/{id}/retry", tag = "stages", operation_id = "retry_stage",
    params(("id" = StageId, Path, description = "Id of the stage"), DryRun), responses(
    (status = 200, body = Changed),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn retry(
    State(app): State<App>,
    Path(id): Path<StageId>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Json<Changed>, ApiError> {
    Ok(Json(app.engine.retry(&Target::Stage(id), dry_run).await?))
}
