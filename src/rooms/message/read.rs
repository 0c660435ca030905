//! A chat message is read back from its JSON.
//!
//! By hand: a derived reader would bring the macros of `serde`, a quarter of all crates, into programs that have no use
//! for them otherwise.

use std::borrow::Cow;
use std::fmt;

use serde_core::de::{self, Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::chat::Chat;
use super::kind::Kind;

impl<'de: 'a, 'a> Deserialize<'de> for Chat<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Chat<'a>, D::Error> {
        deserializer.deserialize_map(ChatVisitor)
    }
}

struct ChatVisitor;

impl<'de> Visitor<'de> for ChatVisitor {
    type Value = Chat<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a chat message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Chat<'de>, A::Error> {
        let (mut seq, mut timestamp, mut id, mut sender) = (None, None, None, None);
        let (mut content, mut kind, mut client_id, mut username, mut online) = (None, None, None, None, None);
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key.0 {
                "seq" => once(&mut seq, "seq", map.next_value()?)?,
                "timestamp" => once(&mut timestamp, "timestamp", map.next_value()?)?,
                "id" => once(&mut id, "id", map.next_value()?)?,
                "sender" => once(&mut sender, "sender", map.next_value::<Text<'de>>()?.0)?,
                "content" => once(&mut content, "content", map.next_value::<Text<'de>>()?.0)?,
                "type" => once(&mut kind, "type", map.next_value::<Kind>()?)?,
                "clientId" => once(&mut client_id, "clientId", map.next_value::<Option<Text<'de>>>()?)?,
                "username" => once(&mut username, "username", map.next_value::<Option<Text<'de>>>()?)?,
                "online" => once(&mut online, "online", map.next_value()?)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Chat {
            seq: needed(seq, "seq")?,
            timestamp: needed(timestamp, "timestamp")?,
            id: needed(id, "id")?,
            sender: needed(sender, "sender")?,
            content: needed(content, "content")?,
            kind: needed(kind, "type")?,
            client_id: client_id.flatten().map(|text| text.0),
            username: username.flatten().map(|text| text.0),
            online: online.flatten(),
        })
    }
}

fn once<T, E: de::Error>(field: &mut Option<T>, name: &'static str, value: T) -> Result<(), E> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::duplicate_field(name)),
    }
}

fn needed<T, E: de::Error>(field: Option<T>, name: &'static str) -> Result<T, E> {
    field.ok_or_else(|| E::missing_field(name))
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
        let name = Text::deserialize(deserializer)?.0;
        let kinds = [Kind::Message, Kind::Join, Kind::Leave, Kind::System];
        kinds
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| D::Error::custom("neither MESSAGE nor JOIN, LEAVE or SYSTEM"))
    }
}

/// A text that is borrowed unless escapes in it had to be resolved.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAVE: &str = r#"{"id":"i","sender":"a\nb","content":"c","timestamp":"t","seq":3,"type":"LEAVE","new":[1],"username":"u","online":2}"#;

    #[test]
    fn a_message_is_read_whatever_else_is_in_it() {
        let chat = Chat::parse(LEAVE.as_bytes()).unwrap();
        assert_eq!((chat.seq, chat.id, chat.timestamp, chat.kind), (3, "i", "t", Kind::Leave));
        assert_eq!((&*chat.sender, &*chat.content, chat.client_id.as_deref()), ("a\nb", "c", None));
        assert_eq!((chat.username.as_deref(), chat.online), (Some("u"), Some(2)));
        assert!(matches!((chat.sender, chat.content), (Cow::Owned(_), Cow::Borrowed(_))));
    }

    #[test]
    fn what_lacks_a_field_or_has_it_twice_is_no_message() {
        let without = LEAVE.replace(r#""seq":3,"#, "");
        let twice = LEAVE.replace(r#""seq":3,"#, r#""seq":3,"seq":3,"#);
        let unknown = LEAVE.replace("LEAVE", "Leave");
        for text in [without, twice, unknown, String::new(), "[]".to_owned()] {
            assert_eq!(Chat::parse(text.as_bytes()), None, "{text}");
        }
    }
}
