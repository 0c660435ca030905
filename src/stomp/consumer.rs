//! The way to one subscription of a queue: MESSAGE frames, straight to the socket.

use super::codec::{Escaping, FrameWriter, Version};
use super::encoding::{ack_prefix, has_ack, write_label};
use super::message::{Consumer, QueuedMessage, SubscriberKey};
use super::session::Subscription;
use crate::server::{SendError, Session};
use crate::ws::CloseCode;

/// A queue's messages did not all fit into what may wait for a session.
#[derive(Clone, Debug)]
pub(super) struct Blocked {
    pub(super) queue: Box<str>,
    pub(super) key: SubscriberKey,
}

/// How one subscription is sent the messages of its queue.
#[derive(Debug)]
pub(super) struct SessionConsumer {
    session: Session,
    escaping: Escaping,
    /// The lines that are the same in every message.
    label: Box<[u8]>,
    ack: Option<Box<str>>,
    blocked: Blocked,
}

impl SessionConsumer {
    pub(super) fn new(session: Session, version: Version, subscription: &Subscription) -> SessionConsumer {
        let mut label = Vec::new();
        write_label(&mut label, version, subscription);
        let key = SubscriberKey { session: session.id(), number: subscription.number };
        SessionConsumer {
            session,
            escaping: Escaping::of(version),
            label: label.into(),
            ack: has_ack(version, subscription).then(|| ack_prefix(subscription).into()),
            blocked: Blocked { queue: subscription.destination.name().into(), key },
        }
    }

    fn frame(&self, message: &QueuedMessage, redelivered: bool) -> Vec<u8> {
        let mut frame = self.label.to_vec();
        let id = message.id.to_string();
        if let Some(ack) = &self.ack {
            frame.extend_from_slice(format!("{ack}{id}\n").as_bytes());
        }
        let mut writer = FrameWriter::resume(&mut frame, self.escaping)
            .header("message-id", &id)
            .optional("redelivered", redelivered.then_some("true"))
            .header("sender", &message.sender);
        for (name, value) in &message.headers {
            writer = writer.header(name, value);
        }
        writer.body(&message.body);
        frame
    }
}

impl Consumer for SessionConsumer {
    fn deliver(&self, message: &QueuedMessage, redelivered: bool) -> bool {
        let frame = self.frame(message, redelivered);
        let sent = match simdutf8::basic::from_utf8(&frame) {
            Ok(text) => self.session.send_text(text),
            Err(_) => self.session.send_binary(&frame),
        };
        if sent == Err(SendError::Full) {
            // Without an event the queue would never be offered to it again.
            if self.session.post_event(self.blocked.clone()) == Err(SendError::Full) {
                self.session.close(CloseCode::TOO_SLOW, "too slow");
            }
        }
        sent.is_ok()
    }
}
