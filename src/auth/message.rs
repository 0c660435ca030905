//! A token that comes as a message: `{"type":"AUTH","token":"…"}`.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::TOKEN_BYTES_MAX;

/// Bytes that an AUTH message has besides its token.
// Its fields take 28; the rest is for white space.
const FRAME_BYTES_MAX: usize = 256;

/// A message that is nothing but a token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthMessage<'m> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'m, str>,
    #[serde(borrow)]
    token: Cow<'m, str>,
}

impl fmt::Debug for AuthMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthMessage").finish_non_exhaustive()
    }
}

impl<'m> AuthMessage<'m> {
    /// Reads a text as an AUTH message; `None` if it is another message: an object of exactly these two fields counts.
    /// Other messages cost a look at their first bytes.
    #[inline]
    pub fn parse(text: &'m str) -> Option<AuthMessage<'m>> {
        if may_be_auth(text) { AuthMessage::read(text) } else { None }
    }

    /// Whether a message is a JSON object whose `type` is `AUTH`, with any other fields. It was meant to be a token: where
    /// tokens are in use, no other client may see it. Messages that cannot be one cost a search for a few bytes.
    #[inline]
    pub fn is_meant_by(message: &[u8]) -> bool {
        message.trim_ascii_start().starts_with(b"{") && has_auth(message) && calls_itself_auth(message)
    }

    /// Its token, not checked.
    pub fn token(&self) -> &str {
        &self.token
    }

    #[cold]
    fn read(text: &'m str) -> Option<AuthMessage<'m>> {
        serde_json::from_str(text).ok().filter(|message: &AuthMessage<'_>| message.kind == "AUTH")
    }
}

/// Whether the first field can be `type` or `token`, and the text is not too long for the two. A chat message begins with
/// another field and is told apart by its first bytes.
#[inline]
fn may_be_auth(text: &str) -> bool {
    let field = match text.as_bytes() {
        [b'{', b'"', field, ..] => *field,
        [b'{' | b' ' | b'\t' | b'\r' | b'\n', ..] => first_of_field(text),
        _ => return false,
    };
    field == b't' && text.len() <= TOKEN_BYTES_MAX + FRAME_BYTES_MAX && text.contains("\"AUTH\"")
}

/// The first byte of the first field's name behind any white space; 0 if there is none.
#[cold]
fn first_of_field(text: &str) -> u8 {
    let field = text.trim_ascii_start().strip_prefix('{').map(str::trim_ascii_start);
    field.and_then(|field| field.strip_prefix('"')?.bytes().next()).unwrap_or(0)
}

/// Whether `"AUTH"` is in a JSON text, as it is or with escapes. No letter that matters has another escape than
/// `\u0041` to `\u0079`.
fn has_auth(json: &[u8]) -> bool {
    let escaped =
        || memmem::find_iter(json, br"\u00").any(|at| matches!(json.get(at + 4), Some(b'4'..=b'7')));
    memmem::find(json, b"\"AUTH\"").is_some() || escaped()
}

/// Reads the object. Each `type` counts if there are several: who receives it may take the first or the last.
#[cold]
fn calls_itself_auth(json: &[u8]) -> bool {
    serde_json::from_slice(json).is_ok_and(|Called(is_auth)| is_auth)
}

/// Whether an object has a `type` that is `AUTH`.
struct Called(bool);

impl<'de> Deserialize<'de> for Called {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Called, D::Error> {
        json.deserialize_map(CalledVisitor)
    }
}

struct CalledVisitor;

impl<'de> Visitor<'de> for CalledVisitor {
    type Value = Called;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Called, A::Error> {
        let mut is_auth = false;
        while let Some(IsType(is_type)) = object.next_key()? {
            if is_type {
                let value: &RawValue = object.next_value()?;
                is_auth |= serde_json::from_str::<Cow<'_, str>>(value.get()).is_ok_and(|kind| kind == "AUTH");
            } else {
                let IgnoredAny = object.next_value()?;
            }
        }
        Ok(Called(is_auth))
    }
}

/// Whether a key is `type`. Read as bytes: JavaScript takes keys with half a surrogate pair, which are no text.
struct IsType(bool);

impl<'de> Deserialize<'de> for IsType {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<IsType, D::Error> {
        json.deserialize_bytes(IsTypeVisitor)
    }
}

struct IsTypeVisitor;

impl Visitor<'_> for IsTypeVisitor {
    type Value = IsType;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<IsType, E> {
        Ok(IsType(key == b"type"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_exactly_type_and_token_is_an_auth_message() {
        let long =
            format!("{{\"type\":\"AUTH\",\"token\":\"{}\"}}", "x".repeat(TOKEN_BYTES_MAX + FRAME_BYTES_MAX));
        let cases = [
            (r#"{"type":"AUTH","token":"a.b.c"}"#, Some("a.b.c")),
            (r#"{"token":"a.b.c","type":"AUTH"}"#, Some("a.b.c")),
            (" {\n \"type\" : \"AUTH\" , \"token\" : \"a\" } ", Some("a")),
            (r#"{"type":"AUTH","token":"\u0061"}"#, Some("a")),
            (r#"{"type":"AUTH","token":""}"#, Some("")),
            (r#"{"type":"AUTH"}"#, None),
            (r#"{"type":"AUTH","token":1}"#, None),
            (r#"{"type":"AUTH","token":"a","content":"b"}"#, None),
            (r#"{"type":"AUTH","type":"AUTH","token":"a"}"#, None),
            (r#"{"type":"AUTH","token":"a","token":"b"}"#, None),
            (r#"{"type":"auth","token":"a"}"#, None),
            (r#"{"content":"{\"type\":\"AUTH\",\"token\":\"a\"}"}"#, None),
            (r#"["AUTH","a"]"#, None),
            ("AUTH", None),
            ("{\"t", None),
            ("{\"", None),
            ("{", None),
            ("", None),
            (&long, None),
        ];
        for (text, token) in cases {
            assert_eq!(AuthMessage::parse(text).as_ref().map(AuthMessage::token), token, "{text:.80}");
        }
    }

    #[test]
    fn whatever_calls_itself_auth_is_meant_to_be_one() {
        let long = format!(r#"{{"type":"AUTH","token":"{}"}}"#, "x".repeat(60_000));
        let deep = format!(r#"{{"more":{}{},"type":"AUTH"}}"#, "[".repeat(9_000), "]".repeat(9_000));
        let spaced = format!("{}{{ \"type\" :\n\"AUTH\" }}\t", " ".repeat(10_000));
        let meant = [
            r#"{"type":"AUTH","token":"a.b.c"}"#,
            r#"{"type":"AUTH"}"#,
            r#"{"type":"AUTH","token":1}"#,
            r#"{"type":"AUTH","token":"a","content":"b"}"#,
            r#"{"content":"b","data":{"type":"x"},"token":"a","type":"AUTH"}"#,
            r#"{"type":"\u0041UTH","token":"a"}"#,
            r#"{"type":"A\u0055\u0054\u0048","token":"a"}"#,
            r#"{"\u0074ype":"AUTH","token":"a"}"#,
            r#"{"t\u0079\u0070\u0065":"\u0041\u0055TH","token":"a"}"#,
            r#"{"type":"AUTH","type":"x","token":"a"}"#,
            r#"{"type":"x","token":"a","type":"AUTH"}"#,
            r#"{"type":{},"type":"AUTH"}"#,
            r#"{"\ud800":"\udc00","type":"AUTH"}"#,
            r#"{"type":"\ud800","type":"AUTH"}"#,
            r#"{"number":1e999,"type":"AUTH"}"#,
            &long,
            &deep,
            &spaced,
        ];
        for text in meant {
            assert!(AuthMessage::is_meant_by(text.as_bytes()), "{text:.80}");
        }
        assert!(AuthMessage::is_meant_by(b"{\"type\":\"AUTH\",\"token\":\"\xff\"}"));
        let others = [
            "",
            "{",
            "AUTH",
            r#""AUTH""#,
            r#"["type","AUTH"]"#,
            r#"[{"type":"AUTH"}]"#,
            r#"{"type":"AUTH""#,
            r#"{"type":"AUTH"} {}"#,
            r#"{"type":"auth"}"#,
            r#"{"type":"AUTH "}"#,
            r#"{"Type":"AUTH"}"#,
            r#"{"type":["AUTH"]}"#,
            r#"{"type":"\\u0041UTH"}"#,
            r#"{"content":"AUTH"}"#,
            r#"{"content":"{\"type\":\"AUTH\"}"}"#,
            r#"{"data":{"type":"AUTH"}}"#,
            r#"{"content":"\u00e9\u0041"}"#,
        ];
        for text in others {
            assert!(!AuthMessage::is_meant_by(text.as_bytes()), "{text:.80}");
        }
    }
}
