//! What client and endpoint may agree on: a subprotocol, and compression (RFC 7692).
//!
//! Both lists come from strangers: they are read once, from left to right, and what is malformed is an offer
//! declined, never a handshake failed.

use std::borrow::Cow;
use std::str::Chars;

use crate::http::{Fields, is_token, is_token_byte, trim};
use crate::ws::deflate::WindowBits;

/// The first offered subprotocol that the endpoint speaks, in its own words. Names are case-sensitive.
pub fn subprotocol<'s>(fields: Fields<'_>, spoken: &'s [String]) -> Option<&'s str> {
    fields
        .list("sec-websocket-protocol")
        .find_map(|offered| spoken.iter().find(|name| *name == offered))
        .map(String::as_str)
}

/// One well-formed offer of `permessage-deflate` with its parameters (RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeflateOffer {
    /// The server must compress each message by itself.
    pub server_no_context_takeover: bool,
    /// The client will compress each message by itself.
    pub client_no_context_takeover: bool,
    /// The server must not use a larger window.
    pub server_window: Option<WindowBits>,
    /// Whether, and down to what, the server may limit the client's window.
    pub client_window: ClientWindow,
}

/// What a client says of its own window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientWindow {
    /// Nothing: the answer must not limit it.
    #[default]
    Fixed,
    /// It can be limited.
    Limitable,
    /// It can be limited, and will be no larger than this.
    AtMost(WindowBits),
}

/// What an endpoint is ready to agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateTerms {
    /// Whether its own messages may refer back to earlier ones; each client that allows it costs a window of memory.
    pub server_takeover: bool,
    /// Whether the client's may; each client costs a window of memory.
    pub client_takeover: bool,
    /// The largest window that it uses itself.
    pub server_window: WindowBits,
    /// The largest window that it lets a client use that can be limited.
    pub client_window: WindowBits,
}

impl DeflateTerms {
    /// Agrees on the first offer. Whatever a well-formed offer asks for can be granted.
    pub fn agree(&self, fields: Fields<'_>) -> Option<DeflateAgreement> {
        deflate_offers(fields).next().map(|offer| self.answer(&offer))
    }

    fn answer(&self, offer: &DeflateOffer) -> DeflateAgreement {
        let server_window =
            offer.server_window.map_or(self.server_window, |bits| bits.min(self.server_window));
        let client_window = match offer.client_window {
            ClientWindow::Fixed => WindowBits::MAX,
            ClientWindow::Limitable => self.client_window,
            ClientWindow::AtMost(bits) => bits.min(self.client_window),
        };
        DeflateAgreement {
            server_takeover: self.server_takeover && !offer.server_no_context_takeover,
            client_takeover: self.client_takeover && !offer.client_no_context_takeover,
            server_window,
            client_window,
            names_server_window: offer.server_window.is_some() || server_window < WindowBits::MAX,
        }
    }
}

/// What client and endpoint have agreed on (RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateAgreement {
    /// Whether the server's messages may refer back to earlier ones.
    pub server_takeover: bool,
    /// Whether the client's may.
    pub client_takeover: bool,
    /// How far back the client remembers.
    pub server_window: WindowBits,
    /// How far back the server has to remember.
    pub client_window: WindowBits,
    /// A client that asked for a window is told of it, even of the largest (RFC 7692 §7.1.2.1).
    names_server_window: bool,
}

impl DeflateAgreement {
    /// Appends the value of the answer's `Sec-WebSocket-Extensions`.
    ///
    /// A window below the largest is agreed on for the client only if it offered that, so it may be named then.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"permessage-deflate");
        if !self.server_takeover {
            out.extend_from_slice(b"; server_no_context_takeover");
        }
        if !self.client_takeover {
            out.extend_from_slice(b"; client_no_context_takeover");
        }
        if self.names_server_window {
            out.extend_from_slice(
                format!("; server_max_window_bits={}", self.server_window.get()).as_bytes(),
            );
        }
        if self.client_window < WindowBits::MAX {
            out.extend_from_slice(
                format!("; client_max_window_bits={}", self.client_window.get()).as_bytes(),
            );
        }
    }
}

/// The well-formed offers of `permessage-deflate` in order of preference. Other extensions are skipped, an offer
/// with an unknown, repeated or malformed parameter is declined, and text that no list can hold ends its field.
pub fn deflate_offers(fields: Fields<'_>) -> impl Iterator<Item = DeflateOffer> {
    fields.all("sec-websocket-extensions").flat_map(offers_of_field)
}

/// The elements of one field, cut at the commas outside quotes.
fn offers_of_field(value: &str) -> impl Iterator<Item = DeflateOffer> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        while let Some(text) = rest {
            let (element, behind) = cut(text, ',');
            rest = behind;
            if let Some(offer) = deflate_offer(element) {
                return Some(offer);
            }
        }
        None
    })
}

/// Cuts at the first separator outside quotes.
fn cut(text: &str, separator: char) -> (&str, Option<&str>) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            other if other == separator && !quoted => return (&text[..at], Some(&text[at + 1..])),
            _ => {}
        }
    }
    (text, None)
}

