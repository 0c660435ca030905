//! What goes over a socket to Redis, encrypted or not. One thread reads; others may write at the same time.

use std::io::{self, Read, Write};
use std::net::{Shutdown, ToSocketAddrs};
use std::time::Duration;

use redis::{ErrorKind, RedisError, RedisResult};

use super::address::Address;
use crate::system::{TcpStream, has_come, receive, write_now};

/// The least time that a socket can be waited for.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// The end that reads, and writes.
pub(super) struct Wire {
    socket: TcpStream,
    #[cfg(feature = "tls")]
    tls: Option<super::wire_tls::Session>,
    /// How long a read waits; nothing: not at all.
    wait: Duration,
}

/// An end that writes alone.
pub(super) struct WireWriter {
    socket: TcpStream,
    #[cfg(feature = "tls")]
    tls: Option<super::wire_tls::Session>,
}

impl Wire {
    /// Connects; each step is waited for no longer than `timeout`.
    pub(super) fn open(address: &Address, timeout: Duration) -> RedisResult<Wire> {
        let timeout = timeout.max(WAIT_MIN);
        #[cfg_attr(
            not(feature = "simulation"),
            expect(unused_mut, reason = "a simulated one keeps it itself")
        )]
        let mut socket = connect(address, timeout)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(timeout))?;
        socket.set_read_timeout(Some(timeout))?;
        #[cfg(not(feature = "tls"))]
        if let Some(trust) = address.login.trust.clone() {
            match trust {}
        }
        Ok(Wire {
            #[cfg(feature = "tls")]
            tls: match &address.login.trust {
                Some(trust) => Some(super::wire_tls::Session::begin(trust, &address.host, &socket)?),
                None => None,
            },
            socket,
            wait: timeout,
        })
    }

    /// Another end, over which others can write.
    pub(super) fn writer(&self) -> io::Result<WireWriter> {
        Ok(WireWriter {
            socket: self.socket.try_clone()?,
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
        })
    }

    /// How long the next reads wait; nothing: not at all.
    pub(super) fn wait_for(&mut self, wait: Duration) -> io::Result<()> {
        let wait = if wait.is_zero() { wait } else { wait.max(WAIT_MIN) };
        if !wait.is_zero() && self.wait != wait {
            self.socket.set_read_timeout(Some(wait))?;
        }
        self.wait = wait;
        Ok(())
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.write_all(bytes, &self.socket);
        }
        (&self.socket).write_all(bytes)
    }

    /// Writes what can be written without waiting; says how much was taken.
    pub(super) fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.write_some(bytes, &self.socket);
        }
        write_now(&self.socket, bytes)
    }

    /// Whether all that was taken has been written, without waiting for it.
    pub(super) fn is_flushed(&mut self) -> io::Result<bool> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.flush_some(&self.socket);
        }
        Ok(true)
    }

    /// Whether the other end has hung up, or says something that nobody has asked for.
    pub(super) fn has_ended(&mut self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.has_ended(&self.socket);
        }
        has_come(&self.socket)
    }

    /// What can be waited for together with others.
    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn shutdown(&self) {
        let _is_gone = self.socket.shutdown(Shutdown::Both);
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.read(into, &self.socket, self.wait);
        }
        receive(&self.socket, into, self.wait)
    }
}

impl WireWriter {
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.write_all(bytes, &self.socket);
        }
        (&self.socket).write_all(bytes)
    }

    pub(super) fn shutdown(&self) {
        let _is_gone = self.socket.shutdown(Shutdown::Both);
    }
}

fn connect(address: &Address, timeout: Duration) -> RedisResult<TcpStream> {
    let mut failed =
        RedisError::from((ErrorKind::InvalidClientConfig, "the name of the host has no address"));
    for found in (&*address.host, address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&found, timeout) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error.into(),
        }
    }
    Err(failed)
}
