//! The PROXY protocol, versions 1 and 2: a header that a proxy sends before the first byte of its client.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header that is taken: what a version 2 header may say besides addresses is bounded, too.
// Addresses and all fields that are defined so far stay below 1 KiB. The 64 KiB that the length could say would be memory
// for a client that nothing is known of.
pub const HEADER_BYTES_MAX: usize = 4096;

/// What a header of version 1 begins with, and how long it is at most, its CRLF included: the specification's worst case.
const TEXT_START: &[u8] = b"PROXY ";
const TEXT_BYTES_MAX: usize = 107;
/// What a header of version 2 begins with.
const BINARY_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// As far as the field that tells the length of the rest.
const BINARY_FIXED_BYTES: usize = 16;
/// Two addresses and two ports; two paths as in `sockaddr_un`.
const ADDRESSES_V4_BYTES: usize = 12;
const ADDRESSES_V6_BYTES: usize = 36;
const ADDRESSES_UNIX_BYTES: usize = 216;
/// The field that tells of TLS between client and proxy, and the bit of it that says that there is.
const TLV_SSL: u8 = 0x20;
const CLIENT_SSL: u8 = 0x01;

/// Where a connection comes from, as its proxy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The client's address; `None` if the proxy speaks for itself (a health check), or for a client without one.
    pub client: Option<SocketAddr>,
    /// Whether the client came to the proxy over TLS. Version 1 cannot say so.
    pub secure: bool,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// There is none.
    Missing,
    /// It is longer than a header may be.
    TooLong,
    /// Its version or command is not known.
    Version,
    /// It speaks of a kind of address that there is not.
    Family,
    /// Its addresses cannot be read.
    Addresses,
    /// The fields behind the addresses do not fit.
    Fields,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeaderError::Missing => "no PROXY header",
            HeaderError::TooLong => "PROXY header too long",
            HeaderError::Version => "unknown version or command of a PROXY header",
            HeaderError::Family => "unknown family of addresses in a PROXY header",
            HeaderError::Addresses => "malformed addresses in a PROXY header",
            HeaderError::Fields => "malformed fields in a PROXY header",
        })
    }
}

impl std::error::Error for HeaderError {}

/// Reads a header from the beginning of `input`; returns how long it is, too. `None` while it is not complete.
///
/// # Errors
/// [`HeaderError`], as soon as it is certain.
pub fn parse(input: &[u8]) -> Result<Option<(Source, usize)>, HeaderError> {
    if begins(input, TEXT_START) {
        return parse_text(input);
    }
    if begins(input, BINARY_START) {
        return parse_binary(input);
    }
    Err(HeaderError::Missing)
}

/// Whether `input` begins with `start`, as far as it has come.
fn begins(input: &[u8], start: &[u8]) -> bool {
    let len = input.len().min(start.len());
    input[..len] == start[..len]
}

fn parse_text(input: &[u8]) -> Result<Option<(Source, usize)>, HeaderError> {
    let line = &input[..input.len().min(TEXT_BYTES_MAX)];
    let Some(end) = line.windows(2).position(|two| two == b"\r\n") else {
        return if line.len() == TEXT_BYTES_MAX { Err(HeaderError::TooLong) } else { Ok(None) };
    };
    let text = str::from_utf8(&line[TEXT_START.len()..end]).map_err(|_| HeaderError::Addresses)?;
    let mut words = text.split(' ');
    let client = match words.next() {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => None,
        Some(family @ ("TCP4" | "TCP6")) => Some(text_addresses(family == "TCP4", words)?),
        Some(_) | None => return Err(HeaderError::Family),
    };
    Ok(Some((Source { client, secure: false }, end + 2)))
}

/// Source, destination, and their ports: each once, in decimal without leading zeros.
fn text_addresses<'t>(v4: bool, mut words: impl Iterator<Item = &'t str>) -> Result<SocketAddr, HeaderError> {
    let ip = |word: Option<&str>| -> Option<IpAddr> {
        let ip: IpAddr = word?.parse().ok()?;
        (ip.is_ipv4() == v4).then_some(ip)
    };
    let port = |word: Option<&str>| -> Option<u16> {
        let digits = word.filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()))?;
        if digits.len() > 1 && digits.starts_with('0') { None } else { digits.parse().ok() }
    };
    let source = ip(words.next());
    let destination = ip(words.next());
    let source_port = port(words.next());
    let destination_port = port(words.next());
    match (source, destination, source_port, destination_port, words.next()) {
        (Some(ip), Some(_), Some(source_port), Some(_), None) => Ok(SocketAddr::new(ip, source_port)),
        (_, _, _, _, _) => Err(HeaderError::Addresses),
    }
}

