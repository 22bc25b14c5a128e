//! Where a daemon is reached: the name of its machine, and its address.

use std::net::SocketAddr;

/// The name of this machine.
#[must_use]
pub fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(|_| "localhost".into(), |name| name.to_string_lossy().into_owned())
}

/// Where others reach a daemon that listens here.
#[must_use]
pub fn address(listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        // Who listens everywhere is reached by its name, also from a cluster's nodes.
        format!("http://{}:{}", host_name(), listen.port())
    } else {
        format!("http://{listen}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_reached_by_name() {
        let of = |listen: &str| address(listen.parse().unwrap());
        assert_eq!(of("127.0.0.1:8642"), "http://127.0.0.1:8642");
        assert_eq!(of("0.0.0.0:8642"), format!("http://{}:8642", host_name()));
        assert_eq!(of("[::]:8642"), of("0.0.0.0:8642"));
    }
}
