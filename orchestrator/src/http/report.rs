//! stub
use super::{ApiError, App, extract::{Body, Path, Query}};
use axum::{Json, extract::State};
use protocol::{problem::Problem, report::{Import, Report}, view::StudySummary};
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Models {
    /// Only models whose name fits this glob.
    models: Option<String>,
}
/// How measures go along with validation loss.
#[utoipa::path(get, path = "/studies/{name}/report", tag = "results", operation_id = "study_report",
    params(("name" = String, Path, description = "Name of the study"), Models), responses(
    (status = 200, body = Report),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(State(_app): State<App>, Path(_name): Path<String>, Query(_m): Query<Models>) -> Result<Json<Report>, ApiError> { todo!() }

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Against {
    /// Only models whose name fits this glob.
    models: Option<String>,
    /// `val_loss`, `width` or `depth`; `val_loss` if missing.
    x: Option<String>,
}
/// A figure.
#[utoipa::path(get, path = "/studies/{name}/figures/{figure}", tag = "results", operation_id = "study_figure",
    params(("name" = String, Path, description = "Name of the study"), ("figure" = String, Path, description = "Key of a measure, with .svg: nc1.svg"), Against), responses(
    (status = 200, body = String, content_type = "image/svg+xml"),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn figure(State(_app): State<App>, Path(_p): Path<(String, String)>, Query(_m): Query<Against>) -> Result<String, ApiError> { todo!() }

/// Takes results in that were published elsewhere.
#[utoipa::path(post, path = "/imports", tag = "results", operation_id = "import", request_body = Import, responses(
    (status = 200, body = StudySummary),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn import(State(_app): State<App>, Body(_m): Body<Import>) -> Result<Json<StudySummary>, ApiError> { todo!() }