fn parse_binary(input: &[u8]) -> Result<Option<(Source, usize)>, HeaderError> {
    let Some(&version_and_command) = input.get(12) else { return Ok(None) };
    let local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(HeaderError::Version),
    };
    let Some(&family) = input.get(13) else { return Ok(None) };
    let address_bytes = match family {
        _ if local => 0,
        // Datagrams are not what comes on this connection: as if the proxy had not said (§2.2, `UNSPEC`).
        0x00 | 0x12 | 0x22 | 0x32 => 0,
        0x11 => ADDRESSES_V4_BYTES,
        0x21 => ADDRESSES_V6_BYTES,
        0x31 => ADDRESSES_UNIX_BYTES,
        _ => return Err(HeaderError::Family),
    };
    let Some(&[high, low]) = input.get(14..BINARY_FIXED_BYTES) else { return Ok(None) };
    let end = BINARY_FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if end > HEADER_BYTES_MAX {
        return Err(HeaderError::TooLong);
    }
    if end < BINARY_FIXED_BYTES + address_bytes {
        return Err(HeaderError::Addresses);
    }
    let Some(rest) = input.get(BINARY_FIXED_BYTES..end) else { return Ok(None) };
    if address_bytes == 0 {
        // What follows is to be ignored.
        return Ok(Some((Source { client: None, secure: false }, end)));
    }
    let (addresses, fields) = rest.split_at(address_bytes);
    let client = binary_client(addresses);
    Ok(Some((Source { client, secure: is_secure(fields)? }, end)))
}

/// The source address and port of a block of addresses; the address of a Unix socket says nothing.
fn binary_client(addresses: &[u8]) -> Option<SocketAddr> {
    let port = |at: usize| Some(u16::from_be_bytes(*addresses.get(at..)?.first_chunk()?));
    match addresses.len() {
        ADDRESSES_V4_BYTES => {
            Some(SocketAddr::new(Ipv4Addr::from(*addresses.first_chunk::<4>()?).into(), port(8)?))
        }
        ADDRESSES_V6_BYTES => {
            Some(SocketAddr::new(Ipv6Addr::from(*addresses.first_chunk::<16>()?).to_canonical(), port(32)?))
        }
        _ => None,
    }
}

