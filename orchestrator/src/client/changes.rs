//! The stream of live changes: server-sent events, resumable by id.

use super::{Client, ClientError};
use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures_util::{Stream, StreamExt};
use protocol::{ids::ChangeId, view::Change};
use reqwest::{Method, header};
use std::{pin::Pin, time::Duration};

/// The daemon sends a sign of life more often than this; silence means that the connection is dead.
const SILENCE: Duration = Duration::from_secs(60);

/// Why a stream of changes ended.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The connection ended or broke; follow again from [`Changes::last`].
    #[error("the stream of changes ended")]
    Ended,
    /// An event that this version does not know.
    #[error("the daemon sent a change that this version of lcctl does not understand: {0}")]
    Unexpected(#[from] serde_json::Error),
}

type Events = Pin<Box<dyn Stream<Item = Result<Event, EventStreamError<reqwest::Error>>> + Send>>;

/// Changes as they come.
pub struct Changes {
    events: Events,
    last: Option<ChangeId>,
}

impl Changes {
    /// The position to follow from after the stream ended.
    #[must_use]
    pub const fn last(&self) -> Option<ChangeId> {
        self.last
    }

    /// Waits for the next change.
    ///
    /// # Errors
    /// When the stream ended, or holds something else than changes.
    pub async fn next(&mut self) -> Result<Change, FollowError> {
        loop {
            let event = match tokio::time::timeout(SILENCE, self.events.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(_)) | None) | Err(_) => return Err(FollowError::Ended),
            };
            if event.data.is_empty() {
                continue;
            }
            let change: Change = serde_json::from_str(&event.data)?;
            self.last = Some(change.id);
            return Ok(change);
        }
    }
}

impl Client {
    /// Follows the changes of a study, from `after` (as [`Changes::last`] told) or from now.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn changes(&self, study: &str, after: Option<ChangeId>) -> Result<Changes, ClientError> {
        let mut request = self
            .http
            .request(Method::GET, format!("{}/api/v1/changes", self.url))
            .bearer_auth(&self.token)
            .header(header::ACCEPT, "text/event-stream")
            .query(&[("study", study)]);
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after.to_string());
        }
        let events = self.send(request).await?.bytes_stream().eventsource().boxed();
        Ok(Changes { events, last: after })
    }
}
