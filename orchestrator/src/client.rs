//! The daemon's API as typed calls over [`protocol::view`]. It knows nothing of terminals, and it
//! starts no daemon: [`crate::cli`] does.

mod changes;

pub use changes::{Changes, FollowError};

use protocol::{
    ids::{RunId, StageId},
    problem::Problem,
    report::{Import, Report},
    study::StudySpec,
    table::{Acted, Action, Curve, Failures},
    target::Target,
    view::{
        Changed, ClusterView, Health, LogTail, LoginLink, RemovedStudy, Results, RunDetail, StageScript,
        StudyDetail, StudyPage, StudyPlan, StudySummary,
    },
};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long a call may take before the daemon counts as unreachable.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// The same of calls that may change ten thousands of stages, wait for one that does, or make a report.
const LONG_LIMIT: Duration = Duration::from_secs(600);
/// How long connecting to the daemon may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The daemon refused; the problem says why.
    #[error("{0}")]
    Refused(Problem),
    /// No connection, or it broke.
    #[error("the daemon at {url} does not answer: {cause}")]
    Unreachable {
        /// Base address.
        url: String,
        /// Innermost cause.
        cause: String,
    },
    /// Something answered, but not as this version of the daemon does.
    #[error("the daemon at {url} answered what this version of lcctl does not understand: {cause}")]
    Unexpected {
        /// Base address.
        url: String,
        /// What was wrong.
        cause: String,
    },
}

impl ClientError {
    /// The status of a refusal.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            Self::Unreachable { .. } | Self::Unexpected { .. } => None,
        }
    }

    /// Whether something else has to be asked for: what was refused is refused again, whatever happens meanwhile.
    #[must_use]
    pub fn is_wrong_use(&self) -> bool {
        match self {
            Self::Refused(problem) => match problem.status {
                400 | 404 | 422 => true,
                // Names that are taken, and what imported results don't have.
                409 => matches!(problem.kind.as_str(), "conflict" | "imported"),
                _ => false,
            },
            Self::Unreachable { .. } | Self::Unexpected { .. } => false,
        }
    }
}

