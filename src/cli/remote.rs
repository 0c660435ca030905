//! A running server as commands see it: requests and answers on one connection.
//!
//! Everything blocks: a command has nothing else to do, or does it on another thread.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "tls")]
use rustls::{ClientConnection, StreamOwned};

use super::failure::Failure;
use crate::http::field;
use crate::transport::Trust;

/// Longer than a server lets any request wait.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server may take to accept.
// A first packet that gets lost is sent again after 1, 3 and 7 seconds.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// More than a server has to say.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;
/// Longer bodies are not asked for.
const BODY_BYTES_MAX: u64 = 16 << 20;

/// Who asks, and which servers are believed.
#[derive(Debug, clap::Args)]
#[group(id = "access")]
pub(super) struct AccessArgs {
    /// A token, for a server that asks for one
    #[arg(long, value_name = "TOKEN", env = "FOGHORN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Over TLS: believe servers that the certificates in this file (PEM) vouch for, not those that the system believes
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// Over TLS: believe every server
    #[arg(long)]
    insecure: bool,
}

impl AccessArgs {
    /// As if these were given.
    #[cfg(feature = "bench")]
    pub(super) fn new(token: Option<String>, ca: Option<PathBuf>, insecure: bool) -> AccessArgs {
        AccessArgs { token, ca, insecure }
    }
}

/// Where an URL leads.
#[derive(Debug, PartialEq, Eq)]
enum RemoteAddress {
    Tcp { host: String, port: u16, secure: bool },
    Unix(PathBuf),
}

/// A server's URL.
#[derive(Debug, PartialEq, Eq)]
struct Url {
    address: RemoteAddress,
    /// The value of `Host`.
    authority: String,
    /// What comes before the path of every request.
    prefix: String,
}

impl Url {
    fn parse(url: &str) -> Result<Url, &'static str> {
        if let Some(path) = url.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            let address = RemoteAddress::Unix(path.strip_prefix("//").unwrap_or(path).into());
            return Ok(Url { address, authority: "localhost".into(), prefix: String::new() });
        }
        let schemes = [("http://", false), ("ws://", false), ("https://", true), ("wss://", true)];
        let found = schemes.iter().find_map(|&(scheme, secure)| Some((url.strip_prefix(scheme)?, secure)));
        let (rest, secure) = found.ok_or("it must begin with http://, https://, ws://, wss:// or unix:")?;
        if rest.contains(['?', '#', '@']) {
            return Err("it must have neither a user nor a query");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            // Behind the brackets of an IPv6 address there may be no port.
            Some((host, port)) if !authority.ends_with(']') => {
                (host, Some(port.parse().map_err(|_| "it has no port behind the colon")?))
            }
            Some(_) | None => (authority, None),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it names no host, or has a path that is none");
        }
        let port = port.unwrap_or(if secure { 443 } else { 80 });
        let address = RemoteAddress::Tcp { host: host.to_owned(), port, secure };
        Ok(Url { address, authority: authority.to_owned(), prefix: path.trim_end_matches('/').to_owned() })
    }
}

/// A connection of any kind.
enum RemoteStream {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for RemoteStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            RemoteStream::Tcp(stream) => stream.read(buffer),
            RemoteStream::Unix(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            RemoteStream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for RemoteStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            RemoteStream::Tcp(stream) => stream.write(bytes),
            RemoteStream::Unix(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            RemoteStream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            RemoteStream::Tcp(stream) => stream.flush(),
            RemoteStream::Unix(stream) => stream.flush(),
            #[cfg(feature = "tls")]
            RemoteStream::Tls(stream) => stream.flush(),
        }
    }
}

/// A server that answers.
pub(super) struct Remote {
    connection: RemoteStream,
    url: Url,
    name: String,
    token: Option<String>,
}

/// What it has answered.
#[derive(Debug)]
pub(super) struct RemoteAnswer {
    pub(super) status: u16,
    fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Remote {
    /// Connects to the server at this URL: `http(s)://HOST:PORT`, `ws(s)://HOST:PORT`, or `unix:/PATH`.
    pub(super) fn connect(name: &str, access: &AccessArgs) -> Result<Remote, Failure> {
        let AccessArgs { token, ca, insecure } = access;
        let wrong = |why: &str| Failure::usage(format!("{name:?} is no URL of a server: {why}"));
        let cannot =
            |error: &dyn std::fmt::Display| Failure::new(format!("cannot connect to {name}: {error}"));
        let url = Url::parse(name).map_err(wrong)?;
        let connection = match &url.address {
            RemoteAddress::Unix(path) => {
                let stream = UnixStream::connect(path).map_err(|error| cannot(&error))?;
                stream.set_read_timeout(Some(PATIENCE)).map_err(|error| cannot(&error))?;
                stream.set_write_timeout(Some(PATIENCE)).map_err(|error| cannot(&error))?;
                RemoteStream::Unix(stream)
            }
            RemoteAddress::Tcp { host, port, secure } => {
                let trust = match (secure, ca, insecure) {
                    (false, _, _) => None,
                    (true, Some(file), _) => Some(Trust::of_file(file, host)),
                    (true, None, true) => Some(Trust::blind(host)),
                    (true, None, false) => Some(Trust::of_system(host)),
                };
                let trust = trust.transpose().map_err(|error| Failure::new(error.to_string()))?;
                let stream = connect_tcp(host, *port).map_err(|error| cannot(&error))?;
                match trust {
                    None => RemoteStream::Tcp(stream),
                    #[cfg(not(feature = "tls"))]
                    Some(trust) => match trust {},
                    #[cfg(feature = "tls")]
                    Some(trust) => {
                        let session = trust.connection().map_err(|error| cannot(&error))?;
                        RemoteStream::Tls(Box::new(StreamOwned::new(session, stream)))
                    }
                }
            }
        };
        let token = token.clone().filter(|token| !token.is_empty());
        Ok(Remote { connection, url, name: name.to_owned(), token })
    }

    /// Sends a request without a body, and waits for the answer, whatever it is.
    pub(super) fn ask(&mut self, method: &str, target: &str) -> Result<RemoteAnswer, Failure> {
        let request = self.request(method, target)?;
        let sent = self.connection.write_all(&request).and_then(|()| self.connection.flush());
        sent.and_then(|()| self.read_reply()).map_err(|error| {
            let kind = error.kind();
            let why = if matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
                "it does not answer".to_owned()
            } else if kind == io::ErrorKind::UnexpectedEof {
                "it has closed the connection".to_owned()
            } else {
                error.to_string()
            };
            Failure::new(format!("the connection to {} broke: {why}", self.name))
        })
    }

