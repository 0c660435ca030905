//! Tables of wire bytes, each over every split.

use super::{Decoder, FrameLimits};
use crate::every_split::every_split;
use crate::stomp::codec::{Command, Escaping, FrameError, FrameWriter, Version};

const LIMITS: FrameLimits = FrameLimits { headers_max: 4, line_bytes_max: 24, body_bytes_max: 16 };

/// A frame as a test sees it: command, headers, body.
type Seen = (&'static str, Vec<(String, String)>, Vec<u8>);

fn read(version: Option<Version>, pieces: &[&[u8]]) -> (Vec<Seen>, Result<bool, FrameError>) {
    let mut decoder = Decoder::new(LIMITS);
    if let Some(version) = version {
        decoder.speak(version);
    }
    let mut frames = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        loop {
            match decoder.poll(&mut input) {
                Ok(Some(frame)) => {
                    let headers = frame.headers().map(|(name, value)| (name.into(), value.into())).collect();
                    frames.push((frame.command().name(), headers, frame.body().to_vec()));
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.poll(&mut &b"SEND\n\n\0"[..]).err(), Some(error), "it stays failed");
                    return (frames, Err(error));
                }
            }
        }
        assert!(input.is_empty(), "polling until None consumes all input");
    }
    (frames, Ok(decoder.is_idle()))
}

fn seen(command: &'static str, headers: &[(&str, &str)], body: &[u8]) -> Seen {
    let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    (command, headers, body.to_vec())
}

/// The frames in `wire`, which ends between two of them.
fn frames(version: Version, wire: &[u8]) -> Vec<Seen> {
    let (frames, end) = every_split(wire, |pieces| read(Some(version), pieces));
    assert_eq!(end, Ok(true), "{}", wire.escape_ascii());
    frames
}

fn error(version: Option<Version>, wire: &[u8]) -> FrameError {
    let (_, end) = every_split(wire, |pieces| read(version, pieces));
    match end {
        Err(error) => error,
        Ok(_) => panic!("no error: {}", wire.escape_ascii()),
    }
}

#[test]
fn frames_follow_each_other_with_line_ends_between() {
    let wire = b"\n\nSEND\ndestination:/topic/a\n\nhello\0\n\nSUBSCRIBE\nid:1\n\n\0SEND\ncontent-length:3\n\na\0b\0\n";
    for version in Version::ALL {
        let expected = [
            seen("SEND", &[("destination", "/topic/a")], b"hello"),
            seen("SUBSCRIBE", &[("id", "1")], b""),
            seen("SEND", &[("content-length", "3")], b"a\0b"),
        ];
        assert_eq!(frames(version, wire), expected);
    }
}

#[test]
fn a_frame_that_is_cut_off_waits() {
    for wire in
        [&b"S"[..], b"SEND\n", b"SEND\na:b\n", b"SEND\n\n", b"SEND\n\nbody", b"SEND\ncontent-length:2\n\nab"]
    {
        let (frames, end) = every_split(wire, |pieces| read(Some(Version::V12), pieces));
        assert_eq!((frames, end), (vec![], Ok(false)), "{}", wire.escape_ascii());
    }
}

#[test]
fn lines_end_with_both_bytes_in_the_last_version_and_before_it_is_known() {
    let wire = b"\r\nSEND\r\na:b\r\n\r\nx\r\n\0\r\n\n";
    assert_eq!(frames(Version::V12, wire), [seen("SEND", &[("a", "b")], b"x\r\n")]);
    assert_eq!(error(Some(Version::V11), wire), FrameError::UnknownCommand);
    assert_eq!(frames(Version::V11, b"SEND\na:b\r\n\n\0"), [seen("SEND", &[("a", "b\r")], b"")]);
    let connect = b"CONNECT\r\nhost:a\r\n\r\n\0";
    let (frames, end) = every_split(connect, |pieces| read(None, pieces));
    assert_eq!((frames, end), (vec![seen("CONNECT", &[("host", "a")], b"")], Ok(true)));
    for version in [None, Some(Version::V12)] {
        assert_eq!(error(version, b"SEND\na:b\rc\n\n\0"), FrameError::BareCarriageReturn);
        assert_eq!(error(version, b"\n\r\rSEND\n\n\0"), FrameError::BareCarriageReturn);
    }
}

