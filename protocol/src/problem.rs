//! `application/problem+json` (RFC 9457).

use serde::{Deserialize, Serialize};

/// Media type of a [`Problem`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An error of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[error("{detail}{}", hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct Problem {
    /// Stable name of the kind of problem, for example `study-exists`.
    #[serde(rename = "type")]
    pub kind: String,
    /// HTTP status.
    pub status: u16,
    /// Short summary of the kind.
    pub title: String,
    /// One line about this case: names the field or thing and what was wrong.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
