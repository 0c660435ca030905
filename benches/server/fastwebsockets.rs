//! fastwebsockets: its echo example, and a room of one broadcast channel.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use fastwebsockets::{FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocket};
use fastwebsockets::{WebSocketError, WebSocketRead, WebSocketWrite};
use foghorn::handshake::{self, Origins, Rules};
use foghorn::http::{Head, HeadLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::LocalSet;

/// Messages that a member may be behind.
const BACKLOG: usize = 1024;
const HEAD_BYTES: usize = 4096;

type Published = (OpCode, Rc<[u8]>);
type Rooms = Rc<RefCell<HashMap<String, broadcast::Sender<Published>>>>;

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

async fn connection(mut stream: TcpStream, rooms: Rooms) {
    let Some(target) = upgrade(&mut stream).await else { return };
    match target.split_once('?') {
        Some((_, room)) => member(stream, rooms, room).await,
        None => drop(echo(stream).await),
    }
}

/// The opening handshake by this crate, since the other's would bring hyper along.
async fn upgrade(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES);
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some((head, _)) = Head::parse(&bytes, 0, &HeadLimits::default()).ok()? else { continue };
        let rules = Rules {
            origins: &Origins::Any,
            subprotocols: &[],
            subprotocol_required: false,
            secure: false,
            deflate: None,
        };
        let mut answer = Vec::new();
        handshake::accept(&head, &rules).ok()?.encode(&mut answer);
        stream.write_all(&answer).await.ok()?;
        return Some(head.target().to_owned());
    }
}

async fn echo(stream: TcpStream) -> Result<(), WebSocketError> {
    let mut socket = WebSocket::after_handshake(stream, Role::Server);
    socket.set_writev(true);
    socket.set_auto_close(true);
    socket.set_auto_pong(true);
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            OpCode::Ping | OpCode::Pong | OpCode::Continuation => {}
        }
    }
}

async fn member(stream: TcpStream, rooms: Rooms, room: &str) {
    let sender =
        rooms.borrow_mut().entry(room.to_owned()).or_insert_with(|| broadcast::channel(BACKLOG).0).clone();
    let mut receiver = sender.subscribe();
    let split = |stream: TcpStream| -> (OwnedReadHalf, OwnedWriteHalf) { stream.into_split() };
    let (read, mut write): (WebSocketRead<OwnedReadHalf>, WebSocketWrite<OwnedWriteHalf>) =
        WebSocket::after_handshake(stream, Role::Server).split(split);
    tokio::task::spawn_local(async move {
        while let Ok((opcode, payload)) = receiver.recv().await {
            let frame = Frame::new(true, opcode, None, Payload::Borrowed(&payload));
            if write.write_frame(frame).await.is_err() {
                return;
            }
        }
    });
    let mut read = FragmentCollectorRead::new(read);
    let mut say_nothing = |_: Frame<'_>| async { Ok::<(), WebSocketError>(()) };
    while let Ok(frame) = read.read_frame(&mut say_nothing).await {
        match frame.opcode {
            OpCode::Close => return,
            OpCode::Text | OpCode::Binary => {
                let _nobody_left = sender.send((frame.opcode, Rc::from(&*frame.payload)));
            }
            OpCode::Ping | OpCode::Pong | OpCode::Continuation => {}
        }
    }
}
