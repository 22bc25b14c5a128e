//! A daemon's worker endpoints over real HTTP, with the faults of a real network.

use protocol::{
    API_VERSION,
    attempt::{
        ATTEMPT_FILE, AttemptFile, ClaimRequest, ClaimResponse, DaemonFile, Event, EventBatch,
        EventsAccepted, ResultReport,
    },
    ids::AttemptId,
    problem::Problem,
    spec::{PrepareSpec, StageSpec},
};
use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

pub(crate) const TOKEN: &str = "the-attempt's-own-token";

/// How the next call ends that would otherwise be answered properly.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is taken, and the answer is 500.
    Error,
    /// Everything is taken, but the answer gets lost.
    LostAnswer,
}

/// What the daemon has taken.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) claims: Vec<ClaimRequest>,
    /// By sequence number, as often as they were taken.
    pub(crate) events: BTreeMap<u64, Event>,
    pub(crate) batches: Vec<Vec<u64>>,
    pub(crate) results: Vec<ResultReport>,
    /// Faults of the next calls, in order.
    pub(crate) faults: VecDeque<Fault>,
    /// Endpoints that answer 409.
    pub(crate) refusing: Vec<&'static str>,
    /// The status and content of every answer, where it is somebody else who listens.
    pub(crate) stranger: Option<(u16, String)>,
    /// Calls that came.
    pub(crate) calls: usize,
    /// A file that must be there before the next calls are answered.
    pub(crate) awaited: Option<PathBuf>,
    /// Whether the answer to events asks to stop.
    pub(crate) stop: bool,
    /// Complaints about calls that were not as they must be.
    pub(crate) wrong: Vec<String>,
}

pub(crate) struct Daemon {
    pub(crate) record: Arc<Mutex<Record>>,
    url: String,
}

impl Daemon {
    /// Listens; workers find it once [`Self::announce`] has written its file.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let record = Arc::new(Mutex::new(Record::default()));
        let shared = Arc::clone(&record);
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A worker that hangs up is none of this thread's business.
                let _ = answer(stream.unwrap(), &shared);
            }
        });
        Self { record, url }
    }

    pub(crate) fn announce(&self, folder: &Path) {
        announce(folder, &self.url);
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Record) -> T) -> T {
        look(&mut self.record.lock().unwrap())
    }
}

/// Writes the daemon file that [`attempt`] names.
pub(crate) fn announce(folder: &Path, url: &str) {
    let file = DaemonFile { url: url.into(), pid: 1, host: "here".into(), version: "0".into() };
    std::fs::write(folder.join("daemon.json"), serde_json::to_vec(&file).unwrap()).unwrap();
}

/// Writes an attempt to prepare a dataset that does not exist, and gives its path.
pub(crate) fn attempt(folder: &Path) -> PathBuf {
    let file = AttemptFile {
        api_version: API_VERSION,
        attempt: AttemptId("5f0c1f6e-0000-7000-8000-00000000002a".parse().unwrap()),
        daemon: folder.join("daemon.json"),
        token: TOKEN.into(),
        parents: Vec::new(),
        requeued: false,
        spec: StageSpec::Prepare(PrepareSpec {
            dataset: folder.join("absent.jsonl").to_str().unwrap().into(),
            tokenizer: "builtin".into(),
            validation: None,
            block_size: 16,
            shards: 1,
            out: folder.join("data"),
        }),
    };
    let path = folder.join(ATTEMPT_FILE);
    std::fs::write(&path, serde_json::to_vec(&file).unwrap()).unwrap();
    path
}

fn answer(stream: TcpStream, record: &Mutex<Record>) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream);
    let mut request = String::new();
    lines.read_line(&mut request)?;
    let (mut length, mut authorized) = (0, false);
    loop {
        let mut line = String::new();
        lines.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "authorization" => authorized = value.trim() == format!("Bearer {TOKEN}"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body)?;
    let awaited = {
        let mut record = record.lock().unwrap();
        record.calls += 1;
        record.awaited.clone()
    };
    while awaited.as_ref().is_some_and(|file| !file.exists()) {
        thread::sleep(Duration::from_millis(5));
    }
    let mut record = record.lock().unwrap();
    let fault = record.faults.pop_front();
    let (status, answer) = if fault == Some(Fault::Error) {
        (500, "the disk is on fire".to_owned())
    } else {
        let endpoint = request.split(' ').nth(1).unwrap_or_default().rsplit('/').next().unwrap_or_default();
        if !request.starts_with("POST /api/v1/worker/") || !authorized {
            record.wrong.push(request.clone());
        }
        handle(endpoint, &body, &mut record)
    };
    if fault == Some(Fault::LostAnswer) {
        return stream.shutdown(std::net::Shutdown::Both);
    }
    write!(
        &stream,
        "HTTP/1.1 {status} .\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    )
}

/// What a daemon explains a refusal with.
pub(crate) fn problem(status: u16, detail: &str) -> String {
    let (kind, title) = ("refused".into(), "refused".into());
    serde_json::to_string(&Problem { kind, status, title, detail: detail.into(), hint: None }).unwrap()
}

fn handle(endpoint: &str, body: &[u8], record: &mut Record) -> (u16, String) {
    if let Some(stranger) = &record.stranger {
        return stranger.clone();
    }
    if record.refusing.contains(&endpoint) {
        return (409, problem(409, "another worker holds this attempt now"));
    }
    let through = |record: &Record| record.events.keys().next_back().copied().unwrap_or(0);
    match endpoint {
        "claim" => {
            let request: ClaimRequest = serde_json::from_slice(body).unwrap();
            let response = ClaimResponse { claim: request.claim, accepted_through: through(record) };
            record.claims.push(request);
            (200, serde_json::to_string(&response).unwrap())
        }
        "events" => {
            let batch: EventBatch = serde_json::from_slice(body).unwrap();
            record.batches.push(batch.events.iter().map(|event| event.seq).collect());
            for event in batch.events {
                if let Some(known) = record.events.insert(event.seq, event.clone())
                    && known != event
                {
                    record.wrong.push(format!("event {} came with two contents", event.seq));
                }
            }
            let response = EventsAccepted { accepted_through: through(record), stop: record.stop };
            (200, serde_json::to_string(&response).unwrap())
        }
        "result" => {
            record.results.push(serde_json::from_slice(body).unwrap());
            (204, String::new())
        }
        other => {
            record.wrong.push(format!("unknown endpoint {other}"));
            (404, String::new())
        }
    }
}
