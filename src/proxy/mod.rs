//! What a proxy in front of the server says about its clients: the PROXY protocol before the first byte of a
//! connection, the fields `X-Forwarded-For`, `X-Forwarded-Proto` and `Forwarded` in a request; and which proxies are believed.
//!
//! | file | subject |
//! |---|---|
//! | `header` | the PROXY protocol, versions 1 and 2 |
//! | `forwarded` | `X-Forwarded-For`, `X-Forwarded-Proto` and `Forwarded` |
//! | `network` | networks of addresses, and which proxies are trusted |

mod forwarded;
mod header;
mod network;

pub use forwarded::Forwarded;
pub use header::{HEADER_BYTES_MAX, HeaderError, Source, parse};
pub use network::{Network, NetworkError, Trusted};
