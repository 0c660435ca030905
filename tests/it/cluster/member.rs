//! Nodes, and members of their rooms.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Error, Message, WebSocket};

use super::engine::Engine;
use crate::support::PATIENCE;
use crate::support::process::Process;

/// A node of the cluster on this Redis.
pub(super) fn node(engine: &Engine) -> Process {
    Process::serve_with(&["--cluster", &engine.url()])
}

/// The same, with more in its configuration.
pub(super) fn node_with(url: &str, configuration: &str) -> Process {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), configuration).unwrap();
    Process::serve_with(&["--cluster", url, "--config", config.path().to_str().unwrap()])
}

/// A member of a room at one node.
pub(super) struct Member {
    socket: WebSocket<TcpStream>,
}

impl Member {
    /// Joins, and waits until its JOIN is shown.
    pub(super) fn join(node: &Process, room: &str, user: &str) -> Member {
        let mut member = Member::join_from(node, room, user, "");
        member.until(|value| value["type"] == "JOIN" && value["username"] == user);
        member
    }

    /// Joins with more in its query, such as `&sinceSeq=4`.
    pub(super) fn join_from(node: &Process, room: &str, user: &str, more: &str) -> Member {
        Member::connect(node.address(), room, user, more).unwrap()
    }

    pub(super) fn connect(node: SocketAddr, room: &str, user: &str, more: &str) -> Result<Member, Error> {
        let stream = TcpStream::connect(node)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let url = format!("ws://{node}/ws/chat?roomId={room}&username={user}{more}");
        let (socket, _) = tungstenite::client(url, stream).map_err(|_| Error::ConnectionClosed)?;
        Ok(Member { socket })
    }

    pub(super) fn patience(&mut self, patience: Duration) {
        self.socket.get_ref().set_read_timeout(Some(patience)).unwrap();
    }

    pub(super) fn say(&mut self, content: &str, id: Option<&str>) {
        self.try_say(content, id).unwrap();
    }

    pub(super) fn try_say(&mut self, content: &str, id: Option<&str>) -> Result<(), Error> {
        let text = json!({"type": "MESSAGE", "content": content, "id": id}).to_string();
        self.socket.send(Message::text(text))
    }

    /// The next thing that it is told.
    pub(super) fn next(&mut self) -> Result<Value, Error> {
        loop {
            match self.socket.read()? {
                Message::Text(text) if text != "HEARTBEAT" => return Ok(serde_json::from_str(&text).unwrap()),
                Message::Close(_) => return Err(Error::ConnectionClosed),
                Message::Text(_)
                | Message::Binary(_)
                | Message::Ping(_)
                | Message::Pong(_)
                | Message::Frame(_) => {}
            }
        }
    }

    /// What it is told up to this, which is the last of it.
    pub(super) fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut told = Vec::new();
        loop {
            let value = self.next().unwrap_or_else(|error| panic!("{error} after {told:#?}"));
            let was_it = is_it(&value);
            told.push(value);
            if was_it {
                return told;
            }
        }
    }

    /// What it is told up to a message of this content.
    pub(super) fn until_content(&mut self, content: &str) -> Vec<Value> {
        self.until(|value| value["content"] == content)
    }

    /// The code with which its session ends.
    pub(super) fn close_code(&mut self) -> u16 {
        loop {
            match self.socket.read() {
                Ok(Message::Close(Some(frame))) => return frame.code.into(),
                Ok(_) => {}
                Err(error) => panic!("no close frame: {error}"),
            }
        }
    }
}
