//! What every request passes first: the `Host` it names (against DNS rebinding), the `Origin` of
//! whatever changes something (against other sites' pages), and the headers of every answer.

use super::{ApiError, App};
use crate::address::host_name;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use std::net::{IpAddr, SocketAddr};

const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Refuses foreign hosts and origins; adds the security headers to every answer.
pub(super) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match refuse(request.headers(), request.method(), app.listen) {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn refuse(headers: &HeaderMap, method: &Method, listen: SocketAddr) -> Option<ApiError> {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_ours(host, listen) {
        let detail = format!("host {host:?} is not this daemon");
        return Some(
            ApiError::new(StatusCode::MISDIRECTED_REQUEST, "foreign-host", detail).hint(accepted(listen)),
        );
    }
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return None;
    }
    let origin = headers.get(header::ORIGIN)?.to_str().unwrap_or_default();
    let same = origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
    (!same).then(|| {
        let detail = format!("origin {origin:?} may not change anything here");
        ApiError::new(StatusCode::FORBIDDEN, "foreign-origin", detail)
    })
}

/// What a person may write in place of a host that is not ours.
fn accepted(listen: SocketAddr) -> String {
    let own = match listen.ip() {
        address if address.is_unspecified() => host_name(),
        address => address.to_string(),
    };
    format!("accepted: localhost, loopback addresses and {own}; or tunnel to localhost")
}

/// Loopback names and addresses, and the address that the daemon listens on; any port, because of
/// tunnels.
fn is_ours(host: &str, listen: SocketAddr) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address == listen.ip(),
        // Who listens everywhere tells workers on other nodes its name.
        Err(_) => {
            name.eq_ignore_ascii_case("localhost")
                || (listen.ip().is_unspecified() && name.eq_ignore_ascii_case(&host_name()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_the_listen_address_are_hosts() {
        let listen = "10.1.2.3:8642".parse().unwrap();
        for ours in ["localhost", "LOCALHOST:99", "127.0.0.1:8642", "127.1.2.3", "[::1]:8642", "10.1.2.3:1"] {
            assert!(is_ours(ours, listen), "{ours}");
        }
        for foreign in ["", "evil.example", "localhost.evil.example", "10.1.2.4", "user@"] {
            assert!(!is_ours(foreign, listen), "{foreign}");
        }
    }

    #[test]
    fn who_listens_everywhere_names_the_host_and_no_address_that_nobody_can_open() {
        assert!(accepted("10.1.2.3:8642".parse().unwrap()).contains(" and 10.1.2.3; or tunnel to localhost"));
        let everywhere = accepted("0.0.0.0:8642".parse().unwrap());
        assert!(everywhere.contains(&host_name()) && !everywhere.contains("0.0.0.0"), "{everywhere}");
    }
}
