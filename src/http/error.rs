//! What a peer can get wrong in a request, and the status that tells it so.

use std::fmt;

use super::status::Status;

/// A request head that is refused. The connection closes after the answer: where the next request starts is
/// unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// A carriage return that no line feed follows.
    BareCr,
    /// A line feed without a carriage return before it.
    BareLf,
    /// NUL or another control byte.
    ControlByte,
    /// What a TLS handshake begins with, where HTTP is spoken.
    Tls,
    /// What a PROXY header begins with, where none is expected.
    ProxyHeader,
    /// The request line is not `method SP target SP version`.
    RequestLine,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    Version,
    /// The target is not in origin-form, nor in another form the method may have (RFC 9112 §3.2).
    Target,
    /// The target has a byte that must be percent-encoded, such as one of raw UTF-8.
    TargetBytes,
    /// The target has a fragment, which is the client's own business (RFC 9112 §3.2).
    Fragment,
    /// `CONNECT`: there are no tunnels here.
    Tunnel,
    /// The target is longer than the limit.
    TargetTooLong,
    /// A line that is no header field: no colon, or no token before it.
    Field,
    /// A line that begins with white space, which once continued the one before (RFC 9112 §5.2).
    FieldFolded,
    /// White space between a field's name and its colon (RFC 9112 §5.1).
    SpaceBeforeColon,
    /// More header fields than the limit.
    TooManyFields,
    /// The whole head is longer than the limit.
    TooLong,
    /// There is no `Host`, which HTTP/1.1 must have (RFC 9112 §3.2).
    HostMissing,
    /// More than one `Host`.
    HostRepeated,
    /// `Host` is not a host and perhaps a port.
    Host,
    /// The target names another authority than `Host` does.
    OtherHost,
    /// `Content-Length` is not a number of 64 bits (RFC 9112 §6.3).
    ContentLength,
    /// More than one `Content-Length`, even if they agree.
    LengthRepeated,
    /// Both `Content-Length` and `Transfer-Encoding`.
    LengthAndCoding,
    /// `Transfer-Encoding` that applies `chunked` other than once and alone.
    TransferEncoding,
    /// `Transfer-Encoding` in HTTP/1.0, which has none.
    CodingInHttp10,
    /// A transfer coding other than `chunked`.
    UnknownCoding,
}

impl HeadError {
    /// The status of the answer.
    pub const fn status(self) -> Status {
        match self {
            HeadError::BareCr
            | HeadError::BareLf
            | HeadError::ControlByte
            | HeadError::Tls
            | HeadError::ProxyHeader
            | HeadError::RequestLine
            | HeadError::Target
            | HeadError::TargetBytes
            | HeadError::Fragment
            | HeadError::Tunnel
            | HeadError::Field
            | HeadError::FieldFolded
            | HeadError::SpaceBeforeColon
            | HeadError::HostMissing
            | HeadError::HostRepeated
            | HeadError::Host
            | HeadError::OtherHost
            | HeadError::ContentLength
            | HeadError::LengthRepeated
            | HeadError::LengthAndCoding
            | HeadError::TransferEncoding
            | HeadError::CodingInHttp10 => Status::BAD_REQUEST,
            HeadError::TargetTooLong => Status::URI_TOO_LONG,
            HeadError::TooManyFields | HeadError::TooLong => Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
            HeadError::UnknownCoding => Status::NOT_IMPLEMENTED,
            HeadError::Version => Status::HTTP_VERSION_NOT_SUPPORTED,
        }
    }

    /// What was wrong, as static text.
    pub const fn message(self) -> &'static str {
        match self {
            HeadError::BareCr => "carriage return without a line feed in the request head",
            HeadError::BareLf => "line feed without a carriage return in the request head",
            HeadError::ControlByte => "control byte in the request head",
            HeadError::Tls => "this looks like TLS, which is not spoken at this address",
            HeadError::ProxyHeader => {
                "this looks like a PROXY header, which is not expected here (proxy.protocol)"
            }
            HeadError::RequestLine => "malformed request line",
            HeadError::Version => "HTTP version is neither 1.0 nor 1.1",
            HeadError::Target => "request target is not an absolute path",
            HeadError::TargetBytes => "request target has a byte that must be percent-encoded",
            HeadError::Fragment => "request target has a fragment",
            HeadError::Tunnel => "CONNECT is not supported",
            HeadError::TargetTooLong => "request target is too long",
            HeadError::Field => "malformed header field",
            HeadError::FieldFolded => "header field line begins with white space",
            HeadError::SpaceBeforeColon => "white space before the colon of a header field",
            HeadError::TooManyFields => "too many header fields",
            HeadError::TooLong => "request head is too long",
            HeadError::HostMissing => "Host is missing",
            HeadError::HostRepeated => "Host is repeated",
            HeadError::Host => "Host is not a host and a port",
            HeadError::OtherHost => "request target names another host than Host does",
            HeadError::ContentLength => "Content-Length is not a number",
            HeadError::LengthRepeated => "Content-Length is repeated",
            HeadError::LengthAndCoding => "both Content-Length and Transfer-Encoding",
            HeadError::TransferEncoding => "Transfer-Encoding is not exactly chunked",
            HeadError::CodingInHttp10 => "Transfer-Encoding in HTTP/1.0",
            HeadError::UnknownCoding => "unknown transfer coding",
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for HeadError {}

/// A request body that is refused. The connection closes after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// The body is, or says it will be, longer than the limit.
    TooLarge,
    /// A chunk size that is not 1 to 16 hexadecimal digits.
    ChunkSize,
    /// A chunk whose data is not followed by CR LF.
    ChunkEnd,
    /// A line of the framing that ends otherwise than in CR LF, or holds a control byte.
    Line,
    /// A chunk extension that is not `;name` or `;name=value`.
    Extension,
    /// Chunk extensions longer in total than the limit.
    ExtensionsTooLong,
    /// A line of the trailer section that is no field.
    Trailer,
    /// A trailer section longer than the limit.
    TrailersTooLong,
}

impl BodyError {
    /// The status of the answer.
    pub const fn status(self) -> Status {
        match self {
            BodyError::TooLarge => Status::CONTENT_TOO_LARGE,
            BodyError::ChunkSize
            | BodyError::ChunkEnd
            | BodyError::Line
            | BodyError::Extension
            | BodyError::ExtensionsTooLong
            | BodyError::Trailer
            | BodyError::TrailersTooLong => Status::BAD_REQUEST,
        }
    }

    /// What was wrong, as static text.
    pub const fn message(self) -> &'static str {
        match self {
            BodyError::TooLarge => "request body is too large",
            BodyError::ChunkSize => "malformed chunk size",
            BodyError::ChunkEnd => "chunk is longer than its size",
            BodyError::Line => "malformed line in chunked framing",
            BodyError::Extension => "malformed chunk extension",
            BodyError::ExtensionsTooLong => "chunk extensions are too long",
            BodyError::Trailer => "malformed trailer field",
            BodyError::TrailersTooLong => "trailer section is too long",
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for BodyError {}
