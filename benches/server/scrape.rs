//! The metrics of a server on this machine, as Prometheus would read them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use foghorn::bench::MetricsSource;

/// Longer than any server here takes to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads them each second.
pub(crate) fn each_second() -> MetricsSource {
    MetricsSource::new(Some(Duration::from_secs(1)), |server| {
        read(server).map_err(|error| format!("cannot read the metrics of {server}: {error}"))
    })
}

fn read(server: &str) -> Result<String, Box<dyn std::error::Error>> {
    let host = server.strip_prefix("http://").ok_or("not over TLS")?;
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP")?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(head.lines().next().unwrap_or_default().into());
    }
    Ok(body.to_owned())
}
