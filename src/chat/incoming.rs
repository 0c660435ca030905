//! What a client says: `{"content":"…","id":"…"}`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

/// Bytes of a client's message id at most.
pub(crate) const ID_BYTES_MAX: usize = 64;

/// A message as a client sends it. Fields that are not its business (sender, room, time) are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct Incoming<'a> {
    #[serde(borrow)]
    pub(crate) content: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) id: Option<Cow<'a, str>>,
}

/// Why a client's message was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageError {
    NotAMessage,
    LongId,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageError::NotAMessage => f.write_str("expected a JSON object with a string in \"content\""),
            MessageError::LongId => write!(f, "\"id\" is longer than {ID_BYTES_MAX} bytes"),
        }
    }
}

impl<'a> Incoming<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Incoming<'a>, MessageError> {
        // serde would take an array for the fields in their order.
        if !text.trim_start().starts_with('{') {
            return Err(MessageError::NotAMessage);
        }
        let incoming: Incoming<'a> = serde_json::from_str(text).map_err(|_| MessageError::NotAMessage)?;
        if incoming.id.as_ref().is_some_and(|id| id.len() > ID_BYTES_MAX) {
            return Err(MessageError::LongId);
        }
        Ok(incoming)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_and_id_are_taken_and_the_rest_is_ignored() {
        let text = r#"{"roomId":"x","sender":"forged","content":"h\u00e9","id":"7","type":"SYSTEM","seq":1}"#;
        let incoming = Incoming::parse(text).unwrap();
        assert_eq!((&*incoming.content, incoming.id.as_deref()), ("hé", Some("7")));
        assert!(Incoming::parse(r#"{"content":"","id":null}"#).unwrap().id.is_none());
    }

    #[test]
    fn plain_content_is_not_copied() {
        let incoming = Incoming::parse(r#"{"content":"plain"}"#).unwrap();
        assert!(matches!(incoming.content, Cow::Borrowed("plain")));
    }

    #[test]
    fn anything_else_is_refused() {
        let cases = [
            "",
            "hello",
            "[]",
            "{}",
            r#"["content"]"#,
            r#"{"content":1}"#,
            r#"{"content":null}"#,
            r#"{"content":{"a":1}}"#,
            r#"{"content":"a","content":"b"}"#,
            r#"{"content":"a"}x"#,
            r#"{"content":"\ud800"}"#,
            r#"{"content":"a","id":5}"#,
        ];
        for case in cases {
            assert_eq!(Incoming::parse(case).err(), Some(MessageError::NotAMessage), "{case}");
        }
        let deep = format!(r#"{{"content":"a","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let _never_overflows_the_stack = Incoming::parse(&deep);
        let long = format!(r#"{{"content":"a","id":"{}"}}"#, "x".repeat(65));
        assert_eq!(Incoming::parse(&long).err(), Some(MessageError::LongId));
    }
}
