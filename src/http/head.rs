//! The head of a request: one request line and its header fields, read strictly.

use std::mem::MaybeUninit;

use memchr::memchr;

use super::fields::{FieldError, Fields, is_token_byte};
use super::framing::BodyFraming;
use super::scan::{HEADERS_MAX, HeadLimits, head_range};
use super::{HeadError, target};

/// A request method (RFC 9110 §9), in the case it must be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// `PATCH`
    Patch,
    /// Any other token; [`Head::method_name`] has it.
    Other,
}

impl Method {
    fn new(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            "PATCH" => Method::Patch,
            _ => Method::Other,
        }
    }
}

/// The protocol version of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

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
        Ok(Head { method_name, version, target, host, body_framing, fields })
    }

    /// The head as bytes that [`Head::parse`] reads back, for whoever has to keep it beyond the connection's buffer. Up to
    /// a byte a field longer than what came.
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
mod tests {
    use super::*;
    use crate::every_split::every_split;
    use crate::http::Status;

    #[test]
    fn a_head_that_was_kept_reads_back() {
        for text in [
            "GET /ws?a=%20b HTTP/1.1\r\nHost:h:8080\r\nX:\r\nY:  a b\t\r\ny: c\r\n\r\n",
            "OPTIONS * HTTP/1.0\r\n\r\n",
        ] {
            let head = accepted(text);
            let bytes = head.to_bytes();
            let (kept, len) = Head::parse(&bytes, 0, &HeadLimits::default()).unwrap().unwrap();
            assert_eq!(
                (len, kept.target(), kept.method_name()),
                (bytes.len(), head.target(), head.method_name())
            );
            assert_eq!((kept.host(), kept.version()), (head.host(), head.version()));
            assert!(kept.all_headers().eq(head.all_headers()));
        }
    }

    /// The verdict on bytes, the same for every way of cutting them.
    fn parse(bytes: &[u8]) -> Result<Option<(Head<'_>, usize)>, HeadError> {
        let limits = HeadLimits::default();
        every_split(bytes, |pieces| {
            let mut arrived = Vec::new();
            for piece in pieces {
                let searched = arrived.len();
                arrived.extend_from_slice(piece);
                let verdict = Head::parse(&arrived, searched, &limits);
                if verdict != Ok(None) {
                    return format!("{verdict:?}");
                }
            }
            "incomplete".to_owned()
        });
        Head::parse(bytes, 0, &limits)
    }

