//! A plain reading of JSON objects, and what reads its messages and tokens with it.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::chat::incoming::{Incoming, MessageError};
use crate::request::names::CLIENT_ID_BYTES_MAX;

/// The fields of one object in their order, values as they are written, names as often as they are there.
pub(super) struct JsonFields(Vec<(String, Box<RawValue>)>);

/// What an object says under one name.
#[derive(Debug, PartialEq)]
pub(super) enum Field {
    Missing,
    /// Once, with this value.
    Once(Value),
    /// More than once, or with a value that no text or number can be made of.
    Unusable,
}

impl JsonFields {
    /// `None` if the text is anything but one object.
    pub(super) fn read(text: &str) -> Option<JsonFields> {
        let mut json = serde_json::Deserializer::from_str(text);
        let fields = (&mut json).deserialize_map(FieldsVisitor).ok()?;
        json.end().ok()?;
        Some(fields)
    }

    pub(super) fn get(&self, name: &str) -> Field {
        let mut values = self.0.iter().filter(|field| field.0 == name).map(|field| &field.1);
        match (values.next(), values.next()) {
            (None, _) => Field::Missing,
            (Some(value), None) => serde_json::from_str(value.get()).map_or(Field::Unusable, Field::Once),
            (Some(_), Some(_)) => Field::Unusable,
        }
    }

    /// The names, in order.
    pub(super) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|field| field.0.as_str()).collect()
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = JsonFields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonFields, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(JsonFields(fields))
    }
}

/// A chat client's message: the same verdict, content and id as a plain reading has it; and what was read is read again
/// when it is written by another hand, with whatever fields besides.
pub fn command(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = Incoming::parse(text);
    let read = read.as_ref().map(|incoming| (&*incoming.content, incoming.id.as_deref()));
    let expected = plainly_read(text);
    let expected = expected.as_ref().map(|(content, id)| (content.as_str(), id.as_deref()));
    assert_eq!(read, expected, "{text}");
    let Ok((content, id)) = read else { return };
    let whole: Result<Value, _> = serde_json::from_str(text);
    if let Ok(whole) = whole {
        let named = whole["id"].as_str().filter(|id| !id.is_empty());
        assert_eq!((whole["content"].as_str(), named), (Some(content), id));
    }
    let again =
        serde_json::json!({ "seq": text, "id": id, "sender": [text], "content": content }).to_string();
    let again = Incoming::parse(&again).expect("what was read can be said again");
    assert_eq!((&*again.content, again.id.as_deref()), (content, id));
}

fn plainly_read(text: &str) -> Result<(String, Option<String>), MessageError> {
    let fields = JsonFields::read(text).ok_or(MessageError::NotAMessage)?;
    let Field::Once(Value::String(content)) = fields.get("content") else {
        return Err(MessageError::NotAMessage);
    };
    match fields.get("id") {
        Field::Missing | Field::Once(Value::Null) => Ok((content, None)),
        // An empty id is no id.
        Field::Once(Value::String(id)) if id.is_empty() => Ok((content, None)),
        Field::Once(Value::String(id)) if id.len() > CLIENT_ID_BYTES_MAX => Err(MessageError::LongId),
        Field::Once(Value::String(id)) => Ok((content, Some(id))),
        Field::Once(_) | Field::Unusable => Err(MessageError::NotAMessage),
    }
}