/// Reads one element, `None` if it is another extension or a malformed offer.
fn deflate_offer(element: &str) -> Option<DeflateOffer> {
    let (name, mut rest) = cut(element, ';');
    if !trim(name).eq_ignore_ascii_case("permessage-deflate") {
        return None;
    }
    let mut offer = DeflateOffer::default();
    while let Some(text) = rest {
        let (parameter, behind) = cut(text, ';');
        offer.set(parameter)?;
        rest = behind;
    }
    Some(offer)
}

impl DeflateOffer {
    /// Takes in one parameter; `None` if the offer has to be declined for it.
    fn set(&mut self, parameter: &str) -> Option<()> {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (trim(name), Some(parameter_value(trim(value))?)),
            None => (trim(parameter), None),
        };
        match (name, value.as_deref()) {
            ("server_no_context_takeover", None) => raise(&mut self.server_no_context_takeover),
            ("client_no_context_takeover", None) => raise(&mut self.client_no_context_takeover),
            ("server_max_window_bits", Some(value)) if self.server_window.is_none() => {
                self.server_window = Some(window_bits(value)?);
                Some(())
            }
            ("client_max_window_bits", value) if self.client_window == ClientWindow::Fixed => {
                self.client_window = match value {
                    Some(value) => ClientWindow::AtMost(window_bits(value)?),
                    None => ClientWindow::Limitable,
                };
                Some(())
            }
            _ => None,
        }
    }
}

/// Reads a number of bits: without leading zeros.
fn window_bits(value: &str) -> Option<WindowBits> {
    if value.starts_with('0') || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    WindowBits::new(value.parse().ok()?)
}

/// Sets a flag that must not be set twice.
fn raise(flag: &mut bool) -> Option<()> {
    let was = std::mem::replace(flag, true);
    (!was).then_some(())
}

/// A token, or a quoted string that holds one (RFC 6455 §9.1).
fn parameter_value(text: &str) -> Option<Cow<'_, str>> {
    let Some(quoted) = text.strip_prefix('"') else {
        return is_token(text).then_some(Cow::Borrowed(text));
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match next_unescaped(&mut characters)? {
            Unescaped::End => break,
            Unescaped::Token(byte) => value.push(byte.into()),
        }
    }
    (characters.as_str().is_empty() && !value.is_empty()).then_some(Cow::Owned(value))
}

/// A step through a quoted string.
enum Unescaped {
    Token(u8),
    End,
}

