//! The checks of an opening handshake (RFC 6455 §4.2.1), in the order in which their answers take precedence.

use super::{AcceptKey, Accepted, DeflateTerms, HandshakeError, negotiate};
use crate::http::{BodyFraming, FieldError, Head, Method, Origins, Version};

/// The only version of the protocol there is (RFC 6455 §4.1).
const WEBSOCKET_VERSION: &str = "13";

/// What a request wants of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A response.
    Http,
    /// To speak WebSocket from here on.
    Upgrade,
}

/// What an endpoint asks of an opening handshake.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'r, 'o> {
    /// The pages that may connect.
    pub origins: &'o Origins,
    /// The subprotocols the endpoint speaks; tokens.
    pub subprotocols: &'r [String],
    /// Whether a client that offers none of them is refused.
    pub subprotocol_required: bool,
    /// Whether the connection is over TLS.
    pub secure: bool,
    /// How messages may be compressed; `None` declines every offer.
    pub deflate: Option<DeflateTerms>,
}

/// Tells an upgrade from an ordinary request. Half an upgrade is an ordinary request, which a WebSocket path refuses.
pub fn intent(head: &Head<'_>) -> Intent {
    if head.has_token("upgrade", "websocket") && head.has_token("connection", "upgrade") {
        return Intent::Upgrade;
    }
    Intent::Http
}

/// Whether a request has something of an opening handshake, but does not ask for the upgrade.
fn is_half_upgrade(head: &Head<'_>) -> bool {
    let (upgrade, connection) =
        (head.has_token("upgrade", "websocket"), head.has_token("connection", "upgrade"));
    upgrade != connection || !upgrade && head.fields().contains("sec-websocket-key")
}

