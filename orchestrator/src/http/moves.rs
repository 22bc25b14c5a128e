//! That something moved, as server-sent events: what a page listens to before it asks again.

use super::{ApiError, App, extract::Query};
use crate::store::Store;
use axum::{
    extract::State,
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use protocol::{ids::RunId, problem::Problem, table::Moved};
use serde::Deserialize;
use std::{convert::Infallible, time::Duration};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

/// A page is told at most twice a second.
const PACE: Duration = Duration::from_millis(500);
/// An event is sent when there is nothing else to say: a browser tells nobody of comments.
const HEARTBEAT: Duration = Duration::from_secs(10);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only what moves in this study.
    study: Option<String>,
    /// Only what moves in this run.
    run: Option<i64>,
}

/// Tells, at most twice a second, that something moved; nothing is kept. Who listens reads what it shows once
/// the stream is open, and again after every event `moved`. Ten seconds of silence are followed by an event `heartbeat`.
#[utoipa::path(get, path = "/moves", tag = "changes", operation_id = "moves", params(Filter), responses(
    (status = 200, body = Moved, content_type = "text/event-stream"),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn stream(
    State(app): State<App>,
    Query(filter): Query<Filter>,
) -> Result<Response, ApiError> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(tell(app.store.clone(), filter, sender, app.shutdown.clone()));
    let alive = Event::default().event("heartbeat").data("still here");
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).event(alive);
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(keep_alive).into_response())
}

async fn tell(
    store: Store,
    filter: Filter,
    sender: mpsc::Sender<Result<Event, Infallible>>,
    shutdown: CancellationToken,
) {
    let closed = sender.clone();
    tokio::select! {
        () = moves(&store, &filter, &sender) => {}
        () = shutdown.cancelled() => {}
        () = closed.closed() => {}
    }
}

async fn moves(store: &Store, filter: &Filter, sender: &mpsc::Sender<Result<Event, Infallible>>) {
    let mut seen = store.watch();
    let mut version = *seen.borrow_and_update();
    // Said at once, so that a browser knows that the stream is open.
    let mut next = Some(Moved { version, studies: Vec::new(), curve: false });
    let mut due = Instant::now();
    loop {
        if let Some(moved) = next.take() {
            let Ok(event) = Event::default().event("moved").json_data(&moved) else { return };
            if sender.send(Ok(event)).await.is_err() {
                return;
            }
            due = Instant::now() + PACE;
        }
        if seen.changed().await.is_err() {
            return;
        }
        tokio::time::sleep_until(due).await;
        let since = std::mem::replace(&mut version, *seen.borrow_and_update());
        next = match filter.run {
            Some(run) => store.run_moved_since(RunId(run), since).map(|curve| Moved {
                version,
                studies: Vec::new(),
                curve,
            }),
            None => {
                let mut studies = store.studies_moved_since(since);
                studies.retain(|name| filter.study.as_ref().is_none_or(|wanted| wanted == name));
                (!studies.is_empty()).then_some(Moved { version, studies, curve: false })
            }
        };
    }
}
