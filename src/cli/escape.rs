//! Text of others on its way to a log or a terminal: nothing in it does anything there.

use std::fmt::Write;

/// Control characters, ends of lines, and what turns the direction of writing.
pub(super) fn is_raw(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Appends `text`; what is raw in it, as JSON escapes it. Inside the strings of JSON that means the same as before.
pub(super) fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // All of them stand in the basic plane: four digits are enough.
            c if is_raw(c) => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

/// A text in which nothing is raw.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_escaped(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_raw_is_left_and_the_rest_is_as_it_was() {
        assert_eq!(
            escaped("J\u{f6}rg \"q\" \\ \r\n\t\u{1b}[31m\u{9b}\u{202e}\u{2028}\u{7f}"),
            "J\u{f6}rg \"q\" \\ \\r\\n\\t\\u001b[31m\\u009b\\u202e\\u2028\\u007f"
        );
    }
}
