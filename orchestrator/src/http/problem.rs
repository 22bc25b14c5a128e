//! Errors on the wire: every refusal is one [`Problem`].

use crate::{engine::EngineError, store::StoreError};
use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use protocol::problem::{MEDIA_TYPE, Problem};

/// What to do about what only a cluster has.
pub(super) const NEEDS_CLUSTER: &str = "for a cluster 'lcctl stop', then set LC_PROFILE (docs/slurm.md)";

/// A refusal or a failure, ready to be sent.
#[derive(Debug)]
pub struct ApiError(Problem);

impl ApiError {
    /// A problem of a kind (a stable name), its status and one line about this case.
    pub(crate) fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        Self(Problem {
            kind: kind.to_owned(),
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("error").to_owned(),
            detail: detail.into(),
            hint: None,
        })
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The daemon failed at something of a kind (a stable name).
    pub(crate) fn internal(kind: &str, error: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, kind, error.to_string())
    }

    /// There is no such thing.
    pub(crate) fn missing(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no {what} {name}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the record could not be used");
        Self::internal("record", error)
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => error.into(),
            EngineError::Invalid(violations) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-study", violations.join("\n"))
            }
            EngineError::Missing(what, name) => Self::missing(what, name),
            EngineError::Conflict(detail) => Self::new(StatusCode::CONFLICT, "conflict", detail),
            EngineError::Kept(detail) => Self::new(StatusCode::CONFLICT, "kept", detail),
            EngineError::Refused(detail) => Self::new(StatusCode::CONFLICT, "claim-refused", detail),
            EngineError::File { .. } => Self::internal("file", error),
            EngineError::Version { .. } => Self::new(StatusCode::CONFLICT, "api-version", error.to_string()),
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail =
                "the request is larger than is read: 64 MiB of imported results, 4 MiB of anything else";
            return Self::new(rejection.status(), "too-large", detail)
                .hint("import a table in parts, each under a name of its own, or with fewer columns");
        }
        Self::new(rejection.status(), "invalid-body", one_line(&rejection.body_text()))
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), "invalid-query", one_line(&rejection.body_text()))
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), "invalid-path", one_line(&rejection.body_text()))
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Answers paths of the API that do not exist.
pub(super) async fn not_found(uri: Uri) -> ApiError {
    ApiError::missing("endpoint", uri.path())
}

/// Answers methods that a path does not take.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let detail = format!("{} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}
