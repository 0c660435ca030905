//! What a client says: `{"content":"…","id":"…"}`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de};

use crate::request::names::CLIENT_ID_BYTES_MAX;

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
            MessageError::LongId => write!(f, "\"id\" is longer than {CLIENT_ID_BYTES_MAX} bytes"),
        }
    }
}

impl<'a> Incoming<'a> {
    /// An empty id is none.
    pub(crate) fn parse(text: &'a str) -> Result<Incoming<'a>, MessageError> {
        // serde would take an array for the fields in their order.
        if !text.trim_start().starts_with('{') {
            return Err(MessageError::NotAMessage);
        }
        let mut incoming: Incoming<'a> = serde_json::from_str(text).map_err(|_| MessageError::NotAMessage)?;
        incoming.id = incoming.id.filter(|id| !id.is_empty());
        if incoming.id.as_ref().is_some_and(|id| id.len() > CLIENT_ID_BYTES_MAX) {
            return Err(MessageError::LongId);
        }
        Ok(incoming)
    }
}

/// The id in a text that is not a message, as far as it can be read: the client wants to know which one was refused.
pub(crate) fn readable_id(text: &str) -> Option<String> {
    let mut id = None;
    // What comes behind the id may be anything, such as nothing.
    let _malformed_anyway = IdIn(&mut id).deserialize(&mut serde_json::Deserializer::from_str(text));
    id.filter(|id| !id.is_empty())
}

/// Keeps the field `id` of an object, if it is a string, even if the rest cannot be read.
struct IdIn<'v>(&'v mut Option<String>);

impl<'de> DeserializeSeed<'de> for IdIn<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for IdIn<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(FieldName(key)) = map.next_key()? {
            if key == "id" {
                map.next_value_seed(TextInto(self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct FieldName<'k>(#[serde(borrow)] Cow<'k, str>);

/// Keeps a value that is a string.
struct TextInto<'v>(&'v mut Option<String>);

impl<'de> DeserializeSeed<'de> for TextInto<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for TextInto<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        *self.0 = Some(text.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_refused_text_is_read_as_far_as_it_can_be() {
        let cases = [
            (r#"{"id":"7","content":1}"#, Some("7")),
            (r#"{"content":1,"id":"7"}"#, Some("7")),
            (r#"{"content":[{"id":"no"}],"id":"\u0037"}"#, Some("7")),
            (r#"{"id":"7","content":"cut o"#, Some("7")),
            (r#"{"id":"7"}x"#, Some("7")),
            (r#"{"id":"7","#, Some("7")),
            (r#"{"id":"cut o"#, None),
            (r#"{"content":,"id":"7"}"#, None),
            (r#"{"id":7}"#, None),
            (r#"{"id":null}"#, None),
            (r#"{"id":""}"#, None),
            (r#"["id","7"]"#, None),
            ("", None),
        ];
        for (text, id) in cases {
            assert_eq!(readable_id(text).as_deref(), id, "{text}");
        }
    }

    #[test]
    fn an_empty_id_is_none() {
        assert!(Incoming::parse(r#"{"content":"a","id":""}"#).unwrap().id.is_none());
    }

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
