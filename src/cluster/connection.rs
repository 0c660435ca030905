//! One connection to Redis, and what is asked over it.
//!
//! Unlike those of the crate `redis`, whose parser it has, it can be waited for little by little: an answer that is late
//! is still the next one.

use std::io::{self, Read, Write};
use std::net::{Shutdown, ToSocketAddrs};
use std::time::{Duration, Instant};

use redis::{Cmd, ConnectionLike, ErrorKind, Parser, RedisError, RedisResult, Value, cmd};

use super::address::Address;
use crate::system::{TcpStream, instant};

/// Bytes of one answer at most.
// The longest that is asked for is a page of a log, whose bytes are bounded, or an announcement, which is a batch.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The least time that a socket can be waited for.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// A socket that reads no more than an answer may have.
struct Bounded {
    socket: TcpStream,
    /// Bytes since the last answer was whole.
    bytes: usize,
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.bytes > ANSWER_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer of Redis is too long"));
        }
        let count = self.socket.read(into)?;
        self.bytes += count;
        Ok(count)
    }
}

/// A connection that is greeted and ready.
pub(super) struct Connection {
    socket: Bounded,
    parser: Parser,
    timeout: Duration,
    wait: Duration,
    used_at: Instant,
    is_broken: bool,
}

impl Connection {
    /// Connects; each step is waited for no longer than `timeout`.
    pub(super) fn open(address: &Address, timeout: Duration) -> RedisResult<Connection> {
        let socket = connect(address, timeout)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(timeout.max(WAIT_MIN)))?;
        let mut connection = Connection {
            socket: Bounded { socket, bytes: 0 },
            parser: Parser::new(),
            timeout,
            wait: Duration::ZERO,
            used_at: instant(),
            is_broken: false,
        };
        let mut hello = cmd("HELLO");
        hello.arg(3);
        if let Some(password) = &address.password {
            hello.arg("AUTH").arg(address.username.as_deref().unwrap_or("default")).arg(password.reveal());
        }
        connection.ask(&hello)?;
        if address.database != 0 {
            connection.ask(cmd("SELECT").arg(address.database))?;
        }
        Ok(connection)
    }

    /// Another handle to what is sent. Two that send at the same time must agree about it.
    pub(super) fn writer(&self) -> io::Result<TcpStream> {
        self.socket.socket.try_clone()
    }

    /// Sends commands.
    pub(super) fn send(&mut self, bytes: &[u8]) -> RedisResult<()> {
        self.used_at = instant();
        let sent = self.socket.socket.write_all(bytes);
        self.is_broken |= sent.is_err();
        Ok(sent?)
    }

    /// The next answer or push message; `None` if there is none within `wait`.
    pub(super) fn receive(&mut self, wait: Duration) -> RedisResult<Option<Value>> {
        let wait = wait.max(WAIT_MIN);
        if self.wait != wait {
            self.socket.socket.set_read_timeout(Some(wait))?;
            self.wait = wait;
        }
        match self.parser.parse_value(&mut self.socket) {
            Ok(value) => {
                self.socket.bytes = 0;
                Ok(Some(value))
            }
            Err(error) if error.is_timeout() || is_interrupted(&error) => Ok(None),
            Err(error) => {
                self.is_broken = true;
                Err(error)
            }
        }
    }

    /// The next answer.
    fn answer(&mut self) -> RedisResult<Value> {
        let until = instant() + self.timeout;
        loop {
            match self.receive(until.saturating_duration_since(instant()))? {
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
        self.req_packed_command(&command.get_packed_command())
    }

    /// Whether the other end has hung up while nothing was asked.
    pub(super) fn has_ended(&mut self) -> bool {
        if self.is_broken || self.socket.socket.set_nonblocking(true).is_err() {
            return true;
        }
        let found = self.socket.socket.peek(&mut [0]);
        let is_there = matches!(&found, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        !is_there || self.socket.socket.set_nonblocking(false).is_err()
    }

    /// For how long nothing was asked.
    pub(super) fn rest(&self) -> Duration {
        instant().saturating_duration_since(self.used_at)
    }

    /// Whether it can be used on.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_broken
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // There may be other handles to it.
        let _is_gone = self.socket.socket.shutdown(Shutdown::Both);
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.send(command)?;
        match self.answer()? {
            Value::ServerError(error) => Err(error.into()),
            value => Ok(value),
        }
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.send(commands)?;
        for _ in 0..offset {
            self.answer()?;
        }
        (0..count).map(|_| self.answer()).collect()
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        self.ask(&cmd("PING")).is_ok()
    }

    fn is_open(&self) -> bool {
        self.is_whole()
    }
}

/// Whether a signal has come while it was waited: that of a debugger, or SIGCONT.
fn is_interrupted(error: &RedisError) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::Interrupted)
}

fn connect(address: &Address, timeout: Duration) -> RedisResult<TcpStream> {
    let mut failed =
        RedisError::from((ErrorKind::InvalidClientConfig, "the name of the host has no address"));
    for found in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&found, timeout.max(WAIT_MIN)) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error.into(),
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
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
        Connection::open(&Address::parse(&format!("redis://127.0.0.1:{port}")).unwrap(), timeout)
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