/// A connection to one daemon.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    /// A client of the daemon at `url` (`http://host:port`) with the token of its `LC_ROOT`.
    ///
    /// # Panics
    /// Never in practice: the HTTP client has no certificates to load.
    #[must_use]
    pub fn new(url: &str, token: &str) -> Self {
        let http = reqwest::Client::builder()
            // The daemon is on this machine or behind a tunnel: a web proxy can't reach it.
            .no_proxy()
            .connect_timeout(CONNECT_LIMIT)
            .build()
            .expect("an HTTP client without TLS always builds");
        Self { http, url: url.trim_end_matches('/').to_owned(), token: token.to_owned() }
    }

    /// The daemon's base address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The daemon's state.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.get("/health", &[]).await
    }

    /// The cluster's queue.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn cluster(&self) -> Result<ClusterView, ClientError> {
        self.get("/cluster", &[]).await
    }

    /// The batch script of a stage.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn script(&self, stage: StageId) -> Result<StageScript, ClientError> {
        self.get(&format!("/stages/{stage}/script"), &[]).await
    }

    /// Every study, newest first, whatever the page size.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn studies(&self) -> Result<Vec<StudySummary>, ClientError> {
        let mut studies = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let query: Vec<_> = cursor.iter().map(|cursor| ("cursor", cursor.clone())).collect();
            let page: StudyPage = self.get("/studies", &query).await?;
            studies.extend(page.items);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(studies),
            }
        }
    }

    /// Records a study, or with `dry_run` only says what would be recorded.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn plan(&self, spec: &StudySpec, dry_run: bool) -> Result<StudyPlan, ClientError> {
        let request = self.request(Method::POST, "/studies").query(&[("dry_run", dry_run)]).json(spec);
        self.json(request.timeout(LONG_LIMIT)).await
    }

    /// One study with its runs.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn study(&self, name: &str) -> Result<StudyDetail, ClientError> {
        self.get(&format!("/studies/{}", segment(name)), &[]).await
    }

    /// Takes a study out of the record, or with `dry_run` only says what would go.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn remove_study(&self, name: &str, dry_run: bool) -> Result<RemovedStudy, ClientError> {
        let request = self.request(Method::DELETE, &format!("/studies/{}", segment(name)));
        self.json(request.query(&[("dry_run", dry_run)]).timeout(LONG_LIMIT)).await
    }

    /// The measures of a study.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn results(&self, study: &str) -> Result<Results, ClientError> {
        self.get(&format!("/studies/{}/results", segment(study)), &[]).await
    }

    /// The measures of a study as the daemon writes them to `results/<study>.csv`.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn results_csv(&self, study: &str) -> Result<Vec<u8>, ClientError> {
        let path = format!("/studies/{}/results.csv", segment(study));
        let response = self.send(self.request(Method::GET, &path)).await?;
        Ok(response.bytes().await.map_err(|error| self.unreachable(&error))?.to_vec())
    }

    /// One run with its outputs and attempts.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn run(&self, id: RunId) -> Result<RunDetail, ClientError> {
        self.get(&format!("/runs/{id}"), &[]).await
    }

    /// How a study's measures go along with validation loss.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn report(&self, study: &str, models: Option<&str>) -> Result<Report, ClientError> {
        let models: Vec<_> = models.map(|models| ("models", models.to_owned())).into_iter().collect();
        let request =
            self.request(Method::GET, &format!("/studies/{}/report", segment(study))).query(&models);
        self.json(request.timeout(LONG_LIMIT)).await
    }

    /// Takes results in that were published elsewhere, or with `dry_run` only asks whether that could be done.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn import(&self, import: &Import, dry_run: bool) -> Result<(), ClientError> {
        let request = self.request(Method::POST, "/imports").query(&[("dry_run", dry_run)]);
        self.send(request.json(import)).await.map(drop)
    }

    /// Forgets imported results, or with `dry_run` only asks whether there are any.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn remove_import(&self, name: &str, dry_run: bool) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, &format!("/imports/{}", segment(name)));
        self.send(request.query(&[("dry_run", dry_run)])).await.map(drop)
    }

    /// The training curve of a run, at most `2 * points` of its points.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn curve(&self, id: RunId, points: u32) -> Result<Curve, ClientError> {
        self.get(&format!("/runs/{id}/curve"), &[("points", points.to_string())]).await
    }

    /// What went wrong in a study, by cause.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn failures(&self, study: &str) -> Result<Failures, ClientError> {
        self.get("/failures", &[("study", study.to_owned())]).await
    }

    /// The end of the log of a stage's newest attempt.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn log(&self, stage: StageId, bytes: u64) -> Result<LogTail, ClientError> {
        self.get(&format!("/stages/{stage}/log"), &[("bytes", bytes.to_string())]).await
    }

    /// Stops what is not over, as part of a study: what another one needs goes on.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn cancel(&self, target: &Target, study: &str, dry_run: bool) -> Result<Changed, ClientError> {
        let within = (!matches!(target, Target::Study(_))).then_some(("study", study));
        self.change(target, "cancel", within, dry_run).await
    }

    /// Starts again what failed or was cancelled, and what was skipped because of it.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn retry(&self, target: &Target, dry_run: bool) -> Result<Changed, ClientError> {
        self.change(target, "retry", None, dry_run).await
    }

    /// Does something with stages of a study, all at once.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn act(&self, study: &str, action: &Action, dry_run: bool) -> Result<Acted, ClientError> {
        let path = format!("/studies/{}/actions", segment(study));
        let request = self.request(Method::POST, &path).query(&[("dry_run", dry_run)]).json(action);
        self.json(request.timeout(LONG_LIMIT)).await
    }

    /// A link that opens the dashboard once.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn login_link(&self) -> Result<LoginLink, ClientError> {
        self.json(self.request(Method::POST, "/login-links")).await
    }

    /// Asks the daemon to stop; its workers go on.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn shutdown(&self) -> Result<(), ClientError> {
        self.send(self.request(Method::POST, "/shutdown")).await.map(drop)
    }

    async fn change(
        &self,
        target: &Target,
        verb: &str,
        within: Option<(&str, &str)>,
        dry_run: bool,
    ) -> Result<Changed, ClientError> {
        let path = format!("{}/{verb}", path(target));
        let request = self.request(Method::POST, &path).query(&[("dry_run", dry_run)]);
        self.json(request.query(within.as_slice()).timeout(LONG_LIMIT)).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, ClientError> {
        self.json(self.request(Method::GET, path).query(query)).await
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let body = self.send(request).await?.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body)
            .map_err(|error| ClientError::Unexpected { url: self.url.clone(), cause: error.to_string() })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}/api/v1{path}", self.url))
            .bearer_auth(&self.token)
            .timeout(CALL_LIMIT)
    }

    /// Sends, and turns a refusal into an error.
    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => ClientError::Refused(problem),
            Err(_) => ClientError::Unexpected { url: self.url.clone(), cause: format!("status {status}") },
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        ClientError::Unreachable { url: self.url.clone(), cause: cause.to_string() }
    }
}

/// Where the API has what is meant.
fn path(target: &Target) -> String {
    match target {
        Target::Study(name) => format!("/studies/{}", segment(name)),
        Target::Run(id) => format!("/runs/{id}"),
        Target::Stage(id) => format!("/stages/{id}"),
    }
}

/// A path segment: a name typed by a person may hold anything, and must not reach another endpoint.
fn segment(name: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => out.push(char::from(byte)),
            b'.' if name.len() > 2 => out.push('.'),
            _ => write!(out, "%{byte:02X}").expect("writing to a string"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Target, path, segment};

    #[test]
    fn a_name_stays_within_its_segment() {
        assert_eq!(segment("first-2.b"), "first-2.b");
        assert_eq!(segment("../health?x"), "..%2Fhealth%3Fx");
        assert_eq!(segment(".."), "%2E%2E");
    }

    #[test]
    fn a_target_names_its_endpoint() {
        assert_eq!(path(&Target::Stage(protocol::ids::StageId(7))), "/stages/7");
        assert_eq!(path(&Target::Study("a".into())), "/studies/a");
        assert_eq!(path(&Target::Study("a?dry_run=true&b/".into())), "/studies/a%3Fdry_run%3Dtrue%26b%2F");
    }
}
