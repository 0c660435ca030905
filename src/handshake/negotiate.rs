//! What client and endpoint may agree on: a subprotocol, and compression (RFC 7692).
//!
//! Both lists come from strangers: they are read once, from left to right, and what is malformed is an offer
//! declined, never a handshake failed.

use std::borrow::Cow;
use std::str::Chars;

use crate::http::{Fields, is_token, is_token_byte, trim};

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

/// The base-2 logarithm of an LZ77 window, from 8 to 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowBits(u8);

impl WindowBits {
    /// A window of that many bits, from 8 to 15.
    pub const fn new(bits: u8) -> Option<WindowBits> {
        if matches!(bits, 8..=15) { Some(WindowBits(bits)) } else { None }
    }

    /// The number of bits.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Reads the value of a parameter: a number without leading zeros.
    fn parse(value: &str) -> Option<WindowBits> {
        if value.starts_with('0') || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        WindowBits::new(value.parse().ok()?)
    }
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
                self.server_window = Some(WindowBits::parse(value)?);
                Some(())
            }
            ("client_max_window_bits", value) if self.client_window == ClientWindow::Fixed => {
                self.client_window = match value {
                    Some(value) => ClientWindow::AtMost(WindowBits::parse(value)?),
                    None => ClientWindow::Limitable,
                };
                Some(())
            }
            _ => None,
        }
    }
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
}
