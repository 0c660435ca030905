//! A kit for tests of what is built with this crate: a server in the test's own process, and clients for it.
//!
//! | file | type | is |
//! |---|---|---|
//! | `server` | [`Server`] | a server on a free port of 127.0.0.1, which ends with the test |
//! | `connection` | [`Connection`] | a client on a socket that waits for what it is asked for, with a deadline |
//! | `client` | [`Client`] | the same client without a socket: bytes in, [`Event`]s out |
//!
//! ```
//! use foghorn::http::Head;
//! use foghorn::server::{Context, Endpoint, Handler, Router};
//! use foghorn::testing::{Connection, Server};
//! use foghorn::ws::{CloseCode, Message};
//!
//! struct Shout;
//!
//! impl Handler for Shout {
//!     type State = ();
//!
//!     fn open(&self, _cx: &mut Context<'_>, _head: &Head<'_>) {}
//!
//!     fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
//!         match message {
//!             Message::Text(text) => cx.send_text(&text.to_uppercase()),
//!             Message::Binary(_) => cx.close(CloseCode::UNSUPPORTED, "text, please"),
//!         }
//!     }
//! }
//!
//! let server = Server::start(Router::new().endpoint("/shout", Endpoint::new(Shout)))?;
//! let mut connection = Connection::open(server.address(), "/shout")?;
//! connection.send_text("hello")?;
//! assert_eq!(connection.text()?, "HELLO");
//! connection.send_binary(&[1, 2, 3])?;
//! assert_eq!(connection.closed()?, Some(CloseCode::UNSUPPORTED));
//! server.stop()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod connection;
mod server;

use std::time::Duration;

pub use self::client::{Client, Event, Opening};
pub use self::connection::{Connection, ConnectionError};
pub use self::server::Server;
pub use crate::handshake::client::ClientError;
pub use crate::http::HeaderError;

/// How long is waited for anything. Long enough for a machine that has other work, for it is waited in full only by a
/// test that fails.
const PATIENCE: Duration = Duration::from_secs(30);
