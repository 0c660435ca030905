//! JSON strings, written straight into the log's buffer.

/// Bytes that must be escaped inside a JSON string (RFC 8259 §7).
const fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Appends `text` as a JSON string with its quotes.
///
/// Every message of every room passes here, so clean text is recognised eight bytes at a time and copied in one piece.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut rest = bytes;
    while let Some(clean) = first_to_escape(rest) {
        out.extend_from_slice(&rest[..clean]);
        push_escaped(out, rest[clean]);
        rest = &rest[clean + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends a number in decimal.
pub(in crate::rooms) fn push_number(out: &mut Vec<u8>, mut value: u64) {
    let mut text = [0; 20];
    let mut first = text.len();
    loop {
        first -= 1;
        text[first] = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[first..]);
}

fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    let clean = words.iter().take_while(|word| !word_must_escape(u64::from_le_bytes(**word))).count() * 8;
    if clean == bytes.len() - tail.len() {
        return tail.iter().position(|&byte| must_escape(byte)).map(|at| clean + at);
    }
    bytes[clean..].iter().position(|&byte| must_escape(byte)).map(|at| clean + at)
}

/// Whether any of eight bytes must be escaped: the usual "has a byte less than n" and "has a byte equal to n" on a word.
const fn word_must_escape(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    let quote = word ^ (ONES * b'"' as u64);
    let quote = quote.wrapping_sub(ONES) & !quote & HIGH;
    let backslash = word ^ (ONES * b'\\' as u64);
    let backslash = backslash.wrapping_sub(ONES) & !backslash & HIGH;
    control | quote | backslash != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_what_serde_json_would_write() {
        let mut texts: Vec<String> = vec![String::new(), "plain".into(), "\u{7f}é漢🌫\u{2028}".into()];
        for code in 0..0x80u8 {
            for at in 0..20 {
                let mut text = "abcdefghijklmnopqrst".to_owned();
                text.replace_range(at..=at, char::from(code).to_string().as_str());
                texts.push(text);
            }
        }
        for text in texts {
            let mut out = Vec::new();
            push_string(&mut out, &text);
            assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for value in [0, 9, 10, 1234567890, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
