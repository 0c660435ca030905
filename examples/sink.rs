//! A server that only listens: clients send what they like, nothing goes back, and each session is accounted for when it
//! ends.
//!
//! ```text
//! cargo run --example sink [ADDRESS:PORT]
//! ```

#![expect(clippy::print_stdout, reason = "an example says where it listens, and what came")]

use std::error::Error;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use foghorn::http::Head;
use foghorn::server::{Context, Disconnect, Endpoint, Handler, Router, Server};
use foghorn::ws::Message;

/// What one session has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

struct Sink {
    /// Where finished sessions are reported. Bounded, as every queue should be.
    reports: SyncSender<(Tally, Disconnect)>,
}

impl Handler for Sink {
    type State = Tally;

    fn open(&self, _cx: &mut Context<'_>, _head: &Head<'_>) -> Tally {
        Tally::default()
    }

    fn message(&self, _cx: &mut Context<'_>, tally: &mut Tally, message: Message<'_>) {
        tally.messages += 1;
        tally.bytes += message.len();
    }

    /// Called exactly once for each session, however it ended.
    fn close(&self, _cx: &mut Context<'_>, tally: Tally, reason: Disconnect) {
        // All callbacks come from one thread, so none may wait: if nobody takes the reports, this one is lost.
        let _lost = self.reports.try_send((tally, reason));
    }
}

/// What the server serves; `reports` gets an account of each session that has ended.
pub(crate) fn routes(reports: SyncSender<(Tally, Disconnect)>) -> Router {
    // Measurements may be larger than chat messages, and nobody should send more than ten of them a second.
    let endpoint = Endpoint::new(Sink { reports }).message_bytes(1 << 20).messages_per_second(10);
    Router::new().endpoint("/sink", endpoint)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let (reports, ended) = sync_channel(64);
    thread::spawn(move || {
        for (Tally { messages, bytes }, reason) in ended {
            println!("{messages} messages, {bytes} bytes; {reason}");
        }
    });
    let server =
        Server::builder().listen(address.parse()?).router(routes(reports)).handle_signals().start()?;
    println!("ws://{}/sink", server.addresses()[0]);
    server.run()?;
    Ok(())
}
