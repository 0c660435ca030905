//! A program without the feature `auth`: a server that asks for tokens cannot be configured, so that these types have no
//! value.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::time::Duration;

use super::{Identity, TokenError};

#[derive(Clone, Debug)]
pub(crate) enum Authority {}

impl Authority {
    pub(crate) fn verify(&self, _token: &str, _now: Duration) -> Result<Identity, TokenError> {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) struct AuthMessage<'m>(Infallible, PhantomData<&'m str>);

impl<'m> AuthMessage<'m> {
    pub(crate) fn parse(_text: &'m str) -> Option<AuthMessage<'m>> {
        None
    }

    /// Only where tokens are in use is it kept from others.
    pub(crate) fn is_meant_by(_message: &[u8]) -> bool {
        false
    }

    pub(crate) fn token(&self) -> &'m str {
        match self.0 {}
    }
}
