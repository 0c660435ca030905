//! `X-Forwarded-For` and `X-Forwarded-Proto`: what proxies that speak HTTP say of their clients.

use std::net::{IpAddr, SocketAddr};

use super::network::Trusted;

/// What the fields of a request say, as far as they are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The client's address; its port is 0 where it is not known.
    pub client: SocketAddr,
    /// Whether the client came over TLS, if that is said.
    pub secure: Option<bool>,
}

impl Forwarded {
    /// Reads the values of the two fields, in the order of the request, that came from `peer`.
    ///
    /// Every proxy appends the address that it was called from, so the list is read from its end: the client is the
    /// first one that is no trusted proxy. What stands before that is hearsay; anybody could have written it. `None` if
    /// `peer` itself is not trusted.
    pub fn read<'v>(
        peer: SocketAddr,
        trusted: &Trusted,
        forwarded_for: impl Iterator<Item = &'v str>,
        mut protocol: impl Iterator<Item = &'v str>,
    ) -> Option<Forwarded> {
        if !trusted.contains(peer.ip()) {
            return None;
        }
        let mut client = peer;
        let lists: Vec<_> = forwarded_for.collect();
        for hop in lists.into_iter().rev().flat_map(|list| list.rsplit(',')) {
            // What cannot be read was written by nobody we trust.
            let Some(address) = address(hop.trim()) else { break };
            client = address;
            if !trusted.contains(address.ip()) {
                break;
            }
        }
        let secure = match (protocol.next(), protocol.next()) {
            (Some(one), None) if one.trim().eq_ignore_ascii_case("https") => Some(true),
            (Some(one), None) if one.trim().eq_ignore_ascii_case("http") => Some(false),
            (_, _) => None,
        };
        Some(Forwarded { client, secure })
    }
}

/// Reads an address with or without a port; an IPv6 address may stand in brackets.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let alone = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    alone
        .or_else(|_| text.parse())
        .ok()
        .map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(peer: &str, forwarded_for: &[&str], protocol: &[&str]) -> Option<(String, Option<bool>)> {
        let trusted = Trusted::new(vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
        let peer = peer.parse().unwrap();
        Forwarded::read(peer, &trusted, forwarded_for.iter().copied(), protocol.iter().copied())
            .map(|forwarded| (forwarded.client.to_string(), forwarded.secure))
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
            (&["6.6.6.6, "], "10.0.0.1:5"),
            (&["6.6.6.6 203.0.113.7"], "10.0.0.1:5"),
        ];
        for (values, expected) in cases {
            assert_eq!(read("10.0.0.1:5", values, &[]), Some(((*expected).to_owned(), None)), "{values:?}");
        }
    }

    #[test]
    fn the_protocol_is_believed_if_it_is_said_once() {
        let cases: &[(&[&str], Option<bool>)] = &[
            (&["https"], Some(true)),
            (&["HTTP "], Some(false)),
            (&["https", "https"], None),
            (&["https, http"], None),
            (&["wss"], None),
        ];
        for (values, expected) in cases {
            assert_eq!(read("[::1]:5", &[], values), Some(("[::1]:5".to_owned(), *expected)), "{values:?}");
        }
    }

    #[test]
    fn nobody_else_is_believed() {
        assert_eq!(read("11.0.0.1:5", &["203.0.113.7"], &["https"]), None);
    }
}
