//! The header fields of a parsed head, read where they lie.

use memchr::memchr;

/// Header fields in the connection's buffer. Copying it copies a pointer; a look-up walks the lines.
///
/// Invariant: the text is a sequence of `name ":" value CR LF` lines whose names are tokens and whose values hold
/// no control byte but the tab; [`Head::parse`](super::Head::parse) checked it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'b> {
    lines: &'b str,
    /// A bit for every name that may be here. Half of what a server looks up in a head is not there, and so costs no
    /// walk (an opening handshake: 20 % of the instructions outside the kernel).
    names: u64,
}

impl<'b> Fields<'b> {
    pub(crate) fn new(lines: &'b str) -> Fields<'b> {
        let mut fields = Fields { lines, names: 0 };
        fields.names = fields.iter().fold(0, |names, (name, _)| names | name_bit(name));
        fields
    }

    /// All fields in the order they came, names as they were written, values without the white space around them.
    pub fn iter(self) -> impl Iterator<Item = (&'b str, &'b str)> + use<'b> {
        self.lines().filter_map(|line| {
            let (name, value) = line.split_at_checked(memchr(b':', line.as_bytes())?)?;
            Some((name, trim(&value[1..])))
        })
    }

    /// The values of every field of that name, whatever its case.
    pub fn all<'n>(self, name: &'n str) -> impl Iterator<Item = &'b str> + use<'b, 'n> {
        // A line of another name is left at its first bytes.
        let lines = if self.names & name_bit(name) == 0 { "" } else { self.lines };
        Fields { lines, ..self }.lines().filter_map(move |line| {
            let (given, rest) = line.split_at_checked(name.len())?;
            let value = rest.strip_prefix(':')?;
            given.eq_ignore_ascii_case(name).then(|| trim(value))
        })
    }

    /// The lines, each with its ending. `memchr` finds that in a third of the instructions of `split`.
    fn lines(self) -> impl Iterator<Item = &'b str> + use<'b> {
        let mut rest = self.lines;
        std::iter::from_fn(move || {
            let (line, after) = rest.split_at_checked(memchr(b'\n', rest.as_bytes())? + 1)?;
            rest = after;
            Some(line)
        })
    }

    /// The value of the first field of that name.
    pub fn first(self, name: &str) -> Option<&'b str> {
        self.all(name).next()
    }

    /// The value of the only field of that name; `Err` if there are several.
    pub fn only(self, name: &str) -> Result<Option<&'b str>, Repeated> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() { Err(Repeated) } else { Ok(first) }
    }

    /// The elements of a comma-separated list, over all fields of that name. Empty elements are skipped, as
    /// RFC 9110 §5.6.1 asks.
    pub fn list<'n>(self, name: &'n str) -> impl Iterator<Item = &'b str> + use<'b, 'n> {
        self.all(name).flat_map(|value| value.split(',')).map(trim).filter(|element| !element.is_empty())
    }

    /// Whether a list names that token, in any case. `websocketx` does not name `websocket`.
    pub fn has_token(self, name: &str, token: &str) -> bool {
        self.list(name).any(|element| element.eq_ignore_ascii_case(token))
    }
}

/// One of 64 bits, by the name's length and ends in any case: `host`, `upgrade`, `connection`, `content-length`,
/// `transfer-encoding`, `origin` and the `sec-websocket-` names all differ.
fn name_bit(name: &str) -> u64 {
    let &[first, .., last] = name.as_bytes() else { return 1 };
    let case = 0x20;
    let place = name.len() + usize::from(first | case) + 3 * usize::from(last | case);
    1 << (place % 64)
}

/// A field that may appear once appeared again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated;

/// Whether the text is a token (RFC 9110 §5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Whether the byte may stand in a token.
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Cuts the white space that may surround a value; the line's own carriage return goes with it.
pub(crate) fn trim(value: &str) -> &str {
    value.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &str =
        "Host: a\r\nconnection:keep-alive ,\tUpgrade\r\nX-Empty:\r\nCONNECTION: , x-y,\r\nv: a:b \r\n";

    #[test]
    fn fields_come_in_order_with_trimmed_values() {
        let fields: Vec<_> = Fields::new(FIELDS).iter().collect();
        let expected = [
            ("Host", "a"),
            ("connection", "keep-alive ,\tUpgrade"),
            ("X-Empty", ""),
            ("CONNECTION", ", x-y,"),
            ("v", "a:b"),
        ];
        assert_eq!(fields, expected);
        assert_eq!(Fields::new("").iter().count(), 0);
    }

    #[test]
    fn names_are_found_in_any_case() {
        let fields = Fields::new(FIELDS);
        assert_eq!(fields.first("HOST"), Some("a"));
        assert_eq!(fields.first("Hos"), None);
        assert_eq!(fields.all("Connection").count(), 2);
    }

    #[test]
    fn the_names_of_a_handshake_differ_at_a_glance() {
        let names = [
            "host",
            "upgrade",
            "connection",
            "content-length",
            "transfer-encoding",
            "origin",
            "sec-websocket-key",
            "sec-websocket-version",
            "sec-websocket-protocol",
            "sec-websocket-extensions",
        ];
        for (index, name) in names.iter().enumerate() {
            assert_eq!(name_bit(name), name_bit(&name.to_uppercase()));
            assert!(names[..index].iter().all(|other| name_bit(other) != name_bit(name)), "{name}");
        }
    }

    #[test]
    fn a_repeated_field_is_not_an_only_one() {
        let fields = Fields::new(FIELDS);
        assert_eq!(fields.only("host"), Ok(Some("a")));
        assert_eq!(fields.only("origin"), Ok(None));
        assert_eq!(fields.only("connection"), Err(Repeated));
    }

    #[test]
    fn lists_run_over_repeated_fields_and_skip_empty_elements() {
        let elements: Vec<_> = Fields::new(FIELDS).list("connection").collect();
        assert_eq!(elements, ["keep-alive", "Upgrade", "x-y"]);
    }

    #[test]
    fn tokens_are_compared_whole() {
        let fields = Fields::new("Upgrade: websocketx, a websocket\r\n");
        assert!(!fields.has_token("upgrade", "websocket"));
        assert!(fields.has_token("UPGRADE", "WebSocketX"));
    }

    #[test]
    fn tokens_hold_no_separators() {
        for (text, expected) in
            [("v12.stomp", true), ("", false), ("a b", false), ("a/b", false), ("ä", false)]
        {
            assert_eq!(is_token(text), expected, "{text:?}");
        }
    }
}
