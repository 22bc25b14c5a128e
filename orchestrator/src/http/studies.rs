//! Studies: list, plan, show, remove, cancel, retry.

use super::{
    ApiError, App,
    extract::{Body, DryRun, Path, Query},
};
use axum::{Json, extract::State, http::StatusCode};
use protocol::{
    problem::Problem,
    study::StudySpec,
    target::Target,
    view::{Changed, RemovedStudy, StudyDetail, StudyPage, StudyPlan, StudyState, StudySummary},
};
use serde::Deserialize;
use std::{slice, sync::Arc};
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// `next` of the page before.
    cursor: Option<String>,
    /// At most so many rows, 1 to 200; 50 if missing.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Studies, newest first.
#[utoipa::path(get, path = "/studies", tag = "studies", operation_id = "list_studies", params(Paging), responses(
    (status = 200, body = StudyPage),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(app): State<App>,
    Query(paging): Query<Paging>,
) -> Result<Json<StudyPage>, ApiError> {
    let limit = paging.limit.unwrap_or(50).clamp(1, 200);
    let mut page = app.store.study_page(paging.cursor.as_deref(), limit).await?;
    app.table.complete(&mut page.items).await?;
    Ok(Json(page))
}

/// Plans a study, or extends the study of this name by what is new.
#[utoipa::path(post, path = "/studies", tag = "studies", operation_id = "create_study", params(DryRun),
    request_body = StudySpec, responses(
    (status = 200, body = StudyPlan),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(app): State<App>,
    Query(DryRun { dry_run }): Query<DryRun>,
    Body(spec): Body<StudySpec>,
) -> Result<Json<StudyPlan>, ApiError> {
    if dry_run {
        return Ok(Json(app.engine.plan(spec, true).await?));
    }
    // A task of its own: whoever asks and then leaves does not undo the work of a minute.
    let planned = tokio::spawn(async move { app.engine.plan(spec, false).await }).await;
    Ok(Json(planned.map_err(|error| ApiError::internal("plan", error))??))
}

/// One study with its runs and stages.
#[utoipa::path(get, path = "/studies/{name}", tag = "studies", operation_id = "show_study",
    params(("name" = String, Path, description = "Name of the study")), responses(
    (status = 200, body = StudyDetail),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn show(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<StudyDetail>, ApiError> {
    let Some((mut summary, _)) = app.store.study_head(&name).await? else {
        return Err(ApiError::missing("study", name));
    };
    if summary.origin.is_some() {
        let detail = format!("{name} holds imported results, which have no runs");
        return Err(ApiError::new(StatusCode::CONFLICT, "imported", detail)
            .hint(format!("look at them with: lcctl report {name}, or lcctl export {name}")));
    }
    app.table.complete(slice::from_mut(&mut summary)).await?;
    // Read after the stages were counted: a study that is over by its summary is so by its runs, too, and has its results.
    let mut detail = app.store.study_detail(&name).await?.ok_or_else(|| ApiError::missing("study", &name))?;
    app.engine.explain(detail.runs.iter_mut().flat_map(|run| &mut run.stages));
    if summary.state != StudyState::Active {
        // Whoever reads that it is over finds its results in the file, too. By a task, which ends though the caller hangs up.
        let (engine, study) = (Arc::clone(&app.engine), name.clone());
        let written = tokio::spawn(async move { engine.write_table(&study).await }).await;
        if let Ok(Err(error)) = written {
            tracing::error!(%error, name, "failed to write the results; trying again");
        }
    }
    let summary = StudySummary { results: detail.summary.results, ..summary };
    Ok(Json(StudyDetail { summary, ..detail }))
}

/// Takes a study out of the record, with the runs that no other study holds. Refused where a stage of it is not over, or
/// anything beyond `prepare` was computed for it alone. Its files stay.
#[utoipa::path(delete, path = "/studies/{name}", tag = "studies", operation_id = "remove_study",
    params(("name" = String, Path, description = "Name of the study"), DryRun), responses(
    (status = 200, body = RemovedStudy),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Json<RemovedStudy>, ApiError> {
    Ok(Json(app.engine.remove_study(&name, dry_run).await?))
}

/// Stops every stage of the study that no other active study needs.
#[utoipa::path(post, path = "/studies/{name}/cancel", tag = "studies", operation_id = "cancel_study",
    params(("name" = String, Path, description = "Name of the study"), DryRun), responses(
    (status = 200, body = Changed),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn cancel(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Json<Changed>, ApiError> {
    Ok(Json(app.engine.cancel(&Target::Study(name), None, dry_run).await?))
}

/// Tries the study's failed, cancelled and skipped stages again.
#[utoipa::path(post, path = "/studies/{name}/retry", tag = "studies", operation_id = "retry_study",
    params(("name" = String, Path, description = "Name of the study"), DryRun), responses(
    (status = 200, body = Changed),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn retry(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Json<Changed>, ApiError> {
    Ok(Json(app.engine.retry(&Target::Study(name), dry_run).await?))
}
