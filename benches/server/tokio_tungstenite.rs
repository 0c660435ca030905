//! tokio-tungstenite as its users write it: a task for each direction of a connection, a broadcast channel for each
//! room.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::LocalSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// Messages that a member may be behind.
const BACKLOG: usize = 1024;

type Rooms = Rc<RefCell<HashMap<String, broadcast::Sender<Message>>>>;

/// Serves for ever, on one thread: it gets one processor.
pub(crate) fn serve() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        super::peers::announce(listener.local_addr()?);
        let rooms = Rooms::default();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(connection(stream, rooms.clone()));
        }
    })
}

async fn connection(stream: TcpStream, rooms: Rooms) {
    let mut target = String::new();
    #[expect(clippy::result_large_err, reason = "the signature is the crate's")]
    let note = |request: &Request, response: Response| {
        target = request.uri().to_string();
        Ok(response)
    };
    let accepted = tokio_tungstenite::accept_hdr_async(stream, note).await;
    let Ok(socket) = accepted else { return };
    match target.split_once('?') {
        Some((_, room)) => member(socket, rooms, room).await,
        None => echo(socket).await,
    }
}

async fn echo(mut socket: WebSocketStream<TcpStream>) {
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn member(socket: WebSocketStream<TcpStream>, rooms: Rooms, room: &str) {
    let sender =
        rooms.borrow_mut().entry(room.to_owned()).or_insert_with(|| broadcast::channel(BACKLOG).0).clone();
    let mut receiver = sender.subscribe();
    let (mut sink, mut stream) = socket.split();
    tokio::task::spawn_local(async move {
        while let Ok(message) = receiver.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
    });
    while let Some(Ok(message)) = stream.next().await {
        if message.is_text() || message.is_binary() {
            let _nobody_left = sender.send(message);
        }
    }
}
