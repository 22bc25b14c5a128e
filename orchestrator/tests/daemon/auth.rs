//! Who gets in.

use super::bench::{Bench, TOKEN};
use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use serde_json::Value;
use tower::ServiceExt as _;

fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "localhost:8642")
}

#[tokio::test]
async fn every_endpoint_needs_a_token() {
    let bench = Bench::new(1).await;
    let document = serde_json::to_value(orchestrator::http::document()).unwrap();
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace("{name}", "s").replace("{id}", "1");
            for token in [None, Some("wrong"), Some("")] {
                let mut request = request(&method.to_uppercase(), &path);
                if let Some(token) = token {
                    request = request.header("authorization", format!("Bearer {token}"));
                }
                let (status, text) = bench.send(request.body(Body::empty()).unwrap()).await;
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path} {token:?}: {text}");
                let problem: protocol::problem::Problem = serde_json::from_str(&text).unwrap();
                assert_eq!(problem.kind, "unauthorized");
                tried += 1;
            }
        }
    }
    assert!(tried >= 3 * 21, "{tried}");
    for page in ["/", "/index.html", "/studies/s", "/assets/x.js"] {
        let (status, text) = bench.send(request("GET", page).body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{page}");
        assert!(text.contains("lcctl login"), "{text}");
    }
}

#[tokio::test]
async fn the_api_token_does_not_open_the_workers_door() {
    let bench = Bench::new(1).await;
    for what in ["claim", "events", "result"] {
        let (status, _) = bench.post(&format!("/worker/{what}"), Some(&serde_json::json!({}))).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}");
    }
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_turned_away() {
    let bench = Bench::new(1).await;
    let with = |method: &str, host: &str, origin: Option<&str>| {
        let mut request = Request::builder()
            .method(method)
            .uri("/api/v1/login-links")
            .header("host", host)
            .header("authorization", format!("Bearer {TOKEN}"));
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.body(Body::empty()).unwrap()
    };
    for host in ["evil.example", "evil.example:8642", "127.0.0.1.evil.example", "10.0.0.1"] {
        assert_eq!(bench.send(with("POST", host, None)).await.0, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    for origin in ["http://evil.example", "null", "http://localhost:1", "https://127.0.0.1:9"] {
        assert_eq!(
            bench.send(with("POST", "127.0.0.1:8642", Some(origin))).await.0,
            StatusCode::FORBIDDEN,
            "{origin}"
        );
    }
    assert_eq!(
        bench.send(with("POST", "127.0.0.1:8642", Some("http://127.0.0.1:8642"))).await.0,
        StatusCode::OK
    );
    assert_eq!(bench.send(with("POST", "[::1]:1", None)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_login_link_opens_the_dashboard_once() {
    let bench = Bench::new(1).await;
    let (status, link) = bench.post::<()>("/login-links", None).await;
    assert_eq!(status, StatusCode::OK);
    let url = link["url"].as_str().unwrap();
    let path = url.strip_prefix("http://127.0.0.1:8642").unwrap();
    // Whoever previews links looks at it before it is opened.
    let head = request("HEAD", path).body(Body::empty()).unwrap();
    let previewed = bench.router.clone().oneshot(head).await.unwrap();
    assert_eq!(previewed.status(), StatusCode::OK);
    assert!(!previewed.headers().contains_key(header::SET_COOKIE));
    let response =
        bench.router.clone().oneshot(request("GET", path).body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let session = cookie.split(';').next().unwrap().to_owned();
    let name = session.split('=').next().unwrap().to_owned();

    let (status, _) = bench.send(request("GET", path).body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "a link works once");
    let bench = bench.restarted().await;
    for (path, cookie, expected) in [
        ("/api/v1/studies", session.as_str(), StatusCode::OK),
        ("/", session.as_str(), StatusCode::OK),
        ("/missing.js", session.as_str(), StatusCode::NOT_FOUND),
        ("/assets/missing.js", session.as_str(), StatusCode::NOT_FOUND),
        ("/studies/gpt-2.5", session.as_str(), StatusCode::OK),
        ("/api/v1/studies", &format!("{name}=guess"), StatusCode::UNAUTHORIZED),
        // A browser sends those of other daemons on this host as well.
        ("/api/v1/studies", &format!("lc_session_00000000=guess; {session}"), StatusCode::OK),
    ] {
        let request = request("GET", path).header("cookie", format!("theme=dark; {cookie}"));
        assert_eq!(bench.send(request.body(Body::empty()).unwrap()).await.0, expected, "{path} {cookie}");
    }
}

#[tokio::test]
async fn daemons_of_one_host_do_not_sign_each_other_out() {
    let mut names = Vec::new();
    for token in [TOKEN, "another"] {
        let bench = Bench::with_token(1, token).await;
        let (_, link) = bench.call::<()>(Method::POST, "/login-links", token, None).await;
        let path = link["url"].as_str().unwrap().strip_prefix("http://127.0.0.1:8642").unwrap().to_owned();
        let get = request("GET", &path).body(Body::empty()).unwrap();
        let response = bench.router.clone().oneshot(get).await.unwrap();
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
        names.push(cookie.split('=').next().unwrap().to_owned());
    }
    assert!(names[0].starts_with("lc_session_") && names[0] != names[1], "{names:?}");
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_errors_are_problems() {
    let bench = Bench::new(1).await;
    let cases = [
        (Method::GET, "/api/v1/nothing", "", StatusCode::NOT_FOUND),
        (Method::DELETE, "/api/v1/studies", "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/api/v1/studies/none", "", StatusCode::NOT_FOUND),
        (Method::GET, "/api/v1/runs/x", "", StatusCode::BAD_REQUEST),
        (Method::GET, "/api/v1/studies?limit=x", "", StatusCode::BAD_REQUEST),
        (Method::POST, "/api/v1/studies", "{", StatusCode::BAD_REQUEST),
        (Method::POST, "/", "", StatusCode::METHOD_NOT_ALLOWED),
    ];
    for (method, path, body, expected) in cases {
        let request = request(method.as_str(), path)
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .body(Body::from(body));
        let response = bench.router.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), expected, "{method} {path}");
        let headers = response.headers().clone();
        assert_eq!(headers[header::CONTENT_TYPE], protocol::problem::MEDIA_TYPE, "{method} {path}");
        assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'self'"));
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let problem: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(problem["status"], expected.as_u16());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
}
