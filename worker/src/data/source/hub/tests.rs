use super::Hub;
use crate::{data::prepare::prepare_from, report::Report};
use protocol::spec::PrepareSpec;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

/// A hub on a local port: answers by path; `/api/private` and what belongs to it wants the token `secret`.
struct LocalHub {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl LocalHub {
    fn start(answers: BTreeMap<String, Vec<u8>>, token: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let Some(request) = lines.next() else { continue };
                let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let path = request.split(' ').nth(1).unwrap().to_owned();
                let allowed = token.is_none_or(|token| {
                    headers
                        .iter()
                        .any(|header| header.eq_ignore_ascii_case(&format!("authorization: Bearer {token}")))
                });
                let (status, body) = match answers.get(&path) {
                    _ if !allowed => ("401 Unauthorized", &b""[..]),
                    Some(body) => ("200 OK", body.as_slice()),
                    None => ("404 Not Found", &b""[..]),
                };
                let length = body.len() + usize::from(path.ends_with("cut.jsonl"));
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
                    .unwrap();
                stream.write_all(body).unwrap();
                log.lock().unwrap().push(path);
            }
        });
        Self { endpoint, asked }
    }

    fn hub(&self, cache: &Path) -> Hub {
        Hub { endpoint: self.endpoint.clone(), token: None, offline: false, cache: cache.to_owned() }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chunking").join(name)).unwrap()
}

