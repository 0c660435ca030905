//! One message in an export.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::line_value::{check_name, parse_time};
use crate::auth::USER_BYTES_MAX;
use crate::request::names::CLIENT_ID_BYTES_MAX;
use crate::rooms::Kind;
use crate::rooms::store_api::{Stored, StoredPresence};
use crate::store::SEQ_MAX;

/// A line as `foghorn export` writes it. The `id` of the first message says how all ids were made, if a server made it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct MessageLine<'l> {
    #[serde(default, borrow)]
    pub(super) id: Option<&'l RawValue>,
    #[serde(borrow)]
    pub(super) room_id: Cow<'l, str>,
    sender: Box<str>,
    content: Box<str>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'l, str>,
    #[serde(borrow)]
    timestamp: Cow<'l, str>,
    pub(super) seq: u64,
    client_id: Option<Box<str>>,
    username: Option<Box<str>>,
    online: Option<u64>,
}

impl MessageLine<'_> {
    /// The message, if a server could have stored it.
    pub(super) fn message(self) -> Result<Stored, String> {
        let all = [Kind::Message, Kind::Join, Kind::Leave, Kind::System];
        let kind = all.into_iter().find(|kind| kind.name() == self.kind);
        let kind = kind.ok_or_else(|| format!("type {:?} is none of a stored message", self.kind))?;
        check_name(&self.sender, USER_BYTES_MAX).map_err(|why| format!("sender {why}"))?;
        // An empty id is none.
        let client_id = self.client_id.filter(|id| !id.is_empty());
        if client_id.as_ref().is_some_and(|id| id.len() > CLIENT_ID_BYTES_MAX) {
            return Err(format!("clientId must have up to {CLIENT_ID_BYTES_MAX} bytes"));
        }
        if self.seq > SEQ_MAX {
            return Err(format!("message {} is beyond the highest number, {SEQ_MAX}", self.seq));
        }
        let at = parse_time(&self.timestamp)
            .ok_or("timestamp is no RFC 3339 time since 1970 with microseconds at most")?;
        let presence = presence(kind, self.username, self.online)?;
        Ok(Stored {
            seq: self.seq,
            at,
            kind,
            sender: self.sender,
            content: self.content,
            client_id,
            presence,
        })
    }
}

/// What a JOIN or LEAVE says besides. Those of older versions say nothing.
fn presence(
    kind: Kind,
    username: Option<Box<str>>,
    online: Option<u64>,
) -> Result<Option<StoredPresence>, String> {
    match (username, online, kind) {
        (None, None, _) => Ok(None),
        (Some(username), Some(online), Kind::Join | Kind::Leave) => {
            check_name(&username, USER_BYTES_MAX).map_err(|why| format!("username {why}"))?;
            if online > SEQ_MAX {
                return Err(format!("online is beyond the highest number, {SEQ_MAX}"));
            }
            Ok(Some(StoredPresence { username, online }))
        }
        (_, _, Kind::Join | Kind::Leave | Kind::Message | Kind::System) => {
            Err("username and online belong together, and to JOIN and LEAVE alone".into())
        }
    }
}
