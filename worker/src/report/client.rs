//! The worker endpoints of the daemon.
//!
//! The daemon may be away, or back under another address: the address is read from its file before
//! every call. Nothing here retries.

use crate::files;
use protocol::{
    attempt::{ClaimRequest, ClaimResponse, DaemonFile, EventBatch, EventsAccepted, ResultReport},
    problem::Problem,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{path::PathBuf, time::Duration};

/// Longest time that one call may take.
const CALL: Duration = Duration::from_secs(10);
/// Longest time to reach the daemon at all.
const CONNECT: Duration = Duration::from_secs(3);

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The daemon answered that this worker does not hold the attempt.
    #[error("{0}")]
    Refused(String),
    /// Somebody answered who knows nothing of the attempt, as another root's daemon at an outdated address.
    #[error("{0}")]
    Stranger(String),
    /// Anything else; a later call may succeed.
    #[error("{0}")]
    Unreachable(String),
}

/// Speaks for one attempt.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    daemon: PathBuf,
    token: String,
}

impl Client {
    /// With the daemon's file and the attempt's token.
    #[must_use]
    pub fn new(daemon: PathBuf, token: String) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(CALL))
            // Daemons are on this host or this cluster, never behind a proxy for the internet.
            .proxy(None)
            // A daemon has a thousand open files on many systems, and there may be more workers than that.
            .max_idle_connections(0)
            .max_redirects(0)
            .build()
            .into();
        Self { agent, daemon, token }
    }

    /// Takes the attempt.
    ///
    /// # Errors
    /// [`CallError::Refused`] when the daemon explains why not.
    pub fn claim(&self, request: &ClaimRequest) -> Result<ClaimResponse, CallError> {
        self.post("claim", request, CALL, |status| (400..500).contains(&status))
    }

    /// Delivers events.
    ///
    /// # Errors
    /// [`CallError::Refused`] when the attempt is not this worker's any more.
    pub fn events(&self, batch: &EventBatch, limit: Duration) -> Result<EventsAccepted, CallError> {
        self.post("events", batch, limit, |status| matches!(status, 409 | 410))
    }

    /// Delivers the result.
    ///
    /// # Errors
    /// [`CallError::Refused`] when the attempt is not this worker's any more.
    pub fn result(&self, report: &ResultReport, limit: Duration) -> Result<(), CallError> {
        self.post::<serde::de::IgnoredAny>("result", report, limit, |status| matches!(status, 409 | 410))
            .map(drop)
    }

    /// `refused` tells which statuses are final, where a daemon explains them; other answers may come from a stranger at an
    /// outdated address, and must not end days of work.
    fn post<T: DeserializeOwned>(
        &self,
        endpoint: &str,
        body: &impl Serialize,
        limit: Duration,
        refused: impl FnOnce(u16) -> bool,
    ) -> Result<T, CallError> {
        let unreachable = |error: &dyn std::fmt::Display| CallError::Unreachable(error.to_string());
        let daemon: DaemonFile = files::read_json(&self.daemon).map_err(|error| unreachable(&error))?;
        let url = format!("{}/api/v1/worker/{endpoint}", daemon.url.trim_end_matches('/'));
        let mut response = self
            .agent
            .post(&url)
            .config()
            .timeout_global(Some(limit.min(CALL)))
            .build()
            .header("authorization", format!("Bearer {}", self.token))
            .send_json(body)
            .map_err(|error| unreachable(&format!("{url}: {error}")))?;
        let status = response.status().as_u16();
        let text =
            response.body_mut().read_to_string().map_err(|error| unreachable(&format!("{url}: {error}")))?;
        if (200..300).contains(&status) {
            // An empty answer is one, too, to a call that needs none.
            let text = if text.trim().is_empty() { "null" } else { &text };
            return serde_json::from_str(text)
                .map_err(|error| unreachable(&format!("{url}: unexpected answer: {error}")));
        }
        let problem: Option<Problem> = serde_json::from_str(&text).ok();
        let Some(problem) = problem.filter(|problem| problem.status == status) else {
            return Err(unreachable(&format!("{url} answered with status {status}")));
        };
        Err(match status {
            401 | 403 | 421 => CallError::Stranger(format!("{url}: {problem}")),
            _ if refused(status) => CallError::Refused(problem.to_string()),
            _ => unreachable(&problem),
        })
    }
}
