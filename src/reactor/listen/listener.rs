//! One listening socket: opened here, or passed by the service manager.

use std::io;
use std::net::{SocketAddr, TcpStream as StdTcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::config::Place;
use crate::system::{self, Socket as Connected};
#[cfg(feature = "simulation")]
use crate::system::{kernel::ListenerEnd, world};
use crate::transport::HERE;

/// Maximum number of connections that wait in the kernel to be accepted. As many as a Linux kernel allows by default
/// (`net.core.somaxconn`): a whole fleet of clients may reconnect while the process restarts.
const BACKLOG: i32 = 4096;

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    /// On an address and a port.
    Tcp(TcpListener),
    /// On a path.
    Unix {
        socket: UnixListener,
        /// Absent if the file belongs to the service manager.
        _file: Option<SocketFile>,
    },
    /// In a simulation.
    #[cfg(feature = "simulation")]
    Simulated(ListenerEnd),
}

/// The file of a Unix socket, which is removed with this.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode: another file that has come to its place is left alone.
    identity: (u64, u64),
}

impl Listener {
    /// Opens a socket; `unix_mode` says who may connect to a Unix one.
    ///
    /// # Errors
    /// As `bind(2)` and `listen(2)`. An existing path is replaced only if it is a socket at which no process answers.
    pub(crate) fn open(place: &Place, unix_mode: u32) -> io::Result<Listener> {
        #[cfg(feature = "simulation")]
        if let (Some(world), Place::Tcp(address)) = (world::current(), place) {
            return Ok(Listener::Simulated(ListenerEnd(world.listen(*address))));
        }
        match place {
            Place::Tcp(address) => listen_tcp(*address).map(Listener::Tcp),
            Place::Name { host, port } => listen_tcp(look_up(host, *port)?).map(Listener::Tcp),
            Place::Unix(path) => {
                let (socket, file) = listen_unix(path, unix_mode)?;
                Ok(Listener::Unix { socket, _file: Some(file) })
            }
        }
    }

    /// Takes over a socket that listens already.
    ///
    /// # Errors
    /// If it is no listening stream socket.
    pub(crate) fn take_over(socket: OwnedFd) -> io::Result<Listener> {
        let socket = Socket::from(socket);
        if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a listening stream socket"));
        }
        socket.set_nonblocking(true)?;
        socket.set_cloexec(true)?;
        if socket.local_addr()?.is_unix() {
            return Ok(Listener::Unix { socket: OwnedFd::from(socket).into(), _file: None });
        }
        socket.set_tcp_nodelay(true)?;
        Ok(Listener::Tcp(TcpListener::from_std(socket.into())))
    }

    /// Where it really is.
    ///
    /// # Errors
    /// As `getsockname(2)`.
    pub(crate) fn address(&self) -> io::Result<Place> {
        match self {
            Listener::Tcp(socket) => socket.local_addr().map(Place::Tcp),
            Listener::Unix { socket, .. } => {
                let path = socket.local_addr()?.as_pathname().map(Path::to_owned);
                Ok(Place::Unix(path.unwrap_or_default()))
            }
            #[cfg(feature = "simulation")]
            Listener::Simulated(end) => Ok(Place::Tcp(end.address())),
        }
    }

    pub(crate) fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        let descriptor = match self {
            Listener::Tcp(socket) => socket.as_raw_fd(),
            Listener::Unix { socket, .. } => socket.as_raw_fd(),
            #[cfg(feature = "simulation")]
            Listener::Simulated(end) => {
                end.register(token);
                return Ok(());
            }
        };
        registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE)
    }

    /// A connection that waits, and where it comes from.
    pub(crate) fn accept(&self) -> io::Result<(Connected, SocketAddr)> {
        match self {
            Listener::Tcp(socket) => socket.accept().map(|(socket, peer)| (system::real(socket), peer)),
            Listener::Unix { socket, .. } => {
                let (stream, _) = socket.accept()?;
                stream.set_nonblocking(true)?;
                let stream = StdTcpStream::from(OwnedFd::from(stream));
                Ok((system::real(TcpStream::from_std(stream)), HERE))
            }
            #[cfg(feature = "simulation")]
            Listener::Simulated(end) => end.accept().map(|(end, peer)| (Connected::Simulated(end), peer)),
        }
    }

    /// Whether its connections have no address.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Listener::Unix { .. })
    }
}

/// One address for a name: the IPv4 one if there are several kinds, since that is what most clients try first.
fn look_up(host: &str, port: u16) -> io::Result<SocketAddr> {
    let found: Vec<_> = (host, port).to_socket_addrs()?.collect();
    let address = found.iter().find(|address| address.is_ipv4()).or(found.first());
    address.copied().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

/// Accepted connections inherit `TCP_NODELAY`, which saves a system call each.
fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn listen_unix(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    if is_stale(path) {
        std::fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile { path: path.to_owned(), identity: identity(path)? };
    // Before it listens: no client gets in by the mode that the file begins with.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    Ok((OwnedFd::from(socket).into(), file))
}

/// Whether a server has left a socket behind: there is one, and no process answers.
fn is_stale(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _removed_by_somebody = std::fs::remove_file(&self.path);
        }
    }
}
