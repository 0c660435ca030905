//! `/ws/raw?roomId=R`: a room that relays text and binary exactly as they came.

use super::query;
use crate::http::Head;
use crate::server::{Context, Handler, JoinRequest};
use crate::ws::{CloseCode, Message};

/// The relay's sessions. The sender gets its own messages, too; nothing is stored and nobody is announced.
pub(super) struct Relay;

impl Handler for Relay {
    type State = ();

    fn open(&self, cx: &mut Context<'_>, head: &Head<'_>) {
        let room = match query::room(head.query()) {
            Ok(room) => room,
            Err(error) => return cx.close(CloseCode::POLICY, &error.to_string()),
        };
        if let Err(error) = cx.join(JoinRequest::relay(&room)) {
            cx.close(error.close_code(), &error.to_string());
        }
    }

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        let Some(&room) = cx.memberships().first() else { return };
        let published = match message {
            Message::Text(text) => cx.publish_text(room, text, None),
            Message::Binary(payload) => cx.publish_binary(room, payload),
        };
        if let Err(error) = published {
            cx.close(error.close_code(), &error.to_string());
        }
    }
}
