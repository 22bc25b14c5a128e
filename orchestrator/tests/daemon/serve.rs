//! The daemon as a process would run it: lock, token, port, orderly stop.

use orchestrator::daemon::{RootOptions, ServeError, ServeOptions, serve};
use protocol::attempt::DaemonFile;
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path};
use tokio::{sync::oneshot, task::JoinHandle};

fn options(root: &Path) -> ServeOptions {
    ServeOptions {
        root: RootOptions {
            path: root.to_owned(),
            slots: Some(1),
            worker: Some("/bin/true".into()),
            cluster: None,
        },
        listen: "127.0.0.1:0".parse().unwrap(),
    }
}

async fn started(root: &Path) -> (DaemonFile, JoinHandle<Result<(), ServeError>>) {
    let (tell, told) = oneshot::channel();
    let options = options(root);
    let daemon = tokio::spawn(serve(options, move |file| tell.send(file.clone()).unwrap()));
    (told.await.unwrap(), daemon)
}

async fn post(file: &DaemonFile, token: &str, path: &str) -> u16 {
    let request = reqwest::Client::new().post(format!("{}/api/v1{path}", file.url)).bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_root_has_one_daemon_from_start_to_orderly_stop() {
    let root = tempfile::tempdir().unwrap();
    let (file, daemon) = started(root.path()).await;
    let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("token"), mode("daemon.json")), (0o600, 0o600));
    let token = fs::read_to_string(root.path().join("token")).unwrap().trim().to_owned();
    assert_eq!(token.len(), 64);

    let second = serve(options(root.path()), |_| panic!("must not start")).await.unwrap_err();
    assert_eq!(second.exit_code(), 2);
    assert!(second.to_string().contains(&format!("(process {})", std::process::id())), "{second}");

    assert_eq!(post(&file, "wrong", "/shutdown").await, 401);
    assert_eq!(post(&file, &token, "/shutdown").await, 202);
    daemon.await.unwrap().unwrap();
    assert!(!root.path().join("daemon.json").exists());

    let (file, daemon) = started(root.path()).await;
    assert_eq!(post(&file, &token, "/shutdown").await, 202, "the token stays the same");
    daemon.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let root = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _holder = TcpListener::bind(taken).unwrap();
    let options = ServeOptions { listen: taken, ..options(root.path()) };
    let error = serve(options, |_| panic!("must not start")).await.unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().starts_with(&format!("port {} is in use", taken.port())), "{error}");
    assert!(!root.path().join("daemon.json").exists());
}
