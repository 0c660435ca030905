//! Both directions, independent of each other: a thread of the program feeds prices to every session, while the sessions
//! take orders.
//!
//! ```text
//! cargo run --example duplex [ADDRESS:PORT]
//! ```

#![expect(clippy::print_stdout, reason = "an example says where it listens")]

use std::error::Error;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use foghorn::http::Head;
use foghorn::server::{Context, Endpoint, Handler, Router, Server, Session};
use foghorn::ws::Message;

/// The sessions that want prices. A [`Session`] is a handle that any thread may hold; it outlives its connection
/// harmlessly.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    sessions: Mutex<Vec<Session>>,
}

impl Feed {
    /// Sends a price to everybody, until the other end of `stop` is dropped. For a thread of its own.
    pub(crate) fn run(&self, every: Duration, stop: &Receiver<()>) {
        let mut price = 1000;
        while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(every) {
            price += 1;
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.retain(Session::is_open);
            for session in &*sessions {
                // A price is worth nothing when it is late: whoever has not taken the last one does not get this one.
                if session.waiting_bytes() == 0 {
                    // Writes to the socket from this thread, at once, and never waits.
                    let _closed_meanwhile = session.send_text(&format!("price {price}"));
                }
            }
        }
    }
}

struct Desk {
    feed: Arc<Feed>,
}

impl Handler for Desk {
    /// How many orders the session has given.
    type State = usize;

    fn open(&self, cx: &mut Context<'_>, _head: &Head<'_>) -> usize {
        let session = cx.session().clone();
        self.feed.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        0
    }

    fn message(&self, cx: &mut Context<'_>, orders: &mut usize, message: Message<'_>) {
        if let Message::Text(order) = message {
            *orders += 1;
            cx.send_text(&format!("order {orders}: {order}"));
        }
    }
}

/// What the server serves.
pub(crate) fn routes(feed: &Arc<Feed>) -> Router {
    Router::new().endpoint("/desk", Endpoint::new(Desk { feed: feed.clone() }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let feed = Arc::new(Feed::default());
    let server = Server::builder().listen(address.parse()?).router(routes(&feed)).handle_signals().start()?;
    println!("ws://{}/desk", server.addresses()[0]);
    let (running, stop) = sync_channel(0);
    let feeding = thread::spawn(move || feed.run(Duration::from_millis(500), &stop));
    server.run()?;
    drop(running);
    feeding.join().map_err(|_| "the feed panicked")?;
    Ok(())
}
