//! The forms a request target may have (RFC 9112 §3.2).

use std::net::Ipv6Addr;

use super::error::HeadError;
use super::method::Method;

/// The target as the application sees it: a path with an optional query, or `*`.
/// An absolute-form target is reduced to its path, after its authority was found to be that of `Host`.
pub(super) fn reduce<'b>(target: &'b str, method: Method, host: Option<&str>) -> Result<&'b str, HeadError> {
    // The request line was judged before; here it is a rule of its own, since behind `#` two parsers would see different
    // paths.
    if target.contains('#') {
        return Err(HeadError::Fragment);
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(HeadError::TargetBytes);
    }
    if target.starts_with('/') || (target == "*" && method == Method::Options) {
        return Ok(target);
    }
    let (default_port, rest) = after_scheme(target).ok_or(HeadError::Target)?;
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        // Of the whole server (RFC 9112 §3.2.4), or its root.
        None if method == Method::Options => (rest, "*"),
        None => (rest, "/"),
    };
    if !is_authority(authority) {
        return Err(HeadError::Target);
    }
    // HTTP/1.0 need not have a `Host`.
    if host.is_some_and(|host| !is_same_authority(host, authority, default_port)) {
        return Err(HeadError::OtherHost);
    }
    // `http://host?query` has no path to begin with, and no client in use sends it.
    if path.starts_with(['/', '*']) { Ok(path) } else { Err(HeadError::Target) }
}

/// The port that belongs to `http://` or `https://`, and what follows that.
fn after_scheme(target: &str) -> Option<(u16, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    let default_ports = [("http", 80), ("https", 443)];
    let known = default_ports.iter().find(|(known, _)| scheme.eq_ignore_ascii_case(known));
    known.map(|&(_, port)| (port, rest))
}

/// Whether two authorities are the same: a port that is missing or empty is the scheme's own, an IPv6 address is one
/// however it is written (RFC 3986 §6.2).
fn is_same_authority(one: &str, other: &str, default_port: u16) -> bool {
    let parts = |authority: &str| {
        let (host, port) = split_port(authority);
        let port =
            port.filter(|digits| !digits.is_empty()).map_or(Some(default_port), |text| text.parse().ok());
        (host.to_ascii_lowercase(), ipv6(host), port)
    };
    let ((host, address, port), (other_host, other_address, other_port)) = (parts(one), parts(other));
    let same_host = if address.is_some() { address == other_address } else { host == other_host };
    same_host && port.is_some() && port == other_port
}

/// Whether the text is `uri-host [ ":" port ]`, and not empty: no user, no path, no white space, one port.
pub(super) fn is_authority(text: &str) -> bool {
    let (host, port) = split_port(text);
    is_host(host) && port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Cuts an authority into host and port; the colons of a bracketed IPv6 address belong to the host.
pub(super) fn split_port(authority: &str) -> (&str, Option<&str>) {
    let after_brackets = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[after_brackets..].find(':') {
        Some(at) => {
            let (host, port) = authority.split_at(after_brackets + at);
            (host, Some(&port[1..]))
        }
        None => (authority, None),
    }
}

/// A registered name, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn is_host(host: &str) -> bool {
    if host.starts_with('[') {
        return ipv6(host).is_some();
    }
    // No comma, although a registered name may hold one: a list of hosts is not a host.
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte);
    !host.is_empty() && host.bytes().all(is_name_byte)
}

/// The address in brackets.
fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_reduced_to_a_path_or_refused() {
        use HeadError::{Fragment, OtherHost, Target, TargetBytes};
        let cases: &[(&str, Method, Result<&str, HeadError>)] = &[
            ("/", Method::Get, Ok("/")),
            ("/a/b?c=d", Method::Get, Ok("/a/b?c=d")),
            ("//evil.example/a", Method::Get, Ok("//evil.example/a")),
            ("/?q={|}", Method::Get, Ok("/?q={|}")),
            ("*", Method::Options, Ok("*")),
            ("*", Method::Get, Err(Target)),
            ("", Method::Get, Err(Target)),
            ("a", Method::Get, Err(Target)),
            ("?q", Method::Get, Err(Target)),
            ("/a#b", Method::Get, Err(Fragment)),
            ("/ä", Method::Get, Err(TargetBytes)),
            ("h:80", Method::Other, Err(Target)),
            ("ftp://h/a", Method::Get, Err(Target)),
            ("http://h/a?b", Method::Get, Ok("/a?b")),
            ("HTTPS://H/a", Method::Get, Ok("/a")),
            ("http://h", Method::Get, Ok("/")),
            ("http://h?b", Method::Get, Err(Target)),
            ("http://h", Method::Options, Ok("*")),
            ("http://h/", Method::Options, Ok("/")),
            ("http:///a", Method::Get, Err(Target)),
            ("http://u@h/a", Method::Get, Err(Target)),
            ("http://h:8o/a", Method::Get, Err(Target)),
            ("http://other/a", Method::Get, Err(OtherHost)),
            ("http://h:81/a", Method::Get, Err(OtherHost)),
        ];
        for &(target, method, expected) in cases {
            assert_eq!(reduce(target, method, Some("h")), expected, "{target:?}");
        }
        assert_eq!(reduce("http://h/", Method::Get, None), Ok("/"));
        assert_eq!(reduce("http:///", Method::Get, None), Err(Target));
    }

    #[test]
    fn an_authority_is_the_same_with_and_without_the_port_of_its_scheme() {
        let cases = [
            ("http://h:80/", "h", true),
            ("http://h/", "h:80", true),
            ("http://H:080/", "h", true),
            ("http://h:/", "h", true),
            ("http://h/", "h:", true),
            ("https://h:443/", "h", true),
            ("https://h/", "h:443", true),
            ("http://[::1]/", "[0:0:0:0:0:0:0:1]:80", true),
            ("http://h:443/", "h", false),
            ("https://h:80/", "h", false),
            ("https://h/", "h:80", false),
            ("http://h:65616/", "h", false),
            ("http://h:65616/", "h:65616", false),
            ("http://[::1]/", "[::2]", false),
            ("http://h.evil/", "h", false),
        ];
        for (target, host, same) in cases {
            let expected = if same { Ok("/") } else { Err(HeadError::OtherHost) };
            assert_eq!(reduce(target, Method::Get, Some(host)), expected, "{target:?} at {host:?}");
        }
    }

    #[test]
    fn an_authority_is_a_host_and_at_most_a_port() {
        for text in ["h", "a.example:8080", "127.0.0.1", "[::1]", "[::1]:80", "h:", "xn--e1a.example", "a_b"]
        {
            assert!(is_authority(text), "{text:?}");
        }
        for text in
            ["", ":80", "a b", "a,b", "u@h", "h/", "h:8o", "h:1:2", "::1", "[::1", "[::1]x", "[h]", "h]", "ä"]
        {
            assert!(!is_authority(text), "{text:?}");
        }
    }

    #[test]
    fn the_port_is_cut_behind_the_brackets() {
        assert_eq!(split_port("[::1]:80"), ("[::1]", Some("80")));
        assert_eq!(split_port("[::1]"), ("[::1]", None));
        assert_eq!(split_port("h:"), ("h", Some("")));
    }
}
