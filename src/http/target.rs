//! The forms a request target may have (RFC 9112 §3.2).

use super::{HeadError, Method};

/// The target as the application sees it: a path with an optional query, or `*`.
/// An absolute-form target is reduced to its path, after its authority was found equal to `Host`.
pub(super) fn reduce<'b>(target: &'b str, method: Method, host: Option<&str>) -> Result<&'b str, HeadError> {
    // A fragment never travels; behind `#` two parsers would see different paths.
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(HeadError::Target);
    }
    if target.starts_with('/') || (target == "*" && method == Method::Options) {
        return Ok(target);
    }
    let rest = after_scheme(target).ok_or(HeadError::Target)?;
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    if !host.is_some_and(|host| host.eq_ignore_ascii_case(authority)) {
        return Err(HeadError::Host);
    }
    // `http://host?query` has no path to begin with, and nobody sends it.
    if path.starts_with('/') { Ok(path) } else { Err(HeadError::Target) }
}

/// What follows `http://` or `https://`.
fn after_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
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
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(is_ipv6);
    }
    // No comma, although a registered name may hold one: a list of hosts is not a host.
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte);
    !host.is_empty() && host.bytes().all(is_name_byte)
}

/// Whether the text between the brackets is an address.
fn is_ipv6(address: &str) -> bool {
    address.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_reduced_to_a_path_or_refused() {
        use HeadError::{Host, Target};
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
            ("/a#b", Method::Get, Err(Target)),
            ("/ä", Method::Get, Err(Target)),
            ("h:80", Method::Other, Err(Target)),
            ("ftp://h/a", Method::Get, Err(Target)),
            ("http://h/a?b", Method::Get, Ok("/a?b")),
            ("HTTPS://H/a", Method::Get, Ok("/a")),
            ("http://h", Method::Get, Ok("/")),
            ("http://h?b", Method::Get, Err(Target)),
            ("http:///a", Method::Get, Err(Host)),
            ("http://other/a", Method::Get, Err(Host)),
            ("http://h:80/a", Method::Get, Err(Host)),
            ("http://u@h/a", Method::Get, Err(Host)),
        ];
        for &(target, method, expected) in cases {
            assert_eq!(reduce(target, method, Some("h")), expected, "{target:?}");
        }
        assert_eq!(reduce("http://h/", Method::Get, None), Err(Host));
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
