//! What the server says of its inside stands beside what the load has seen.

use std::net::SocketAddr;

use serde_json::Value;

use super::Running;
use crate::support::ConfiguredProcess;
use crate::support::process::run;

/// What `foghorn bench` has printed and written.
struct Outcome {
    text: String,
    json: Value,
    page: String,
}

/// A short load on a chat room, with these arguments besides.
fn load(address: SocketAddr, arguments: &[&str]) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (json, html, url) = (file("report.json"), file("report.html"), format!("ws://{address}"));
    let own = ["bench", "fanout", &url, "--chat", "--members", "20", "--seconds", "0.8", "--warmup", "0.1"];
    let output = run(&[&own, &["--json", &json, "--html", &html][..], arguments].concat(), b"");
    assert!(output.status.success(), "{}", output.stderr.escape_ascii());
    let read = |path| std::fs::read_to_string(path).unwrap();
    Outcome {
        text: String::from_utf8(output.stdout).unwrap(),
        json: serde_json::from_str(&read(json)).unwrap(),
        page: read(html),
    }
}

/// Why the inside of the server is not known, in one line.
fn why_unknown(outcome: &Outcome) -> String {
    let why = outcome.json["inside"]["why"].as_str().unwrap().to_owned();
    let told =
        outcome.text.lines().filter(|line| line.trim_start().starts_with("inside ")).collect::<Vec<_>>();
    assert!(told.len() == 1 && told[0].ends_with(&why), "{}", outcome.text);
    assert!(outcome.page.contains("not known"), "{}", outcome.page);
    why
}

#[test]
fn each_step_is_in_the_report_and_counts_what_was_measured() {
    let server = ConfiguredProcess::start("");
    let Outcome { text, json, page } = load(server.address(), &["--scrape", "0.1"]);
    let inside = &json["inside"];
    let sent = json["sent"].as_u64().unwrap();
    for (key, name) in [
        ("read_to_shard", "read to shard"),
        ("shard_to_commit", "shard to commit"),
        ("commit_to_send", "commit to send"),
    ] {
        let step = &inside[key];
        assert!(step["count"].as_u64().unwrap() > 0, "{key}: {inside:#}");
        let [mean, p50, p99] = ["mean", "p50", "p99"].map(|figure| step[figure].as_f64().unwrap());
        assert!(mean > 0.0 && p50 <= p99, "{key}: {inside:#}");
        assert!(text.contains(name) && page.contains(name), "{text}");
    }
    // The two looks are not taken at the moments at which the measurement begins and ends, but close to them.
    let stored = inside["shard_to_commit"]["count"].as_u64().unwrap();
    assert!(stored >= sent / 2 && stored <= 3 * sent, "{stored} stored, {sent} sent");
    assert!(inside["turns"].as_u64().unwrap() > 0 && text.contains("turns"), "{text}");
    assert!(!inside["over_time"].as_array().unwrap().is_empty(), "{inside:#}");
}

#[test]
fn one_look_before_and_one_after_are_enough() {
    let server = ConfiguredProcess::start("");
    let Outcome { json, .. } = load(server.address(), &[]);
    assert_eq!(json["inside"]["over_time"], Value::Array(Vec::new()));
    assert!(json["inside"]["read_to_shard"]["count"].as_u64().unwrap() > 0, "{json:#}");
    let Outcome { json, text, .. } = load(server.address(), &["--no-metrics"]);
    assert!(json["inside"].is_null() && !text.contains("read to shard"), "{text}");
}

#[test]
fn a_server_that_does_not_tell_is_measured_all_the_same() {
    let without = Running::start();
    assert!(why_unknown(&load(without.addr, &[])).contains("has no /metrics"));
    let guarded = ConfiguredProcess::start("[metrics]\ntoken = \"s3cret-of-metrics\"\n");
    assert!(why_unknown(&load(guarded.address(), &[])).contains("--metrics-token"));
    let known = load(guarded.address(), &["--metrics-token", "s3cret-of-metrics"]);
    assert!(known.json["inside"]["turns"].is_u64(), "{:#}", known.json);
}

#[test]
fn metrics_of_operators_are_read_at_their_address() {
    let server = ConfiguredProcess::start("[admin]\nlisten = \"127.0.0.1:0\"\n");
    assert!(why_unknown(&load(server.address(), &[])).contains("admin.listen"));
    for path in ["", "/metrics"] {
        let url = format!("http://{}{path}", server.admin_address());
        let known = load(server.address(), &["--metrics", &url]);
        assert!(known.json["inside"]["turns"].is_u64(), "{:#}", known.json);
    }
}
