//! `SIGTERM` and `SIGINT` as events of the loop (feature `signals`).

use std::io;

use mio::{Poll, Token};
#[cfg(feature = "signals")]
use signal_hook::consts::{SIGINT, SIGTERM};
#[cfg(feature = "signals")]
pub(crate) use signal_hook_mio::v1_0::Signals;

/// Has the loop hear of `SIGTERM` and `SIGINT`.
#[cfg(feature = "signals")]
pub(crate) fn register_signals(poll: &Poll, token: Token) -> io::Result<Signals> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    poll.registry().register(&mut signals, token, mio::Interest::READABLE)?;
    Ok(signals)
}

/// Without the feature no server can be told to heed signals.
#[cfg(not(feature = "signals"))]
pub(crate) enum Signals {}

#[cfg(not(feature = "signals"))]
impl Signals {
    pub(crate) fn pending(&mut self) -> std::iter::Empty<i32> {
        match *self {}
    }
}

#[cfg(not(feature = "signals"))]
pub(crate) fn register_signals(_poll: &Poll, _token: Token) -> io::Result<Signals> {
    Err(io::ErrorKind::Unsupported.into())
}
