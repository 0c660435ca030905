//! The PROXY header before a connection.

use crate::proxy::parse;

/// Prefixes that are looked at one by one.
const PREFIXES_MAX: usize = 300;

/// A header is incomplete up to its last byte, the same whatever follows, and wrong for good once it is wrong.
pub fn proxy_header(input: &[u8]) {
    let whole = parse(input);
    let verdicts: Vec<_> = (0..input.len().min(PREFIXES_MAX)).map(|len| parse(&input[..len])).collect();
    for (len, verdict) in verdicts.iter().enumerate() {
        match (verdict, &whole) {
            (Ok(None), _) => {}
            (Ok(Some((_, end))), _) => assert!(*end <= len && verdict == &whole),
            (Err(error), whole) => assert_eq!(Err(*error), *whole),
        }
    }
    if let Ok(Some((_, end))) = whole {
        assert_eq!(parse(&input[..end]), whole);
        assert_eq!(parse(&input[..end - 1]), Ok(None));
    }
}
