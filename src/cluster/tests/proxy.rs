//! A way to Redis that can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::spawn;

#[derive(Default)]
struct State {
    is_cut: bool,
    has_ended: bool,
    /// The answer to the first request with this in it gets lost.
    loses: Option<Vec<u8>>,
    sockets: Vec<TcpStream>,
    lines: Vec<Arc<Line>>,
}

/// One connection.
#[derive(Default)]
struct Line {
    /// Whether it has subscribed to anything.
    listens: AtomicBool,
    /// Whether what Redis says goes nowhere.
    is_mute: AtomicBool,
}

/// A way to Redis.
pub(super) struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    pub(super) fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let state = proxy.state.clone();
        spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let mut now = state.lock().unwrap();
                if now.has_ended {
                    return;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                if now.is_cut {
                    continue;
                }
                now.sockets.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                let (from, to, on) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap(), state.clone());
                let line = Arc::new(Line::default());
                now.lines.push(line.clone());
                let requests = line.clone();
                spawn(move || pump(from, to, &requests, Some(&on)));
                spawn(move || pump(server, client, &line, None));
            }
        });
        proxy
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Nothing gets through any more.
    pub(super) fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_cut = true;
        for socket in state.sockets.drain(..) {
            let _is_gone = socket.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn mend(&self) {
        self.state.lock().unwrap().is_cut = false;
    }

    /// The answer to the next request with this in it gets lost.
    pub(super) fn lose_answer_to(&self, text: &str) {
        self.state.lock().unwrap().loses = Some(text.into());
    }

    /// What Redis says to those who listen goes nowhere any more, over the connections that there are.
    pub(super) fn mute_listeners(&self) {
        let state = self.state.lock().unwrap();
        let listening = state.lines.iter().filter(|line| line.listens.load(Ordering::Relaxed));
        listening.for_each(|line| line.is_mute.store(true, Ordering::Relaxed));
    }

    /// Whether the answer was lost.
    pub(super) fn has_lost(&self) -> bool {
        self.state.lock().unwrap().loses.is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.state.lock().unwrap().has_ended = true;
        let _wakes_it = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, line: &Line, requests: Option<&Mutex<State>>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut must_lose = false;
        if requests.is_none() && line.is_mute.load(Ordering::Relaxed) {
            continue;
        }
        if let Some(state) = requests {
            if buffer[..count].windows(10).any(|part| part == b"SSUBSCRIBE") {
                line.listens.store(true, Ordering::Relaxed);
            }
            let mut state = state.lock().unwrap();
            must_lose = state
                .loses
                .as_ref()
                .is_some_and(|text| buffer[..count].windows(text.len()).any(|part| part == &text[..]));
            if must_lose {
                state.loses = None;
                // What Redis answers goes nowhere.
                let _is_gone = from.shutdown(Shutdown::Both);
            }
        }
        if to.write_all(&buffer[..count]).is_err() || must_lose {
            break;
        }
    }
    let _is_gone = from.shutdown(Shutdown::Both);
    let _sends_what_was_written = to.shutdown(Shutdown::Write);
}
