//! The opening handshake (RFC 6455 §4), without I/O.
//!
//! [`intent`] tells an upgrade from an ordinary request, [`accept`] checks every rule of the opening handshake and
//! returns what the `101` needs, or the [`HandshakeError`] that names the rule broken and has its response.
//! [`client`] is the other side, for the load generator and the tests.
//!
//! | file | subject |
//! |---|---|
//! | `request` | the checks of an opening handshake, in the order in which their answers take precedence |
//! | `negotiate` | what client and endpoint agree on: a subprotocol, compression |
//! | `accept_key` | the proof that the server has read the handshake |
//! | `response` | the 101 |
//! | `error` | why a handshake is refused, and the response that says so |
//! | [`client`] | the client's side, for the load engine and the tests |

mod accept_key;
pub mod client;
mod error;
mod negotiate;
mod request;
mod response;

pub use accept_key::AcceptKey;
pub use error::HandshakeError;
pub use negotiate::{
    ClientWindow, DeflateAgreement, DeflateOffer, DeflateTerms, deflate_offers, subprotocol,
};
pub use request::{Intent, Rules, accept, intent};
pub use response::Accepted;

pub use crate::http::{Origin, OriginError, Origins};
