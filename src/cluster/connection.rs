//! One connection to Redis, and what is asked over it.
//!
//! Unlike those of the crate `redis`, whose parser it has, it can be waited for little by little: an answer that is late
//! is still the next one.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use redis::{Cmd, ErrorKind, Parser, RedisError, RedisResult, Value, cmd};

use super::address::Address;
use super::error::io_kind;
use super::wire::{Wire, WireWriter};
use crate::system::{TcpStream, instant};

/// Bytes of one answer at most.
// The longest that is asked for is a page of a log, whose bytes are bounded, or an announcement, which is a batch.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The least time in which a server is believed to be able to greet.
const CONNECT_MIN: Duration = Duration::from_millis(500);

/// The least time that an answer is waited for.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// How long it may take to connect, where an answer may take this long: others wait meanwhile who could be answered.
pub(super) fn connect_timeout(timeout: Duration) -> Duration {
    (timeout / 4).max(CONNECT_MIN).min(timeout)
}

/// A socket that reads no more than an answer may have.
struct Bounded {
    wire: Wire,
    /// Bytes since the last answer was whole.
    bytes: usize,
    /// A part of an answer that comes later than this does not keep whoever waits.
    until: Instant,
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.bytes > ANSWER_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer of Redis is too long"));
        }
        if self.bytes > 0 && instant() > self.until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let count = self.wire.read(into)?;
        self.bytes += count;
        Ok(count)
    }
}

/// A connection that is greeted and ready.
pub(super) struct Connection {
    socket: Bounded,
    parser: Parser,
    timeout: Duration,
    used_at: Instant,
    is_broken: bool,
}

impl Connection {
    /// Connects; each step is waited for no longer than `timeout`.
    pub(super) fn open(address: &Address, timeout: Duration) -> RedisResult<Connection> {
        let login = &address.login;
        let mut hello = cmd("HELLO");
        hello.arg(3);
        if let Some(password) = &login.password {
            hello.arg("AUTH").arg(login.username.as_deref().unwrap_or("default")).arg(password.reveal());
        }
        let mut connection = Connection::connect(address, timeout)?;
        connection.ask(&hello).map_err(|error| match &login.password {
            // Whoever does not know the command says what was asked.
            Some(password) if error.to_string().contains(password.reveal()) => {
                RedisError::from((ErrorKind::Client, "it does not know HELLO (is it older than Redis 7?)"))
            }
            _ => error,
        })?;
        if login.database != 0 {
            connection.ask(cmd("SELECT").arg(login.database))?;
        }
        Ok(connection)
    }

    fn connect(address: &Address, timeout: Duration) -> RedisResult<Connection> {
        Ok(Connection {
            socket: Bounded { wire: Wire::open(address, timeout)?, bytes: 0, until: instant() },
            parser: Parser::new(),
            timeout,
            used_at: instant(),
            is_broken: false,
        })
    }

    /// How long each answer is waited for from now on.
    pub(super) fn with_timeout(mut self, timeout: Duration) -> Connection {
        self.timeout = timeout;
        self
    }

    /// Another handle to what is sent. Two that send at the same time must agree about it.
    pub(super) fn writer(&self) -> io::Result<WireWriter> {
        self.socket.wire.writer()
    }

    /// Whatever is heard of one that is broken may be an answer to something else.
    fn refuse_if_broken(&self) -> RedisResult<()> {
        if self.is_broken {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the connection is broken").into());
        }
        Ok(())
    }

    /// Sends commands.
    pub(super) fn send(&mut self, bytes: &[u8]) -> RedisResult<()> {
        self.refuse_if_broken()?;
        self.used_at = instant();
        let sent = self.socket.wire.write_all(bytes);
        self.is_broken |= sent.is_err();
        Ok(sent?)
    }

