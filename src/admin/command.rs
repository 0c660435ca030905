//! What a dashboard asks for, as JSON.

use serde::{Deserialize, Serialize};

use crate::rooms::SessionKey;

/// Bytes of a text that is looked for.
const TEXT_BYTES_MAX: usize = 256;

/// What a dashboard asks for. `number` comes back with the answer.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "type", rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Command {
    /// Rooms whose names have this in them.
    Rooms { number: u64, search: String },
    /// Members whose names have this in them, or whose address or session id begins so; of one room, if it is named, and
    /// otherwise sessions in no room, too.
    Members { number: u64, search: String, room: Option<String> },
    /// A session's connection is closed.
    Disconnect { number: u64, session: String },
    /// All sessions of a chat room are closed.
    CloseSessions { number: u64, room: String },
}

impl Command {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Command, &'static str> {
        let command = serde_json::from_str(text).map_err(|_| "this is nothing that a dashboard asks for")?;
        let search = match &command {
            Command::Rooms { search, .. } | Command::Members { search, .. } => search,
            Command::Disconnect { .. } | Command::CloseSessions { .. } => return Ok(command),
        };
        if search.len() > TEXT_BYTES_MAX {
            Err("the text that is looked for is too long")
        } else {
            Ok(command)
        }
    }
}

/// A session as a dashboard names it: its connection, and its public id.
pub(super) fn name_of(session: SessionKey, id: u128) -> String {
    format!("{:016x}-{id:032x}", session.0)
}

/// The session of this name.
pub(super) fn session_of(name: &str) -> Option<(SessionKey, u128)> {
    let (session, id) = name.split_once('-')?;
    let is_hex = |text: &str, len| text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hex(session, 16) && is_hex(id, 32)).then_some(())?;
    Some((SessionKey(u64::from_str_radix(session, 16).ok()?), u128::from_str_radix(id, 16).ok()?))
}

/// What was done, or why nothing was.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(super) enum Outcome<'o> {
    Done { number: u64, closed: usize },
    Error { number: Option<u64>, content: &'o str },
}

impl Outcome<'_> {
    pub(super) fn text(&self) -> String {
        // Numbers and strings always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_strictly() {
        let rooms = r#"{"type":"rooms","number":1,"search":"lob"}"#;
        assert_eq!(Command::parse(rooms), Ok(Command::Rooms { number: 1, search: "lob".into() }));
        let members = r#"{"type":"members","number":2,"search":"","room":"r"}"#;
        let expected = Command::Members { number: 2, search: String::new(), room: Some("r".into()) };
        assert_eq!(Command::parse(members), Ok(expected));
        let long = format!(r#"{{"type":"rooms","number":1,"search":"{}"}}"#, "x".repeat(257));
        for text in [
            "",
            "{}",
            "[]",
            r#"{"type":"other","number":1}"#,
            r#"{"type":"rooms","number":1}"#,
            r#"{"type":"rooms","number":-1,"search":""}"#,
            r#"{"type":"rooms","number":1,"search":"","x":1}"#,
            &long,
        ] {
            assert!(Command::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_name_of_a_session_reads_back() {
        let (session, id) = (SessionKey(0x12_0000_0003), 7);
        let name = name_of(session, id);
        assert_eq!(session_of(&name), Some((session, id)));
        for text in ["", "-", "1-2", &name[1..], &format!("{name}0"), &name.replace('1', "+")] {
            assert_eq!(session_of(text), None, "{text}");
        }
    }
}
