//! A server that only speaks: every client is told the time once a second.
//!
//! ```text
//! cargo run --example clock [ADDRESS:PORT]
//! ```

#![expect(clippy::print_stdout, reason = "an example says where it listens")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use foghorn::http::Head;
use foghorn::server::{Context, Endpoint, Handler, Router, Server, Timer};
use foghorn::ws::{CloseCode, Message};

/// Names the one timer that each session has.
const TICK: Timer = Timer(0);

struct Clock {
    every: Duration,
}

impl Handler for Clock {
    type State = ();

    fn open(&self, cx: &mut Context<'_>, _head: &Head<'_>) {
        self.timer(cx, &mut (), TICK);
    }

    fn message(&self, cx: &mut Context<'_>, _: &mut (), _message: Message<'_>) {
        cx.close(CloseCode::UNSUPPORTED, "the clock does not listen");
    }

    /// A timer goes off once; what is to go on sets it again.
    fn timer(&self, cx: &mut Context<'_>, _: &mut (), timer: Timer) {
        cx.send_text(&time_of_day());
        cx.set_timer(timer, self.every);
    }
}

/// Hours, minutes and seconds, UTC.
fn time_of_day() -> String {
    #[expect(clippy::disallowed_methods, reason = "telling the time is what this program is for")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("{:02}:{:02}:{:02}", now / 3600 % 24, now / 60 % 60, now % 60)
}

/// What the server serves: the time, so often.
pub(crate) fn routes(every: Duration) -> Router {
    Router::new().endpoint("/clock", Endpoint::new(Clock { every }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let routes = routes(Duration::from_secs(1));
    let server = Server::builder().listen(address.parse()?).router(routes).handle_signals().start()?;
    println!("ws://{}/clock", server.addresses()[0]);
    server.run()?;
    Ok(())
}
