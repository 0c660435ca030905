//! How an entry of a room looks on a line.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::escape::{escaped, push_escaped};
use crate::cli::failure::Failure;

/// How entries are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// For people.
    Text { colour: bool },
    /// As they came, one on a line.
    Json,
}

const DIM: &str = "\x1b[2m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const OFF: &str = "\x1b[0m";
/// Those that can be read on a dark and on a light ground.
const NAMES: [&str; 5] = ["\x1b[32m", "\x1b[34m", "\x1b[35m", "\x1b[36m", "\x1b[1m"];

/// What is read of an entry; all of it may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry<'e> {
    #[serde(rename = "type")]
    kind: String,
    sender: String,
    content: Option<String>,
    #[serde(borrow)]
    data: Option<&'e RawValue>,
    timestamp: String,
    seq: Option<u64>,
    from: Option<u64>,
    to: Option<u64>,
    epoch: Option<&'e RawValue>,
}

/// The lines of an answer, which is an array of entries.
///
/// # Errors
/// If it is none.
pub(super) fn lines(body: &[u8], look: Look) -> Result<String, Failure> {
    let wrong = |error| Failure::new(format!("the server's answer is no list of entries: {error}"));
    let entries: Vec<&RawValue> = serde_json::from_slice(body).map_err(wrong)?;
    let mut out = String::with_capacity(body.len() + 64);
    for entry in entries {
        match look {
            Look::Json => push_json(&mut out, entry.get()),
            Look::Text { colour } => {
                let entry = serde_json::from_str(entry.get()).map_err(wrong)?;
                push_text(&mut out, &entry, colour);
            }
        }
        out.push('\n');
    }
    Ok(out)
}

/// On one line: ends of lines stand between the tokens of JSON alone, and nothing else that is raw does.
fn push_json(out: &mut String, json: &str) {
    push_escaped(out, &json.replace(['\n', '\r', '\t'], " "));
}

fn push_text(out: &mut String, entry: &Entry<'_>, colour: bool) {
    let paint = |code: &'static str| if colour { code } else { "" };
    let off = paint(OFF);
    // `2026-01-31T12:00:00.123456Z`: no reader sees microseconds.
    let time = escaped(entry.timestamp.split('.').next().unwrap_or_default());
    let utc = if entry.timestamp.contains('.') { "Z" } else { "" };
    let seq = entry.seq.map(|seq| format!(" #{seq}")).unwrap_or_default();
    out.push_str(&format!("{}{time}{utc}{seq}{off} ", paint(DIM)));
    let said = match (&entry.content, entry.data) {
        (Some(content), _) => escaped(content),
        (None, Some(data)) => escaped(&data.get().replace(['\n', '\r', '\t'], " ")),
        (None, None) => String::new(),
    };
    match entry.kind.as_str() {
        "MESSAGE" => {
            let name = entry.sender.bytes().fold(0, |sum, byte| sum * 31 % 997 + usize::from(byte));
            let name = paint(NAMES[name % NAMES.len()]);
            out.push_str(&format!("{name}{}{off}: {said}", escaped(&entry.sender)));
        }
        "JOIN" | "LEAVE" | "SYSTEM" => out.push_str(&format!("{}* {said}{off}", paint(DIM))),
        "GAP" => {
            let epoch = entry.epoch.map(|epoch| escaped(epoch.get())).unwrap_or_default();
            let lost = match (entry.from, entry.to) {
                (Some(from), Some(to)) if from <= to && to > 0 => {
                    format!("{from} to {to} are not there any more")
                }
                _ => "the log has begun anew".to_owned(),
            };
            out.push_str(&format!(
                "{}-- gap: {lost} (epoch {}){off}",
                paint(YELLOW),
                epoch.trim_matches('"')
            ));
        }
        "ERROR" => out.push_str(&format!("{}! {said}{off}", paint(RED))),
        kind => out.push_str(&format!("{}* {} {said}{off}", paint(DIM), escaped(kind))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"[{"type":"MESSAGE","sender":"ann","content":"a\n\u001b[31mb","timestamp":"2026-01-31T12:00:00.123456Z","seq":17},
        {"type":"JOIN","sender":"SYSTEM","content":"bob joined","timestamp":"2026-01-31T12:00:01.000000Z","seq":18},
        {"type":"GAP","roomId":"r","from":1,"to":9,"epoch":"7","timestamp":"1970-01-01T00:00:00.000000Z"},
        {"type":"GAP","roomId":"r","from":0,"to":0,"epoch":"8","timestamp":"1970-01-01T00:00:00.000000Z"},
        {"type":"MESSAGE","sender":"@eve","data":{"a":
            [1]},"timestamp":"2026-01-31T12:00:02.000000Z","seq":19},
        {"type":"NEW\u0007","content":"x"}]"#;

    /// With a character that turns the direction of writing, as it may stand in JSON.
    fn body() -> String {
        BODY.replace('@', "\u{202e}")
    }

    #[test]
    fn each_entry_is_a_line_in_which_nothing_is_raw() {
        assert_eq!(
            lines(body().as_bytes(), Look::Text { colour: false }).unwrap(),
            "2026-01-31T12:00:00Z #17 ann: a\\n\\u001b[31mb\n\
             2026-01-31T12:00:01Z #18 * bob joined\n\
             1970-01-01T00:00:00Z -- gap: 1 to 9 are not there any more (epoch 7)\n\
             1970-01-01T00:00:00Z -- gap: the log has begun anew (epoch 8)\n\
             2026-01-31T12:00:02Z #19 \\u202eeve: {\"a\":             [1]}\n \
             * NEW\\u0007 x\n"
        );
    }

    #[test]
    fn json_is_the_same_json_on_one_line() {
        let text = lines(body().as_bytes(), Look::Json).unwrap();
        let expected: Vec<serde_json::Value> = serde_json::from_str(&body()).unwrap();
        let found: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(found, expected);
        assert!(!text.contains('\u{202e}'), "{text}");
    }

    #[test]
    fn colours_are_those_of_the_program_alone() {
        let text = lines(body().as_bytes(), Look::Text { colour: true }).unwrap();
        let first = text.lines().next().unwrap();
        assert!(first.contains("\u{1b}[2m2026-") && first.ends_with(": a\\n\\u001b[31mb"), "{first:?}");
        assert!(lines(b"{}", Look::Json).is_err());
    }
}