fn answers() -> BTreeMap<String, Vec<u8>> {
    let info = br#"{"id":"someone/stories","sha":"abc","siblings":[{"rfilename":"README.md"},{"rfilename":"data/test.jsonl"},
                    {"rfilename":"data/train 1.jsonl"},{"rfilename":"data/validation.jsonl"}],"tags":[]}"#;
    [
        ("/api/datasets/someone/stories", info.to_vec()),
        ("/datasets/someone/stories/resolve/abc/data/train%201.jsonl", golden("texts_train.jsonl")),
        ("/datasets/someone/stories/resolve/abc/data/validation.jsonl", golden("texts_validation.jsonl")),
        ("/someone/model/resolve/main/tokenizer.json", golden("tokenizer.json")),
        ("/api/datasets/someone/escape", br#"{"siblings":[{"rfilename":"../train.jsonl"}]}"#.to_vec()),
        ("/api/datasets/someone/cut", br#"{"siblings":[{"rfilename":"cut.jsonl"}]}"#.to_vec()),
        ("/datasets/someone/cut/resolve/main/cut.jsonl", b"{\"text\":\"a\"}\n".to_vec()),
        ("/api/datasets/someone/pictures", br#"{"siblings":[{"rfilename":"a.png"}]}"#.to_vec()),
    ]
    .map(|(path, body)| (path.to_owned(), body))
    .into()
}

fn spec(dataset: &str, out: &Path) -> PrepareSpec {
    PrepareSpec {
        dataset: dataset.to_owned(),
        tokenizer: "hf:someone/model".to_owned(),
        validation: None,
        block_size: 64,
        shards: 2,
        out: out.to_owned(),
    }
}

#[test]
fn a_dataset_and_a_tokenizer_are_downloaded_once() {
    let server = LocalHub::start(answers(), None);
    let folder = tempfile::tempdir().unwrap();
    let mut hub = server.hub(&folder.path().join("cache"));

    let output =
        prepare_from(&spec("hf:someone/stories", &folder.path().join("a")), &hub, &Report::silent()).unwrap();
    assert_eq!(output.splits["train"].sequences, 1538);
    assert_eq!(output.splits["validation"].sequences, 234);
    let mut asked = server.asked();
    asked.sort();
    let wanted: Vec<String> =
        answers().into_keys().filter(|path| path.contains("stories") || path.contains("model")).collect();
    assert_eq!(asked, wanted, "the test split and the readme are left where they are");

    // From the cache now: neither asked nor refused.
    hub.offline = true;
    let again =
        prepare_from(&spec("hf:someone/stories", &folder.path().join("b")), &hub, &Report::silent()).unwrap();
    assert_eq!(again, output);
    assert!(server.asked().is_empty());
}

#[test]
fn what_a_killed_download_left_is_removed_and_a_live_one_left_alone() {
    let server = LocalHub::start(answers(), None);
    let root = tempfile::tempdir().unwrap();
    let cache = root.path().join("cache");
    let hub = server.hub(&cache);
    let (owner, folder) = (cache.join("datasets/someone"), cache.join("datasets/someone/stories"));
    fs::create_dir_all(folder.join("data")).unwrap();
    fs::create_dir_all(cache.join("tokenizers/someone/model")).unwrap();
    fs::write(folder.join(".revision"), "abc").unwrap();
    fs::write(folder.join("data/validation.jsonl"), golden("texts_validation.jsonl")).unwrap();
    let left = [
        folder.join("data/.unfinished-train 1.jsonl-x1"),
        folder.join("data/.unfinished-validation.jsonl-x2"),
        folder.join(".unfinished-.revision-x3"),
        folder.join(".unfinished-.complete-x4"),
        cache.join("tokenizers/someone/model/.unfinished-tokenizer.json-x5"),
    ];
    left.iter().for_each(|path| fs::write(path, "half").unwrap());
    let held = fs::File::create(owner.join(".stories.lock")).unwrap();
    held.lock().unwrap();

    let spec = spec("hf:someone/stories", &root.path().join("out"));
    thread::scope(|scope| {
        let prepared = scope.spawn(|| prepare_from(&spec, &hub, &Report::silent()).unwrap());
        // It knows what to download now, but may not.
        while server.asked.lock().unwrap().is_empty() {
            thread::yield_now();
        }
        assert!(left.iter().all(|path| path.exists()));
        held.unlock().unwrap();
        assert_eq!(prepared.join().unwrap().splits["train"].sequences, 1538);
    });
    assert_eq!(left.iter().find(|path| path.exists()), None);
    assert_eq!(fs::read_dir(&owner).unwrap().count(), 1, "no lock is left");
    let asked = server.asked();
    assert!(!asked.iter().any(|path| path.ends_with("validation.jsonl")), "{asked:?}");
}

#[test]
fn those_who_want_the_same_dataset_download_it_once() {
    let server = LocalHub::start(answers(), None);
    let root = tempfile::tempdir().unwrap();
    let hub = server.hub(&root.path().join("cache"));
    thread::scope(|scope| {
        for number in 0..4 {
            let spec = spec("hf:someone/stories", &root.path().join(number.to_string()));
            let hub = &hub;
            scope.spawn(move || prepare_from(&spec, hub, &Report::silent()).unwrap());
        }
    });
    let mut asked = server.asked();
    asked.retain(|path| path.contains("/resolve/"));
    asked.sort();
    let wanted: Vec<String> = answers()
        .into_keys()
        .filter(|path| path.contains("stories/resolve") || path.contains("model/resolve"))
        .collect();
    assert_eq!(asked, wanted);
}

#[test]
fn what_the_hub_refuses_is_one_clear_line() {
    let server = LocalHub::start(answers(), None);
    let folder = tempfile::tempdir().unwrap();
    let hub = server.hub(&folder.path().join("cache"));
    let refused = |dataset: &str, hub: &Hub| {
        let line = prepare_from(&spec(dataset, &folder.path().join("out")), hub, &Report::silent())
            .unwrap_err()
            .to_string();
        assert!(!line.contains('\n'), "{line}");
        assert!(!folder.path().join("out").exists());
        line
    };
    assert!(refused("hf:someone/missing", &hub).contains("does not exist"));
    assert!(refused("hf:stories", &hub).contains("accepted: hf:owner/name"));
    assert!(refused("hf:../stories", &hub).contains("accepted: hf:owner/name"));
    assert!(refused("hf:someone/escape", &hub).contains("outside of the dataset"));
    assert!(refused("hf:someone/pictures", &hub).contains("no .parquet, .jsonl or .txt"));
    assert!(refused("hf:someone/cut", &hub).contains("run it again"));
    let offline = Hub { offline: true, ..hub.clone() };
    assert!(refused("hf:someone/stories", &offline).contains("HF_HUB_OFFLINE"));
    let nobody = Hub { endpoint: "http://127.0.0.1:9".into(), ..hub };
    assert!(refused("hf:someone/stories", &nobody).contains("can't be reached"));
    assert!(!folder.path().join("cache/train.jsonl").exists());
}

#[test]
fn a_private_repository_is_read_with_the_token() {
    let server = LocalHub::start(answers(), Some("secret"));
    let folder = tempfile::tempdir().unwrap();
    let hub = server.hub(&folder.path().join("cache"));
    let refused = hub.tokenizer("someone/model", &Report::silent()).unwrap_err().to_string();
    assert!(refused.contains("HF_TOKEN"), "{refused}");
    let hub = Hub { token: Some("secret".into()), ..hub };
    let file = hub.tokenizer("someone/model", &Report::silent()).unwrap();
    assert_eq!(fs::read(file).unwrap(), golden("tokenizer.json"));
}
