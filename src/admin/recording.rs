//! What a room has recorded, as JSON Lines: one about the recording, then one for each event, oldest first.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use super::search::{kind_of, time_text};
use crate::rooms::{Format, RecordedEvent, Recording, SessionKey, Timestamp};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct About<'r> {
    room: &'r str,
    kind: &'static str,
    epoch: String,
    taken_at: String,
    events: usize,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'r> {
    at: String,
    direction: &'static str,
    /// Of what came: its number. Of what was sent: the newest of the messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'static str>,
    /// Messages, each counted for each member.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'r RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// The lines.
pub(super) fn lines_of(room: &str, format: Format, recording: &Recording, now: Timestamp) -> Vec<u8> {
    let payloads: HashMap<u64, &[u8]> =
        recording.payloads.iter().map(|(seq, payload)| (*seq, &**payload)).collect();
    let members: HashMap<u64, (u128, &str)> =
        recording.members.iter().map(|(session, id, user)| (session.0, (*id, &**user))).collect();
    let mut out = Vec::new();
    let about = About {
        room,
        kind: kind_of(format),
        epoch: format!("{:016x}", recording.epoch),
        taken_at: time_text(now),
        events: recording.events.len(),
    };
    push(&about, &mut out);
    for (at, event) in &recording.events {
        let mut line = Line { at: time_text(*at), ..Line::default() };
        match *event {
            RecordedEvent::Received { seq, session } => {
                line.direction = "in";
                line.seq = Some(seq);
                line.name(session, &members);
                if let Some(payload) = payloads.get(&seq) {
                    line.show(format, payload);
                }
            }
            RecordedEvent::Refused { session, code } => {
                line.direction = "in";
                line.refused = Some(code);
                line.name(session, &members);
            }
            RecordedEvent::Sent { seq, deliveries, bytes } => {
                line.direction = "out";
                (line.seq, line.deliveries, line.bytes) = (Some(seq), Some(deliveries), Some(bytes));
            }
        }
        push(&line, &mut out);
    }
    out
}

impl<'r> Line<'r> {
    /// Who has sent it, if that is a member that is still there.
    fn name(&mut self, session: Option<SessionKey>, members: &HashMap<u64, (u128, &'r str)>) {
        if let Some((id, user)) = session.and_then(|session| members.get(&session.0)) {
            (self.session_id, self.username) = (Some(format!("{id:032x}")), Some(*user));
        }
    }

    fn show(&mut self, format: Format, payload: &'r [u8]) {
        self.bytes = Some(payload.len() as u64);
        let text = std::str::from_utf8(payload).ok();
        let json = text.filter(|_| format == Format::Chat).and_then(|text| serde_json::from_str(text).ok());
        match (json, text) {
            (Some(json), _) => self.message = Some(json),
            (None, Some(text)) => self.text = Some(text),
            (None, None) => self.base64 = Some(STANDARD.encode(payload)),
        }
    }
}

fn push(line: &impl Serialize, out: &mut Vec<u8>) {
    // Numbers, strings and JSON always serialise.
    out.extend(serde_json::to_vec(line).unwrap_or_default());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn each_event_is_a_line_with_the_message_if_it_is_there() {
        let at = Timestamp::from_micros(1_769_860_800_123_456);
        let ann = Some(SessionKey(7));
        let recording = Recording {
            epoch: 0xabc,
            events: vec![
                (at, RecordedEvent::Received { seq: 1, session: ann }),
                (at, RecordedEvent::Received { seq: 2, session: Some(SessionKey(8)) }),
                (at, RecordedEvent::Sent { seq: 2, deliveries: 6, bytes: 60 }),
                (at, RecordedEvent::Refused { session: ann, code: "unavailable" }),
            ],
            payloads: vec![(1, (*br#"{"content":"a\nb"}"#).into())],
            members: vec![(SessionKey(7), 5, "ann".into())],
        };
        let text = String::from_utf8(lines_of("r", Format::Chat, &recording, at)).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let time = "2026-01-31T12:00:00.123456Z";
        let id = format!("{:032x}", 5);
        assert_eq!(
            lines,
            [
                json!({ "room": "r", "kind": "chat", "epoch": "0000000000000abc", "takenAt": time, "events": 4 }),
                json!({ "at": time, "direction": "in", "seq": 1, "sessionId": id, "username": "ann", "bytes": 18,
                        "message": { "content": "a\nb" } }),
                json!({ "at": time, "direction": "in", "seq": 2 }),
                json!({ "at": time, "direction": "out", "seq": 2, "deliveries": 6, "bytes": 60 }),
                json!({ "at": time, "direction": "in", "sessionId": id, "username": "ann", "refused": "unavailable" }),
            ]
        );
    }

    #[test]
    fn payloads_of_relays_are_text_or_base64() {
        let recording = Recording {
            epoch: 1,
            events: (1..=2)
                .map(|seq| (Timestamp::default(), RecordedEvent::Received { seq, session: None }))
                .collect(),
            payloads: vec![(1, (*b"{}").into()), (2, [0xff, 0].into())],
            members: Vec::new(),
        };
        let text = String::from_utf8(lines_of("r", Format::Relay, &recording, Timestamp::default())).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[1]["text"], &lines[2]["base64"]), (&json!("{}"), &json!("/wA=")));
    }
}
