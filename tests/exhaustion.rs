//! A server that runs out of descriptors.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use support::raw::upgrade;
use support::{ConfiguredProcess, PATIENCE, eventually};

/// How a connection attempt ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Met {
    Served,
    Refused,
}

fn connect(server: &ConfiguredProcess) -> (TcpStream, Met) {
    let mut stream = TcpStream::connect(server.address()).expect("the kernel takes it");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut answer = [0; 12];
    // Whoever is refused may be so before it has said anything.
    let _refused_already = stream.write_all(&upgrade("/echo"));
    let met = match stream.read_exact(&mut answer) {
        Ok(()) if &answer == b"HTTP/1.1 101" => Met::Served,
        Ok(()) => {
            assert_eq!(&answer, b"HTTP/1.1 503");
            Met::Refused
        }
        // The answer was destroyed by the reset that follows what was not read.
        Err(_) => Met::Refused,
    };
    (stream, met)
}

#[test]
fn without_descriptors_newcomers_are_refused_others_are_served_and_it_ends_when_some_leave() {
    let server = ConfiguredProcess::with_descriptors("", 64);
    let mut served = Vec::new();
    loop {
        let (stream, met) = connect(&server);
        if met == Met::Refused {
            break;
        }
        served.push(stream);
        assert!(served.len() < 64, "there are more connections than descriptors");
    }
    assert!(served.len() > 16, "{}", served.len());
    for _ in 0..20 {
        assert_eq!(connect(&server).1, Met::Refused);
    }
    let mut witness = served.pop().expect("somebody is served");
    witness.write_all(b"\x81\x81\0\0\0\0x").expect("it is open");
    let mut bytes = Vec::new();
    eventually("an echo", || {
        let mut chunk = [0; 256];
        let count = witness.read(&mut chunk).expect("more");
        bytes.extend_from_slice(&chunk[..count]);
        bytes.ends_with(b"\r\n\r\n\x81\x01x")
    });
    served.truncate(8);
    eventually("newcomers are served again", || connect(&server).1 == Met::Served);
    let log = server.log();
    let lines = log.lines().filter(|line| line.contains("no descriptors left")).count();
    assert!((1..=3).contains(&lines), "{log}");
}
