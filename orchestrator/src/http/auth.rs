//! Who may call: the API token in an `Authorization` header, or a browser's session cookie.

use super::{ApiError, App};
use crate::secret;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::Response,
};
use subtle::ConstantTimeEq as _;

/// Name of the session cookie: one of its own for each root, since a browser gives the cookies of a host to all its
/// ports.
pub(super) fn cookie_name(app: &App) -> String {
    format!("lc_session_{}", &app.token_sha256[..8])
}

/// The bearer token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The cookie of a name in a request.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

/// Whether the request carries the cookie of a session that is open.
pub(super) async fn has_session(app: &App, headers: &HeaderMap) -> Result<bool, ApiError> {
    match cookie(headers, &cookie_name(app)) {
        Some(value) => Ok(app.store.session_open(&secret::hash(value), chrono::Utc::now()).await?),
        None => Ok(false),
    }
}

/// Lets a request pass that carries the API token or an open session.
pub(super) async fn require_person(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if let Some(token) = bearer(request.headers()) {
        let same = secret::hash(token).as_bytes().ct_eq(app.token_sha256.as_bytes());
        return if bool::from(same) { Ok(next.run(request).await) } else { Err(wrong_token()) };
    }
    if has_session(&app, request.headers()).await? {
        return Ok(next.run(request).await);
    }
    Err(no_token())
}

/// Neither token nor session.
pub(super) fn no_token() -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", "no token was given").hint(
        "send `Authorization: Bearer` with the content of LC_ROOT/token, or open a link from `lcctl login`",
    )
}

/// A token that opens nothing here.
pub(super) fn wrong_token() -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", "the token is not valid here")
        .hint("the API token is in LC_ROOT/token; workers use the token of their attempt")
}