    /// Sends what can be sent without waiting; says how much was taken.
    pub(super) fn send_some(&mut self, bytes: &[u8]) -> RedisResult<usize> {
        self.refuse_if_broken()?;
        self.used_at = instant();
        let sent = self.socket.wire.write_some(bytes);
        self.is_broken |= sent.is_err();
        Ok(sent?)
    }

    /// Whether all that was taken has been sent, without waiting for it.
    pub(super) fn is_flushed(&mut self) -> RedisResult<bool> {
        let flushed = self.socket.wire.is_flushed();
        self.is_broken |= flushed.is_err();
        Ok(flushed?)
    }

    /// The next answer or push message; `None` if there is none within `wait`, which may be nothing.
    pub(super) fn receive(&mut self, wait: Duration) -> RedisResult<Option<Value>> {
        self.socket.wire.wait_for(wait)?;
        // Without a wait, a socket that has nothing more ends it.
        self.socket.until = instant() + if wait.is_zero() { self.timeout } else { wait };
        match self.parser.parse_value(&mut self.socket) {
            Ok(value) => {
                self.socket.bytes = 0;
                Ok(Some(value))
            }
            // A signal: that of a debugger, or SIGCONT.
            Err(error) if error.is_timeout() || io_kind(&error) == Some(io::ErrorKind::Interrupted) => {
                Ok(None)
            }
            Err(error) => {
                self.is_broken = true;
                Err(error)
            }
        }
    }

    /// The next answer.
    fn answer(&mut self) -> RedisResult<Value> {
        self.answer_until(instant() + self.timeout)
    }

    /// The next answer, which is waited for until then.
    pub(super) fn answer_until(&mut self, until: Instant) -> RedisResult<Value> {
        loop {
            let left = until.saturating_duration_since(instant()).max(WAIT_MIN);
            match self.receive(left)? {
                Some(Value::Push { .. }) => {}
                Some(value) => return Ok(value),
                None if instant() < until => {}
                None => {
                    self.is_broken = true;
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "Redis does not answer").into());
                }
            }
        }
    }

    /// Sends a command and waits for its answer, an error of the server among them as an error.
    pub(super) fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.send(&command.get_packed_command())?;
        match self.answer()? {
            Value::ServerError(error) => Err(error.into()),
            value => Ok(value),
        }
    }

    /// Whether the other end has hung up while nothing was asked.
    pub(super) fn has_ended(&mut self) -> bool {
        self.is_broken || self.socket.wire.has_ended()
    }

    /// For how long nothing was asked.
    pub(super) fn rest(&self) -> Duration {
        instant().saturating_duration_since(self.used_at)
    }

    /// What can be waited for together with others.
    pub(super) fn socket(&self) -> &TcpStream {
        self.socket.wire.socket()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // There may be other handles to it.
        self.socket.wire.shutdown();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::thread::spawn;

    use super::*;

    /// A server that answers with this, whatever it is asked.
    fn opened(answer: &'static [u8], timeout: Duration) -> RedisResult<Connection> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let _is_gone = socket.read(&mut [0; 1_024]).and_then(|_| socket.write_all(answer));
            // Until the other end has had enough.
            while matches!(socket.read(&mut [0; 1_024]), Ok(1..)) {}
        });
        let (host, login) = ("127.0.0.1".into(), Arc::default());
        Connection::open(&Address { host, port, login }, timeout)
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let timeout = Duration::from_millis(200);
        let answers: [&[u8]; 8] = [
            b"-NOAUTH who are you\r\n",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"",
            b"*2147483647\r\n",
            b"*9223372036854775807\r\n",
            b"%9223372036854775807\r\n",
            b"$9223372036854775807\r\n",
            b"$-9223372036854775808\r\n*-7\r\n",
        ];
        for answer in answers {
            let opened = opened(answer, timeout);
            let is_nothing = answer.starts_with(b"$-");
            assert_eq!(opened.is_ok(), is_nothing, "{}", String::from_utf8_lossy(answer));
        }
        assert!(opened(b"%0\r\n", timeout).is_ok());
    }
}
