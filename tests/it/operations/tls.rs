//! What the log says of clients that break TLS: why, in one line.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, StreamOwned};

use super::abuse::Logging;
use crate::support::eventually;
use crate::support::secure::{Certificate, connection, tcp};

/// What the line says, and what leaves it.
type Attack<'a> = (&'a str, Box<dyn Fn(SocketAddr) + 'a>);

/// Where it speaks TLS, as its start line says.
fn tls_address(logging: &Logging) -> SocketAddr {
    eventually("it has a start line", || !logging.all_lines().is_empty());
    let lines = logging.all_lines();
    let (_, rest) = lines[0].split_once("https://").expect("an address with TLS");
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && !".:".contains(letter));
    rest[..end.unwrap_or(rest.len())].parse().expect("an address")
}

fn begin(client: ClientConfig, address: SocketAddr) {
    let mut stream = StreamOwned::new(connection(&Arc::new(client)), tcp(address));
    let begun = stream.write_all(b"x").and_then(|()| stream.read(&mut [0; 1]));
    assert!(!matches!(begun, Ok(1..)), "it was let in");
}

fn send(bytes: &[u8], address: SocketAddr) {
    let mut stream = tcp(address);
    stream.write_all(bytes).expect("the server takes it");
    let _alert = stream.read_to_end(&mut Vec::new());
}

#[test]
fn a_client_that_breaks_tls_leaves_a_line_that_says_how() {
    let (certificate, another) = (Certificate::new(), Certificate::new());
    let (file, key) = (certificate.certificate(), certificate.key());
    let path = |path: &std::path::Path| path.to_str().expect("a path").to_owned();
    let (file, key) = (path(&file), path(&key));
    let arguments = ["--listen", "tls:127.0.0.1:0", "--tls-certificate", &file, "--tls-key", &key];
    // The key of the server is an elliptic one.
    let mut without = default_provider();
    without.cipher_suites = vec![cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
    let attacks: [Attack<'_>; 6] = [
        (
            "peer is incompatible: NoCipherSuitesInCommon",
            Box::new(|address| begin(certificate.client_of(without.clone(), &TLS12, &[]), address)),
        ),
        (
            "peer doesn't support any known protocol",
            Box::new(|address| begin(certificate.client_of(default_provider(), &TLS13, &["h2"]), address)),
        ),
        (
            "received fatal alert: ",
            Box::new(|address| begin(another.client_of(default_provider(), &TLS13, &[]), address)),
        ),
        (
            "an HTTP request where TLS is spoken",
            Box::new(|address| send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", address)),
        ),
        (
            "this is not TLS (received corrupt message of type InvalidContentType)",
            Box::new(|address| send(b"SSH-2.0-\x1b[31m\" INFO forged=1\r\n", address)),
        ),
        (
            "received corrupt message of type",
            Box::new(|address| send(&[22, 3, 1, 0, 4, 1, 0, 0, 0], address)),
        ),
    ];
    for (reason, attack) in attacks {
        // What was said before would count against the same address.
        let logging = Logging::start("", &arguments);
        let address = tls_address(&logging);
        (0..3).for_each(|_| attack(address));
        let line = logging.line("connection ended");
        let wanted = format!("reason=\"the peer broke TLS: {reason}");
        assert!(line.contains("address=127.0.0.1:") && line.contains(&wanted), "{line}");
        assert!(!line.contains("forged") && line.len() < 300, "{line}");
        assert_eq!(logging.lines().len(), 1, "{:?}", logging.lines());
    }
}
