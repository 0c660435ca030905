//! `X-Forwarded-For`, `X-Forwarded-Proto` and `Forwarded` (RFC 7239): what proxies that speak HTTP say of their clients.
//!
//! Every proxy appends what it knows of its caller, so a list is read from its end, and only as far as trusted
//! proxies have written it. What stands before that is hearsay: any client could have sent it.

use std::net::{IpAddr, SocketAddr};

use super::network::Trusted;
use crate::http::{Fields, is_token};

/// What the fields of a request say, as far as they are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The client's address; its port is 0 where it is not known.
    pub client: SocketAddr,
    /// Whether the client came over TLS, if that is said.
    pub secure: Option<bool>,
}

/// What one proxy says of its caller.
#[derive(Clone, Copy, Debug, Default)]
struct Hop {
    address: Option<SocketAddr>,
    secure: Option<bool>,
}

impl Forwarded {
    /// Reads the fields of a request that came from `peer`: the client is the first address from the end that is no
    /// trusted proxy, and its protocol what the proxy says that it called. `None` if `peer` itself is not trusted.
    ///
    /// A proxy that writes the fields `X-Forwarded-…` leaves a `Forwarded` of its client as it is, or the other way round.
    /// So of the two that are there, `X-Forwarded-…` counts, each field for itself.
    #[must_use]
    pub fn read(peer: SocketAddr, trusted: &Trusted, fields: Fields<'_>) -> Option<Forwarded> {
        if !trusted.contains(peer.ip()) {
            return None;
        }
        let hops = if fields.contains("forwarded") { forwarded(fields) } else { Vec::new() };
        let standard = walk(peer, trusted, hops.iter().map(|hop| hop.address));
        let addresses: Vec<_> = elements(fields, "x-forwarded-for").map(address).collect();
        let walked = if addresses.is_empty() { standard } else { walk(peer, trusted, addresses.into_iter()) };
        let protocols: Vec<_> = elements(fields, "x-forwarded-proto").map(is_secure).collect();
        let secure = match protocols.len().checked_sub(1) {
            // A proxy that sets this field where others append leaves the client's word as the only one.
            Some(last) => protocols.get(walked.passed.min(last)).copied().flatten(),
            None => hops.get(standard.passed.min(hops.len().saturating_sub(1))).and_then(|hop| hop.secure),
        };
        Some(Forwarded { client: walked.client, secure })
    }
}

/// How far a list is believed.
#[derive(Clone, Copy, Debug)]
struct Walked {
    client: SocketAddr,
    /// Trusted proxies between the client and the peer.
    passed: usize,
}

/// Goes through the addresses from the last one to the first that is no trusted proxy.
fn walk(peer: SocketAddr, trusted: &Trusted, addresses: impl Iterator<Item = Option<SocketAddr>>) -> Walked {
    let mut walked = Walked { client: peer, passed: 0 };
    for address in addresses {
        // Where the address cannot be read (`unknown`, a name), the proxy before it is as near as we come.
        let Some(address) = address else { break };
        walked.client = address;
        if !trusted.contains(address.ip()) {
            break;
        }
        walked.passed += 1;
    }
    walked
}

