//! One event as one line: `key=value` for people, or JSON for programs.
//!
//! Nothing raw gets into a line: control characters, and those that turn the direction of writing, are escaped in both
//! forms, so that no client can forge lines or hide something in them.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::cli::escape::is_raw;
use crate::rooms::Timestamp;
use crate::system::since_epoch;

/// Characters of one value; the rest is cut off.
// `journald` cuts lines of more than 48 KiB: several long values still fit.
const VALUE_CHARS_MAX: usize = 8 * 1024;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `TIME LEVEL message key=value key="a value"`.
    Text {
        /// The level has a colour.
        colour: bool,
    },
    /// An object with `time`, `level`, `message`, and then the same keys.
    Json,
}

/// The line of an event, with its end.
pub(super) fn of_event(form: Form, event: &Event<'_>) -> String {
    let mut line = Line::new(form);
    let mut message = Message(String::new());
    event.record(&mut message);
    let level = *event.metadata().level();
    line.begin(level, &message.0);
    event.record(&mut line);
    // What is logged at these levels is for readers of the sources, too.
    if level >= Level::DEBUG {
        line.text("target", event.metadata().target());
    }
    line.end()
}

/// The line that tells of lines that are missing.
pub(super) fn of_dropped(form: Form, count: u64) -> String {
    let mut line = Line::new(form);
    line.begin(Level::WARN, "lines of the log could not be written and were dropped");
    line.number("count", count);
    line.end()
}

struct Line {
    form: Form,
    out: String,
}

/// Takes the message out of an event, which comes before all else.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Line {
    fn new(form: Form) -> Line {
        Line { form, out: String::with_capacity(256) }
    }

    fn begin(&mut self, level: Level, message: &str) {
        let (mut time, at) = (Vec::with_capacity(Timestamp::TEXT_BYTES), Timestamp::from_unix(since_epoch()));
        at.encode(&mut time);
        let time = String::from_utf8_lossy(&time);
        match self.form {
            Form::Text { colour } => {
                let (on, off) = if colour { (colour_of(level), "\x1b[0m") } else { ("", "") };
                let _infallible = write!(self.out, "{time} {on}{level:>5}{off} ");
                push_escaped(&mut self.out, message);
            }
            Form::Json => {
                let level = level.as_str().to_ascii_lowercase();
                let _infallible =
                    write!(self.out, "{{\"time\":\"{time}\",\"level\":\"{level}\",\"message\":");
                push_quoted(&mut self.out, message);
            }
        }
    }

    fn end(mut self) -> String {
        self.out.push_str(match self.form {
            Form::Text { .. } => "\n",
            Form::Json => "}\n",
        });
        self.out
    }

    fn key(&mut self, name: &str) {
        match self.form {
            Form::Text { .. } => {
                self.out.push(' ');
                self.out.push_str(name);
                self.out.push('=');
            }
            Form::Json => {
                self.out.push(',');
                push_quoted(&mut self.out, name);
                self.out.push(':');
            }
        }
    }

    fn text(&mut self, name: &str, value: &str) {
        self.key(name);
        match self.form {
            Form::Text { .. } if is_plain(value) => self.out.push_str(value),
            Form::Text { .. } | Form::Json => push_quoted(&mut self.out, value),
        }
    }

    fn number(&mut self, name: &str, value: impl fmt::Display) {
        self.key(name);
        let _infallible = write!(self.out, "{value}");
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "message" {
            self.text(field.name(), &format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.number(field.name(), value);
        }
    }
}

/// Whether a value needs no quotes: nothing in it ends it, and none could be mistaken for one.
fn is_plain(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= VALUE_CHARS_MAX
        && !value.chars().any(|c| c.is_whitespace() || matches!(c, '"' | '=' | '\\') || is_raw(c))
}

fn push_quoted(out: &mut String, value: &str) {
    out.push('"');
    push_escaped(out, value);
    out.push('"');
}

fn push_escaped(out: &mut String, value: &str) {
    for (number, c) in value.chars().enumerate() {
        if number == VALUE_CHARS_MAX {
            return out.push('…');
        }
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // All of them stand in the basic plane: four digits are enough.
            c if is_raw(c) => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Form = Form::Text { colour: false };

    fn line(form: Form, values: &[(&str, &str)]) -> String {
        let mut line = Line::new(form);
        line.begin(Level::INFO, "something\nhappened");
        values.iter().for_each(|(name, value)| line.text(name, value));
        line.number("count", 3);
        line.end()
    }

    #[test]
    fn a_value_is_quoted_and_escaped_where_need_be() {
        let values = [
            ("path", "/ws/chat"),
            ("user", "Jörg K"),
            ("room", ""),
            ("reason", "a=\"b\\"),
            ("name", "x\r\n\u{1b}[31m\u{202e}\u{2028}"),
        ];
        let text = line(TEXT, &values);
        let (_, behind_time) = text.split_once(' ').unwrap();
        assert_eq!(
            behind_time,
            " INFO something\\nhappened path=/ws/chat user=\"Jörg K\" room=\"\" reason=\"a=\\\"b\\\\\" \
             name=\"x\\r\\n\\u001b[31m\\u202e\\u2028\" count=3\n"
        );
    }

    #[test]
    fn json_has_the_same_names_behind_time_level_and_message() {
        let text = line(Form::Json, &[("name", "x\r\n\u{1b}\u{202e}\"")]);
        assert!(text.is_ascii() && text.ends_with("}\n"), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["level"], "info");
        assert_eq!(value["message"], "something\nhappened");
        assert_eq!(value["name"], "x\r\n\u{1b}\u{202e}\"");
        assert_eq!(value["count"], 3);
        let keys: Vec<_> = ["\"time\"", "\"level\"", "\"message\"", "\"name\"", "\"count\""]
            .map(|key| text.find(key).unwrap())
            .into();
        assert!(keys.is_sorted(), "{text}");
    }

    #[test]
    fn a_long_value_is_cut_off() {
        let text = line(TEXT, &[("long", &"x".repeat(100_000))]);
        assert!(text.len() < 10_000 && text.contains("x…\" count=3"), "{}", text.len());
    }
}
