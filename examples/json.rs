//! Requests and answers in JSON: a list of tasks for each session.
//!
//! ```text
//! cargo run --example json [ADDRESS:PORT]
//! {"do":"add","task":"write"}      → {"added":0}
//! {"do":"done","number":0}         → {"done":"write"}
//! {"do":"list"}                    → {"tasks":[]}
//! ```

#![expect(clippy::print_stdout, reason = "an example says where it listens")]

use std::collections::BTreeMap;
use std::error::Error;

use foghorn::http::Head;
use foghorn::server::{Context, Endpoint, Handler, Router, Server};
use foghorn::ws::{CloseCode, Message};
use serde::{Deserialize, Serialize};

/// What a client may ask for.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
enum Request {
    Add { task: String },
    Done { number: usize },
    List,
}

/// What it is answered.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Reply<'a> {
    Added(usize),
    Done(String),
    Tasks(Vec<&'a str>),
    Error(String),
}

/// The tasks of one session.
#[derive(Default)]
struct Tasks {
    open: BTreeMap<usize, String>,
    added: usize,
}

/// Whatever a client can make a server remember needs a limit.
const TASKS_MAX: usize = 1000;

impl Tasks {
    fn answer(&mut self, request: Request) -> Reply<'_> {
        match request {
            Request::Add { .. } if self.open.len() >= TASKS_MAX => Reply::Error("too many tasks".into()),
            Request::Add { task } => {
                let number = self.added;
                self.open.insert(number, task);
                self.added += 1;
                Reply::Added(number)
            }
            Request::Done { number } => match self.open.remove(&number) {
                Some(task) => Reply::Done(task),
                None => Reply::Error(format!("there is no task {number}")),
            },
            Request::List => Reply::Tasks(self.open.values().map(String::as_str).collect()),
        }
    }
}

struct List;

impl Handler for List {
    type State = Tasks;

    fn open(&self, _cx: &mut Context<'_>, _head: &Head<'_>) -> Tasks {
        Tasks::default()
    }

    fn message(&self, cx: &mut Context<'_>, tasks: &mut Tasks, message: Message<'_>) {
        let Message::Text(text) = message else {
            return cx.close(CloseCode::UNSUPPORTED, "JSON, please");
        };
        // A client's mistake is answered; it costs nobody the session.
        let reply = match serde_json::from_str(text) {
            Ok(request) => tasks.answer(request),
            Err(error) => Reply::Error(error.to_string()),
        };
        match serde_json::to_string(&reply) {
            Ok(json) => cx.send_text(&json),
            // The server's own mistake ends the session with 1011, and the log says why.
            Err(error) => cx.fail(error),
        }
    }
}

/// What the server serves.
pub(crate) fn routes() -> Router {
    Router::new().endpoint("/tasks", Endpoint::new(List))
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let server = Server::builder().listen(address.parse()?).router(routes()).handle_signals().start()?;
    println!("ws://{}/tasks", server.addresses()[0]);
    server.run()?;
    Ok(())
}
