//! RFC 6455 frames and messages, and their compression (RFC 7692), without I/O.
//!
//! [`Connection`] turns received bytes into messages and the steps of the closing handshake; [`encode`] turns
//! payloads into frames. Neither knows a socket, a thread or a clock.
//!
//! | file | subject |
//! |---|---|
//! | `connection` | messages, and the steps of the closing handshake |
//! | `decoder`, `unfinished` | frames from bytes; what has come of a message so far |
//! | `message`, `rules` | messages and control frames; which frames may follow which |
//! | `header`, `mask`, `encode` | headers of frames, masking keys, frames from payloads |
//! | `text`, `utf8` | a text that was checked, and checking it as it comes |
//! | `close`, `close_code`, `error` | bodies of Close frames, their codes, and the rules that a peer can break |
//! | `buffer` | the bytes that were received |
//! | `allowance` | how much may be inflated at once |
//! | `deflate` | compressed messages |
//!
//! ```
//! use foghorn::ws::{Connection, Decoder, Incoming, Input, Message, Role, encode};
//!
//! let mut wire = Vec::new();
//! encode::masked(&mut wire, foghorn::ws::OpCode::Text, b"hello", [1, 2, 3, 4]);
//!
//! let mut connection = Connection::new(Decoder::new(Role::Server, 65_536));
//! let mut input = Input::new(&mut wire);
//! assert_eq!(connection.poll(&mut input), Some(Incoming::Message(Message::Text("hello"))));
//! assert_eq!(connection.poll(&mut input), None);
//! ```

mod allowance;
mod buffer;
mod close;
mod close_code;
mod connection;
mod decoder;
pub mod deflate;
pub mod encode;
mod error;
#[doc(hidden)]
pub mod header;
#[doc(hidden)]
pub mod mask;
mod message;
mod rules;
#[doc(hidden)]
pub mod text;
mod unfinished;
#[doc(hidden)]
pub mod utf8;

pub use buffer::Spares;
pub use close::Close;
pub use close_code::CloseCode;
pub use connection::{Connection, Incoming, Phase};
pub use decoder::Decoder;
pub use error::ProtocolError;
pub use message::{Event, Input, Message, OpCode, Role};