#[test]
fn escapes_mean_what_the_version_says() {
    let wire = b"SEND\na\\cb:c\\nd\\\\\n\n\0";
    assert_eq!(frames(Version::V10, wire), [seen("SEND", &[("a\\cb", "c\\nd\\\\")], b"")]);
    for version in [Version::V11, Version::V12] {
        assert_eq!(frames(version, wire), [seen("SEND", &[("a:b", "c\nd\\")], b"")]);
        assert_eq!(error(Some(version), b"SEND\na:\\t\n\n\0"), FrameError::UnknownEscape);
        assert_eq!(error(Some(version), b"SEND\n\\:a\n\n\0"), FrameError::UnknownEscape);
    }
    assert_eq!(error(Some(Version::V11), b"SEND\na:\\r\n\n\0"), FrameError::UnknownEscape);
    assert_eq!(frames(Version::V12, b"SEND\na:\\r\n\n\0"), [seen("SEND", &[("a", "\r")], b"")]);
    // What settles the version is never escaped.
    for version in [None, Some(Version::V12)] {
        let (frames, _) =
            every_split(b"CONNECT\naccept-version:1\nb:\\c\n\n\0", |pieces| read(version, pieces));
        assert_eq!(frames[0].1[1], ("b".to_owned(), "\\c".to_owned()));
    }
}

#[test]
fn spaces_around_a_value_count_but_in_the_first_version() {
    let wire = b"SEND\na: b \n\n\0";
    assert_eq!(frames(Version::V10, wire), [seen("SEND", &[("a", "b")], b"")]);
    assert_eq!(frames(Version::V11, wire), [seen("SEND", &[("a", " b ")], b"")]);
    let login = |head: &str| {
        let wire = format!("CONNECT\n{head}login: me\n\n\0");
        let (frames, _) = every_split(wire.as_bytes(), |pieces| read(None, pieces));
        frames[0].1.last().unwrap().1.clone()
    };
    assert_eq!((login(""), login("accept-version:1.1\n")), ("me".to_owned(), " me".to_owned()));
}

#[test]
fn the_first_of_repeated_headers_counts() {
    let mut decoder = Decoder::new(LIMITS);
    decoder.speak(Version::V12);
    let mut input = &b"SEND\ncontent-length:1\ncontent-length:9\na:1\na:2\n\nx\0"[..];
    let frame = decoder.poll(&mut input).unwrap().unwrap();
    assert_eq!((frame.header("a").as_deref(), frame.body()), (Some("1"), &b"x"[..]));
    let mut input = &b"SEND\n\\\\:1\n\\c:2\n\n\0"[..];
    let frame = decoder.poll(&mut input).unwrap().unwrap();
    assert_eq!((frame.header("\\").as_deref(), frame.header(":").as_deref()), (Some("1"), Some("2")));
}

#[test]
fn each_rule_has_its_error() {
    let long = format!("SEND\n{}", "x".repeat(25));
    let cases: &[(&[u8], FrameError)] = &[
        (b"GET / HTTP/1.1\nHost: h\n\n", FrameError::UnknownCommand),
        (b"send\n\n", FrameError::UnknownCommand),
        (b" SEND\nno header\n", FrameError::UnknownCommand),
        (b"0123456789012345678901234", FrameError::LongLine),
        (long.as_bytes(), FrameError::LongLine),
        (b"SEND\na:1\na:2\na:3\na:4\na:5\n", FrameError::TooManyHeaders),
        (b"SEND\na:\xff\n", FrameError::NotUtf8),
        (b"\0", FrameError::NulInHead),
        (b"SEND\0", FrameError::NulInHead),
        (b"SEND\na:b\0", FrameError::NulInHead),
        (b"SEND\na\n", FrameError::NoColon),
        (b"SEND\n:a\n", FrameError::NoName),
        (b"SEND\n\n01234567890123456", FrameError::LongBody),
        (b"SEND\ncontent-length:17\n\n", FrameError::LongBody),
        (b"SEND\ncontent-length:2\n\nabc", FrameError::NoNul),
        (b"SEND\ncontent-length:0\n\na", FrameError::NoNul),
        (b"SUBSCRIBE\nid:1\n\na", FrameError::UnexpectedBody),
        (b"SUBSCRIBE\ncontent-length:1\n\n", FrameError::UnexpectedBody),
        (b"CONNECT\ncontent-length:99\n\n", FrameError::UnexpectedBody),
        (b"SUBSCRIBE\ncontent-length:0\n\na", FrameError::NoNul),
    ];
    for (wire, expected) in cases {
        assert_eq!(error(Some(Version::V12), wire), *expected, "{}", wire.escape_ascii());
    }
}

