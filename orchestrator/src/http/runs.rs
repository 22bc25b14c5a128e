//! Runs: show, compare, training curve, values of single classes, cancel, retry.

use super::{
    ApiError, App,
    extract::{DryRun, Path, Query, Within},
};
use crate::domain::{
    curve::{self, CurveX, CurveY},
    layout::Layout,
};
use axum::{Json, extract::State, http::StatusCode};
use chrono::Utc;
use protocol::{
    ids::RunId,
    problem::Problem,
    table::{ClassCurve, Compared, Curve},
    target::Target,
    view::{Changed, RunDetail},
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
    let found = app.store.run_detail(id, Utc::now()).await?;
    let mut detail = found.ok_or_else(|| ApiError::missing("run", id))?;
    app.engine.explain(&mut detail.summary.stages);
    Ok(Json(detail))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Ids, separated by commas; at most 20.
    ids: String,
}

/// Several runs with their configurations, to compare them.
#[utoipa::path(get, path = "/runs", tag = "runs", operation_id = "compare_runs", params(Which), responses(
    (status = 200, body = Vec<Compared>),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn compare(
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Json<Vec<Compared>>, ApiError> {
    let ids: Result<Vec<i64>, _> = which.ids.split(',').map(|id| id.trim().parse()).collect();
    let ids = ids.ok().filter(|ids| ids.len() <= 20).ok_or_else(|| {
        let detail = format!("ids={}: takes up to 20 ids of runs, separated by commas", which.ids);
        ApiError::new(StatusCode::BAD_REQUEST, "invalid-query", detail)
    })?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.push(app.store.compared(RunId(id)).await?.ok_or_else(|| ApiError::missing("run", id))?);
    }
    Ok(Json(found))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Drawing {
    /// Columns of pixels, 2 to 5,000; 500 if missing.
    #[param(minimum = 2, maximum = 5000)]
    points: Option<u32>,
    /// What lies on the x axis: `step`, `tokens` or `time`; `step` if missing.
    #[serde(default)]
    #[param(inline)]
    x: CurveX,
    /// The value: `loss`, `learning_rate`, `grad_norm` or `tokens_per_s`; `loss` if missing.
    #[serde(default)]
    #[param(inline)]
    y: CurveY,
    /// Where the x axis is logarithmic, so are the columns of pixels.
    #[serde(default)]
    log: bool,
    /// Only from this x on.
    from: Option<f64>,
    /// Only up to this x.
    to: Option<f64>,
    /// Weight of the past in the moving average, from 0 to below 1; none if missing.
    #[param(minimum = 0, exclusive_maximum = 1)]
    smooth: Option<f64>,
}

/// The training curve, as it is drawn.
#[utoipa::path(get, path = "/runs/{id}/curve", tag = "runs", operation_id = "run_curve",
    params(("id" = RunId, Path, description = "Id of the run"), Drawing), responses(
    (status = 200, body = Curve),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn curve(
    State(app): State<App>,
    Path(id): Path<RunId>,
    Query(drawing): Query<Drawing>,
) -> Result<Json<Curve>, ApiError> {
    let drawing = curve::Drawing {
        columns: drawing.points.unwrap_or(500).clamp(2, 5000) as usize,
        x: drawing.x,
        y: drawing.y,
        log: drawing.log,
        from: drawing.from.unwrap_or(f64::NEG_INFINITY),
        to: drawing.to.unwrap_or(f64::INFINITY),
        smooth: drawing.smooth.filter(|weight| (0.0..1.0).contains(weight)),
    };
    let recorded = app.store.recorded_curve(id).await?.ok_or_else(|| ApiError::missing("run", id))?;
    Ok(Json(curve::draw(&recorded, &drawing)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Classes {
    /// The column of values; the first one if missing.
    column: Option<String>,
    /// Checkpoint index; the last one that was analysed if missing.
    checkpoint: Option<u32>,
}

/// A value of single classes against how often they occur.
#[utoipa::path(get, path = "/runs/{id}/classes", tag = "runs", operation_id = "run_classes",
    params(("id" = RunId, Path, description = "Id of the run"), Classes), responses(
    (status = 200, body = ClassCurve),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn classes(
    State(app): State<App>,
    Path(id): Path<RunId>,
    Query(wanted): Query<Classes>,
) -> Result<Json<ClassCurve>, ApiError> {
    let (name, last) = app.store.analysed(id).await?.ok_or_else(|| ApiError::missing("run", id))?;
    let Some(checkpoint) = wanted.checkpoint.or(last) else {
        return Err(ApiError::missing("analysed checkpoint of run", id));
    };
    let file = Layout::new(app.engine.root()).classes(&name, checkpoint);
    let read =
        tokio::task::spawn_blocking(move || crate::results::classes::read(&file, wanted.column.as_deref()))
            .await;
    match read {
        Ok(Ok(curve)) => Ok(Json(curve)),
        Ok(Err(detail)) => Err(ApiError::new(StatusCode::NOT_FOUND, "not-found", detail)),
        Err(error) => Err(ApiError::internal("classes", error)),
    }
}

/// Stops the run's stages.
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "runs", operation_id = "cancel_run",
    params(("id" = RunId, Path, description = "Id of the run"), Within), responses(
    (status = 200, body = Changed),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn cancel(
    State(app): State<App>,
    Path(id): Path<RunId>,
    Query(Within { study, dry_run }): Query<Within>,
) -> Result<Json<Changed>, ApiError> {
    Ok(Json(app.engine.cancel(&Target::Run(id), study.as_deref(), dry_run).await?))
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
