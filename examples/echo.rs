//! The smallest server: whatever a client sends comes back as it was.
//!
//! ```text
//! cargo run --example echo [ADDRESS:PORT]
//! ```

#![expect(clippy::print_stdout, reason = "an example says where it listens")]

use std::error::Error;

use foghorn::http::Head;
use foghorn::server::{Context, Endpoint, Handler, Router, Server};
use foghorn::ws::Message;

/// One handler serves all sessions of its endpoint.
struct Echo;

impl Handler for Echo {
    /// What belongs to one session. An echo has nothing to remember.
    type State = ();

    /// A client was let in. `_head` is the request that it came with: path, query, header fields.
    fn open(&self, _cx: &mut Context<'_>, _head: &Head<'_>) {}

    /// A whole message came: fragments joined, text checked to be UTF-8.
    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        match message {
            Message::Text(text) => cx.send_text(text),
            Message::Binary(bytes) => cx.send_binary(bytes),
        }
    }
}

/// What the server serves.
pub(crate) fn routes() -> Router {
    Router::new().endpoint("/echo", Endpoint::new(Echo))
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let server = Server::builder().listen(address.parse()?).router(routes()).handle_signals().start()?;
    println!("ws://{}/echo", server.addresses()[0]);
    server.run()?;
    Ok(())
}