    fn request(&self, method: &str, target: &str) -> Result<Vec<u8>, Failure> {
        let mut out = format!("{method} {}{target} HTTP/1.1\r\n", self.url.prefix).into_bytes();
        let bad = |what: &str| Failure::usage(format!("{what} has characters that cannot be sent"));
        field(&mut out, "Host", &self.url.authority).map_err(|_| bad("the URL"))?;
        field(&mut out, "User-Agent", concat!("foghorn/", env!("CARGO_PKG_VERSION")))
            .map_err(|_| bad("the name"))?;
        if let Some(token) = &self.token {
            field(&mut out, "Authorization", &format!("Bearer {token}")).map_err(|_| bad("the token"))?;
        }
        out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        Ok(out)
    }

    fn read_reply(&mut self) -> io::Result<RemoteAnswer> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut head = Vec::with_capacity(1024);
        // Byte by byte would be slow over TLS only if heads were long.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == HEAD_BYTES_MAX {
                return Err(invalid("its answer is no HTTP"));
            }
            let mut byte = [0];
            self.connection.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let mut table = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut table);
        let complete = response.parse(&head).is_ok_and(|status| status.is_complete());
        let Some(status) = response.code.filter(|_| complete) else {
            return Err(invalid("its answer is no HTTP"));
        };
        let text = |header: &httparse::Header<'_>| {
            (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
        };
        let fields = response.headers.iter().map(text).collect();
        let mut reply = RemoteAnswer { status, fields, body: Vec::new() };
        let len = match reply.field("content-length") {
            Some(len) => len.parse().ok().filter(|len| *len <= BODY_BYTES_MAX),
            None if status == 204 => Some(0),
            None => None,
        };
        let len = len.ok_or_else(|| invalid("its answer has no length"))?;
        reply.body = vec![0; usize::try_from(len).unwrap_or(0)];
        self.connection.read_exact(&mut reply.body)?;
        Ok(reply)
    }

    /// Why the server has not done what it was asked for.
    pub(super) fn refusal(&self, reply: &RemoteAnswer) -> Failure {
        #[derive(serde::Deserialize)]
        struct Problem {
            detail: String,
        }
        let detail = serde_json::from_slice(&reply.body).map_or_else(
            |_| "it does not say why; is it a foghorn server that can do this?".to_owned(),
            |Problem { detail }| detail.escape_debug().to_string(),
        );
        let again = reply.field("retry-after").map(|time| format!(" (try again in {time} s)"));
        let again = again.unwrap_or_default();
        Failure::new(format!("{} answered {}: {detail}{again}", self.name, reply.status))
    }
}

fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIME) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

impl RemoteAnswer {
    /// The value of a header field, by its name in small letters.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| &**value)
    }
}

/// A text as one segment of a path (RFC 3986 §2.1).
pub(super) fn path_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_of_a_path_has_nothing_that_ends_it() {
        assert_eq!(path_segment("a/b?c#d%e \u{f6}~"), "a%2Fb%3Fc%23d%25e%20%C3%B6~");
    }

    #[test]
    fn a_url_names_a_server_and_perhaps_a_path_before_its_own() {
        let tcp = |host: &str, port, secure| RemoteAddress::Tcp { host: host.to_owned(), port, secure };
        let cases = [
            ("http://127.0.0.1:8080", tcp("127.0.0.1", 8080, false), "127.0.0.1:8080", ""),
            ("ws://[::1]:9/", tcp("::1", 9, false), "[::1]:9", ""),
            ("https://[::1]", tcp("::1", 443, true), "[::1]", ""),
            ("wss://example.test/chat/", tcp("example.test", 443, true), "example.test", "/chat"),
            ("unix:/run/foghorn.sock", RemoteAddress::Unix("/run/foghorn.sock".into()), "localhost", ""),
        ];
        for (text, address, authority, prefix) in cases {
            let (authority, prefix) = (authority.to_owned(), prefix.to_owned());
            assert_eq!(Url::parse(text), Ok(Url { address, authority, prefix }), "{text}");
        }
        for text in
            ["", "127.0.0.1:80", "ftp://h", "http://", "http://h:port", "http://u@h", "http://h/?a", "unix:"]
        {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
