//! Runs: show, loss curve, cancel, retry.

use super::{
    ApiError, App,
    extract::{DryRun, Path, Query},
};
use crate::engine::Target;
use axum::{Json, extract::State};
use protocol::{
    ids::RunId,
    problem::Problem,
    view::{Changed, Metrics, RunDetail},
};
use serde::Deserialize;
use utoipa::IntoParams;

/// One run with its stages, attempts, outputs and measures.
#[utoipa::path(get, path = "/runs/{id}", tag = "runs", operation_id = "show_run",
    params(("id" = RunId, Path, description = "Id of the run")), responses(
    (status = 200, body = RunDetail),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(State(app): State<App>, Path(id): Path<RunId>) -> Result<Json<RunDetail>, ApiError> {
    app.store.run_detail(id).await?.map(Json).ok_or_else(|| ApiError::missing("run", id))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Thinning {
    /// At most so many points, 2 to 10,000; 500 if missing.
    #[param(minimum = 2, maximum = 10000)]
    points: Option<u32>,
}

/// The training curve, thinned evenly.
#[utoipa::path(get, path = "/runs/{id}/metrics", tag = "runs", operation_id = "run_metrics",
    params(("id" = RunId, Path, description = "Id of the run"), Thinning), responses(
    (status = 200, body = Metrics),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn metrics(
    State(app): State<App>,
    Path(id): Path<RunId>,
    Query(thinning): Query<Thinning>,
) -> Result<Json<Metrics>, ApiError> {
    let points = thinning.points.unwrap_or(500).clamp(2, 10_000);
    app.store.metrics(id, points).await?.map(Json).ok_or_else(|| ApiError::missing("run", id))
}

/// Stops the run's stages.
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "runs", operation_id = "cancel_run",
    params(("id" = RunId, Path, description = "Id of the run"), DryRun), responses(
    (status = 200, body = Changed),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn cancel(
    State(app): State<App>,
    Path(id): Path<RunId>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Json<Changed>, ApiError> {
    Ok(Json(app.engine.cancel(&Target::Run(id), dry_run).await?))
}

/// Tries the run's failed, cancelled and skipped stages again.
#[utoipa::path(post, path = "/runs/{id}/retry", tag = "runs", operation_id = "retry_run",
    params(("id" = RunId, Path, description = "Id of the run"), DryRun), responses(
    (status = 200, body = Changed),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn retry(
    State(app): State<App>,
    Path(id): Path<RunId>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Json<Changed>, ApiError> {
    Ok(Json(app.engine.retry(&Target::Run(id), dry_run).await?))
}
