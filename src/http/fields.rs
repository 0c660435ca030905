//! The header fields of a parsed head, read where they lie.

use memchr::memchr;

/// Header fields in the connection's buffer. Copying it copies a pointer; a look-up walks the lines.
///
/// A value may hold bytes that are no UTF-8 (RFC 9110 §5.5: they are opaque). The accessors that return text pass over such
/// a value; [`values`](Self::values), [`contains`](Self::contains) and [`only`](Self::only) do not, and are the ones to ask
/// where a field must not go unnoticed.
///
/// Invariant: the bytes are a sequence of `name ":" value CR LF` lines whose names are tokens and whose values hold
/// no control byte but the tab; [`Head::parse`](super::Head::parse) checked it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'b> {
    lines: &'b [u8],
    /// A bit for every name that may be here. Half of what a server looks up in a head is not there, and so costs no
    /// walk (an opening handshake: 20 % of the instructions outside the kernel).
    names: u64,
}

impl<'b> Fields<'b> {
    pub(crate) fn new(lines: &'b (impl AsRef<[u8]> + ?Sized)) -> Fields<'b> {
        let mut fields = Fields { lines: lines.as_ref(), names: 0 };
        fields.names = fields.named_lines().fold(0, |names, (name, _)| names | name_bit(name));
        fields
    }

    /// All fields in the order they came, names as they were written, values without the white space around them.
    pub fn iter(self) -> impl Iterator<Item = (&'b str, &'b [u8])> + use<'b> {
        self.named_lines()
            .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value.trim_ascii())))
    }

    /// The values of every field of that name, whatever its case and whatever bytes they hold.
    pub fn values<'n>(self, name: &'n str) -> impl Iterator<Item = &'b [u8]> + use<'b, 'n> {
        let name = name.as_bytes();
        // A line of another name is left at its first bytes.
        let lines = if self.names & name_bit(name) == 0 { &[][..] } else { self.lines };
        Fields { lines, ..self }.lines().filter_map(move |line| {
            let (given, rest) = line.split_at_checked(name.len())?;
            let value = rest.strip_prefix(b":")?;
            given.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
        })
    }

    /// As [`values`](Self::values), of those that are text.
    pub fn all<'n>(self, name: &'n str) -> impl Iterator<Item = &'b str> + use<'b, 'n> {
        self.values(name).filter_map(text)
    }

    /// The lines, each with its ending. `memchr` finds that in a third of the instructions of `split`.
    fn lines(self) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        let mut rest = self.lines;
        std::iter::from_fn(move || {
            let (line, after) = rest.split_at_checked(memchr(b'\n', rest)? + 1)?;
            rest = after;
            Some(line)
        })
    }

    /// The lines, each cut at its colon.
    fn named_lines(self) -> impl Iterator<Item = (&'b [u8], &'b [u8])> + use<'b> {
        self.lines().filter_map(|line| {
            let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
            Some((name, &value[1..]))
        })
    }

    /// Whether there is a field of that name, whatever its value.
    pub fn contains(self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// The value of the first field of that name, if it is text.
    pub fn first(self, name: &str) -> Option<&'b str> {
        self.values(name).next().and_then(text)
    }

    /// The value of the only field of that name.
    ///
    /// # Errors
    /// [`FieldError`]: there are several, or it is not text.
    pub fn only(self, name: &str) -> Result<Option<&'b str>, FieldError> {
        let mut values = self.values(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(FieldError::Repeated);
        }
        first.map(|value| text(value).ok_or(FieldError::NotText)).transpose()
    }

    /// The elements of a comma-separated list that are text, over all fields of that name. Empty elements are skipped, as
    /// RFC 9110 §5.6.1 asks.
    pub fn list<'n>(self, name: &'n str) -> impl Iterator<Item = &'b str> + use<'b, 'n> {
        self.values(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .filter_map(text)
            .map(trim)
            .filter(|element| !element.is_empty())
    }

    /// Whether a list names that token, in any case. `websocketx` does not name `websocket`.
    pub fn has_token(self, name: &str, token: &str) -> bool {
        self.list(name).any(|element| element.eq_ignore_ascii_case(token))
    }
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

