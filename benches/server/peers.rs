//! Who is measured.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use foghorn::bench::{Protocol, Workload};

use super::rows::Row;

/// A server that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    /// What its rooms speak, if not what the row says.
    rooms: Option<Protocol>,
    /// Whether it has metrics that can be read.
    has_metrics: bool,
}

impl Peer {
    fn new(name: &str, command: &[&str]) -> Peer {
        let command = command.iter().map(|&word| word.to_owned()).collect();
        Peer { name: name.to_owned(), command, rooms: None, has_metrics: false }
    }

    /// The request target for a row; `None` if the row is not for this peer.
    pub(crate) fn path(&self, row: &Row) -> Option<&'static str> {
        if row.scraped && !self.has_metrics {
            return None;
        }
        match (row.rooms, self.rooms) {
            (true, Some(Protocol::Chat)) => Some("/ws/chat?roomId={room}&username={member}"),
            (true, Some(Protocol::Stomp)) => matches!(row.workload, Workload::Fanout(_))
                .then_some("/ws/stomp?room={room}&username={member}"),
            (true, Some(Protocol::Text | Protocol::Binary) | None) => Some("/ws/raw?roomId={room}"),
            (false, None) => Some("/echo"),
            (false, Some(_)) => None,
        }
    }

    pub(crate) fn protocol(&self, row: &Row) -> Protocol {
        self.rooms.unwrap_or(row.protocol)
    }
}

/// Every peer that is there: those built along with this benchmark, those that `benches/peers/fetch` has fetched, and
/// those named on the command line as `NAME=COMMAND`.
pub(crate) fn all(others: &[String]) -> io::Result<Vec<Peer>> {
    let this = std::env::current_exe()?.to_string_lossy().into_owned();
    let foghorn =
        [env!("CARGO_BIN_EXE_foghorn"), "serve", "--listen", "127.0.0.1:0", "--memory", "--log", "error"];
    let mut peers = vec![
        Peer::new("raw", &[&this, "serve", "raw"]),
        Peer::new("raw+", &[&this, "serve", "raw+"]),
        Peer { has_metrics: true, ..Peer::new("foghorn", &foghorn) },
        Peer { has_metrics: true, rooms: Some(Protocol::Chat), ..Peer::new("foghorn chat", &foghorn) },
        Peer { has_metrics: true, rooms: Some(Protocol::Stomp), ..Peer::new("foghorn STOMP", &foghorn) },
        Peer::new("fastwebsockets", &[&this, "serve", "fastwebsockets"]),
        Peer::new("tokio-tungstenite", &[&this, "serve", "tokio-tungstenite"]),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = |name: &str| root.join("benches/peers").join(name).to_string_lossy().into_owned();
    let fetched: PathBuf = root.join("target/peers");
    let uwebsockets = fetched.join("uwebsockets");
    if uwebsockets.exists() {
        peers.push(Peer::new("uWebSockets", &[&uwebsockets.to_string_lossy()]));
    }
    let modules = fetched.join("node_modules");
    if modules.join("bun").exists() {
        let bun = modules.join(".bin/bun").to_string_lossy().into_owned();
        peers.push(Peer::new("bun", &[&bun, &script("bun.js")]));
    }
    if modules.join("ws").exists() {
        peers.push(Peer::new("ws", &["node", &script("ws.mjs")]));
    }
    for other in others {
        let (name, command) =
            other.split_once('=').ok_or_else(|| io::Error::other(format!("{other}: not NAME=COMMAND")))?;
        let command = command.split_whitespace().collect::<Vec<_>>();
        // Another build of this server, as a rule; of any other the row says that it has none.
        peers.push(Peer { has_metrics: true, ..Peer::new(name, &command) });
    }
    Ok(peers)
}

/// What the driver waits for.
pub(crate) fn announce(addr: SocketAddr) {
    let mut stdout = io::stdout();
    let _driver_is_gone = writeln!(stdout, "listening on http://{addr}").and_then(|()| stdout.flush());
}
