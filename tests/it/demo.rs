//! The endpoints for testing and demonstration.

use crate::support::frame::{BINARY, Frame, TEXT, masked};
use crate::support::{Client, Raw, TestServer};
use serde_json::Value;
use tungstenite::Message;

#[test]
fn echo_sends_text_and_binary_back_as_they_came() {
    let server = TestServer::start();
    let mut client = Client::connect(&server, "/echo");
    let messages = [
        Message::text(""),
        Message::text("κόσμε \u{0}\u{1f32b}"),
        Message::binary(vec![]),
        Message::binary(vec![0, 1, 254, 255]),
        Message::text("x".repeat(125)),
        Message::text("x".repeat(126)),
        Message::text("x".repeat(65_535)),
        Message::text("x".repeat(65_536)),
        Message::binary(vec![7; 1 << 20]),
    ];
    for message in &messages {
        client.send(message.clone());
        assert_eq!(client.message(), *message);
    }
    messages.iter().for_each(|message| client.send(message.clone()));
    messages.iter().for_each(|message| assert_eq!(client.message(), *message));
    client.close();
}

#[test]
fn the_prefixed_echo_speaks_text_alone() {
    let server = TestServer::start();
    let mut client = Client::connect(&server, "/ws/echo");
    for text in ["", "hello", "κόσμε"] {
        client.send_text(text);
        assert_eq!(client.text(), format!("Echo: {text}"));
    }
    client.send(Message::binary(vec![1]));
    client.expect_close(1003);
}

#[test]
fn json_comes_back_with_the_time_and_anything_else_is_ignored() {
    let server = TestServer::start();
    let mut client = Client::connect(&server, "/ws/json");
    for ignored in ["", "{", "[]", "7", "\"text\"", "{} x"] {
        client.send_text(ignored);
    }
    client.send_text(r#"{"content":"hi","timestamp":"old","nested":{"a":[1]}}"#);
    let value: Value = serde_json::from_str(&client.text()).expect("JSON");
    assert_eq!((&value["content"], &value["nested"]["a"][0]), (&"hi".into(), &1.into()));
    let time = value["timestamp"].as_str().expect("a time");
    assert!(time.len() == 27 && time.starts_with("20") && time.ends_with('Z'), "{time}");
}

#[test]
fn the_time_is_told_again_and_again_and_nothing_is_listened_to() {
    let server = TestServer::start();
    let mut client = Client::connect(&server, "/ws/time");
    client.send_text("what time is it?");
    client.send(Message::binary(vec![1]));
    let times = [client.text(), client.text()];
    assert!(times[0] < times[1], "{times:?}");
    assert!(times.iter().all(|time| time.len() == 27), "{times:?}");
}

#[test]
fn the_sink_takes_everything_and_answers_pings_alone() {
    let server = TestServer::start();
    let mut raw = Raw::open(&server, "/ws/sink");
    raw.send(&[masked(TEXT, b"into the void"), masked(BINARY, &[0; 60_000]), masked(0x89, b"?")].concat());
    assert_eq!(raw.frame(), Frame::new(0x8a, *b"?"));
    raw.send(&masked(BINARY, &[0; 65_537]));
    raw.expect_close(1009);
}
