//! Extractors whose rejections are problems.

use super::ApiError;
use axum::extract::{FromRequest, FromRequestParts};
use serde::Deserialize;
use utoipa::IntoParams;

/// A JSON body.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(ApiError))]
pub(super) struct Body<T>(pub(super) T);

/// Path parameters.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(super) struct Path<T>(pub(super) T);

/// Query parameters.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(super) struct Query<T>(pub(super) T);

/// `?study=first&dry_run=true`
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Within {
    /// Only as far as no other active study than this one needs it.
    pub(super) study: Option<String>,
    /// Only say what would change.
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// `?dry_run=true`
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DryRun {
    /// Only say what would change.
    #[serde(default)]
    pub(super) dry_run: bool,
}
