//! TLS, users, passwords.

use std::path::Path;
use std::process::Command;

use super::kit::{Node, Redis, free_port, options};
use crate::cluster::{ClusterTls, start};
use crate::rooms::store_api::Placed;

/// An authority, and a certificate that it has signed for this machine, with their keys, in a directory.
fn certificates(dir: &Path) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "authority");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::from_params(&params, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("other.pem"), other.cert.pem()).unwrap();
    std::fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(dir.join("certificate.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_redis_that_asks_for_certificates_and_passwords_lets_in_whoever_has_them() {
    let files = tempfile::tempdir().unwrap();
    certificates(files.path());
    let file = |name: &str| files.path().join(name);
    let text = |name: &str| file(name).display().to_string();
    let port = free_port();
    // Not the server that the other tests use: not all of them are built with TLS.
    let mut redis = Command::new("redis-server")
        .args(["--port", "0", "--bind", "127.0.0.1", "--tls-port", &port.to_string(), "--save", ""])
        .args(["--tls-cert-file", &text("certificate.pem"), "--tls-key-file", &text("key.pem")])
        .args(["--tls-ca-cert-file", &text("ca.pem"), "--tls-auth-clients", "yes", "--loglevel", "warning"])
        .args(["--user", "foghorn", "on", ">s3cret", "~fh:*", "&fh:*", "+@all", "-@dangerous"])
        .args(["+info", "+config|get", "--user", "default", "off"])
        .arg("--dir")
        .arg(files.path())
        .spawn()
        .expect("a Redis: tests/cluster/run installs one");
    let identity = Some((file("certificate.pem"), file("key.pem")));
    let with = |user: &str, ca: Option<&str>, identity: &Option<_>| {
        let mut options = options(format!("rediss://{user}@localhost:{port}"));
        options.tls = ClusterTls { ca: ca.map(file), identity: identity.clone() };
        options
    };
    let good = with("foghorn:s3cret", Some("ca.pem"), &identity);
    let nodes = [Node::with(good.clone()), Node::with(good)];
    let rooms = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    for seq in 1..=200 {
        // Some of several records of TLS.
        let content = "x".repeat(if seq % 10 == 0 { 50_000 } else { 10 });
        assert_eq!(nodes[seq % 2].say(&rooms[seq % 2], &content), Placed::At(seq as u64));
    }
    rooms.iter().for_each(|room| room.wait_for(200));
    assert_eq!(rooms[0].view().messages, rooms[1].view().messages);
    drop(nodes);
    let wrong_password =
        start(with("foghorn:other", Some("ca.pem"), &identity)).map(drop).unwrap_err().to_string();
    assert!(wrong_password.contains("WRONGPASS") && !wrong_password.contains("other"), "{wrong_password}");
    let stranger =
        start(with("foghorn:s3cret", Some("other.pem"), &identity)).map(drop).unwrap_err().to_string();
    assert!(stranger.contains("UnknownIssuer"), "{stranger}");
    let no_file =
        start(with("foghorn:s3cret", Some("none.pem"), &identity)).map(drop).unwrap_err().to_string();
    assert!(no_file.contains("none.pem"), "{no_file}");
    redis.kill().unwrap();
    redis.wait().unwrap();
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_server_that_takes_part_in_no_cluster_is_named_alone() {
    let (one, other) = (Redis::start(), Redis::start());
    let url = format!("redis://127.0.0.1:{},127.0.0.1:{}", one.port, other.port);
    let refused = start(options(url)).map(drop).unwrap_err().to_string();
    assert!(refused.contains("name it alone"), "{refused}");
}
