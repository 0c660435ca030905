//! The sessions that have ended last, as JSON.

use serde::Serialize;

use super::search::time_text;
use crate::reactor::EndedSession;
use crate::rooms::Timestamp;
use crate::server::Disconnect;
use crate::ws::CloseCode;

/// What RFC 6455 §7.1.5 calls a close without a code, and a lost connection.
const NO_CODE: u16 = 1005;
const LOST: u16 = 1006;

#[derive(Serialize)]
#[serde(tag = "type", rename = "ended")]
struct Ended<'e> {
    sessions: Vec<Row<'e>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'e> {
    number: u64,
    at: String,
    session_id: String,
    username: Option<&'e str>,
    room: Option<&'e str>,
    path: Option<&'e str>,
    address: Option<String>,
    code: u16,
    reason: String,
}

impl<'e> From<&'e EndedSession> for Row<'e> {
    fn from(ended: &'e EndedSession) -> Row<'e> {
        let without = if ended.because == Disconnect::PeerGone { LOST } else { NO_CODE };
        Row {
            number: ended.number,
            at: time_text(Timestamp::from_unix(ended.at)),
            session_id: format!("{:032x}", ended.session_id),
            username: ended.user.as_deref(),
            room: ended.room.as_deref(),
            path: ended.path.as_deref(),
            address: ended.address.map(|address| address.to_string()),
            code: ended.code.map_or(without, CloseCode::get),
            reason: ended.because.to_string(),
        }
    }
}

/// The message that tells of these sessions.
pub(super) fn text_of(ended: &[EndedSession]) -> String {
    // Numbers and strings always serialise.
    serde_json::to_string(&Ended { sessions: ended.iter().map(Row::from).collect() }).unwrap_or_default()
}
