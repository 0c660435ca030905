//! `/ws/json`: a chat message comes in, the same goes back with the time.

use serde_json::Value;

use crate::http::Head;
use crate::server::{Context, Handler, Timestamp};
use crate::system::since_epoch;
use crate::ws::{CloseCode, Message};

/// Parses a JSON object, sets its `timestamp`, sends it back; ignores what is not one.
pub(super) struct Stamp;

impl Handler for Stamp {
    type State = ();

    fn open(&self, _cx: &mut Context<'_>, _head: &Head<'_>) {}

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        let Message::Text(text) = message else {
            return cx.close(CloseCode::UNSUPPORTED, "this endpoint speaks text");
        };
        let Ok(Value::Object(mut object)) = serde_json::from_str(text) else { return };
        let mut timestamp = Vec::new();
        now().encode(&mut timestamp);
        object.insert("timestamp".into(), String::from_utf8_lossy(&timestamp).into());
        cx.send_text(&Value::Object(object).to_string());
    }
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_unix(since_epoch())
}
