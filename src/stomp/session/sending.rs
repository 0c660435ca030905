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
    pub(crate) body: SendBody<'f>,
    /// The client's own id of it.
    pub(crate) client_id: Option<Box<str>>,
    /// What travels with it, where headers do.
    pub(crate) headers: Box<[(Box<str>, Box<str>)]>,
    /// It is refused if there is no subscriber.
    pub(crate) mandatory: bool,
}

/// The body of a message that a client wants sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SendBody<'f> {
    /// For a room: text, which is checked once.
    Text(Cow<'f, str>),
    /// For a queue: bytes of any kind.
    Bytes(Cow<'f, [u8]>),
}

impl SendBody<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            SendBody::Text(text) => text.as_bytes(),
            SendBody::Bytes(bytes) => bytes,
        }
    }

    pub(crate) fn into_bytes(self) -> Box<[u8]> {
        match self {
            SendBody::Text(text) => text.into_owned().into_bytes().into(),
            SendBody::Bytes(bytes) => bytes.into_owned().into(),
        }
    }
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
        let (headers, body) = match destination.kind() {
            DestinationKind::Room => {
                let text = simdutf8::basic::from_utf8(frame.body()).map_err(|_| Fault::NotText)?;
                (Box::default(), SendBody::Text(Cow::Borrowed(text)))
            }
            DestinationKind::Queue | DestinationKind::UserQueue => {
                (own_headers(frame), SendBody::Bytes(Cow::Borrowed(frame.body())))
            }
        };
        Ok(Sending { destination, body, client_id: client_id.map(|id| id.into()), headers, mandatory })
    }

    pub(super) fn into_owned(self) -> Sending<'static> {
        let body = match self.body {
            SendBody::Text(text) => SendBody::Text(Cow::Owned(text.into_owned())),
            SendBody::Bytes(bytes) => SendBody::Bytes(Cow::Owned(bytes.into_owned())),
        };
        Sending { body, ..self }
    }

    /// What it costs to keep, about.
    pub(super) fn cost(&self) -> usize {
        cost_of(&self.headers, self.body.bytes()) + self.destination.text().len()
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
