//! Who may do what: tokens (JWT, RFC 7519), where they come from, what they allow. Without I/O and without a clock.
//!
//! | file | subject |
//! |---|---|
//! | `keys` | keys, each bound to one algorithm |
//! | `token` | a token is checked: shape, algorithm, signature, claims |
//! | `json` | JSON of strangers, read strictly |
//! | `issue` | a token is signed |
//! | `signature` | what a key verifies, and what a secret signs |
//! | `source` | where in a request a token lies |
//! | `message` | a token that comes as a message |
//! | `names` | what can be the name of a user or a room |
//! | `identity` | a user whose name was proved, and what the user may do |
//! | `error` | why a token is not believed |
//! | `absent` | in a program without the feature `auth`: no token is believed |
//!
//! A token is never followed anywhere: its `kid` chooses among the keys that are configured, its `jku` and `x5u` are not
//! read, and with a `crit` it is refused. Nothing here keeps, logs or repeats a token.

#[cfg(not(feature = "auth"))]
mod absent;
mod error;
mod identity;
#[cfg(feature = "auth")]
mod issue;
#[cfg(feature = "auth")]
mod json;
#[cfg(feature = "auth")]
mod keys;
#[cfg(feature = "auth")]
mod message;
mod names;
#[cfg(feature = "auth")]
mod signature;
mod source;
#[cfg(feature = "auth")]
mod token;

#[cfg(not(feature = "auth"))]
pub(crate) use absent::{AuthMessage, Authority};
pub use error::{Claim, TOKEN_BYTES_MAX, TokenError};
pub use identity::Identity;
#[cfg(feature = "auth")]
pub use issue::{IssueError, Issuer};
#[cfg(feature = "auth")]
pub use keys::{HmacAlgorithm, KeyError, Keys};
#[cfg(feature = "auth")]
pub use message::AuthMessage;
pub use names::USER_BYTES_MAX;
pub(crate) use names::{NameError, check_name, is_user_name};
pub use source::{Presented, SUBPROTOCOL, offers_subprotocol};
#[cfg(feature = "auth")]
pub use token::Authority;

#[cfg(test)]
#[cfg(feature = "auth")]
mod tests;
