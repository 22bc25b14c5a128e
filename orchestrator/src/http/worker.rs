//! The workers' endpoints: claim, events, result. Each takes the token of its own attempt alone.

use super::{ApiError, App, auth, extract::Body};
use crate::secret;
use axum::{
    Extension, Json,
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use protocol::{
    attempt::{ClaimRequest, ClaimResponse, EventBatch, EventsAccepted, ResultReport},
    ids::AttemptId,
    problem::Problem,
};

/// The attempt whose token a request carried.
#[derive(Clone, Copy)]
pub(super) struct Bearer(AttemptId);

/// Lets a request pass that carries the token of an attempt.
pub(super) async fn require_attempt(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let token = auth::bearer(request.headers()).ok_or_else(auth::no_token)?;
    let attempt = app.store.attempt_by_token(&secret::hash(token)).await?.ok_or_else(auth::wrong_token)?;
    request.extensions_mut().insert(Bearer(attempt));
    Ok(next.run(request).await)
}

fn own(bearer: Bearer, attempt: AttemptId) -> Result<(), ApiError> {
    if bearer.0 == attempt {
        return Ok(());
    }
    let detail = format!("this token is not the one of attempt {attempt}");
    Err(ApiError::new(StatusCode::FORBIDDEN, "another-attempt", detail))
}

/// Takes an attempt before the device is touched. A refusal (409) means: exit without work.
#[utoipa::path(post, path = "/worker/claim", tag = "worker", operation_id = "claim",
    request_body = ClaimRequest, responses(
    (status = 200, body = ClaimResponse),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn claim(
    State(app): State<App>,
    Extension(bearer): Extension<Bearer>,
    Body(request): Body<ClaimRequest>,
) -> Result<Json<ClaimResponse>, ApiError> {
    own(bearer, request.attempt)?;
    Ok(Json(app.engine.claim(request).await?))
}

/// Takes what happened; events that are known already are passed over.
#[utoipa::path(post, path = "/worker/events", tag = "worker", operation_id = "events",
    request_body = EventBatch, responses(
    (status = 200, body = EventsAccepted),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn events(
    State(app): State<App>,
    Extension(bearer): Extension<Bearer>,
    Body(batch): Body<EventBatch>,
) -> Result<Json<EventsAccepted>, ApiError> {
    own(bearer, batch.attempt)?;
    Ok(Json(app.engine.events(batch).await?))
}

/// Takes how the attempt ended; repeating it changes nothing.
#[utoipa::path(post, path = "/worker/result", tag = "worker", operation_id = "result",
    request_body = ResultReport, responses(
    (status = 204, description = "Recorded"),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn result(
    State(app): State<App>,
    Extension(bearer): Extension<Bearer>,
    Body(report): Body<ResultReport>,
) -> Result<StatusCode, ApiError> {
    own(bearer, report.attempt)?;
    app.engine.result(report).await?;
    Ok(StatusCode::NO_CONTENT)
}
