//! Live changes.

use super::bench::{Bench, TOKEN, metric, progress, study};
use axum::{
    body::{Body, BodyDataStream},
    http::{Request, StatusCode},
};
use futures_util::StreamExt as _;
use protocol::view::{Change, ChangeBody};
use tower::ServiceExt as _;

/// A stream of server-sent events.
struct Stream {
    body: BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(bench: &Bench, query: &str, last: Option<i64>) -> Self {
        let mut request = Request::builder()
            .uri(format!("/api/v1/changes{query}"))
            .header("host", "localhost")
            .header("authorization", format!("Bearer {TOKEN}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = bench.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next change; its id and name as the protocol says.
    async fn next(&mut self) -> Change {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    block
                        .lines()
                        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                        .unwrap_or_default()
                };
                let (id, event, data) =
                    (field("id").to_owned(), field("event").to_owned(), field("data").to_owned());
                self.text = rest.to_owned();
                if data.is_empty() {
                    continue;
                }
                let change: Change = serde_json::from_str(&data).unwrap();
                assert_eq!(change.id.to_string(), id);
                assert_eq!(serde_json::to_value(&change.body).unwrap()["kind"], event);
                return change;
            }
            let bytes = self.body.next().await.expect("the stream goes on").unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}

fn what(change: &Change) -> String {
    match &change.body {
        ChangeBody::Study => format!("study {}", change.studies.join("+")),
        ChangeBody::Stage { stage } => format!("{} {}", stage.kind, stage.state),
        ChangeBody::Metrics { points, .. } => format!("{} points", points.len()),
        ChangeBody::Results { .. } => "results".to_owned(),
    }
}

#[tokio::test]
async fn what_happens_is_told_in_order_and_again_after_a_break() {
    let bench = Bench::new(1).await;
    let mut live = Stream::open(&bench, "", None).await;
    bench.plan(&study("s", &[32], &[0])).await;
    assert_eq!(what(&live.next().await), "study s");
    let mut told = Vec::new();
    while told.last().map(String::as_str) != Some("prepare ready") {
        told.push(what(&live.next().await));
    }
    let worker = bench.started().await.remove(0);
    worker.succeed(&bench).await;
    while told.last().map(String::as_str) != Some("train ready") {
        told.push(what(&live.next().await));
    }
    let bench = bench.restarted().await;
    let mut again = Stream::open(&bench, "?after=0", None).await;
    assert_eq!(what(&again.next().await), "study s");
    let (mut ids, mut replayed) = (Vec::new(), Vec::new());
    for _ in 0..told.len() {
        let change = again.next().await;
        ids.push(change.id.0);
        replayed.push(what(&change));
    }
    assert_eq!(replayed.last().map(String::as_str), Some("train ready"));
    assert!(ids.is_sorted());
    let mut rest = Stream::open(&bench, "?after=0", Some(ids[ids.len() - 2])).await;
    assert_eq!(rest.next().await.id.0, ids[ids.len() - 1], "the header goes before the query");
}

#[tokio::test]
async fn progress_and_points_are_told_and_a_resumed_view_sees_them() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0])).await;
    bench.started().await.remove(0).succeed(&bench).await;
    let worker = bench.started().await.remove(0);
    worker.claim(&bench).await;
    let mut live = Stream::open(&bench, "?study=s", None).await;
    worker.events(&bench, &[progress(1, 7), metric(2, 7, 3.0)]).await;
    let mut told = vec![live.next().await, live.next().await];
    told.sort_by_key(what);
    assert_eq!(told.iter().map(what).collect::<Vec<_>>(), ["1 points", "train running"]);
    let ChangeBody::Stage { stage } = &told[1].body else { panic!("{told:?}") };
    assert_eq!(stage.progress.as_ref().unwrap().done, 7);

    let last = told.iter().map(|change| change.id.0).max();
    let mut resumed = Stream::open(&bench, "", last).await;
    let ChangeBody::Stage { stage } = resumed.next().await.body else {
        panic!("a running stage comes first")
    };
    assert_eq!(stage.progress.unwrap().done, 7);
}

#[tokio::test]
async fn a_view_of_one_study_hears_of_no_other() {
    let bench = Bench::new(1).await;
    let mut live = Stream::open(&bench, "?study=b", None).await;
    bench.plan(&study("a", &[32], &[0])).await;
    bench.plan(&study("b", &[64], &[0])).await;
    let change = live.next().await;
    // The data is shared, so that its preparation concerns both; the rest of a does not.
    assert!(change.studies.contains(&"b".to_owned()), "{change:?}");
}

#[tokio::test]
async fn a_position_that_is_not_kept_says_read_again() {
    let bench = Bench::new(1).await;
    bench.plan(&study("s", &[32], &[0])).await;
    let mut lost = Stream::open(&bench, "?after=999999", None).await;
    assert_eq!(what(&lost.next().await), "study s");
}