    fn accepted(text: &str) -> Head<'_> {
        match parse(text.as_bytes()) {
            Ok(Some((head, len))) => {
                assert_eq!(len, text.len(), "{text:?}");
                head
            }
            other => panic!("{other:?}: {text:?}"),
        }
    }

    #[test]
    fn a_head_lends_out_what_it_was_made_of() {
        let head = accepted("\r\nPOST /a%20b?c=d?e HTTP/1.1\r\nHost: h:8080\r\nX-A:1\r\nx-a:\t2 \r\n\r\n");
        assert_eq!((head.method(), head.method_name()), (Method::Post, "POST"));
        assert_eq!(head.version(), Version::Http11);
        assert_eq!((head.target(), head.path(), head.query()), ("/a%20b?c=d?e", "/a%20b", "c=d?e"));
        assert_eq!(head.host(), Some("h:8080"));
        assert_eq!(head.header("X-a"), Some("1"));
        assert_eq!(head.headers("x-A").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(head.all_headers().count(), 3);
    }

    #[test]
    fn opaque_bytes_in_a_field_are_kept_as_they_came() {
        let bytes = b"GET / HTTP/1.1\r\nHost: h\r\nCookie: n=\xc8\xab\r\nUser-Agent: caf\xe9\r\n\r\n";
        let Ok(Some((head, _))) = parse(bytes) else { panic!("{:?}", parse(bytes)) };
        assert_eq!((head.host(), head.header("user-agent")), (Some("h"), None));
        assert_eq!(head.fields().values("user-agent").next(), Some(&b"caf\xe9"[..]));
        assert_eq!(head.to_bytes(), bytes);
    }

    #[test]
    fn bytes_behind_the_head_are_left_alone() {
        let bytes = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n\x81\x00\n\0";
        assert!(matches!(parse(bytes), Ok(Some((_, 27)))));
    }

    #[test]
    fn a_head_without_fields_is_one_of_http_1_0_alone() {
        assert_eq!(accepted("GET / HTTP/1.0\r\n\r\n").all_headers().count(), 0);
        assert_eq!(parse(b"GET / HTTP/1.1\r\n\r\n"), Err(HeadError::HostMissing));
    }

    #[test]
    fn methods_are_case_sensitive_tokens() {
        for (name, method) in
            [("GET", Method::Get), ("get", Method::Other), ("PATCH", Method::Patch), ("X", Method::Other)]
        {
            let text = format!("{name} / HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_eq!(accepted(&text).method(), method);
        }
        assert_eq!(accepted("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").path(), "*");
    }

    #[test]
    fn a_line_that_can_never_begin_a_request_is_refused_at_its_end() {
        let cases: &[(&[u8], HeadError)] = &[
            (b"SSH-2.0-OpenSSH_9.6\r\n", HeadError::RequestLine),
            (b"SSH-2.0-x\n", HeadError::BareLf),
            (b"EHLO mail.example\r\n", HeadError::RequestLine),
            (b"GET /\r\n", HeadError::RequestLine),
            (b"HTTP/1.1 200 OK\r\n", HeadError::RequestLine),
            (b"PRI * HTTP/2.0\r\n", HeadError::Version),
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 80\r\n", HeadError::ProxyHeader),
            (b"\r\n\r\n\0\r\nQUIT\n", HeadError::RequestLine),
            (b"\x16\x03\x01", HeadError::Tls),
            (b"\x80\x2e\x01\x03\x01", HeadError::RequestLine),
            (b"{\"type\":1}", HeadError::RequestLine),
            (b"\xef\xbb\xbfGET /", HeadError::RequestLine),
        ];
        for &(bytes, expected) in cases {
            assert_eq!(parse(bytes), Err(expected), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn an_absolute_target_is_reduced_to_its_path() {
        let head = accepted("GET http://h/a?b HTTP/1.1\r\nHost: H\r\n\r\n");
        assert_eq!((head.path(), head.query()), ("/a", "b"));
    }

    #[test]
    fn ambiguous_and_malformed_heads_are_refused() {
        let cases: &[(&[u8], HeadError)] = &[
            (b" GET / HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine),
            (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine),
            (b"GET /  HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine),
            (b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", HeadError::RequestLine),
            (b"GET /\tHTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine),
            (b"GET / x HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine),
            (b"GET /\r\nHost: h\r\n\r\n", HeadError::RequestLine),
            (b"GET / http/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine),
            (b"GET / HTTP/1.10\r\nHost: h\r\n\r\n", HeadError::RequestLine),
            (b"G@T / HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine),
            (b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::TargetBytes),
            (b"GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::TargetBytes),
            (b"GET /?a=\xf0\x9f\x98\x80 HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::TargetBytes),
            (b"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::Fragment),
            (b"GET /?a#b\xff HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::Fragment),
            (b"GET a HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::Target),
            (b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", HeadError::Tunnel),
            (b"CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::Tunnel),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HeadError::Version),
            (b"GET / HTTP/0.9\r\nHost: h\r\n\r\n", HeadError::Version),
            (b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", HeadError::Version),
            (b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", HeadError::FieldFolded),
            (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", HeadError::SpaceBeforeColon),
            (b"GET / HTTP/1.1\r\nHost\t : h\r\n\r\n", HeadError::SpaceBeforeColon),
            (b"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", HeadError::FieldFolded),
            (b"GET / HTTP/1.1\r\nHost: h\r\n\tfolded: x\r\n\r\n", HeadError::FieldFolded),
            (b"GET / HTTP/1.1\r\nHost: h\r\nX y: a\r\n\r\n", HeadError::Field),
            (b"GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", HeadError::Field),
            (b"GET / HTTP/1.1\r\nHost: h\r\n: no name\r\n\r\n", HeadError::Field),
            (b"GET / HTTP/1.1\r\nHost: h\r\nX\xc3\xa4: a\r\n\r\n", HeadError::Field),
            (b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", HeadError::Host),
            (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: \xff\r\n\r\n", HeadError::ContentLength),
            (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \xff\r\n\r\n", HeadError::TransferEncoding),
            (
                b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: \xff\r\n\r\n",
                HeadError::LengthAndCoding,
            ),
            (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", HeadError::ControlByte),
            (b"GET / HTTP/1.1\r\nHost: h\nX: a\r\n\r\n", HeadError::BareLf),
            (b"GET / HTTP/1.1\r\nHost: h\rX: a\r\n\r\n", HeadError::BareCr),
            (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\r\n\r\n", HeadError::BareCr),
            (b"GET / HTTP/1.1\r\n\r\n", HeadError::HostMissing),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", HeadError::HostRepeated),
            (b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", HeadError::HostRepeated),
            (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", HeadError::Host),
            (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HeadError::Host),
            (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HeadError::Host),
            (b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", HeadError::OtherHost),
            (
                b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                HeadError::LengthAndCoding,
            ),
            (
                b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
                HeadError::LengthRepeated,
            ),
            (
                b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                HeadError::UnknownCoding,
            ),
            (
                b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\n",
                HeadError::SpaceBeforeColon,
            ),
            (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", HeadError::ControlByte),
        ];
        for &(bytes, expected) in cases {
            assert_eq!(parse(bytes), Err(expected), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn limits_are_kept_while_the_head_is_incomplete() {
        let limits = HeadLimits::default();
        let endless_target = format!("GET /{}", "a".repeat(limits.target_bytes));
        assert_eq!(Head::parse(endless_target.as_bytes(), 0, &limits), Err(HeadError::TargetTooLong));
        let endless_value = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(limits.head_bytes));
        assert_eq!(Head::parse(endless_value.as_bytes(), 0, &limits), Err(HeadError::TooLong));
        let endless_fields = format!("GET / HTTP/1.1\r\n{}", "a:\r\n".repeat(limits.headers + 1));
        assert_eq!(Head::parse(endless_fields.as_bytes(), 0, &limits), Err(HeadError::TooManyFields));
    }

    #[test]
    fn a_hundred_fields_are_allowed_and_no_more() {
        let head = |extra: usize| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a:b\r\n".repeat(extra));
        let limits = HeadLimits::default();
        assert!(matches!(Head::parse(head(99).as_bytes(), 0, &limits), Ok(Some(_))));
        assert_eq!(Head::parse(head(100).as_bytes(), 0, &limits), Err(HeadError::TooManyFields));
    }

    #[test]
    fn a_limit_above_the_table_ends_at_the_table() {
        let limits = HeadLimits { headers: usize::MAX, ..HeadLimits::default() };
        let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a:b\r\n".repeat(HEADERS_MAX));
        assert_eq!(Head::parse(head.as_bytes(), 0, &limits), Err(HeadError::TooManyFields));
    }

    #[test]
    fn every_error_has_the_status_the_contract_gives_it() {
        let cases = [
            (HeadError::BareLf, Status::BAD_REQUEST),
            (HeadError::Host, Status::BAD_REQUEST),
            (HeadError::LengthAndCoding, Status::BAD_REQUEST),
            (HeadError::TargetTooLong, Status::URI_TOO_LONG),
            (HeadError::TooLong, Status::REQUEST_HEADER_FIELDS_TOO_LARGE),
            (HeadError::TooManyFields, Status::REQUEST_HEADER_FIELDS_TOO_LARGE),
            (HeadError::UnknownCoding, Status::NOT_IMPLEMENTED),
            (HeadError::Version, Status::HTTP_VERSION_NOT_SUPPORTED),
        ];
        for (error, status) in cases {
            assert_eq!(error.status(), status, "{error}");
        }
    }

    #[test]
    fn the_connection_stays_open_as_the_version_says() {
        let cases = [
            ("1.1", "", true),
            ("1.1", "Connection: close\r\n", false),
            ("1.1", "Connection: keep-alive, Close\r\n", false),
            ("1.1", "Connection: closed\r\n", true),
            ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
            ("1.0", "Connection: keep-alive, close\r\n", false),
        ];
        for (version, line, expected) in cases {
            let text = format!("GET / HTTP/{version}\r\nHost: h\r\n{line}\r\n");
            assert_eq!(accepted(&text).keep_alive(), expected, "{text:?}");
        }
    }

    #[test]
    fn only_a_body_is_continued() {
        let cases = [
            ("Expect: 100-Continue\r\nContent-Length: 1\r\n", true),
            ("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", true),
            ("Expect: 100-continue\r\n", false),
            ("Content-Length: 1\r\n", false),
        ];
        for (lines, expected) in cases {
            let text = format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
            assert_eq!(accepted(&text).expects_continue(), expected, "{text:?}");
        }
    }
}