/// The elements of a list over all fields of that name, the last one first. Empty ones are no elements.
fn elements<'b>(fields: Fields<'b>, name: &'static str) -> impl Iterator<Item = &'b [u8]> {
    let values: Vec<_> = fields.values(name).collect();
    let elements = values.into_iter().rev().flat_map(|value| value.rsplit(|&byte| byte == b','));
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Reads an address with or without a port; an IPv6 address may stand in brackets.
fn address(bytes: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(bytes).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let alone = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    alone
        .or_else(|_| text.parse())
        .ok()
        .map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Some proxies name the protocol of an upgraded connection.
fn is_secure(protocol: &[u8]) -> Option<bool> {
    let is = |names: [&str; 2]| names.iter().any(|name| protocol.eq_ignore_ascii_case(name.as_bytes()));
    match (is(["https", "wss"]), is(["http", "ws"])) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        (false, false) => None,
    }
}

/// The hops that `Forwarded` tells of, the last one first. An element that breaks the rules tells nothing.
fn forwarded(fields: Fields<'_>) -> Vec<Hop> {
    let mut hops = Vec::new();
    for value in fields.values("forwarded") {
        match std::str::from_utf8(value).ok().and_then(hops_of) {
            Some(more) => hops.extend(more),
            // Where its elements end cannot be told.
            None => hops.push(Hop::default()),
        }
    }
    hops.reverse();
    hops
}

/// The elements of one field (RFC 7239 §4).
fn hops_of(value: &str) -> Option<Vec<Hop>> {
    let elements = split_outside_quotes(value, ',')?;
    let elements = elements.into_iter().map(str::trim_ascii).filter(|element| !element.is_empty());
    elements.map(|element| Some(hop_of(element).unwrap_or_default())).collect()
}

fn hop_of(element: &str) -> Option<Hop> {
    let (mut node, mut protocol) = (None, None);
    for pair in split_outside_quotes(element, ';')?.into_iter().map(str::trim_ascii) {
        if pair.is_empty() {
            continue;
        }
        let (name, value) = pair.split_once('=')?;
        let value = unquoted(value)?;
        let place = match name.to_ascii_lowercase().as_str() {
            "for" => &mut node,
            "proto" => &mut protocol,
            name if is_token(name) => continue,
            _ => return None,
        };
        // Each parameter must not come twice.
        if place.replace(value).is_some() {
            return None;
        }
    }
    let address = node.and_then(|node| address(node.as_bytes()));
    Some(Hop { address, secure: protocol.and_then(|protocol| is_secure(protocol.as_bytes())) })
}

/// Cuts at the separators that are not in a quoted string; `None` if such a string does not end.
fn split_outside_quotes(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            other if other == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + other.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!quoted).then_some(parts)
}

