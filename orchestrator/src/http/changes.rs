//! Live changes as server-sent events.

use super::{ApiError, App, extract::Query};
use crate::store::{Store, StoreError};
use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use protocol::{
    ids::ChangeId,
    problem::Problem,
    view::{Change, ChangeBody},
};
use serde::Deserialize;
use std::{convert::Infallible, time::Duration};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

/// Changes are told at most this often; what moves faster is told as it is then.
const PACE: Duration = Duration::from_millis(250);
/// A comment is sent when there is nothing else to say.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Changes read from the record at once.
const PAGE: u32 = 500;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only changes of this study.
    study: Option<String>,
    /// Resume after this change; the header `Last-Event-ID` goes before it.
    after: Option<i64>,
}

/// Live changes: the event's id is the change's, its name the kind of its body.
///
/// Without a position the stream starts now. With one, everything after it comes first; if that is not
/// kept any more, a `study` change per study says: read it again. Then the stages that run come as they
/// are, since progress is not kept in the stream.
#[utoipa::path(get, path = "/changes", tag = "changes", operation_id = "changes", params(Filter), responses(
    (status = 200, body = Change, content_type = "text/event-stream"),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn stream(
    State(app): State<App>,
    headers: HeaderMap,
    Query(filter): Query<Filter>,
) -> Result<Response, ApiError> {
    let resume = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let after = resume.or(filter.after);
    let seen = app.store.watch();
    let (newest, _) = app.store.change_range().await?;
    let (sender, receiver) = mpsc::channel(64);
    let teller = Teller {
        store: app.store.clone(),
        study: filter.study,
        // A position that this record never reached is of another one: start over.
        last: after.unwrap_or(newest),
        sender,
        seen,
    };
    tokio::spawn(teller.run(after.is_some(), app.shutdown.clone()));
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("still here");
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(keep_alive).into_response())
}

/// Tells one listener.
struct Teller {
    store: Store,
    study: Option<String>,
    last: i64,
    sender: mpsc::Sender<Result<Event, Infallible>>,
    seen: watch::Receiver<u64>,
}

/// The listener went away.
struct Left;

impl Teller {
    async fn run(mut self, resumed: bool, shutdown: CancellationToken) {
        let closed = self.sender.clone();
        tokio::select! {
            told = self.tell(resumed) => {
                if let Err(Some(error)) = told {
                    tracing::warn!(%error, "a live view was dropped");
                }
            }
            () = shutdown.cancelled() => {}
            () = closed.closed() => {}
        }
    }

    async fn tell(&mut self, resumed: bool) -> Result<(), Option<StoreError>> {
        let mut version = *self.seen.borrow_and_update();
        if resumed {
            let (newest, oldest) = self.store.change_range().await.map_err(Some)?;
            if self.last > newest || self.last + 1 < oldest {
                self.last = newest;
                for name in self.store.study_names().await.map_err(Some)? {
                    self.send(ChangeBody::Study, vec![name]).await.map_err(|Left| None)?;
                }
            }
            self.kept().await?;
            for (stage, studies) in self.store.running_stages().await.map_err(Some)? {
                self.send(ChangeBody::Stage { stage }, studies).await.map_err(|Left| None)?;
            }
        }
        loop {
            // The version first: what comes while the record is read wakes this loop once more.
            let until = *self.seen.borrow_and_update();
            self.kept().await?;
            let moved = self.store.progress_since(version).await.map_err(Some)?;
            version = until;
            for (stage, studies) in moved {
                self.send(ChangeBody::Stage { stage }, studies).await.map_err(|Left| None)?;
            }
            tokio::time::sleep(PACE).await;
            self.seen.changed().await.map_err(|_| None)?;
        }
    }

    /// Tells all kept changes after the last one told.
    async fn kept(&mut self) -> Result<(), Option<StoreError>> {
        loop {
            let changes = self.store.changes_after(self.last, PAGE).await.map_err(Some)?;
            if changes.is_empty() {
                return Ok(());
            }
            for change in changes {
                self.last = change.id.0;
                self.send(change.body, change.studies).await.map_err(|Left| None)?;
            }
        }
    }

    async fn send(&mut self, body: ChangeBody, studies: Vec<String>) -> Result<(), Left> {
        if self.study.as_ref().is_some_and(|study| !studies.contains(study)) {
            return Ok(());
        }
        let kind = match body {
            ChangeBody::Study => "study",
            ChangeBody::Stage { .. } => "stage",
            ChangeBody::Metrics { .. } => "metrics",
            ChangeBody::Results { .. } => "results",
        };
        let change = Change { id: ChangeId(self.last), studies, body };
        let Ok(event) = Event::default().event(kind).id(self.last.to_string()).json_data(&change) else {
            return Ok(());
        };
        self.sender.send(Ok(event)).await.map_err(|_| Left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::layout::Layout;
    use protocol::study::StudySpec;
    use std::task::Poll;

    /// More than it takes to read the record once.
    const STEPS: usize = 16;

    async fn save_study(store: &Store, name: &str) {
        let mut tx = store.begin(chrono::Utc::now).await.unwrap();
        tx.save_study(&StudySpec::named(name)).await.unwrap();
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn a_change_is_told_at_whatever_step_of_reading_it_comes() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&Layout::new(root.path())).await.unwrap();
        for step in 0..STEPS {
            save_study(&store, "before").await;
            let (last, _) = store.change_range().await.unwrap();
            let (sender, mut receiver) = mpsc::channel(64);
            let mut teller = Teller { store: store.clone(), study: None, last, sender, seen: store.watch() };
            let mut tell = Box::pin(teller.tell(false));
            // So many steps, of which each has what it waits for.
            for _ in 0..step {
                tokio::time::sleep(Duration::from_millis(5)).await;
                assert!(matches!(futures_util::poll!(&mut tell), Poll::Pending));
            }
            save_study(&store, "after").await;
            let told = async {
                tokio::select! {
                    _ = &mut tell => None,
                    told = receiver.recv() => told,
                }
            };
            let told = tokio::time::timeout(Duration::from_secs(10), told).await;
            assert!(told.is_ok_and(|told| told.is_some()), "lost at step {step}");
        }
    }
}
