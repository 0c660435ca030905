//! The one writer of responses: no other code puts a status line or a header field on the wire.

use std::borrow::Cow;
use std::fmt;

use super::fields::is_token;
use super::status::Status;

/// Fields that say where the message ends or what becomes of the connection, and those that come from a setter.
const WRITER_FIELDS: [&str; 6] =
    ["connection", "content-length", "content-type", "date", "transfer-encoding", "upgrade"];

/// A response before it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: Status,
    headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    content_type: Option<Cow<'static, str>>,
    body: Cow<'static, [u8]>,
    upgrade: Option<&'static str>,
    close: bool,
    /// For the log only.
    limit: Option<&'static str>,
}

/// What the request and the connection make of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFraming {
    /// The request was a `HEAD`: the body is counted, but not written.
    pub head_only: bool,
    /// The connection stays open afterwards, unless the response itself closes it.
    pub keep_alive: bool,
}

/// A header field that must not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// A field name that is not a token.
    Name,
    /// A value with a carriage return, line feed, NUL or another control byte.
    Value,
    /// A field that the writer sets itself.
    Reserved,
}

impl Response {
    /// A response without a body.
    pub fn new(status: Status) -> Response {
        Response {
            status,
            headers: Vec::new(),
            content_type: None,
            body: Cow::Borrowed(&[]),
            upgrade: None,
            close: false,
            limit: None,
        }
    }

    /// A response of plain text.
    pub fn text(status: Status, text: impl Into<Cow<'static, str>>) -> Response {
        let bytes = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Response::new(status).body("text/plain; charset=utf-8", bytes)
    }

    /// A response of JSON that is already encoded.
    pub fn json(status: Status, json: impl Into<Cow<'static, [u8]>>) -> Response {
        Response::new(status).body("application/json", json)
    }

    /// Adds a header field. Names and values are checked by [`encode`](Self::encode).
    #[must_use]
    pub fn header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Response {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body and its `Content-Type`.
    #[must_use]
    pub fn body(
        mut self,
        content_type: impl Into<Cow<'static, str>>,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Response {
        self.content_type = Some(content_type.into());
        self.body = body.into();
        self
    }

    /// Names the protocol the client should have asked for, in `Upgrade` and, as RFC 9110 §7.8 demands, in
    /// `Connection`.
    #[must_use]
    pub fn upgrade(mut self, protocol: &'static str) -> Response {
        self.upgrade = Some(protocol);
        self
    }

    /// Makes this the last response of its connection.
    #[must_use]
    pub fn close(mut self) -> Response {
        self.close = true;
        self
    }

    /// Names the key of the limit that the request has run into, for the log; the client is not told.
    #[must_use]
    pub fn limited_by(mut self, key: &'static str) -> Response {
        self.limit = Some(key);
        self
    }

    /// The key of the limit that the request has run into.
    pub(crate) fn limit(&self) -> Option<&'static str> {
        self.limit
    }

    /// The body.
    pub(crate) fn body_bytes(&self) -> &[u8] {
        &self.body
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether the connection closes after this response, whatever the request asked for.
    pub fn closes(&self) -> bool {
        self.close
    }

    /// Appends the response to `out`. On an error `out` is as it was: nothing that could end a field early, or
    /// change where the message ends, is ever written.
    pub fn encode(&self, out: &mut Vec<u8>, reply: ResponseFraming, date: &str) -> Result<(), HeaderError> {
        let before = out.len();
        let written = self.encode_head(out, reply, date);
        if written.is_err() {
            out.truncate(before);
        } else if !reply.head_only && !self.status.forbids_body() {
            out.extend_from_slice(&self.body);
        }
        written
    }

    /// Appends the head of a response whose body ends with the connection (RFC 9112 §6.3, rule 8). On an error `out` is as
    /// it was.
    pub fn encode_open(&self, out: &mut Vec<u8>, date: &str) -> Result<(), HeaderError> {
        let before = out.len();
        let written = self.encode_fields(out, date).and_then(|()| {
            let content_type =
                self.content_type.iter().try_for_each(|value| field(out, "Content-Type", value));
            content_type.and_then(|()| field(out, "Connection", "close"))
        });
        match written {
            Ok(()) => out.extend_from_slice(b"\r\n"),
            Err(_) => out.truncate(before),
        }
        written
    }

    /// The status line and the fields that do not depend on where the body ends.
    fn encode_fields(&self, out: &mut Vec<u8>, date: &str) -> Result<(), HeaderError> {
        let line = format!("HTTP/1.1 {} {}\r\n", self.status.code(), self.status.reason());
        out.extend_from_slice(line.as_bytes());
        field(out, "Date", date)?;
        for (name, value) in &self.headers {
            if WRITER_FIELDS.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
                return Err(HeaderError::Reserved);
            }
            field(out, name, value)?;
        }
        Ok(())
    }

