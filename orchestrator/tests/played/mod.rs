//! A daemon that is only played: canned answers, for what the real one can't be made to do at will
//! (to vanish in the middle of a stream, to fail a given stage, to be of another root).

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use protocol::{attempt::DaemonFile, view::Health};
use serde::Serialize;
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::{runtime::Runtime, sync::oneshot};

/// What a client asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `GET /studies/s?x=y`, without `/api/v1`.
    pub(crate) line: String,
    /// `Last-Event-ID`.
    pub(crate) last_event: Option<String>,
    /// The body.
    pub(crate) body: Bytes,
}

#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<HashMap<String, (u16, String)>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A played daemon, listening until it is dropped.
pub(crate) struct Played {
    script: Script,
    stop: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
}

impl Played {
    /// Listens, and says so in `root/daemon.json`. It claims to serve `claims`.
    pub(crate) fn start(root: &Path, claims: &Path) -> Self {
        std::fs::create_dir_all(root).unwrap();
        std::fs::write(root.join("token"), "secret\n").unwrap();
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let file = DaemonFile {
            url: format!("http://{}", listener.local_addr().unwrap()),
            pid: std::process::id(),
            host: "here".into(),
            version: "0".into(),
        };
        let script = Script::default();
        let router = Router::new().fallback(answer).with_state(script.clone());
        let (stop, stopped) = oneshot::channel();
        runtime.spawn(async move {
            tokio::select! {
                _ = axum::serve(listener, router) => {}
                _ = stopped => {}
            }
        });
        let played = Self { script, stop: Some(stop), runtime: Some(runtime) };
        played.answers("GET /health", &health(claims));
        std::fs::write(root.join("daemon.json"), serde_json::to_vec(&file).unwrap()).unwrap();
        played
    }

    /// Answers `line` (`GET /path`, the query left out) with a value as JSON.
    pub(crate) fn answers(&self, line: &str, value: &impl Serialize) {
        self.says(line, 200, serde_json::to_string(value).unwrap());
    }

    /// Answers `line` with a status and a text.
    pub(crate) fn says(&self, line: &str, status: u16, text: String) {
        self.script.answers.lock().unwrap().insert(line.to_owned(), (status, text));
    }

    /// What was asked so far and begins with `line`.
    pub(crate) fn asked(&self, line: &str) -> Vec<Asked> {
        let asked = self.script.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.line.starts_with(line)).cloned().collect()
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The server may have ended by itself.
            let _ended = stop.send(());
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What a daemon that serves a root says about itself.
pub(crate) fn health(root: &Path) -> Health {
    Health {
        version: "0".into(),
        root: root.display().to_string(),
        executor: "local".into(),
        profile: None,
        slots: 1,
        busy: 0,
        started: chrono::DateTime::UNIX_EPOCH,
        trouble: None,
    }
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.headers.get("authorization").is_none_or(|value| value != "Bearer secret") {
        return respond(401, String::new());
    }
    let path = parts.uri.path().strip_prefix("/api/v1").unwrap_or_default().to_owned();
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let last_event = parts.headers.get("last-event-id").map(|id| id.to_str().unwrap().to_owned());
    let line = format!("{} {path}{query}", parts.method);
    script.asked.lock().unwrap().push(Asked { line, last_event, body });
    let found = script.answers.lock().unwrap().get(&format!("{} {path}", parts.method)).cloned();
    match found {
        Some((status, text)) => respond(status, text),
        None => respond(
            404,
            format!(
                r#"{{"type":"not-found","status":404,"title":"not found","detail":"nothing is at {path}"}}"#
            ),
        ),
    }
}

fn respond(status: u16, text: String) -> Response {
    (axum::http::StatusCode::from_u16(status).unwrap(), text).into_response()
}
