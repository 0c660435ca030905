//! The terminal: taken, drawn on, given back, however the command ends.

use std::io::{self, IsTerminal, Read, Write};
use std::panic;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, bounded, never};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::view::{ScreenLine, Style};

/// A screen of its own, without a cursor; and back.
const TAKE: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const GIVE_BACK: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";

/// What the terminal was like, while it is taken; nothing inside if its keys were left alone.
static TAKEN: Mutex<Option<Option<Termios>>> = Mutex::new(None);

/// The terminal, as long as this lives.
pub(super) struct Screen {
    colour: bool,
}

impl Screen {
    /// Takes the terminal. It is given back when this is dropped, or by [`give_back`].
    pub(super) fn take() -> io::Result<Screen> {
        let stdin = io::stdin();
        let before = if stdin.is_terminal() { Some(tcgetattr(&stdin)?) } else { None };
        if let Some(before) = &before {
            let mut now = before.clone();
            // A key counts at once, and is not shown. Ctrl-C goes on to be a signal.
            now.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            tcsetattr(&stdin, OptionalActions::Now, &now)?;
        }
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let screen = Screen { colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) };
        let report = panic::take_hook();
        // What is said of a panic must not vanish with this screen.
        panic::set_hook(Box::new(move |info| {
            give_back();
            report(info);
        }));
        let mut stdout = io::stdout().lock();
        stdout.write_all(TAKE.as_bytes()).and_then(|()| stdout.flush())?;
        Ok(screen)
    }

    /// Its columns and rows.
    #[expect(clippy::unused_self, reason = "there is a size while the terminal is taken")]
    pub(super) fn size(&self) -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
            // Some serial lines do not say.
            Ok(_) | Err(_) => (80, 24),
        }
    }

    /// Draws as many lines as there are rows.
    pub(super) fn draw(&self, lines: &[ScreenLine], rows: usize) -> io::Result<()> {
        let mut out = String::from("\x1b[H");
        for (number, line) in lines.iter().take(rows).enumerate() {
            let on = match line.style {
                Style::Plain => "",
                Style::Heading => "\x1b[1m",
                Style::Alarm if self.colour => "\x1b[1;31m",
                Style::Alarm => "\x1b[7m",
            };
            let begin = if number == 0 { "" } else { "\r\n" };
            out.push_str(&format!("{begin}\x1b[K{on}{}\x1b[0m", line.text));
        }
        out.push_str("\x1b[J");
        let mut stdout = io::stdout().lock();
        stdout.write_all(out.as_bytes())?;
        stdout.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back, if it is taken.
pub(super) fn give_back() {
    let Some(before) = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    if let Some(before) = before {
        let _it_is_gone = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
    // Not through the lock of `stdout`: another thread may hold it, and wait for a terminal that is stopped.
    let _it_is_gone = rustix::io::write(rustix::stdio::stdout(), GIVE_BACK.as_bytes());
}

/// The keys that are pressed, where there are any.
pub(super) fn keys() -> io::Result<Receiver<u8>> {
    if !io::stdin().is_terminal() {
        return Ok(never());
    }
    let (tell, keys) = bounded(16);
    thread::Builder::new().name("keys".to_owned()).spawn(move || {
        let mut key = [0];
        while let Ok(1) = io::stdin().read(&mut key) {
            if tell.send(key[0]).is_err() {
                return;
            }
        }
        // A terminal that is gone sends SIGHUP; until then there are no keys.
        loop {
            thread::park();
        }
    })?;
    Ok(keys)
}
