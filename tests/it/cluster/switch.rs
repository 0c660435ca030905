//! One address of Redis behind which servers change, as a virtual address or a name does.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::spawn;

#[derive(Default)]
struct State {
    target: u16,
    has_ended: bool,
    sockets: Vec<TcpStream>,
}

/// The address.
pub(super) struct Switch {
    port: u16,
    state: Arc<Mutex<State>>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Switch {
    pub(super) fn to(target: u16) -> Switch {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { target, ..State::default() }));
        let on = state.clone();
        spawn(move || {
            for client in listener.incoming().flatten() {
                let mut now = locked(&on);
                if now.has_ended {
                    return;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", now.target)) else { continue };
                let copies = [&client, &server].map(|socket| socket.try_clone().unwrap());
                now.sockets.extend([&client, &server].map(|socket| socket.try_clone().unwrap()));
                let [from, to] = copies;
                spawn(move || pump(from, to));
                spawn(move || pump(server, client));
            }
        });
        Switch { port, state }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// New connections go there from now on.
    pub(super) fn turn_to(&self, target: u16) {
        locked(&self.state).target = target;
    }

    /// Ends the connections that there are.
    pub(super) fn cut(&self) {
        for socket in locked(&self.state).sockets.drain(..) {
            let _is_gone = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.cut();
        locked(&self.state).has_ended = true;
        let _wakes_it = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _is_gone = from.shutdown(Shutdown::Both);
    let _is_gone = to.shutdown(Shutdown::Both);
}
