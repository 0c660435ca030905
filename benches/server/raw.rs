//! The raw limit: one thread, one epoll, and nothing but the bytes that have to go out.
//!
//! No numbering, no log, no slow consumers, no deadlines, no checks beyond what reading a frame takes. It exists to
//! know what the kernel alone costs on the machine at hand.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use foghorn::handshake::{self, Origins, Rules};
use foghorn::http::{Head, HeadLimits};
use foghorn::ws::mask::Mask;
use foghorn::ws::{OpCode, Role, encode, header};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);
const BUFFER_BYTES: usize = 256 * 1024;

/// What a connection is for.
#[derive(Clone, Copy)]
enum Part {
    /// Still speaks HTTP.
    Guest,
    Echo,
    /// In this room, at this position.
    Member {
        room: usize,
        position: usize,
    },
}

/// An echoed frame whose payload has not all come yet.
struct Passing {
    mask: Mask,
    left: usize,
}

struct Connection {
    stream: TcpStream,
    part: Part,
    /// The start of a frame or of a request that was cut off.
    #[expect(clippy::box_collection, reason = "a word in the many connections that have none")]
    unread: Option<Box<Vec<u8>>>,
    #[expect(clippy::box_collection, reason = "as above")]
    unsent: Option<Box<Vec<u8>>>,
    passing: Option<Box<Passing>>,
}

#[derive(Default)]
struct Room {
    members: Vec<usize>,
    /// Frames of this turn.
    frames: Vec<u8>,
}

struct Raw {
    /// Whether all messages of one turn leave in one write.
    coalesce: bool,
    connections: Slab<Connection>,
    rooms: Vec<Room>,
    names: HashMap<String, usize>,
    /// Rooms with frames.
    touched: Vec<usize>,
    replies: Vec<u8>,
}

/// What is to become of a connection.
#[derive(PartialEq, Eq)]
enum Fate {
    Lives,
    Ends,
}

/// Serves for ever.
pub(crate) fn serve(coalesce: bool) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    super::peers::announce(listener.local_addr()?);
    let mut raw = Raw {
        coalesce,
        connections: Slab::new(),
        rooms: Vec::new(),
        names: HashMap::new(),
        touched: Vec::new(),
        replies: Vec::new(),
    };
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                raw.accept(&listener, &poll)?;
            } else if event.is_readable() || event.is_writable() {
                raw.on_event(event.token().0, event.is_readable(), &mut buffer);
            }
        }
        raw.send_turn();
    }
}

