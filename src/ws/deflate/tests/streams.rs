//! What a compressed message may be: the examples of the RFC, contexts, fragments, streams that end.

use super::*;

#[test]
fn the_examples_of_the_rfc_are_read() {
    let cases: &[(&[u8], &[&str])] = &[
        (b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", &["Hello"]),
        (b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00", &["Hello"]),
        (b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", &["Hello"]),
        (b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00", &["Hello"]),
        (b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", &["Hello"]),
        (b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\x81\x05plain\xc1\x01\x00", &["Hello", "plain", ""]),
    ];
    for &(wire, expected) in cases {
        assert_eq!(every_split(wire, |pieces| read_with(alone(), pieces)), texts(expected), "{wire:02x?}");
        assert_eq!(every_split(wire, |pieces| read_with(referring(), pieces)), texts(expected));
    }
}

#[test]
fn a_message_may_refer_to_an_earlier_one_only_where_the_context_is_taken_over() {
    let wire = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00";
    assert_eq!(every_split(wire, |pieces| read_with(referring(), pieces)), texts(&["Hello", "Hello"]));
    let (seen, error) = every_split(wire, |pieces| read_with(alone(), pieces));
    assert_eq!((seen, error), (texts(&["Hello"]).0, Some(ProtocolError::DeflateInvalid)));
}

#[test]
fn a_context_outlives_plain_messages_but_does_not_hold_them() {
    let hello: &[u8] = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
    let again: &[u8] = b"\xc1\x05\xf2\x00\x11\x00\x00";
    let wire = [hello, b"\x81\x05plain", again].concat();
    let seen = every_split(&wire, |pieces| read_with(referring(), pieces));
    assert_eq!(seen, texts(&["Hello", "plain", "Hello"]));
    let wire = [&b"\x81\x05Hello"[..], again].concat();
    assert_eq!(read_with(referring(), &[&wire]).1, Some(ProtocolError::DeflateInvalid));
}

#[test]
fn a_message_never_sees_that_of_another_connection() {
    // The inflater of this thread has just read a message, and then half of one.
    let secret = compressed(b"Hello, this is a secret", 9);
    assert_eq!(read_with(alone(), &[&secret]).1, None);
    assert_eq!(read_with(alone(), &[&secret[..secret.len() - 4]]), (vec![], None));
    for decoder in [alone(), referring()] {
        let (seen, error) = read_with(decoder, &[b"\xc1\x05\xf2\x00\x11\x00\x00"]);
        assert_eq!((seen, error), (vec![], Some(ProtocolError::DeflateInvalid)));
    }
}

#[test]
fn control_frames_may_come_between_compressed_fragments() {
    let wire = b"\x41\x03\xf2\x48\xcd\x89\x01p\x00\x00\x80\x04\xc9\xc9\x07\x00";
    let seen = every_split(wire, |pieces| read_with(alone(), pieces));
    let expected = vec![(OpCode::Ping, b"p".to_vec()), (OpCode::Text, b"Hello".to_vec())];
    assert_eq!(seen, (expected, None));
}

#[test]
fn rsv1_stands_on_the_first_frame_of_a_message_alone() {
    let cases: &[(&[u8], ProtocolError)] = &[
        (b"\x41\x03\xf2\x48\xcd\xc0\x04\xc9\xc9\x07\x00", ProtocolError::ReservedBit),
        (b"\x01\x02He\xc0\x03llo", ProtocolError::ReservedBit),
        (b"\x41\x03\xf2\x48\xcd\xc1\x04\xc9\xc9\x07\x00", ProtocolError::ContinuationMissing),
        (b"\xc9\x00", ProtocolError::ReservedBit),
        (b"\xc8\x02\x03\xe8", ProtocolError::ReservedBit),
        (b"\xe1\x01\x00", ProtocolError::ReservedBit),
    ];
    for &(wire, error) in cases {
        let verdict = every_split(wire, |pieces| read_with(alone(), pieces));
        assert_eq!(verdict, (vec![], Some(error)), "{wire:02x?}");
        assert_eq!(error.close_code(), CloseCode::PROTOCOL_ERROR);
    }
}

#[test]
fn what_is_not_deflate_ends_the_connection_with_1007() {
    let cases: &[(&[u8], ProtocolError)] = &[
        // A block of the reserved type; a length and a complement that differ; a distance before the start.
        (b"\xc2\x01\x06", ProtocolError::DeflateInvalid),
        (b"\xc2\x05\x00\x05\x00\x00\x00", ProtocolError::DeflateInvalid),
        (b"\xc2\x05\xf2\x00\x11\x00\x00", ProtocolError::DeflateInvalid),
        // The middle of a stored block; that of a block of codes; a BFINAL stream and half of another.
        (b"\xc2\x07\x00\x05\x00\xfa\xffHe", ProtocolError::DeflateCutShort),
        (b"\xc2\x04\xf2\x48\xcd\xc9", ProtocolError::DeflateCutShort),
        (b"\xc2\x09\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48", ProtocolError::DeflateCutShort),
        // The tail that must not be sent, sent: an empty block follows, and behind that there is half of a header.
        (b"\xc2\x0b\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", ProtocolError::DeflateCutShort),
    ];
    for &(wire, error) in cases {
        for decoder in [alone as fn() -> Decoder, referring] {
            let verdict = every_split(wire, |pieces| read_with(decoder(), pieces));
            assert_eq!(verdict, (vec![], Some(error)), "{wire:02x?}");
        }
        assert_eq!(error.close_code(), CloseCode::INVALID_PAYLOAD);
    }
}

#[test]
fn a_stream_that_ends_itself_is_a_whole_message_and_blocks_may_follow_it() {
    let finished = b"\xc2\x07\xf3\x48\xcd\xc9\xc9\x07\x00";
    let expected = (vec![(OpCode::Binary, b"Hello".to_vec())], None);
    assert_eq!(every_split(finished, |pieces| read_with(alone(), pieces)), expected);
    let twice = b"\xc2\x0e\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00";
    let expected = (vec![(OpCode::Binary, b"HelloHello".to_vec())], None);
    assert_eq!(every_split(twice, |pieces| read_with(alone(), pieces)), expected);
}

/// What zlib 1.3.1 makes of messages, and what it says of bytes that are none: a line for each, in hexadecimal. The body
/// of a compressed message; its payload, or `!` if it is not deflate or not complete.
const BY_ZLIB: &str = include_str!("../zlib.txt");

fn hex(digits: &str) -> Vec<u8> {
    let digits = if digits == "-" { "" } else { digits };
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn every_stream_that_zlib_ends_is_a_message_and_what_it_refuses_is_none() {
    let mut messages = 0;
    for line in BY_ZLIB.lines() {
        let (body, payload) = line.split_once(' ').unwrap();
        let (body, payload) = (hex(body), (payload != "!").then(|| hex(payload)));
        messages += usize::from(payload.is_some());
        let middle = body.len() / 2;
        let mut fragments = framed(&body[..middle]);
        fragments[0] &= 0x7f;
        let at = fragments.len();
        encode::binary(&mut fragments, &body[middle..]);
        fragments[at] = 0x80;
        for wire in [framed(&body), fragments] {
            for decoder in [alone as fn() -> Decoder, referring] {
                let (seen, error) = every_split(&wire, |pieces| read_with(decoder(), pieces));
                let seen = seen.into_iter().map(|(_, payload)| payload).next();
                assert_eq!(seen, payload, "{line}");
                assert_eq!(error.is_some(), payload.is_none(), "{line}: {error:?}");
            }
        }
    }
    assert!(messages > 100, "{messages}");
}

#[test]
fn an_empty_payload_is_an_empty_message_in_however_many_frames() {
    let cases: &[&[u8]] = &[b"\xc1\x00", b"\x41\x00\x80\x00", b"\x41\x00\x00\x00\x89\x01p\x80\x00"];
    for wire in cases {
        let wire = [wire, &b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"[..]].concat();
        for decoder in [alone as fn() -> Decoder, referring] {
            let (mut seen, error) = every_split(&wire, |pieces| read_with(decoder(), pieces));
            seen.retain(|(opcode, _)| *opcode == OpCode::Text);
            assert_eq!((seen, error), texts(&["", "Hello"]), "{wire:02x?}");
        }
    }
}

#[test]
fn a_context_goes_on_behind_a_message_that_ended_its_stream() {
    let again: &[u8] = b"\xc1\x05\xf2\x00\x11\x00\x00";
    // Ended by BFINAL; by a stored, empty, final block; the same without its tail; and one that was empty in between.
    let hellos: [&[u8]; 4] = [
        b"\xc1\x07\xf3\x48\xcd\xc9\xc9\x07\x00",
        b"\xc1\x0b\xf2\x48\xcd\xc9\xc9\x07\x04\x00\x00\xff\xff",
        b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x04",
        b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x04\xc1\x00",
    ];
    for hello in hellos {
        let wire = [hello, again].concat();
        let (mut seen, error) = every_split(&wire, |pieces| read_with(referring(), pieces));
        seen.retain(|(_, payload)| !payload.is_empty());
        assert_eq!((seen, error), texts(&["Hello", "Hello"]), "{wire:02x?}");
    }
}
