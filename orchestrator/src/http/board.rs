//! A study's many runs at once: its board, the runs table with downloads, the heat map, actions on a
//! selection, saved views.

use super::{
    ApiError, App,
    extract::{Body, DryRun, Path, Query},
};
use crate::table::{GridQuery, RunsQuery, TableError};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::{
    problem::Problem,
    table::{Acted, Action, HeatMap, RunsPage, SavedView, StudyBoard},
};
use serde::Deserialize;
use utoipa::IntoParams;

/// A study without its runs.
#[utoipa::path(get, path = "/studies/{name}/board", tag = "table", operation_id = "study_board",
    params(("name" = String, Path, description = "Name of the study")), responses(
    (status = 200, body = StudyBoard),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<StudyBoard>, ApiError> {
    app.table.board(&name).await?.map(Json).ok_or_else(|| ApiError::missing("study", name))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Rows {
    /// Only runs that fit, for example `depth=1,2 width>=256 train=failed`; a bare word is looked for in names.
    filter: Option<String>,
    /// Columns to sort by, separated by commas; `-` before one reverses it. The grid's order if missing.
    sort: Option<String>,
    /// Columns to show, separated by commas; the usual ones if missing.
    columns: Option<String>,
    /// Average over runs that differ only in these columns, separated by commas: `seed`.
    over: Option<String>,
    /// Checkpoint index of the measures and stages; each run's last one if missing. A filter by a kind of stage then
    /// looks at all of them.
    checkpoint: Option<u32>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Window {
    /// Rows to leave out at the start.
    offset: Option<u32>,
    /// At most so many rows, up to 500; 100 if missing.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

impl Rows {
    fn query(self, window: Option<&Window>) -> RunsQuery {
        RunsQuery {
            filter: self.filter.unwrap_or_default(),
            sort: self.sort.unwrap_or_default(),
            columns: self.columns,
            over: self.over.unwrap_or_default(),
            checkpoint: self.checkpoint,
            offset: window.and_then(|window| window.offset).unwrap_or_default() as usize,
            limit: window.map_or(usize::MAX, |window| window.limit.unwrap_or(100).clamp(1, 500) as usize),
        }
    }
}

/// The runs table: filtered, sorted, grouped.
#[utoipa::path(get, path = "/studies/{name}/runs", tag = "table", operation_id = "study_runs",
    params(("name" = String, Path, description = "Name of the study"), Rows, Window), responses(
    (status = 200, body = RunsPage),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn runs(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(rows): Query<Rows>,
    Query(window): Query<Window>,
) -> Result<Json<RunsPage>, ApiError> {
    let page = app.table.page(&name, &rows.query(Some(&window))).await?;
    page.map(Json).ok_or_else(|| ApiError::missing("study", name))
}

/// The same rows, all of them, as CSV.
#[utoipa::path(get, path = "/studies/{name}/runs.csv", tag = "table", operation_id = "study_runs_csv",
    params(("name" = String, Path, description = "Name of the study"), Rows), responses(
    (status = 200, body = String, content_type = "text/csv"),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn csv(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(rows): Query<Rows>,
) -> Result<Response, ApiError> {
    let page = app.table.page(&name, &rows.query(None)).await?;
    let page = page.ok_or_else(|| ApiError::missing("study", name))?;
    download("text/csv; charset=utf-8", crate::table::csv(&page))
}

/// The same rows, all of them, as Parquet.
#[utoipa::path(get, path = "/studies/{name}/runs.parquet", tag = "table", operation_id = "study_runs_parquet",
    params(("name" = String, Path, description = "Name of the study"), Rows), responses(
    (status = 200, body = Vec<u8>, content_type = "application/vnd.apache.parquet"),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn parquet(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(rows): Query<Rows>,
) -> Result<Response, ApiError> {
    let page = app.table.page(&name, &rows.query(None)).await?;
    let page = page.ok_or_else(|| ApiError::missing("study", name))?;
    download("application/vnd.apache.parquet", crate::table::parquet(&page))
}

fn download(mime: &'static str, bytes: std::io::Result<Vec<u8>>) -> Result<Response, ApiError> {
    let bytes = bytes.map_err(|error| ApiError::internal("download", error))?;
    Ok(([(header::CONTENT_TYPE, mime)], bytes).into_response())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Cells {
    /// The axis from left to right: `width`.
    x: String,
    /// The axis from top to bottom: `depth`.
    y: String,
    /// The column shown: `state`, a kind of stage, or any column of numbers.
    value: String,
    /// Only runs that fit.
    filter: Option<String>,
    /// Checkpoint index of stages and measures; each run's last one if missing.
    checkpoint: Option<u32>,
}

/// Two axes of the grid as a heat map.
#[utoipa::path(get, path = "/studies/{name}/grid", tag = "table", operation_id = "study_grid",
    params(("name" = String, Path, description = "Name of the study"), Cells), responses(
    (status = 200, body = HeatMap),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn grid(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(cells): Query<Cells>,
) -> Result<Json<HeatMap>, ApiError> {
    let query = GridQuery {
        x: cells.x,
        y: cells.y,
        value: cells.value,
        filter: cells.filter.unwrap_or_default(),
        checkpoint: cells.checkpoint,
    };
    app.table.grid(&name, &query).await?.map(Json).ok_or_else(|| ApiError::missing("study", name))
}

/// Tries again, cancels or prioritises what a filter selects.
#[utoipa::path(post, path = "/studies/{name}/actions", tag = "table", operation_id = "study_action",
    params(("name" = String, Path, description = "Name of the study"), DryRun), request_body = Action, responses(
    (status = 200, body = Acted),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn act(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
    Body(action): Body<Action>,
) -> Result<Json<Acted>, ApiError> {
    let runs = app.table.selected(&name, &action.filter, action.checkpoint).await?;
    let runs = runs.ok_or_else(|| ApiError::missing("study", &name))?;
    Ok(Json(app.engine.act(&name, &runs, &action, dry_run).await?))
}

/// Keeps a view under a name, in place of an earlier one.
#[utoipa::path(put, path = "/studies/{name}/views/{view}", tag = "table", operation_id = "save_view",
    params(("name" = String, Path, description = "Name of the study"), ("view" = String, Path, description = "Name of the view")),
    request_body = SavedView, responses(
    (status = 200, body = SavedView),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn save_view(
    State(app): State<App>,
    Path((name, view)): Path<(String, String)>,
    Body(saved): Body<SavedView>,
) -> Result<Json<SavedView>, ApiError> {
    let saved = SavedView { name: view, ..saved };
    app.engine.save_view(&name, &saved).await?;
    Ok(Json(saved))
}

/// Forgets a view.
#[utoipa::path(delete, path = "/studies/{name}/views/{view}", tag = "table", operation_id = "remove_view",
    params(("name" = String, Path, description = "Name of the study"), ("view" = String, Path, description = "Name of the view")),
    responses(
    (status = 204, description = "Gone"),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove_view(
    State(app): State<App>,
    Path((name, view)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    app.engine.remove_view(&name, &view).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<TableError> for ApiError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Store(error) => error.into(),
            TableError::Query(detail) => Self::new(StatusCode::BAD_REQUEST, "invalid-query", detail),
        }
    }
}