/// One of 64 bits, by the name's length and ends in any case: `host`, `upgrade`, `connection`, `content-length`,
/// `transfer-encoding`, `origin` and the `sec-websocket-` names all differ.
fn name_bit(name: &[u8]) -> u64 {
    let &[first, .., last] = name else { return 1 };
    // The bit between a small and a capital letter of ASCII.
    let case = 0x20;
    // Times an odd number, so that every bit can be reached and `a…b` differs from `b…a`.
    let place = name.len() + usize::from(first | case) + 3 * usize::from(last | case);
    1 << (place % 64)
}

/// Why a field that may appear once has no value that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// It appeared again.
    Repeated,
    /// Its value is not UTF-8.
    NotText,
}

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

/// Cuts the white space that may surround an element.
pub(crate) fn trim(value: &str) -> &str {
    value.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[u8] =
        b"Host: a\r\nconnection:keep-alive ,\tUpgrade\r\nX-Empty:\r\nCONNECTION: , x-y,\r\nv: a:b \r\n";

    #[test]
    fn fields_come_in_order_with_trimmed_values() {
        let fields: Vec<_> = Fields::new(FIELDS).iter().collect();
        let expected = [
            ("Host", &b"a"[..]),
            ("connection", b"keep-alive ,\tUpgrade"),
            ("X-Empty", b""),
            ("CONNECTION", b", x-y,"),
            ("v", b"a:b"),
        ];
        assert_eq!(fields, expected);
        assert_eq!(Fields::new(b"").iter().count(), 0);
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
            assert_eq!(name_bit(name.as_bytes()), name_bit(name.to_uppercase().as_bytes()));
            let differs = |other: &&str| name_bit(other.as_bytes()) != name_bit(name.as_bytes());
            assert!(names[..index].iter().all(differs), "{name}");
        }
    }

    #[test]
    fn a_repeated_field_is_not_an_only_one() {
        let fields = Fields::new(FIELDS);
        assert_eq!(fields.only("host"), Ok(Some("a")));
        assert_eq!(fields.only("origin"), Ok(None));
        assert_eq!(fields.only("connection"), Err(FieldError::Repeated));
    }

    #[test]
    fn lists_run_over_repeated_fields_and_skip_empty_elements() {
        let elements: Vec<_> = Fields::new(FIELDS).list("connection").collect();
        assert_eq!(elements, ["keep-alive", "Upgrade", "x-y"]);
    }

    #[test]
    fn tokens_are_compared_whole() {
        let fields = Fields::new(b"Upgrade: websocketx, a websocket\r\n");
        assert!(!fields.has_token("upgrade", "websocket"));
        assert!(fields.has_token("UPGRADE", "WebSocketX"));
    }

    #[test]
    fn bytes_that_are_no_text_are_opaque_and_harm_no_other_value() {
        let lines = b"Cookie: n=\xc8\xab\xff\r\nConnection: \xff, upgrade, x\xfe\r\nX: \xe9\r\nX: y\r\n";
        let fields = Fields::new(lines);
        assert_eq!(fields.values("cookie").collect::<Vec<_>>(), [&b"n=\xc8\xab\xff"[..]]);
        assert!(fields.contains("cookie") && !fields.contains("origin"));
        assert_eq!((fields.first("cookie"), fields.all("cookie").count()), (None, 0));
        assert_eq!(fields.only("cookie"), Err(FieldError::NotText));
        assert_eq!(fields.only("x"), Err(FieldError::Repeated));
        assert_eq!((fields.first("x"), fields.all("x").collect::<Vec<_>>()), (None, vec!["y"]));
        assert_eq!(fields.list("connection").collect::<Vec<_>>(), ["upgrade"]);
        assert!(fields.has_token("connection", "Upgrade") && !fields.has_token("connection", "x"));
        assert_eq!(fields.iter().count(), 4);
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
