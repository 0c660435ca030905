//! A token that comes as a message: `{"type":"AUTH","token":"…"}`.

use std::borrow::Cow;

use serde::Deserialize;

use super::token::TOKEN_BYTES_MAX;

/// What an AUTH message has besides its token.
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

impl std::fmt::Debug for AuthMessage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
}
