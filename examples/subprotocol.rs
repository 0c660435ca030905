//! A subprotocol of one's own, in two versions: a counter that is added to. `count.v1` speaks text with decimal numbers,
//! `count.v2` binary with numbers of eight bytes, big-endian. Clients that offer neither are refused.
//!
//! ```text
//! cargo run --example subprotocol [ADDRESS:PORT]
//! ```

#![expect(clippy::print_stdout, reason = "an example says where it listens")]

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use foghorn::http::Head;
use foghorn::server::{Context, Endpoint, Handler, Router, Server};
use foghorn::ws::{CloseCode, Message};

const V1: &str = "count.v1";
const V2: &str = "count.v2";

/// What a session speaks.
enum Version {
    Decimal,
    Binary,
}

/// The counter that all sessions share.
#[derive(Default)]
struct Counter {
    sum: AtomicU64,
}

impl Handler for Counter {
    type State = Version;

    fn open(&self, cx: &mut Context<'_>, _head: &Head<'_>) -> Version {
        // Of those that a client offers, the first that the endpoint speaks has been chosen.
        if cx.subprotocol() == Some(V2) { Version::Binary } else { Version::Decimal }
    }

    fn message(&self, cx: &mut Context<'_>, version: &mut Version, message: Message<'_>) {
        match (version, message) {
            (Version::Decimal, Message::Text(text)) => match text.parse() {
                Ok(number) => cx.send_text(&self.add(number).to_string()),
                Err(_) => cx.close(CloseCode::POLICY, "a decimal number, please"),
            },
            (Version::Binary, Message::Binary(bytes)) => match bytes.try_into() {
                Ok(bytes) => cx.send_binary(&self.add(u64::from_be_bytes(bytes)).to_be_bytes()),
                Err(_) => cx.close(CloseCode::POLICY, "eight bytes, please"),
            },
            (Version::Decimal, Message::Binary(_)) => cx.close(CloseCode::UNSUPPORTED, "count.v1 is text"),
            (Version::Binary, Message::Text(_)) => cx.close(CloseCode::UNSUPPORTED, "count.v2 is binary"),
        }
    }
}

impl Counter {
    /// The sum with this number added to it.
    fn add(&self, number: u64) -> u64 {
        self.sum.fetch_add(number, Ordering::Relaxed).wrapping_add(number)
    }
}

/// What the server serves.
pub(crate) fn routes() -> Router {
    let endpoint = Endpoint::new(Counter::default()).subprotocols([V1, V2]).require_subprotocol();
    Router::new().endpoint("/count", endpoint)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let server = Server::builder().listen(address.parse()?).router(routes()).handle_signals().start()?;
    println!("ws://{}/count, subprotocol {V1} or {V2}", server.addresses()[0]);
    server.run()?;
    Ok(())
}
