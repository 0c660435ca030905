//! HTTP/1.1 messages (RFC 9110, RFC 9112), without I/O.
//!
//! Bytes go in, verdicts come out: [`Head::parse`] reads a request head, [`BodyDecoder`] what follows it,
//! [`Response::encode`] is the only writer of a response. Reading is strict, because whatever two parsers
//! read differently is an attack on one of them. Incomplete input is never an error, and cutting the same
//! bytes differently never changes the verdict.
//!
//! | file | subject |
//! |---|---|
//! | `head` | a request head: its line and its fields |
//! | `scan`, `request_line` | the end of a head and the faults of a request line, while they arrive |
//! | `method`, `target`, `fields` | the parts of a head: method and version, target, header fields |
//! | `framing`, `body`, `chunk_extension` | where a body ends; its bytes; what may stand behind the size of a chunk |
//! | `response`, `status`, `problem` | the only writer of responses; status codes; errors as problem details |
//! | `asset` | files of pages that come inside the binary |
//! | `origin`, `cors`, `local` | which web pages may ask and see an answer; which requests come from this machine |
//! | [`query`], [`date`] | percent-decoding; the date of a response |
//! | `limits` | what a head may cost |
//! | `error` | what a peer can get wrong, and the status that tells it so |

#[cfg(feature = "chat")]
pub(crate) mod asset;
mod body;
mod chunk_extension;
mod cors;
pub mod date;
mod error;
mod fields;
mod framing;
mod head;
mod limits;
mod local;
mod method;
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
pub use head::Head;
pub use limits::{HEADERS_MAX, HeadLimits};
pub use local::is_local;
pub use method::{Method, Version};
pub use origin::{Origin, OriginError, Origins};
pub use problem::Problem;
pub use response::{HeaderError, Response, ResponseFraming};
pub use status::Status;

pub(crate) use fields::{is_token, is_token_byte, trim};
pub(crate) use response::field;