/// Checks a request on a WebSocket path. The head itself vouches for exactly one `Host`.
///
/// An extension is never a reason to refuse: what is unknown, malformed or not wanted is declined, which a client must
/// take for an answer (RFC 6455 §9.1).
pub fn accept<'r>(head: &Head<'_>, rules: &Rules<'r, '_>) -> Result<Accepted<'r>, HandshakeError> {
    let half = is_half_upgrade(head);
    let plain = intent(head) == Intent::Http && !half;
    if head.method() != Method::Get {
        return Err(if plain { HandshakeError::PlainMethod } else { HandshakeError::Method });
    }
    // A client that wants no upgrade is told of that first: what follows is a fault of upgrades alone.
    if plain {
        return Err(HandshakeError::NoUpgrade);
    }
    let (Version::Http11, Some(host)) = (head.version(), head.host()) else {
        return Err(HandshakeError::HttpVersion);
    };
    if head.body_framing() != BodyFraming::None {
        return Err(HandshakeError::Body);
    }
    if half {
        return Err(HandshakeError::HalfUpgrade);
    }
    match head.fields().only("sec-websocket-version") {
        Ok(Some(WEBSOCKET_VERSION)) => {}
        Ok(None) => return Err(HandshakeError::VersionMissing),
        Err(FieldError::Repeated) => return Err(HandshakeError::VersionRepeated),
        Ok(Some(_)) | Err(FieldError::NotText) => return Err(HandshakeError::WebSocketVersion),
    }
    let key = match head.fields().only("sec-websocket-key") {
        Ok(Some(key)) => AcceptKey::answer(key).ok_or(HandshakeError::KeyMalformed)?,
        Ok(None) => return Err(HandshakeError::KeyMissing),
        Err(FieldError::Repeated) => return Err(HandshakeError::KeyRepeated),
        Err(FieldError::NotText) => return Err(HandshakeError::KeyMalformed),
    };
    let origin = head.fields().only("origin").map_err(|error| match error {
        FieldError::Repeated => HandshakeError::OriginRepeated,
        FieldError::NotText => HandshakeError::Origin,
    })?;
    if !rules.origins.allows(origin, host, rules.secure) {
        return Err(HandshakeError::Origin);
    }
    let subprotocol = negotiate::subprotocol(head.fields(), rules.subprotocols);
    if subprotocol.is_none() && rules.subprotocol_required {
        return Err(HandshakeError::Subprotocol);
    }
    let deflate = rules.deflate.and_then(|terms| terms.agree(head.fields()));
    Ok(Accepted { key, subprotocol, deflate })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeadLimits, ResponseFraming, Status};

    const UPGRADE: &str = "Upgrade: websocket\r\n";
    const CONNECTION: &str = "Connection: Upgrade\r\n";
    const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    fn head(text: &str) -> Head<'_> {
        match Head::parse(text.as_bytes(), 0, &HeadLimits::default()) {
            Ok(Some((head, _))) => head,
            other => panic!("{other:?}: {text:?}"),
        }
    }

    fn request(lines: &[&str]) -> String {
        format!("GET /ws HTTP/1.1\r\nHost: h\r\n{}\r\n", lines.concat())
    }

    /// The verdict of an endpoint for the same origin that speaks `a` and `b`.
    fn verdict(text: &str, required: bool) -> Result<Option<String>, HandshakeError> {
        let subprotocols = ["a".to_owned(), "b".to_owned()];
        let rules = Rules {
            origins: &Origins::SameOrigin,
            subprotocols: &subprotocols,
            subprotocol_required: required,
            secure: false,
            deflate: None,
        };
        accept(&head(text), &rules).map(|accepted| accepted.subprotocol.map(str::to_owned))
    }

    #[test]
    fn a_correct_upgrade_is_accepted_in_any_case_and_among_other_tokens() {
        let cases = [
            request(&[UPGRADE, CONNECTION, VERSION, KEY]),
            request(&["uPGRADE: WebSocket\r\n", "CONNECTION: keep-alive, UPGRADE\r\n", VERSION, KEY]),
            request(&[
                "Upgrade: h2c, websocket\r\n",
                "Connection: a\r\nConnection: upgrade\r\n",
                VERSION,
                KEY,
            ]),
            request(&[UPGRADE, CONNECTION, VERSION, KEY, "Content-Length: 0\r\n"]),
            request(&[UPGRADE, CONNECTION, VERSION, KEY, "Origin: http://h\r\n"]),
            request(&[
                UPGRADE,
                CONNECTION,
                VERSION,
                KEY,
                "Sec-WebSocket-Extensions: permessage-deflate;;\"\r\n",
            ]),
        ];
        for text in cases {
            assert_eq!(verdict(&text, false), Ok(None), "{text:?}");
            assert_eq!(intent(&head(&text)), Intent::Upgrade);
        }
    }

    #[test]
    fn every_broken_rule_is_named() {
        let cases: &[(&[&str], HandshakeError)] = &[
            (&[], HandshakeError::NoUpgrade),
            (&["Connection: keep-alive\r\nCookie: a\r\n"], HandshakeError::NoUpgrade),
            (&["Content-Length: 3\r\n"], HandshakeError::NoUpgrade),
            (&[VERSION, KEY], HandshakeError::HalfUpgrade),
            (&[UPGRADE, VERSION, KEY], HandshakeError::HalfUpgrade),
            (&[CONNECTION, VERSION, KEY], HandshakeError::HalfUpgrade),
            (&["Upgrade: websocketx\r\n", CONNECTION, VERSION, KEY], HandshakeError::HalfUpgrade),
            (&["Upgrade: h2c\r\n", CONNECTION, VERSION, KEY], HandshakeError::HalfUpgrade),
            (&[UPGRADE, "Connection: upgraded\r\n", VERSION, KEY], HandshakeError::HalfUpgrade),
            (&[UPGRADE, "Connection: close\r\n", VERSION, KEY], HandshakeError::HalfUpgrade),
            (&[UPGRADE, CONNECTION, KEY], HandshakeError::VersionMissing),
            (&[UPGRADE, CONNECTION, "Sec-WebSocket-Version: 8\r\n", KEY], HandshakeError::WebSocketVersion),
            (
                &[UPGRADE, CONNECTION, "Sec-WebSocket-Version: 13, 8\r\n", KEY],
                HandshakeError::WebSocketVersion,
            ),
            (&[UPGRADE, CONNECTION, VERSION, VERSION, KEY], HandshakeError::VersionRepeated),
            (&[UPGRADE, CONNECTION, VERSION], HandshakeError::KeyMissing),
            (&[UPGRADE, CONNECTION, VERSION, KEY, KEY], HandshakeError::KeyRepeated),
            (
                &[UPGRADE, CONNECTION, VERSION, "Sec-WebSocket-Key: c2hvcnQ=\r\n"],
                HandshakeError::KeyMalformed,
            ),
            (&[UPGRADE, CONNECTION, VERSION, "Sec-WebSocket-Key:\r\n"], HandshakeError::KeyMalformed),
            (&[UPGRADE, CONNECTION, VERSION, KEY, "Content-Length: 1\r\n"], HandshakeError::Body),
            (&[UPGRADE, CONNECTION, VERSION, KEY, "Transfer-Encoding: chunked\r\n"], HandshakeError::Body),
            (&[UPGRADE, CONNECTION, VERSION, KEY, "Origin: https://h\r\n"], HandshakeError::Origin),
            (&[UPGRADE, CONNECTION, VERSION, KEY, "Origin: http://evil-h\r\n"], HandshakeError::Origin),
            (
                &[UPGRADE, CONNECTION, VERSION, KEY, "Origin: http://h\r\nOrigin: http://h\r\n"],
                HandshakeError::OriginRepeated,
            ),
        ];
        for &(lines, expected) in cases {
            assert_eq!(verdict(&request(lines), false), Err(expected), "{lines:?}");
        }
    }

    #[test]
    fn only_get_over_http_1_1_upgrades() {
        let lines = [UPGRADE, CONNECTION, VERSION, KEY].concat();
        let post = format!("POST /ws HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        assert_eq!(verdict(&post, false), Err(HandshakeError::Method));
        for method in ["HEAD", "OPTIONS", "POST"] {
            let plain = format!("{method} /ws HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_eq!(verdict(&plain, false), Err(HandshakeError::PlainMethod));
        }
        assert_eq!(verdict("GET /ws HTTP/1.0\r\n\r\n", false), Err(HandshakeError::NoUpgrade));
        let old = format!("GET /ws HTTP/1.0\r\nHost: h\r\n{lines}\r\n");
        assert_eq!(verdict(&old, false), Err(HandshakeError::HttpVersion));
    }

    #[test]
    fn the_first_offered_subprotocol_that_is_spoken_is_agreed_on() {
        let cases = [
            ("", Ok(None), Err(HandshakeError::Subprotocol)),
            ("Sec-WebSocket-Protocol: c\r\n", Ok(None), Err(HandshakeError::Subprotocol)),
            ("Sec-WebSocket-Protocol: c, b, a\r\n", Ok(Some("b")), Ok(Some("b"))),
            ("Sec-WebSocket-Protocol: c\r\nSec-WebSocket-Protocol: a\r\n", Ok(Some("a")), Ok(Some("a"))),
        ];
        for (line, optional, required) in cases {
            let text = request(&[UPGRADE, CONNECTION, VERSION, KEY, line]);
            assert_eq!(verdict(&text, false), optional.map(|name| name.map(str::to_owned)), "{line:?}");
            assert_eq!(verdict(&text, true), required.map(|name| name.map(str::to_owned)), "{line:?}");
        }
    }

    #[test]
    fn every_refusal_has_the_status_and_fields_of_the_contract_and_closes() {
        let cases = [
            (HandshakeError::Method, Status::METHOD_NOT_ALLOWED, "Allow: GET\r\n"),
            (HandshakeError::HttpVersion, Status::BAD_REQUEST, ""),
            (HandshakeError::Body, Status::BAD_REQUEST, ""),
            (HandshakeError::PlainMethod, Status::METHOD_NOT_ALLOWED, "Allow: GET\r\n"),
            (HandshakeError::NoUpgrade, Status::UPGRADE_REQUIRED, "Upgrade: websocket\r\n"),
            (HandshakeError::HalfUpgrade, Status::UPGRADE_REQUIRED, "Upgrade: websocket\r\n"),
            (HandshakeError::VersionMissing, Status::UPGRADE_REQUIRED, "Sec-WebSocket-Version: 13\r\n"),
            (HandshakeError::VersionRepeated, Status::UPGRADE_REQUIRED, "Sec-WebSocket-Version: 13\r\n"),
            (HandshakeError::OriginRepeated, Status::FORBIDDEN, ""),
            (HandshakeError::WebSocketVersion, Status::UPGRADE_REQUIRED, "Sec-WebSocket-Version: 13\r\n"),
            (HandshakeError::KeyMissing, Status::BAD_REQUEST, ""),
            (HandshakeError::KeyRepeated, Status::BAD_REQUEST, ""),
            (HandshakeError::KeyMalformed, Status::BAD_REQUEST, ""),
            (HandshakeError::Origin, Status::FORBIDDEN, ""),
            (HandshakeError::Subprotocol, Status::BAD_REQUEST, ""),
        ];
        for (error, status, field) in cases {
            let mut out = Vec::new();
            let reply = ResponseFraming { head_only: false, keep_alive: true };
            error.response().encode(&mut out, reply, "Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{text}");
            assert!(text.contains(field) && text.contains("\r\nConnection: close"), "{text}");
        }
    }
}