/// Goes through the fields behind the addresses, each a type, a length and a value.
fn is_secure(mut fields: &[u8]) -> Result<bool, HeaderError> {
    let mut secure = false;
    while !fields.is_empty() {
        let Some((&[kind, high, low], rest)) = fields.split_first_chunk() else {
            return Err(HeaderError::Fields);
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let (value, rest) = rest.split_at_checked(len).ok_or(HeaderError::Fields)?;
        if kind == TLV_SSL {
            secure = value.first().is_some_and(|client| client & CLIENT_SSL != 0);
        }
        fields = rest;
    }
    Ok(secure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(client: &str, secure: bool) -> Source {
        Source { client: Some(client.parse().unwrap()), secure }
    }

    const NOBODY: Source = Source { client: None, secure: false };

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [BINARY_START, &[command, family], &len, rest].concat()
    }

    const V4: &[u8] = &[203, 0, 113, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 80];

    fn headers() -> Vec<(Vec<u8>, Source)> {
        let v6 = [
            &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..],
            &[0; 15],
            &[1, 0x30, 0x39, 1, 0xbb],
        ]
        .concat();
        let noop = [V4, b"\x04\0\x02ab"].concat();
        let over_tls = [V4, b"\x04\0\0\x20\0\x05\x01\0\0\0\0"].concat();
        let without_tls = [V4, b"\x20\0\x05\x02\0\0\0\0"].concat();
        vec![
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 80\r\n".to_vec(), source("203.0.113.7:12345", false)),
            (b"PROXY TCP6 2001:db8::1 ::1 12345 443\r\n".to_vec(), source("[2001:db8::1]:12345", false)),
            (b"PROXY UNKNOWN\r\n".to_vec(), NOBODY),
            (b"PROXY UNKNOWN ffff::f...f:ffff whatever\r\n".to_vec(), NOBODY),
            (binary(0x21, 0x11, V4), source("203.0.113.7:12345", false)),
            (binary(0x21, 0x21, &v6), source("[2001:db8::1]:12345", false)),
            (binary(0x21, 0x11, &noop), source("203.0.113.7:12345", false)),
            (binary(0x21, 0x11, &over_tls), source("203.0.113.7:12345", true)),
            (binary(0x21, 0x11, &without_tls), source("203.0.113.7:12345", false)),
            (binary(0x21, 0x31, &[0; 216]), NOBODY),
            (binary(0x21, 0x00, b"ignored"), NOBODY),
            (binary(0x21, 0x12, V4), NOBODY),
            (binary(0x21, 0x22, &v6), NOBODY),
            (binary(0x21, 0x32, &[0; 216]), NOBODY),
            (binary(0x21, 0x12, b""), NOBODY),
            (binary(0x20, 0x00, b""), NOBODY),
            (binary(0x20, 0x11, b"ignored"), NOBODY),
        ]
    }

    #[test]
    fn a_header_is_read_once_it_is_whole_and_not_before_whatever_follows() {
        for (header, expected) in headers() {
            for len in 0..header.len() {
                assert_eq!(parse(&header[..len]), Ok(None), "{} of {}", len, header.escape_ascii());
            }
            for following in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &header, &[0x16; 5000]] {
                let input = [&header, following].concat();
                assert_eq!(parse(&input), Ok(Some((expected, header.len()))), "{}", input.escape_ascii());
            }
        }
    }

    #[test]
    fn a_bad_header_is_refused_as_soon_as_that_is_certain_and_for_good() {
        let cases: Vec<(Vec<u8>, HeaderError)> = vec![
            (b"GET / HTTP/1.1\r\n".to_vec(), HeaderError::Missing),
            (b"\x16\x03\x01".to_vec(), HeaderError::Missing),
            (b"proxy TCP4".to_vec(), HeaderError::Missing),
            (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), HeaderError::Missing),
            ([b"PROXY TCP4 ".as_slice(), &[b' '; 200]].concat(), HeaderError::TooLong),
            (b"PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n".to_vec(), HeaderError::Family),
            (b"PROXY \r\n".to_vec(), HeaderError::Family),
            (b"PROXY TCP4 ::1 ::1 1 1\r\n".to_vec(), HeaderError::Addresses),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n".to_vec(), HeaderError::Addresses),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n".to_vec(), HeaderError::Addresses),
            (b"PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n".to_vec(), HeaderError::Addresses),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n".to_vec(), HeaderError::Addresses),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n".to_vec(), HeaderError::Addresses),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n".to_vec(), HeaderError::Addresses),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n".to_vec(), HeaderError::Addresses),
            (b"PROXY TCP4 1.2.3.\xff 1.2.3.4 1 1\r\n".to_vec(), HeaderError::Addresses),
            (binary(0x11, 0x11, V4), HeaderError::Version),
            (binary(0x22, 0x11, V4), HeaderError::Version),
            (binary(0x21, 0x10, V4), HeaderError::Family),
            (binary(0x21, 0x13, V4), HeaderError::Family),
            (binary(0x21, 0x01, V4), HeaderError::Family),
            (binary(0x21, 0x02, V4), HeaderError::Family),
            (binary(0x21, 0x41, V4), HeaderError::Family),
            (binary(0x21, 0x11, &V4[1..]), HeaderError::Addresses),
            (binary(0x21, 0x21, V4), HeaderError::Addresses),
            (binary(0x21, 0x11, &[V4, b"\x04\0"].concat()), HeaderError::Fields),
            (binary(0x21, 0x11, &[V4, b"\x04\0\x02a"].concat()), HeaderError::Fields),
            (binary(0x21, 0x11, &[0; HEADER_BYTES_MAX]), HeaderError::TooLong),
        ];
        for (input, expected) in cases {
            let verdicts: Vec<_> = (0..=input.len()).map(|len| parse(&input[..len])).collect();
            let first = verdicts.iter().position(|verdict| *verdict == Err(expected));
            let first = first.unwrap_or_else(|| panic!("{}: {:?}", input.escape_ascii(), verdicts.last()));
            assert!(verdicts[..first].iter().all(|verdict| *verdict == Ok(None)), "{}", input.escape_ascii());
            assert!(
                verdicts[first..].iter().all(|verdict| *verdict == Err(expected)),
                "{}",
                input.escape_ascii()
            );
        }
    }
}
