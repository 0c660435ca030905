//! Endpoints for testing and demonstration.

use std::time::Duration;

use crate::http::Head;
use crate::server::{Context, Endpoint, Handler, Router, Timer};
use crate::ws::{CloseCode, Message};

/// Messages that `/echo` takes.
const ECHO_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// How often `/ws/time` speaks.
const TIME_INTERVAL: Duration = Duration::from_secs(1);

mod json;

/// Adds `/echo`, `/ws/echo`, `/ws/json`, `/ws/time` and `/ws/sink`.
#[must_use]
pub fn routes(router: Router) -> Router {
    let endpoint = |handler: Endpoint| handler.remember_handshake(false);
    router
        .endpoint("/echo", endpoint(Endpoint::new(Echo)).message_bytes(ECHO_MESSAGE_BYTES))
        .endpoint("/ws/echo", endpoint(Endpoint::new(PrefixedEcho)))
        .endpoint("/ws/json", endpoint(Endpoint::new(json::Stamp)))
        .endpoint("/ws/time", endpoint(Endpoint::new(Time)))
        .endpoint("/ws/sink", endpoint(Endpoint::new(Sink)))
}

/// Sends everything back as it came.
struct Echo;

impl Handler for Echo {
    type State = ();

    fn open(&self, _cx: &mut Context<'_>, _head: &Head<'_>) {}

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        match message {
            Message::Text(text) => cx.send_text(text),
            Message::Binary(payload) => cx.send_binary(payload),
        }
    }
}

/// Sends text back with `Echo: ` before it.
struct PrefixedEcho;

impl Handler for PrefixedEcho {
    type State = ();

    fn open(&self, _cx: &mut Context<'_>, _head: &Head<'_>) {}

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        match message {
            Message::Text(text) => cx.send_text(&format!("Echo: {text}")),
            Message::Binary(_) => cx.close(CloseCode::UNSUPPORTED, "this endpoint speaks text"),
        }
    }
}

/// Sends the time, once a second, and does not listen.
struct Time;

impl Handler for Time {
    type State = ();

    fn open(&self, cx: &mut Context<'_>, _head: &Head<'_>) {
        self.timer(cx, &mut (), Timer::default());
    }

    fn message(&self, _cx: &mut Context<'_>, _: &mut (), _message: Message<'_>) {}

    fn timer(&self, cx: &mut Context<'_>, _: &mut (), timer: Timer) {
        let mut text = Vec::new();
        json::now().encode(&mut text);
        cx.send_text(&String::from_utf8_lossy(&text));
        cx.set_timer(timer, TIME_INTERVAL);
    }
}

/// Takes everything and says nothing.
struct Sink;

impl Handler for Sink {
    type State = ();

    fn open(&self, _cx: &mut Context<'_>, _head: &Head<'_>) {}

    fn message(&self, _cx: &mut Context<'_>, _: &mut (), _message: Message<'_>) {}
}
