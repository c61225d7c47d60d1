//! What server and client share: addresses, and the texts they agree on.

/// `unix:PATH` or `HOST:PORT`.
pub fn address(text: &str) -> volo::net::Address {
    match text.strip_prefix("unix:") {
        Some(path) => std::os::unix::net::SocketAddr::from_pathname(path).unwrap().into(),
        None => text.parse::<std::net::SocketAddr>().unwrap().into(),
    }
}

pub const BIZ_STATUS: i32 = 1204;
pub const BIZ_TEXT: &str = "business says no";
pub const UNDECLARED_TEXT: &str = "undeclared";
/// Has what `grpc-message` must escape.
pub const FAIL_TEXT: &str = "asked to fail: 100 % d\u{e9}j\u{e0} vu";

pub fn blob(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i % 251) as u8).collect()
}