/// The next character of a quoted string; `None` if it has no end or holds what no token can.
fn next_unescaped(characters: &mut Chars<'_>) -> Option<Unescaped> {
    let character = match characters.next()? {
        '"' => return Some(Unescaped::End),
        '\\' => characters.next()?,
        plain => plain,
    };
    let byte = u8::try_from(character).ok()?;
    is_token_byte(byte).then_some(Unescaped::Token(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(lines: &str) -> Vec<DeflateOffer> {
        deflate_offers(Fields::new(lines)).collect()
    }

    const PLAIN: DeflateOffer = DeflateOffer {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_window: None,
        client_window: ClientWindow::Fixed,
    };

    #[test]
    fn the_first_offered_subprotocol_wins_not_the_first_spoken() {
        let spoken = ["a".to_owned(), "b".to_owned()];
        let cases = [
            ("", None),
            ("Sec-WebSocket-Protocol:\r\n", None),
            ("Sec-WebSocket-Protocol: b, a\r\n", Some("b")),
            ("sec-websocket-protocol: x,,\ta\r\n", Some("a")),
            ("Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: b\r\n", Some("b")),
            ("Sec-WebSocket-Protocol: A, ab, a b, \"a\"\r\n", None),
        ];
        for (lines, expected) in cases {
            assert_eq!(subprotocol(Fields::new(lines), &spoken), expected, "{lines:?}");
        }
    }

    #[test]
    fn well_formed_offers_are_read_with_their_parameters() {
        let bits = |bits| WindowBits::new(bits).unwrap();
        let cases = [
            ("permessage-deflate", vec![PLAIN]),
            (" PerMessage-Deflate ,", vec![PLAIN]),
            ("foo, bar; baz=2, permessage-deflate", vec![PLAIN]),
            ("foo; a=\"x, permessage-deflate\"", vec![]),
            ("foo; a=\"\\\", permessage-deflate\"", vec![]),
            ("x-webkit-deflate-frame", vec![]),
            (
                "permessage-deflate; server_no_context_takeover;client_no_context_takeover",
                vec![DeflateOffer {
                    server_no_context_takeover: true,
                    client_no_context_takeover: true,
                    ..PLAIN
                }],
            ),
            (
                "permessage-deflate; client_max_window_bits",
                vec![DeflateOffer { client_window: ClientWindow::Limitable, ..PLAIN }],
            ),
            (
                "permessage-deflate; client_max_window_bits = \"1\\0\"; server_max_window_bits=8, permessage-deflate",
                vec![
                    DeflateOffer {
                        client_window: ClientWindow::AtMost(bits(10)),
                        server_window: Some(bits(8)),
                        ..PLAIN
                    },
                    PLAIN,
                ],
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(offers(&format!("Sec-WebSocket-Extensions: {value}\r\n")), expected, "{value:?}");
        }
    }

    #[test]
    fn offers_are_gathered_over_repeated_fields() {
        let line = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        assert_eq!(offers(&[line, line].concat()), [PLAIN, PLAIN]);
    }

    #[test]
    fn a_hostile_parameter_declines_its_offer_alone() {
        let hostile = [
            "",
            "x",
            "server_no_context_takeover=1",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover; client_no_context_takeover",
            "SERVER_NO_CONTEXT_TAKEOVER",
            "server_max_window_bits",
            "server_max_window_bits=",
            "server_max_window_bits=\"\"",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=+8",
            "server_max_window_bits=8 8",
            "server_max_window_bits=99999999999999999999999",
            "server_max_window_bits=8; server_max_window_bits=8",
            "server_max_window_bits=\"8",
            "server_max_window_bits=\"8\"8",
            "server_max_window_bits=8\"",
            "server_max_window_bits=\"8 \"",
            "client_max_window_bits; client_max_window_bits=9",
            "client_max_window_bits=\"1ä\"",
            "client_max_window_bits==9",
        ];
        for parameters in hostile {
            let value = format!("permessage-deflate; {parameters}");
            assert_eq!(offers(&format!("Sec-WebSocket-Extensions: {value}\r\n")), [], "{value:?}");
            let preferred = format!("Sec-WebSocket-Extensions: permessage-deflate, {value}\r\n");
            assert_eq!(offers(&preferred), [PLAIN], "{value:?}");
        }
    }
    const BITS_8: WindowBits = WindowBits::new(8).unwrap();
    const BITS_10: WindowBits = WindowBits::new(10).unwrap();
    const BITS_12: WindowBits = WindowBits::new(12).unwrap();

    /// What an endpoint answers to an offer; empty if it declines.
    fn answer(terms: &DeflateTerms, offer: &str) -> String {
        let mut out = Vec::new();
        if let Some(agreement) = terms.agree(Fields::new(&format!("Sec-WebSocket-Extensions: {offer}\r\n"))) {
            agreement.encode(&mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_endpoint_that_keeps_no_context_says_so_and_names_the_windows_it_was_asked_for() {
        let terms = DeflateTerms {
            server_takeover: false,
            client_takeover: false,
            server_window: WindowBits::MAX,
            client_window: WindowBits::MAX,
        };
        let alone = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        let cases = [
            ("permessage-deflate", alone.to_owned()),
            ("permessage-deflate; client_max_window_bits", alone.to_owned()),
            ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", alone.to_owned()),
            ("permessage-deflate; server_max_window_bits=15", format!("{alone}; server_max_window_bits=15")),
            ("permessage-deflate; server_max_window_bits=8", format!("{alone}; server_max_window_bits=8")),
            ("permessage-deflate; client_max_window_bits=9", format!("{alone}; client_max_window_bits=9")),
            (
                "permessage-deflate; x, permessage-deflate; server_max_window_bits=\"9\"",
                format!("{alone}; server_max_window_bits=9"),
            ),
            ("permessage-deflate; server_max_window_bits=7", String::new()),
            ("permessage-bzip2", String::new()),
            ("", String::new()),
        ];
        for (offer, expected) in cases {
            assert_eq!(answer(&terms, offer), expected, "{offer:?}");
        }
    }

    #[test]
    fn contexts_are_kept_and_windows_limited_only_as_far_as_both_sides_allow() {
        let terms = DeflateTerms {
            server_takeover: true,
            client_takeover: true,
            server_window: BITS_12,
            client_window: BITS_10,
        };
        let cases = [
            ("", "; server_max_window_bits=12"),
            ("; client_max_window_bits", "; server_max_window_bits=12; client_max_window_bits=10"),
            ("; client_max_window_bits=8", "; server_max_window_bits=12; client_max_window_bits=8"),
            ("; client_max_window_bits=15", "; server_max_window_bits=12; client_max_window_bits=10"),
            ("; server_max_window_bits=15", "; server_max_window_bits=12"),
            ("; server_max_window_bits=10", "; server_max_window_bits=10"),
            ("; server_no_context_takeover", "; server_no_context_takeover; server_max_window_bits=12"),
            ("; client_no_context_takeover", "; client_no_context_takeover; server_max_window_bits=12"),
        ];
        for (parameters, expected) in cases {
            let offer = format!("permessage-deflate{parameters}");
            assert_eq!(answer(&terms, &offer), format!("permessage-deflate{expected}"), "{offer:?}");
        }
    }

    #[test]
    fn a_client_that_cannot_be_limited_may_use_the_largest_window() {
        let terms = DeflateTerms {
            server_takeover: false,
            client_takeover: true,
            server_window: WindowBits::MAX,
            client_window: BITS_8,
        };
        let agreed = |line: &str| terms.agree(Fields::new(line)).unwrap().client_window;
        assert_eq!(agreed("Sec-WebSocket-Extensions: permessage-deflate\r\n"), WindowBits::MAX);
        let limitable = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
        assert_eq!(agreed(limitable), BITS_8);
    }
}