/// A token, or what stands in the quotes, where nothing that we read needs a backslash. More than a token without quotes is
/// forgiven: many write an address with its port so.
fn unquoted(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').filter(|inner| !inner.contains(['"', '\\'])),
        None => (!value.is_empty() && !value.contains(['"', ' ', '\t'])).then_some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(peer: &str, lines: &[u8]) -> Option<(String, Option<bool>)> {
        let trusted = Trusted::new(vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
        let forwarded = Forwarded::read(peer.parse().unwrap(), &trusted, Fields::new(lines));
        forwarded.map(|forwarded| (forwarded.client.to_string(), forwarded.secure))
    }

    fn lines(name: &str, values: &[&str]) -> String {
        values.iter().map(|value| format!("{name}: {value}\r\n")).collect()
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        let cases: &[(&[&str], &str)] = &[
            (&[], "10.0.0.1:5"),
            (&["203.0.113.7"], "203.0.113.7:0"),
            (&["203.0.113.7:99"], "203.0.113.7:99"),
            (&["[2001:db8::1]:99"], "[2001:db8::1]:99"),
            (&["[2001:db8::1]"], "[2001:db8::1]:0"),
            (&["2001:db8::1"], "[2001:db8::1]:0"),
            (&["::ffff:203.0.113.7"], "203.0.113.7:0"),
            (&["6.6.6.6, 203.0.113.7"], "203.0.113.7:0"),
            (&["6.6.6.6, 203.0.113.7, 10.0.0.2"], "203.0.113.7:0"),
            (&["6.6.6.6", "203.0.113.7 ,10.0.0.2", " 10.0.0.3"], "203.0.113.7:0"),
            (&["10.0.0.9, 10.0.0.2"], "10.0.0.9:0"),
            (&["6.6.6.6, unknown, 10.0.0.2"], "10.0.0.2:0"),
            (&["203.0.113.7, "], "203.0.113.7:0"),
            (&["6.6.6.6 203.0.113.7"], "10.0.0.1:5"),
        ];
        for (values, expected) in cases {
            let lines = lines("X-Forwarded-For", values);
            assert_eq!(read("10.0.0.1:5", lines.as_bytes()), Some(((*expected).to_owned(), None)), "{lines}");
        }
        let opaque = b"X-Forwarded-For: 6.6.6.6, \xff, 10.0.0.2\r\n";
        assert_eq!(read("10.0.0.1:5", opaque), Some(("10.0.0.2:0".to_owned(), None)));
    }

    #[test]
    fn the_protocol_is_the_one_that_the_client_called() {
        let cases: &[(&[&str], &[&str], Option<bool>)] = &[
            (&["https"], &[], Some(true)),
            (&["HTTP "], &[], Some(false)),
            (&["wss"], &[], Some(true)),
            (&["WSS"], &[], Some(true)),
            (&["ws"], &[], Some(false)),
            (&["https, https"], &[], Some(true)),
            (&["https", "https"], &[], Some(true)),
            (&["https,"], &[], Some(true)),
            (&["httpsx"], &[], None),
            (&[""], &[], None),
            // Appended by the only proxy: what stands before came from the client.
            (&["https, http"], &["203.0.113.7"], Some(false)),
            (&["https", "http"], &["203.0.113.7"], Some(false)),
            (&["http, https"], &[], Some(true)),
            // Two proxies that append: the outer one was called by the client.
            (&["https, http"], &["203.0.113.7, 10.0.0.2"], Some(true)),
            (&["http, https, http"], &["203.0.113.7, 10.0.0.2"], Some(true)),
            // The inner one passes on what the outer one has set.
            (&["https"], &["203.0.113.7, 10.0.0.3, 10.0.0.2"], Some(true)),
            (&["https, x"], &["203.0.113.7"], None),
        ];
        for (protocols, addresses, expected) in cases {
            let lines = lines("X-Forwarded-Proto", protocols) + &lines("X-Forwarded-For", addresses);
            let secure = read("10.0.0.1:5", lines.as_bytes()).unwrap().1;
            assert_eq!(secure, *expected, "{lines}");
        }
    }

    #[test]
    fn forwarded_counts_alike() {
        let cases: &[(&[&str], &str, Option<bool>)] = &[
            (&["for=203.0.113.7;proto=https;by=10.0.0.1"], "203.0.113.7:0", Some(true)),
            (&["For=\"203.0.113.7:99\"; PROTO=\"HTTPS\""], "203.0.113.7:99", Some(true)),
            (&["for=\"[2001:db8::1]:99\";proto=wss;host=\"a,b;c\""], "[2001:db8::1]:99", Some(true)),
            (&["proto=http"], "10.0.0.1:5", Some(false)),
            (&["for=6.6.6.6;proto=https, for=203.0.113.7;proto=http"], "203.0.113.7:0", Some(false)),
            (&["for=203.0.113.7;proto=https", "for=10.0.0.2;proto=http"], "203.0.113.7:0", Some(true)),
            (&["for=_hidden;proto=https"], "10.0.0.1:5", Some(true)),
            (&["for=203.0.113.7;proto=https, for=unknown;proto=http"], "10.0.0.1:5", Some(false)),
            (&["for=203.0.113.7;for=6.6.6.6"], "10.0.0.1:5", None),
            (&["for=203.0.113.7;proto=https, for=\"6.6.6.6"], "10.0.0.1:5", None),
            (&["for=6.6.6.6, x"], "10.0.0.1:5", None),
            (&["for=203.0.113.7;;ext=1;proto=https,"], "203.0.113.7:0", Some(true)),
            (&[""], "10.0.0.1:5", None),
        ];
        for (values, client, secure) in cases {
            let lines = lines("Forwarded", values);
            assert_eq!(
                read("10.0.0.1:5", lines.as_bytes()),
                Some(((*client).to_owned(), *secure)),
                "{lines}"
            );
        }
    }

    #[test]
    fn a_client_cannot_outdo_the_fields_of_its_proxy_with_the_others() {
        let theirs = "Forwarded: for=6.6.6.6;proto=https\r\n";
        let cases = [
            ("X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: http\r\n", "203.0.113.7:0", Some(false)),
            ("X-Forwarded-Proto: https\r\n", "6.6.6.6:0", Some(true)),
            ("X-Forwarded-For: 203.0.113.7\r\n", "203.0.113.7:0", Some(true)),
        ];
        for (ours, client, secure) in cases {
            let lines = [theirs, ours].concat();
            assert_eq!(read("10.0.0.1:5", lines.as_bytes()), Some((client.to_owned(), secure)), "{lines}");
        }
    }

    #[test]
    fn nobody_else_is_believed() {
        for lines in
            ["X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n", "Forwarded: proto=https\r\n"]
        {
            assert_eq!(read("11.0.0.1:5", lines.as_bytes()), None);
        }
    }
}
