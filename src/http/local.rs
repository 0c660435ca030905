//! Whether a request comes from a person or a program on this machine, and from no web page of others.

use std::net::{IpAddr, SocketAddr};

use super::head::Head;
use super::origin::Origins;
use super::target::split_port;

/// Fields that only proxies write. A proxy on this machine makes the whole world local.
const OF_PROXIES: [&str; 3] = ["Forwarded", "X-Real-IP", "Via"];
const OF_PROXIES_PREFIX: &str = "x-forwarded-";

/// Whether the request was sent on this machine, for this machine: `peer` is loopback, no proxy has passed it on
/// (`proxied` says that the PROXY protocol told of one), `Host` names this machine, which DNS rebinding cannot make it,
/// and `Origin`, if any, is the server's own; `secure` says that it came over TLS.
pub fn is_local(head: &Head<'_>, peer: SocketAddr, proxied: bool, secure: bool) -> bool {
    let is_of_proxy = |name: &str| {
        OF_PROXIES.iter().any(|field| name.eq_ignore_ascii_case(field))
            || name
                .get(..OF_PROXIES_PREFIX.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(OF_PROXIES_PREFIX))
    };
    if proxied
        || !peer.ip().to_canonical().is_loopback()
        || head.all_headers().any(|(name, _)| is_of_proxy(name))
    {
        return false;
    }
    let Some(host) = head.host().filter(|host| names_loopback(host)) else { return false };
    match head.fields().only("Origin") {
        Ok(None) => true,
        Ok(origin) => Origins::SameOrigin.allows(origin, host, secure),
        Err(_) => false,
    }
}

/// Whether an authority is `localhost` (RFC 6761 §6.3) or a loopback address, with or without a port.
fn names_loopback(authority: &str) -> bool {
    let (host, _) = split_port(authority);
    let host = host.strip_suffix('.').unwrap_or(host);
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadLimits;

    #[test]
    fn local_is_who_is_here_and_speaks_to_this_machine_without_a_go_between() {
        let cases = [
            ("127.0.0.1:5", "127.0.0.1:8080", "", true),
            ("127.9.9.9:5", "localhost", "", true),
            ("[::1]:5", "[::1]:80", "", true),
            ("[::ffff:127.0.0.1]:5", "LocalHost:1", "", true),
            ("127.0.0.1:5", "127.1.2.3", "Origin: http://127.1.2.3\r\n", true),
            ("127.0.0.1:5", "127.0.0.1:8080", "Origin: http://127.0.0.1:8080\r\n", true),
            ("192.0.2.1:5", "127.0.0.1", "", false),
            ("127.0.0.1:5", "evil.test", "", false),
            ("127.0.0.1:5", "evil.test", "Origin: http://evil.test\r\n", false),
            ("127.0.0.1:5", "localhost.evil.test", "", false),
            ("127.0.0.1:5", "127.0.0.1.evil.test", "", false),
            ("127.0.0.1:5", "192.0.2.1", "", false),
            ("127.0.0.1:5", "localhost", "Origin: http://evil.test\r\n", false),
            ("127.0.0.1:5", "localhost:1", "Origin: http://localhost:2\r\n", false),
            ("127.0.0.1:5", "localhost", "Origin: null\r\n", false),
            ("127.0.0.1:5", "localhost", "Origin: http://localhost\r\nOrigin: http://localhost\r\n", false),
            ("127.0.0.1:5", "localhost", "Forwarded: for=192.0.2.1\r\n", false),
            ("127.0.0.1:5", "localhost", "X-Forwarded-For: 127.0.0.1\r\n", false),
            ("127.0.0.1:5", "localhost", "x-forwarded-host: h\r\n", false),
            ("127.0.0.1:5", "localhost", "X-Forwarded-Proto: http\r\n", false),
            ("127.0.0.1:5", "localhost", "X-Real-IP: 127.0.0.1\r\n", false),
            ("127.0.0.1:5", "localhost", "via: 1.1 here\r\n", false),
        ];
        for (peer, host, fields, expected) in cases {
            let text = format!("DELETE / HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
            let (head, _) = Head::parse(text.as_bytes(), 0, &HeadLimits::default()).unwrap().unwrap();
            let peer = peer.parse().unwrap();
            assert_eq!(is_local(&head, peer, false, false), expected, "{peer} {text}");
            assert!(!is_local(&head, peer, true, false), "behind the PROXY protocol");
        }
    }
}
