//! Everything a reactor starts from, and starting it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use mio::Poll;

use super::connection::table::{ConnectionTable, Gauge};
use super::inbox::channel::InboxSender;
use super::limits::ReactorLimits;
use super::listen::acceptor::{Acceptor, Bound};
use super::listen::listener::Listener;
use super::parts::{Life, Reactor, SIGNALS, WAKER};
use super::service::Service;
use super::signals::register_signals;
use super::state::LoopState;
use crate::config::Listen;
use crate::limit_hits::LimitHits;
use crate::rooms::RoomLimits;
use crate::store::Store;
use crate::system::Waker;
use crate::transport::{Certificate, CertificateError, CertificateFiles};
use crate::workers;
use crate::ws::header::HEADER_BYTES_MAX;

/// Bytes read from one connection before the others get their turn. The buffer is shared by all connections. A frame of
/// 256 KiB fits in with its header: a message is gathered elsewhere only if it is longer.
const READ_BYTES: usize = 256 * 1024 + HEADER_BYTES_MAX;
/// Everything a reactor starts from.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) listen: Vec<Listen>,
    /// Sockets that listen already, each with whether TLS is spoken there.
    pub(crate) sockets: Vec<(OwnedFd, bool)>,
    /// Where operators are served.
    pub(crate) admin: Vec<Listen>,
    /// Who may connect to Unix sockets.
    pub(crate) unix_mode: u32,
    /// Whether connections begin with a PROXY header.
    pub(crate) proxy_protocol: bool,
    /// Certificate and key, if TLS is spoken anywhere.
    pub(crate) tls: Option<CertificateFiles>,
    pub(crate) limits: ReactorLimits,
    pub(crate) rooms: RoomLimits,
    /// One random number for each shard.
    pub(crate) shard_seeds: Vec<u64>,
    /// Whether there is a single shard, run by the reactor itself.
    pub(crate) shard_here: bool,
    /// Where chat rooms are kept.
    pub(crate) store: Option<Store>,
    pub(crate) limit_hits: LimitHits,
    /// The subprotocols of each endpoint, for what is said of them in callbacks.
    pub(crate) subprotocols: Vec<Vec<String>>,
    /// The path of each endpoint.
    pub(crate) paths: Vec<String>,
    /// Whether `SIGTERM` and `SIGINT` shut the server down.
    pub(crate) signals: bool,
}

impl<S: Service> Reactor<S> {
    /// Opens the sockets and starts the shards.
    ///
    /// # Errors
    /// The address that could not be bound, with the system's reason; or what else the system refused.
    pub(crate) fn start(
        setup: Setup,
        service: impl FnOnce(&InboxSender, &Gauge) -> S,
    ) -> Result<Reactor<S>, StartFailure> {
        let poll = Poll::new()?;
        let gauge = Gauge::default();
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (sender, inbox) = InboxSender::new(waker, setup.limit_hits.clone());
        let certificate = setup.tls.as_ref().map(Certificate::load).transpose()?;
        let mut listeners = Vec::new();
        let public = setup.listen.into_iter().map(|listen| (listen, false));
        for (listen, admin) in public.chain(setup.admin.into_iter().map(|listen| (listen, true))) {
            let tls = listen.tls;
            let opened = Listener::open(&listen.place, setup.unix_mode);
            let listener = opened.map_err(|error| StartFailure::Listen(listen, error))?;
            listeners.push(Bound { listener, tls, admin });
        }
        for (number, (socket, tls)) in setup.sockets.into_iter().enumerate() {
            let listener =
                Listener::take_over(socket).map_err(|error| StartFailure::Passed(number, error))?;
            listeners.push(Bound { listener, tls, admin: false });
        }
        let (mut addresses, mut admin_addresses) = (Vec::new(), Vec::new());
        for Bound { listener, tls, admin } in &listeners {
            if *tls && certificate.is_none() {
                return Err(StartFailure::NoCertificate);
            }
            let listen = Listen { place: listener.address()?, tls: *tls };
            if *admin { admin_addresses.push(listen) } else { addresses.push(listen) }
        }
        let acceptor = Acceptor::new(listeners, poll.registry(), setup.limit_hits.clone())?;
        let signals = if setup.signals { Some(register_signals(&poll, SIGNALS)?) } else { None };
        let (workers, shards) = workers::start(
            &setup.rooms,
            &setup.shard_seeds,
            setup.shard_here,
            setup.store.as_ref(),
            &sender,
        )?;
        Ok(Reactor {
            poll,
            inbox,
            signals,
            signalled_at: None,
            acceptor,
            addresses,
            admin_addresses,
            certificate,
            proxy_protocol: setup.proxy_protocol,
            service: service(&sender, &gauge),
            connections: ConnectionTable::new(gauge),
            shared: LoopState::new(
                Arc::new(setup.limits),
                shards,
                sender,
                setup.limit_hits,
                setup.subprotocols,
                setup.paths,
            ),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            life: Life::Serving,
            finishing: Vec::new(),
            retry_accept_at: None,
            inbox_waits: false,
            review_from: None,
            workers,
        })
    }
}

/// RejectReason a reactor could not be started.
#[derive(Debug)]
pub(crate) enum StartFailure {
    /// The place cannot be listened on.
    Listen(Listen, io::Error),
    /// The socket of this number, of those that were passed, cannot be used.
    Passed(usize, io::Error),
    /// TLS is to be spoken without a certificate.
    NoCertificate,
    /// Certificate or key cannot be used.
    Certificate(CertificateError),
    /// The system refused something else.
    System(io::Error),
}

impl From<io::Error> for StartFailure {
    fn from(error: io::Error) -> Self {
        StartFailure::System(error)
    }
}

impl From<CertificateError> for StartFailure {
    fn from(error: CertificateError) -> Self {
        StartFailure::Certificate(error)
    }
}