#[test]
fn a_content_length_is_digits_and_nothing_else() {
    for value in ["", "-1", "+1", " 1", "1 ", "0x1", "1.0", "1,1", "é", "１"] {
        let wire = format!("SEND\ncontent-length:{value}\n\na\0");
        assert_eq!(error(Some(Version::V12), wire.as_bytes()), FrameError::BadContentLength, "{value}");
    }
    let huge = error(Some(Version::V12), b"SEND\ncontent-length:99999999\n\n");
    assert_eq!(huge, FrameError::LongBody);
    let mut decoder = Decoder::new(FrameLimits { line_bytes_max: 64, ..LIMITS });
    let mut input = &b"SEND\ncontent-length:99999999999999999999999\n\n"[..];
    assert_eq!(decoder.poll(&mut input).err(), Some(FrameError::LongBody));
    assert_eq!(frames(Version::V12, b"SEND\ncontent-length:001\n\na\0")[0].2, b"a");
}

#[test]
fn limits_let_through_what_just_fits() {
    let header = format!("a:{}", "x".repeat(22));
    let wire = format!("SEND\n{header}\nb:1\nc:1\nd:1\n\n0123456789abcdef\0");
    assert_eq!(frames(Version::V12, wire.as_bytes())[0].2, b"0123456789abcdef");
    let wire = b"SEND\ncontent-length:16\n\n0123456789abcdef\0";
    assert_eq!(frames(Version::V12, wire)[0].2, b"0123456789abcdef");
}

#[test]
fn a_change_of_version_holds_from_the_next_frame_on() {
    let wire = b"CONNECT\na:\\c\n\n\0SEND\na:\\c\n\n\0";
    let values = every_split(wire, |pieces| {
        let mut decoder = Decoder::new(LIMITS);
        let mut values = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(frame) = decoder.poll(&mut input).unwrap() {
                values.push(frame.header("a").unwrap().into_owned());
                decoder.speak(Version::V12);
            }
        }
        values
    });
    assert_eq!(values, ["\\c", ":"]);
}

#[test]
fn what_was_written_is_read_back() {
    for version in [Version::V11, Version::V12] {
        let mut wire = Vec::new();
        let writer = FrameWriter::new(&mut wire, Command::Message, Escaping::of(version));
        writer.header("a:\n", "\\n:\n").number("n", 7).optional("none", None).body(b"\0\n\0");
        FrameWriter::new(&mut wire, Command::Receipt, Escaping::of(version)).header("r", "é").end();
        let message = [("a:\n", "\\n:\n"), ("n", "7"), ("content-length", "3")];
        let expected = [seen("MESSAGE", &message, b"\0\n\0"), seen("RECEIPT", &[("r", "é")], b"")];
        assert_eq!(frames(version, &wire), expected);
    }
}

#[test]
fn a_frame_that_is_refused_behind_its_headers_tells_its_receipt() {
    let cases = [
        ("MUMBLE\nreceipt:r\\c1\na:b\n\nbody\0", Some("r:1")),
        ("MUMBLE\n\n\0", None),
        ("BEGIN\ntransaction:t\nreceipt:r\n\nbody\0", Some("r")),
        ("BEGIN\nreceipt:r\ncontent-length:4\n\nbody\0", Some("r")),
        ("SEND\nreceipt:r\ncontent-length:x\n\n\0", None),
    ];
    for (wire, receipt) in cases {
        let told = every_split(wire.as_bytes(), |pieces| {
            let mut decoder = Decoder::new(LIMITS);
            decoder.speak(Version::V12);
            let mut failed = false;
            for piece in pieces {
                let mut input = *piece;
                while !failed && !input.is_empty() {
                    failed = decoder.poll(&mut input).is_err();
                }
            }
            assert!(failed, "{wire:?}");
            decoder.receipt().map(str::to_owned)
        });
        assert_eq!(told.as_deref(), receipt, "{wire:?}");
    }
}
