//! SEND.

use std::borrow::Cow;

use crate::request::names::CLIENT_ID_BYTES_MAX;
use crate::stomp::codec::{CONTENT_LENGTH, Frame};
use crate::stomp::destination::{Destination, DestinationKind, Purpose};
use crate::stomp::fault::Fault;
use crate::stomp::message::cost_of;

/// Headers of a SEND that do not travel with its message: they speak to the server, or the server sets them itself.
const RESERVED: [&str; 21] = [
    ACK,
    CLIENT_ID,
    CONTENT_LENGTH,
    "delivered",
    DESTINATION,
    "epoch",
    "from",
    "id",
    MANDATORY,
    "message",
    "message-id",
    "receipt",
    "receipt-id",
    "redelivered",
    "sender",
    "seq",
    "subscription",
    "timestamp",
    "to",
    TRANSACTION,
    "type",
];

pub(super) const ACK: &str = "ack";
pub(super) const DESTINATION: &str = "destination";
pub(super) const TRANSACTION: &str = "transaction";
const CLIENT_ID: &str = "client-id";
const MANDATORY: &str = "mandatory";

/// A message that a client wants sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sending<'f> {
    pub(crate) destination: Destination,
    /// UTF-8, if it is for a room.
    pub(crate) body: Cow<'f, [u8]>,
    /// The client's own id of it.
    pub(crate) client_id: Option<Box<str>>,
    /// What travels with it, where headers do.
    pub(crate) headers: Box<[(Box<str>, Box<str>)]>,
    /// It is refused if there is no subscriber.
    pub(crate) mandatory: bool,
}

impl<'f> Sending<'f> {
    pub(super) fn parse(frame: &Frame<'f>) -> Result<Sending<'f>, Fault> {
        let destination = frame.header(DESTINATION).ok_or(Fault::Missing(DESTINATION))?;
        let destination = Destination::parse(&destination, Purpose::Send)?;
        let mandatory = match frame.header(MANDATORY).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Fault::Malformed(MANDATORY)),
        };
        let client_id = frame.header("id").filter(|id| !id.is_empty());
        if client_id.as_ref().is_some_and(|id| id.len() > CLIENT_ID_BYTES_MAX) {
            return Err(Fault::Malformed("id"));
        }
        let headers = match destination.kind() {
            DestinationKind::Room if simdutf8::basic::from_utf8(frame.body()).is_err() => {
                return Err(Fault::NotText);
            }
            DestinationKind::Room => Box::default(),
            DestinationKind::Queue | DestinationKind::UserQueue => own_headers(frame),
        };
        Ok(Sending {
            destination,
            body: Cow::Borrowed(frame.body()),
            client_id: client_id.map(|id| id.into()),
            headers,
            mandatory,
        })
    }

    pub(super) fn into_owned(self) -> Sending<'static> {
        Sending { body: Cow::Owned(self.body.into_owned()), ..self }
    }

    /// What it costs to keep, about.
    pub(super) fn cost(&self) -> usize {
        cost_of(&self.headers, &self.body) + self.destination.text().len()
    }
}

/// The headers that travel with a message, each name once.
fn own_headers(frame: &Frame<'_>) -> Box<[(Box<str>, Box<str>)]> {
    let mut headers: Vec<(Box<str>, Box<str>)> = Vec::new();
    for (name, value) in frame.headers() {
        let repeated = headers.iter().any(|(other, _)| **other == *name);
        if !repeated && !RESERVED.contains(&&*name) {
            headers.push((name.into(), value.into()));
        }
    }
    headers.into()
}
