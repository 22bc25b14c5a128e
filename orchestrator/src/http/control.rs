//! The daemon itself: health, its API's description, orderly stop.

use super::{ApiError, App, document, problem::NEEDS_CLUSTER};
use axum::{Json, extract::State, http::StatusCode};
use protocol::{
    problem::Problem,
    view::{ClusterView, Health},
};

/// Whether the daemon is well, and how busy.
#[utoipa::path(get, path = "/health", tag = "daemon", operation_id = "health", responses(
    (status = 200, body = Health),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn health(State(app): State<App>) -> Result<Json<Health>, ApiError> {
    let capabilities = app.engine.capabilities();
    Ok(Json(Health {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        root: app.engine.root().display().to_string(),
        executor: capabilities.name.as_str().to_owned(),
        profile: app.engine.served().and_then(|served| served.profile.clone()),
        slots: capabilities.slots,
        busy: app.store.busy().await?,
        started: app.started,
        trouble: app.engine.executor().trouble(),
    }))
}

/// The queue that stages are handed to.
#[utoipa::path(get, path = "/cluster", tag = "daemon", operation_id = "cluster", responses(
    (status = 200, body = ClusterView),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn cluster(State(app): State<App>) -> Result<Json<ClusterView>, ApiError> {
    let view = app.engine.executor().cluster().await;
    let mut view = view.ok_or_else(|| {
        ApiError::missing("cluster", "here: stages run on this machine").hint(NEEDS_CLUSTER)
    })?;
    view.waits = app.store.queue_reasons().await?;
    Ok(Json(view))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "daemon", operation_id = "openapi", responses(
    (status = 200, body = serde_json::Value),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}

/// Stops the daemon in an orderly way. Workers go on; the next daemon takes them over.
#[utoipa::path(post, path = "/shutdown", tag = "daemon", operation_id = "shutdown", responses(
    (status = 202, description = "Stopping"),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn shutdown(State(app): State<App>) -> StatusCode {
    app.shutdown.cancel();
    StatusCode::ACCEPTED
}