    fn encode_head(&self, out: &mut Vec<u8>, reply: ResponseFraming, date: &str) -> Result<(), HeaderError> {
        self.encode_fields(out, date)?;
        if let Some(protocol) = self.upgrade {
            field(out, "Upgrade", protocol)?;
        }
        if !self.status.forbids_body() {
            if let Some(content_type) = &self.content_type {
                field(out, "Content-Type", content_type)?;
            }
            field(out, "Content-Length", &self.body.len().to_string())?;
        }
        // Always said aloud: a client of HTTP/1.0 would not take staying open for granted.
        let connection = match (self.close || !reply.keep_alive, self.upgrade.is_some()) {
            (true, false) => "close",
            (true, true) => "close, Upgrade",
            (false, false) => "keep-alive",
            (false, true) => "keep-alive, Upgrade",
        };
        field(out, "Connection", connection)?;
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// Writes one field, or refuses it.
pub(crate) fn field(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), HeaderError> {
    if !is_token(name) {
        return Err(HeaderError::Name);
    }
    if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return Err(HeaderError::Value);
    }
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    Ok(())
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeaderError::Name => "header field name is not a token",
            HeaderError::Value => "header field value has a control byte",
            HeaderError::Reserved => "header field is set by the writer alone",
        })
    }
}

impl std::error::Error for HeaderError {}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const KEPT: ResponseFraming = ResponseFraming { head_only: false, keep_alive: true };

    fn encoded(response: &Response, reply: ResponseFraming) -> String {
        let mut out = b"before".to_vec();
        response.encode(&mut out, reply, DATE).unwrap();
        String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
    }

    #[test]
    fn a_response_is_its_head_and_its_body() {
        let response = Response::text(Status::OK, "hello").header("X-A", "ä b");
        let expected = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-A: ä b\r\n\
            Content-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello";
        assert_eq!(encoded(&response, KEPT), expected);
    }

    #[test]
    fn head_gets_the_length_without_the_body() {
        let text =
            encoded(&Response::json(Status::OK, b"[]".to_vec()), ResponseFraming { head_only: true, ..KEPT });
        assert!(text.contains("Content-Length: 2\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    }

    #[test]
    fn a_status_without_a_body_has_no_length() {
        for status in [Status::CONTINUE, Status::NO_CONTENT, Status::NOT_MODIFIED] {
            let text = encoded(&Response::text(status, "lost"), KEPT);
            assert!(!text.contains("Content-") && text.ends_with("\r\n\r\n"), "{text}");
        }
    }

    #[test]
    fn an_empty_body_still_has_a_length() {
        assert!(encoded(&Response::new(Status::OK), KEPT).contains("Content-Length: 0\r\n"));
    }

    #[test]
    fn the_connection_closes_if_either_side_wants_it() {
        let plain = Response::new(Status::OK);
        let cases = [
            (plain.clone(), true, "Connection: keep-alive\r\n"),
            (plain.clone(), false, "Connection: close\r\n"),
            (plain.clone().close(), true, "Connection: close\r\n"),
            (plain.clone().close().upgrade("websocket"), true, "Connection: close, Upgrade\r\n"),
            (plain.upgrade("websocket"), true, "Connection: keep-alive, Upgrade\r\n"),
        ];
        for (response, keep_alive, expected) in cases {
            let text = encoded(&response, ResponseFraming { keep_alive, ..KEPT });
            assert!(text.contains(expected), "{text}");
            assert_eq!(text.contains("Upgrade: websocket\r\n"), expected.contains("Upgrade"), "{text}");
        }
    }

    #[test]
    fn a_field_that_could_split_the_response_is_not_written() {
        let cases = [
            ("X-A", "a\r\nX-B: b", HeaderError::Value),
            ("X-A", "a\rb", HeaderError::Value),
            ("X-A", "a\nb", HeaderError::Value),
            ("X-A", "a\0b", HeaderError::Value),
            ("X-A\r\nX-B", "a", HeaderError::Name),
            ("X A", "a", HeaderError::Name),
            ("X-A:", "a", HeaderError::Name),
            ("", "a", HeaderError::Name),
            ("content-LENGTH", "5", HeaderError::Reserved),
            ("Transfer-Encoding", "chunked", HeaderError::Reserved),
            ("Connection", "upgrade", HeaderError::Reserved),
        ];
        for (name, value, expected) in cases {
            let mut out = b"before".to_vec();
            let response = Response::text(Status::OK, "body").header(name, value);
            assert_eq!(response.encode(&mut out, KEPT, DATE), Err(expected), "{name:?}: {value:?}");
            assert_eq!(out, b"before");
        }
        let mut out = Vec::new();
        let response = Response::new(Status::OK).body("text/html\r\nX-B: b", &b""[..]);
        assert_eq!(response.encode(&mut out, KEPT, DATE), Err(HeaderError::Value));
        assert_eq!(Response::new(Status::OK).encode(&mut out, KEPT, "\r\n"), Err(HeaderError::Value));
    }
}
