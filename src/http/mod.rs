//! HTTP/1.1 messages (RFC 9110, RFC 9112), without I/O.
//!
//! Bytes go in, verdicts come out: [`Head::parse`] reads a request head, [`BodyDecoder`] what follows it,
//! [`Response::encode`] is the only writer of a response. Reading is strict, because whatever two parsers
//! read differently is an attack on one of them. Incomplete input is never an error, and cutting the same
//! bytes differently never changes the verdict.

mod body;
mod chunk_extension;
mod cors;
pub mod date;
mod error;
mod fields;
mod framing;
mod head;
mod local;
mod origin;
mod problem;
pub mod query;
mod request_line;
mod response;
mod scan;
mod status;
mod target;

pub use body::{BodyDecoder, BodyProgress};
pub use cors::{Access, CorsFields};
pub use error::{BodyError, HeadError};
pub use fields::{FieldError, Fields};
pub use framing::BodyFraming;
pub use head::{Head, Method, Version};
pub use local::is_local;
pub use origin::{Origin, OriginError, Origins};
pub use problem::Problem;
pub use response::{HeaderError, Response, ResponseFraming};
pub use scan::{HEADERS_MAX, HeadLimits};
pub use status::Status;

pub(crate) use fields::{is_token, is_token_byte, trim};
pub(crate) use response::field;
