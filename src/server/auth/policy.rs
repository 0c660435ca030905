//! How tokens are asked for and checked.

use std::time::Duration;

use crate::auth::{Authority, Identity, Presented, TokenError};
use crate::handshake::Origins;
use crate::http::Head;
use crate::system::since_epoch;

/// How tokens are asked for, where they are.
#[derive(Debug)]
pub(in crate::server) struct TokenPolicy {
    pub(super) authority: Authority,
    /// How long a session may take to send one.
    pub(super) timeout: Duration,
    /// Sessions that may wait at a time.
    pub(super) awaited_max: usize,
}

impl TokenPolicy {
    /// The user who sent this request; `None` if it has no token.
    pub(super) fn identify(
        &self,
        head: &Head<'_>,
        origins: &Origins,
        secure: bool,
    ) -> Result<Option<Identity>, TokenError> {
        let presented = Presented::find(head, origins, secure)?;
        presented.token().map(|token| self.verify(token)).transpose()
    }

    pub(super) fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        self.authority.verify(token, since_epoch())
    }
}