impl Raw {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> io::Result<()> {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nodelay(true)?;
            let entry = self.connections.vacant_entry();
            let token = Token(entry.key());
            let connection = entry.insert(Connection {
                stream,
                part: Part::Guest,
                unread: None,
                unsent: None,
                passing: None,
            });
            poll.registry().register(
                &mut connection.stream,
                token,
                Interest::READABLE | Interest::WRITABLE,
            )?;
        }
        Ok(())
    }

    fn on_event(&mut self, key: usize, readable: bool, buffer: &mut [u8]) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if let Some(unsent) = connection.unsent.take() {
            send(connection, &unsent);
        }
        let mut fate = Fate::Lives;
        while readable && fate == Fate::Lives {
            let connection = &mut self.connections[key];
            let len = match connection.stream.read(buffer) {
                Ok(0) => 0,
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => 0,
            };
            if len == 0 {
                fate = Fate::Ends;
                break;
            }
            fate = match connection.unread.take() {
                None => self.receive(key, &mut buffer[..len]),
                Some(mut unread) => {
                    unread.extend_from_slice(&buffer[..len]);
                    self.receive(key, &mut unread)
                }
            };
            if len < buffer.len() {
                break;
            }
        }
        if fate == Fate::Ends {
            self.remove(key);
        }
    }

    fn receive(&mut self, key: usize, bytes: &mut [u8]) -> Fate {
        let fate = match self.connections[key].part {
            Part::Guest => return self.upgrade(key, bytes),
            Part::Echo => self.echo(key, bytes),
            Part::Member { room, .. } => self.publish(key, room, bytes),
        };
        if !self.replies.is_empty() {
            send(&mut self.connections[key], &self.replies);
            self.replies.clear();
        }
        fate
    }

    fn upgrade(&mut self, key: usize, bytes: &[u8]) -> Fate {
        let Ok(Some((head, _))) = Head::parse(bytes, 0, &HeadLimits::default()) else { return Fate::Ends };
        let rules = Rules {
            origins: &Origins::Any,
            subprotocols: &[],
            subprotocol_required: false,
            secure: false,
            deflate: None,
        };
        let Ok(accepted) = handshake::accept(&head, &rules) else { return Fate::Ends };
        let mut answer = Vec::new();
        accepted.encode(&mut answer);
        self.connections[key].part = match head.path() {
            "/echo" => Part::Echo,
            _ => self.join(key, head.query()),
        };
        send(&mut self.connections[key], &answer);
        Fate::Lives
    }

    fn join(&mut self, key: usize, name: &str) -> Part {
        let room = *self.names.entry(name.to_owned()).or_insert_with(|| {
            self.rooms.push(Room::default());
            self.rooms.len() - 1
        });
        let members = &mut self.rooms[room].members;
        members.push(key);
        Part::Member { room, position: members.len() - 1 }
    }

    /// Passes payloads on as they come: no frame waits to be complete.
    fn echo(&mut self, key: usize, mut bytes: &mut [u8]) -> Fate {
        if let Some(mut passing) = self.connections[key].passing.take() {
            let len = passing.left.min(bytes.len());
            let (piece, rest) = bytes.split_at_mut(len);
            passing.mask.apply(piece);
            passing.left -= len;
            if passing.left > 0 {
                self.connections[key].passing = Some(passing);
            }
            if rest.is_empty() {
                send(&mut self.connections[key], piece);
                return Fate::Lives;
            }
            self.replies.extend_from_slice(piece);
            bytes = rest;
        }
        loop {
            let Ok(parsed) = header::parse(bytes, Role::Server, false) else { return Fate::Ends };
            let Some((header, mut mask)) = parsed.and_then(|header| header.mask.map(|mask| (header, mask)))
            else {
                self.keep(key, bytes);
                return Fate::Lives;
            };
            let Ok(payload_len) = usize::try_from(header.payload_len) else { return Fate::Ends };
            let here = payload_len.min(bytes.len() - header.header_len);
            let (frame, rest) = bytes.split_at_mut(header.header_len + here);
            mask.apply(&mut frame[header.header_len..]);
            // Without a masking key the header is four bytes shorter: it fits right before the payload.
            let (head, head_len) = encode::header(header.opcode, payload_len);
            let frame = &mut frame[header.header_len - head_len..];
            frame[..head_len].copy_from_slice(&head[..head_len]);
            if self.replies.is_empty() && rest.is_empty() && header.opcode != OpCode::Close {
                send(&mut self.connections[key], frame);
            } else {
                self.replies.extend_from_slice(frame);
            }
            if header.opcode == OpCode::Close {
                send(&mut self.connections[key], &self.replies);
                self.replies.clear();
                return Fate::Ends;
            }
            if here < payload_len {
                self.connections[key].passing = Some(Box::new(Passing { mask, left: payload_len - here }));
                return Fate::Lives;
            }
            bytes = rest;
        }
    }

    fn publish(&mut self, key: usize, room: usize, mut bytes: &mut [u8]) -> Fate {
        loop {
            let Ok(parsed) = header::parse(bytes, Role::Server, false) else { return Fate::Ends };
            let whole = parsed.and_then(|header| {
                let payload_len = usize::try_from(header.payload_len).ok()?;
                (bytes.len() >= header.header_len + payload_len).then_some((header, payload_len))
            });
            let Some((header, payload_len)) = whole else {
                self.keep(key, bytes);
                return Fate::Lives;
            };
            let (_, rest) = bytes.split_at_mut(header.header_len);
            let (payload, rest) = rest.split_at_mut(payload_len);
            if let Some(mut mask) = header.mask {
                mask.apply(payload);
            }
            match header.opcode {
                OpCode::Text | OpCode::Binary => {
                    encode::frame(&mut self.rooms[room].frames, header.opcode, payload);
                    if self.coalesce {
                        self.touched.push(room);
                    } else {
                        self.broadcast(room);
                    }
                }
                OpCode::Close => return Fate::Ends,
                OpCode::Ping | OpCode::Pong | OpCode::Continuation => {}
            }
            bytes = rest;
        }
    }

    fn keep(&mut self, key: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.connections[key].unread = Some(Box::new(bytes.to_vec()));
        }
    }

    fn send_turn(&mut self) {
        while let Some(room) = self.touched.pop() {
            if !self.rooms[room].frames.is_empty() {
                self.broadcast(room);
            }
        }
    }

    fn broadcast(&mut self, room: usize) {
        let Room { members, frames } = &mut self.rooms[room];
        for &member in members.iter() {
            send(&mut self.connections[member], frames);
        }
        frames.clear();
    }

    fn remove(&mut self, key: usize) {
        if let Part::Member { room, position } = self.connections[key].part {
            let members = &mut self.rooms[room].members;
            members.swap_remove(position);
            if let Some(&moved) = members.get(position) {
                self.connections[moved].part = Part::Member { room, position };
            }
        }
        self.connections.remove(key);
    }
}

/// Writes once and keeps what the socket does not take. An error shows when the connection is read.
fn send(connection: &mut Connection, bytes: &[u8]) {
    if let Some(unsent) = &mut connection.unsent {
        return unsent.extend_from_slice(bytes);
    }
    let written = connection.stream.write(bytes).unwrap_or(0);
    if written < bytes.len() {
        connection.unsent = Some(Box::new(bytes[written..].to_vec()));
    }
}
