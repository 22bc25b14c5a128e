//! How a study's measures go along with validation loss: table and figures; results that were published elsewhere.

use super::{
    ApiError, App,
    extract::{Body, DryRun, Path, Query},
    results,
};
use crate::report::{
    self, LOSS, NoReport, SEED,
    figure::{self, Against},
    measures::PaperMeasure,
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use protocol::{
    ids::RunId,
    problem::Problem,
    report::{Import, Report},
    study::Checkpoints,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};
use utoipa::IntoParams;

/// Reports that were made, by the hash of what they were made from: shuffling a million times takes seconds.
#[derive(Default)]
pub struct Reports(Mutex<HashMap<[u8; 32], Report>>);

/// So many are kept; then all are dropped.
const KEPT: usize = 64;

impl Reports {
    fn get(&self, key: &[u8; 32]) -> Option<Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn keep(&self, key: [u8; 32], report: &Report) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, report.clone());
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Models {
    /// Only models whose row name, with or without `@C`, fits this glob: `02x0768_01d*`.
    models: Option<String>,
}

/// Of a run's checkpoints the last. Results that were published elsewhere are taken as they are: they have no runs.
fn checkpoints(runs: &HashMap<String, RunId>) -> Checkpoints {
    if runs.is_empty() { Checkpoints::All } else { Checkpoints::Last }
}

/// How measures go along with validation loss: R², the p-value of a permutation test, power.
#[utoipa::path(get, path = "/studies/{name}/report", tag = "results", operation_id = "study_report",
    params(("name" = String, Path, description = "Name of the study"), Models), responses(
    (status = 200, body = Report),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(Models { models }): Query<Models>,
) -> Result<Json<Report>, ApiError> {
    let results = results::read(&app, &name).await?;
    let checkpoints = checkpoints(&app.store.run_ids(&name).await?);
    let content = serde_json::to_vec(&(&name, &models, checkpoints, &results))
        .map_err(|error| ApiError::internal("report", error))?;
    let key: [u8; 32] = Sha256::digest(content).into();
    if let Some(report) = app.reports.get(&key) {
        return Ok(Json(report));
    }
    let made = tokio::task::spawn_blocking(move || {
        let rows = report::select(&results, models.as_deref(), checkpoints)?;
        let shuffles = report::shuffles_for(rows.len() as u64);
        let left_out = report::left_out(&results, models.as_deref(), &rows);
        let report = report::report(&name, &rows, models.as_deref(), shuffles, SEED)?;
        Ok::<_, NoReport>(Report { left_out, ..report })
    });
    let made = made.await.map_err(|error| ApiError::internal("report", error))??;
    app.reports.keep(key, &made);
    Ok(Json(made))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Axes {
    /// Only models whose row name, with or without `@C`, fits this glob.
    models: Option<String>,
    /// `val_loss`, `width` or `depth`; `val_loss` if missing.
    x: Option<String>,
}

/// A figure: a measure against validation loss, width or depth.
#[utoipa::path(get, path = "/studies/{name}/figures/{figure}", tag = "results", operation_id = "study_figure",
    params(("name" = String, Path, description = "Name of the study"),
           ("figure" = String, Path, description = "Key of a measure, with .svg: nc1.svg"), Axes), responses(
    (status = 200, body = String, content_type = "image/svg+xml"),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn figure(
    State(app): State<App>,
    Path((name, key)): Path<(String, String)>,
    Query(axes): Query<Axes>,
) -> Result<Response, ApiError> {
    let measure = key.strip_suffix(".svg").and_then(PaperMeasure::of_key);
    let measure = measure.ok_or_else(|| ApiError::missing("figure", &key))?;
    let x = axes.x.as_deref().unwrap_or(LOSS);
    let against = Against::parse(x).ok_or_else(|| {
        let detail = format!("x={x}: is not an axis of figures; accepted: val_loss, width, depth");
        ApiError::new(StatusCode::BAD_REQUEST, "invalid-query", detail)
    })?;
    let results = results::read(&app, &name).await?;
    let runs = app.store.run_ids(&name).await?;
    let rows = report::select(&results, axes.models.as_deref(), checkpoints(&runs))?;
    let run = |model: &str| Some(format!("/runs/{}", runs.get(model.split('@').next()?)?));
    let drawn = figure::figure(&rows, measure, against, &run);
    let svg = drawn.ok_or_else(|| {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "not-found",
            format!("no model has both {} and {}", measure.formula(&rows), x),
        )
    })?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], svg).into_response())
}

/// Takes results in that were published elsewhere, as a study without runs.
#[utoipa::path(post, path = "/imports", tag = "results", operation_id = "import", params(DryRun), request_body = Import, responses(
    (status = 204, description = "Kept; with dry_run: could be"),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn import(
    State(app): State<App>,
    Query(DryRun { dry_run }): Query<DryRun>,
    Body(import): Body<Import>,
) -> Result<StatusCode, ApiError> {
    app.engine.import(&import, dry_run).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets results that were imported.
#[utoipa::path(delete, path = "/imports/{name}", tag = "results", operation_id = "remove_import",
    params(("name" = String, Path, description = "Name of the imported results"), DryRun), responses(
    (status = 204, description = "Gone; with dry_run: there"),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove_import(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<StatusCode, ApiError> {
    app.engine.remove_import(&name, dry_run).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<NoReport> for ApiError {
    fn from(error: NoReport) -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-report", error.to_string())
    }
}
