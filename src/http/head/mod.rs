//! The head of a request: one request line and its header fields, read strictly.

use std::mem::MaybeUninit;

use memchr::memchr;

use super::error::HeadError;
use super::fields::{FieldError, Fields, is_token, is_token_byte};
use super::framing::BodyFraming;
use super::limits::{HEADERS_MAX, HeadLimits};
use super::method::{Method, Version};
use super::scan::head_range;
use super::target;

/// A request head that broke no rule, lying in the connection's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'b> {
    method_name: &'b str,
    version: Version,
    /// Invariant: ASCII, and `*` or beginning with a slash.
    target: &'b str,
    /// Invariant: the one value of `Host`; `None` on HTTP/1.0 alone.
    host: Option<&'b str>,
    body_framing: BodyFraming,
    fields: Fields<'b>,
}

impl<'b> Head<'b> {
    /// Parses the head that `bytes` begins with, and says how many bytes it took, the empty line before it
    /// included. `Ok(None)`: it is not complete; ask again when more has come, with `searched` the number of
    /// bytes that this call has seen, so that slow arrival costs no repeated work. A head that can only become
    /// wrong or too long is refused before its end.
    ///
    /// Never asks for more than `limits.head_bytes` bytes. Does not allocate.
    pub fn parse(
        bytes: &'b [u8],
        searched: usize,
        limits: &HeadLimits,
    ) -> Result<Option<(Head<'b>, usize)>, HeadError> {
        let Some(range) = head_range(bytes, searched, limits)? else {
            return Ok(None);
        };
        let len = range.end;
        Ok(Some((Head::read(&bytes[range])?, len)))
    }

    /// Reads one whole head, whose lines are known to end in CR LF.
    fn read(bytes: &'b [u8]) -> Result<Head<'b>, HeadError> {
        let mut table = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        // `httparse` checks every byte; its table of fields is thrown away, for it is larger than most heads.
        let parsed = request.parse_with_uninit_headers(bytes, &mut table);
        if let Err(error) = parsed {
            return Err(refusal(error, bytes));
        }
        let (Some(method_name), Some(target), Some(minor)) = (request.method, request.path, request.version)
        else {
            return Err(HeadError::RequestLine);
        };
        // No tunnels here; in its own form the target would be refused anyway, in any other it is nonsense.
        if method_name == "CONNECT" {
            return Err(HeadError::Tunnel);
        }
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let fields = Fields::new(field_lines(bytes));
        let host = host(fields, version)?;
        let body_framing = BodyFraming::of(fields, version)?;
        let target = target::reduce(target, Method::new(method_name), host)?;
        debug_assert!(target.is_ascii() && (target == "*" || target.starts_with('/')), "{target:?}");
        debug_assert!(host.is_some() || version == Version::Http10, "HTTP/1.1 without a host");
        debug_assert!(fields.iter().all(|(name, value)| is_field(name, value)), "{fields:?}");
        Ok(Head { method_name, version, target, host, body_framing, fields })
    }

    /// The head as bytes that [`Head::parse`] reads back, to be kept beyond the connection's buffer. Up to a byte
    /// a field longer than what came.
    pub fn to_bytes(&self) -> Vec<u8> {
        let version = match self.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        };
        let mut bytes = format!("{} {} {version}\r\n", self.method_name, self.target).into_bytes();
        for (name, value) in self.all_headers() {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// The method.
    pub fn method(&self) -> Method {
        Method::new(self.method_name)
    }

    /// The method as it was written.
    pub fn method_name(&self) -> &'b str {
        self.method_name
    }

    /// The protocol version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Path and query as they came, without scheme and host; or `*`. ASCII.
    pub fn target(&self) -> &'b str {
        self.target
    }

    /// The path, not decoded; it begins with a slash unless it is the `*` of `OPTIONS`.
    pub fn path(&self) -> &'b str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// What follows the first question mark, not decoded; empty if there is none.
    pub fn query(&self) -> &'b str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The value of `Host`: a host and perhaps a port. An HTTP/1.1 head always has it.
    pub fn host(&self) -> Option<&'b str> {
        self.host
    }

    /// All header fields.
    pub fn fields(&self) -> Fields<'b> {
        self.fields
    }

    /// The value of the first field of that name, whatever its case, if it is text. Of one that must not go unnoticed, ask
    /// [`Fields::only`] or [`Fields::values`].
    pub fn header(&self, name: &str) -> Option<&'b str> {
        self.fields.first(name)
    }

    /// The values of all fields of that name that are text.
    pub fn headers<'n>(&self, name: &'n str) -> impl Iterator<Item = &'b str> + use<'b, 'n> {
        self.fields.all(name)
    }

    /// Whether the comma-separated list in the fields of that name has that token, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.fields.has_token(name, token)
    }

    /// Names and values in the order they came. A value need not be text.
    pub fn all_headers(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + use<'b> {
        self.fields.iter()
    }

    /// How the body that follows is delimited.
    pub fn body_framing(&self) -> BodyFraming {
        self.body_framing
    }

    /// Whether the client expects the connection to stay open after the answer (RFC 9112 §9.3).
    pub fn keep_alive(&self) -> bool {
        let close = self.has_token("connection", "close");
        match self.version {
            Version::Http11 => !close,
            Version::Http10 => !close && self.has_token("connection", "keep-alive"),
        }
    }

    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.version == Version::Http11
            && self.body_framing != BodyFraming::None
            && self.has_token("expect", "100-continue")
    }
}

/// Whether name and value are what [`Fields`] promises.
fn is_field(name: &str, value: &[u8]) -> bool {
    is_token(name) && !value.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t')
}

/// The lines between the request line and the empty line at the end.
fn field_lines(head: &[u8]) -> &[u8] {
    let start = memchr(b'\n', head).map_or(head.len(), |at| at + 1);
    head[start..].strip_suffix(b"\r\n").unwrap_or_default()
}

/// The value of `Host`, which HTTP/1.1 must have exactly once (RFC 9112 §3.2).
fn host(fields: Fields<'_>, version: Version) -> Result<Option<&str>, HeadError> {
    match fields.only("host") {
        Ok(Some(host)) if target::is_authority(host) => Ok(Some(host)),
        Ok(None) if version == Version::Http10 => Ok(None),
        Ok(None) => Err(HeadError::HostMissing),
        Err(FieldError::Repeated) => Err(HeadError::HostRepeated),
        Ok(Some(_)) | Err(FieldError::NotText) => Err(HeadError::Host),
    }
}

/// Names what `httparse` found wrong with a head.
fn refusal(error: httparse::Error, head: &[u8]) -> HeadError {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => field_fault(field_lines(head)),
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        httparse::Error::Version
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token => HeadError::RequestLine,
    }
}

/// Names what is wrong with the first line that is no field.
fn field_fault(lines: &[u8]) -> HeadError {
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let name_len = line.iter().take_while(|&&byte| is_token_byte(byte)).count();
        match (name_len, &line[name_len..]) {
            (1.., [b':', ..]) => {}
            (0, [b' ' | b'\t', ..]) => return HeadError::FieldFolded,
            (1.., [b' ' | b'\t', rest @ ..]) if rest.trim_ascii_start().starts_with(b":") => {
                return HeadError::SpaceBeforeColon;
            }
            (_, _) => return HeadError::Field,
        }
    }
    HeadError::Field
}

#[cfg(test)]
mod tests;
