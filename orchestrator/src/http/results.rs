//! The measures of a study, as JSON and as the published tables' CSV.

use super::{ApiError, App, extract::Path};
use crate::results::csv_bytes;
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use protocol::{problem::Problem, view::Results};

/// The measures of a study.
pub(super) async fn read(app: &App, name: &str) -> Result<Results, ApiError> {
    app.store.results(name).await?.ok_or_else(|| ApiError::missing("study", name))
}

/// Measures of the study's models.
#[utoipa::path(get, path = "/studies/{name}/results", tag = "results", operation_id = "study_results",
    params(("name" = String, Path, description = "Name of the study")), responses(
    (status = 200, body = Results),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn table(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<Results>, ApiError> {
    read(&app, &name).await.map(Json)
}

/// The same as CSV.
#[utoipa::path(get, path = "/studies/{name}/results.csv", tag = "results", operation_id = "study_results_csv",
    params(("name" = String, Path, description = "Name of the study")), responses(
    (status = 200, body = String, content_type = "text/csv"),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn csv(State(app): State<App>, Path(name): Path<String>) -> Result<Response, ApiError> {
    let results = read(&app, &name).await?;
    let bytes = csv_bytes(&results).map_err(|error| ApiError::internal("csv", error))?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], bytes).into_response())
}
