//! Compressed messages through the decoder, over every split, and frames through both directions.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::history::FLUSH_TAIL;
use super::{Deflate, History, Level, WindowBits};
use crate::every_split::every_split;
use crate::ws::{CloseCode, Decoder, Event, Input, Message, OpCode, ProtocolError, Role, encode};

const LIMIT: usize = 70_000;
const BITS_8: WindowBits = WindowBits::new(8).unwrap();
const DEFLATE: Deflate = Deflate { level: Level::FASTEST, threshold_bytes: 0, window: WindowBits::MAX };

type Read = (Vec<(OpCode, Vec<u8>)>, Option<ProtocolError>);

/// The messages and pings that a client reads, and the error that ended it.
fn read_with(mut decoder: Decoder, pieces: &[&[u8]]) -> Read {
    let mut seen = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut input = Input::new(&mut bytes);
        loop {
            match decoder.poll(&mut input) {
                Ok(Some(Event::Message(Message::Text(text)))) => seen.push((OpCode::Text, text.into())),
                Ok(Some(Event::Message(Message::Binary(bytes)))) => {
                    seen.push((OpCode::Binary, bytes.into()));
                }
                Ok(Some(Event::Ping(payload))) => seen.push((OpCode::Ping, payload.into())),
                Ok(Some(other @ (Event::Pong(_) | Event::Close(_)))) => panic!("{other:?}"),
                Ok(None) => break,
                Err(error) => return (seen, Some(error)),
            }
        }
    }
    (seen, None)
}

fn alone() -> Decoder {
    Decoder::new(Role::Client, LIMIT).with_deflate(None)
}

fn referring() -> Decoder {
    Decoder::new(Role::Client, LIMIT).with_deflate(Some(WindowBits::MAX))
}

fn texts(texts: &[&str]) -> Read {
    (texts.iter().map(|text| (OpCode::Text, text.as_bytes().to_vec())).collect(), None)
}

/// A compressed message as another end might send it, in one frame.
fn compressed(payload: &[u8], level: u32) -> Vec<u8> {
    let mut stream = Compress::new(Compression::new(level), false);
    let mut out = Vec::with_capacity(payload.len() + payload.len() / 8 + 100);
    stream.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
    framed(out.strip_suffix(&FLUSH_TAIL).unwrap())
}

/// A binary frame with RSV1 around what is compressed already.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode::binary(&mut frame, body);
    frame[0] |= 0x40;
    frame
}

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
const BY_ZLIB: &str = include_str!("zlib.txt");

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

/// As [`read_with`], inflating about `allowance` bytes at a time, and what that came to each time.
fn read_in_turns(mut decoder: Decoder, pieces: &[&[u8]], allowance: usize) -> (Read, Vec<usize>) {
    let (mut seen, mut turns) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut unread = bytes.len();
        while unread > 0 {
            let start = bytes.len() - unread;
            let mut input = Input::new(&mut bytes[start..]).inflating_at_most(allowance);
            loop {
                match decoder.poll(&mut input) {
                    Ok(Some(Event::Message(Message::Text(text)))) => {
                        seen.push((OpCode::Text, text.into()));
                    }
                    Ok(Some(Event::Message(Message::Binary(bytes)))) => {
                        seen.push((OpCode::Binary, bytes.into()));
                    }
                    Ok(Some(Event::Ping(payload))) => seen.push((OpCode::Ping, payload.into())),
                    Ok(Some(other @ (Event::Pong(_) | Event::Close(_)))) => panic!("{other:?}"),
                    Ok(None) => break,
                    Err(error) => return ((seen, Some(error)), turns),
                }
            }
            turns.push(input.inflated_bytes());
            assert!(input.len() < unread || input.inflated_bytes() > 0, "there is no end to it");
            unread = input.len();
        }
    }
    ((seen, None), turns)
}

/// Has `frame` unmasked by a server, too: what was left unread is not unmasked twice.
fn masked_frame(frame: &[u8]) -> Vec<u8> {
    let header_len = if frame[1] == 126 { 4 } else { 2 };
    let mut wire = frame[..header_len].to_vec();
    wire[1] |= 0x80;
    let key = [0x11, 0x92, 0xf3, 0x04];
    wire.extend_from_slice(&key);
    wire.extend(frame[header_len..].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    wire
}

#[test]
fn inflating_a_little_at_a_time_reads_the_same_in_more_turns() {
    let zeros = vec![0; 65_536];
    let frames = [compressed(&zeros, 9), compressed(&chat(20_000, 0), 6), framed(b""), compressed(b"x", 1)];
    let mut wire: Vec<u8> = frames.iter().flat_map(|frame| masked_frame(frame)).collect();
    wire.extend_from_slice(b"\x89\x81\0\0\0\0p");
    let server = || Decoder::new(Role::Server, LIMIT).with_deflate(Some(WindowBits::MAX));
    let expected = (
        vec![
            (OpCode::Binary, zeros),
            (OpCode::Binary, chat(20_000, 0)),
            (OpCode::Binary, vec![]),
            (OpCode::Binary, b"x".to_vec()),
            (OpCode::Ping, b"p".to_vec()),
        ],
        None,
    );
    for allowance in [1, 5000, 30_000, usize::MAX] {
        let seen = every_split(&wire, |pieces| read_in_turns(server(), pieces, allowance).0);
        assert!(seen == expected, "{allowance}");
        let (_, turns) = read_in_turns(server(), &[&wire], allowance);
        // A step of 8 KiB more, a window, and what is left in the inflater once it has taken all.
        assert!(turns.iter().all(|&bytes| bytes <= allowance.saturating_add(52 * 1024)), "{turns:?}");
        assert!(turns.iter().sum::<usize>() >= 85_537);
        assert_eq!(turns.len() == 1, allowance == usize::MAX, "{turns:?}");
    }
}

#[test]
fn every_message_costs_something_though_nothing_comes_out_of_it() {
    // Empty last blocks, one after the other: each ends a stream.
    let many = framed(&[0x03, 0x00].repeat(60));
    let mut bytes = many.clone();
    let mut decoder = alone();
    let mut input = Input::new(&mut bytes).inflating_at_most(4096);
    assert_eq!(decoder.poll(&mut input), Ok(None));
    assert!(!input.is_empty() && input.inflated_bytes() >= 4096 && input.surplus_bytes() == 0);
    // What earlier messages have filled the window with is given to the inflater first.
    let mut decoder = referring();
    let mut bytes = [compressed(&chat(40_000, 0), 9), framed(b"\x00")].concat();
    let mut input = Input::new(&mut bytes);
    assert!(matches!(decoder.poll(&mut input), Ok(Some(_))));
    let before = input.inflated_bytes();
    assert!(matches!(decoder.poll(&mut input), Ok(Some(Event::Message(Message::Binary(b""))))));
    assert!(input.inflated_bytes() - before > 32_768);
}

#[test]
fn text_is_refused_at_the_first_impossible_byte_that_is_inflated() {
    let mut frame = compressed(&[&b"valid for long enough "[..], b"\xf4\x90", &[b'x'; 40_000]].concat(), 0);
    frame[0] = 0xc1;
    let (seen, error) = read_with(alone(), &[&frame[..100]]);
    assert_eq!((seen, error), (vec![], Some(ProtocolError::TextNotUtf8)));
    let cut_off = b"\xc1\x0a\x00\x04\x00\xfb\xff\x61\x62\x63\xc3\x00";
    let verdict = every_split(cut_off, |pieces| read_with(alone(), pieces));
    assert_eq!(verdict, (vec![], Some(ProtocolError::TextNotUtf8)));
}

#[test]
fn the_limit_counts_what_comes_out_over_all_fragments() {
    let limited = |pieces: &[&[u8]]| {
        read_with(Decoder::new(Role::Client, 10).with_deflate(Some(WindowBits::MAX)), pieces)
    };
    let begun: &[u8] = b"\x42\x0a\x00\x05\x00\xfa\xffHello";
    let ten = [begun, b"\x80\x0b\x00\x05\x00\xfa\xffHello\x00"].concat();
    assert_eq!(every_split(&ten, limited), (vec![(OpCode::Binary, b"HelloHello".to_vec())], None));
    let eleven = [begun, b"\x80\x0c\x00\x06\x00\xf9\xffHello!\x00"].concat();
    assert_eq!(every_split(&eleven, limited), (vec![], Some(ProtocolError::MessageTooBig)));
}

#[test]
fn a_bomb_is_refused_before_it_is_spread_out() {
    let zeros = vec![0; 64 << 20];
    let frame = compressed(&zeros, 9);
    assert!(frame.len() < 70_000, "{} bytes stand for 64 MiB", frame.len());
    for limit in [0, 1, 1000, 1 << 16, 1 << 20] {
        let mut decoder = Decoder::new(Role::Client, limit).with_deflate(None);
        let mut bytes = frame.clone();
        let verdict = decoder.poll(&mut Input::new(&mut bytes)).map(|event| event.is_some());
        assert_eq!(verdict, Err(ProtocolError::MessageTooBig));
    }
    assert_eq!(read_with(Decoder::new(Role::Client, 64 << 20).with_deflate(None), &[&frame]).1, None);
}

#[test]
fn a_frame_that_no_compressor_makes_is_refused_by_its_header() {
    let limited = || Decoder::new(Role::Client, 1600).with_deflate(None);
    let header = |len: u16| [&[0x42, 126][..], &len.to_be_bytes()].concat();
    assert_eq!(read_with(limited(), &[&header(1764)]), (vec![], None));
    assert_eq!(read_with(limited(), &[&header(1765)]), (vec![], Some(ProtocolError::MessageTooBig)));
}

#[test]
fn a_message_of_the_largest_size_may_be_incompressible() {
    let mut noise = 1_u32;
    let payload: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    })
    .take(LIMIT)
    .collect();
    for level in [0, 1, 9] {
        let frame = compressed(&payload, level);
        assert!(frame.len() > LIMIT);
        assert_eq!(read_with(alone(), &[&frame]), (vec![(OpCode::Binary, payload.clone())], None));
    }
}

/// JSON as a chat has it, `len` bytes of it.
fn chat(len: usize, seed: usize) -> Vec<u8> {
    let lines = (seed..).flat_map(|number| {
        format!("{{\"sender\":\"user{number}\",\"content\":\"hello number {}\"}}", number * 7919).into_bytes()
    });
    lines.take(len).collect()
}

#[test]
fn what_is_compressed_here_is_read_back_at_every_level_and_window() {
    for level in [1, 4, 9] {
        for bits in [8, 9, 12, 15] {
            let deflate = Deflate {
                level: Level::new(level).unwrap(),
                threshold_bytes: 0,
                window: WindowBits::new(bits).unwrap(),
            };
            let mut sent = History::new(deflate.window);
            let mut decoder = Decoder::new(Role::Client, 200_000).with_deflate(Some(deflate.window));
            for (seed, len) in [0, 1, 5, 60, 300, 1000, 40_000, 70, 150_000, 300, 300].into_iter().enumerate()
            {
                let payload = chat(len, seed);
                let mut out = b"before".to_vec();
                deflate.frame(&mut out, OpCode::Binary, &payload, Some(&mut sent));
                assert!(out.starts_with(b"before") && out.len() <= 6 + 10 + len);
                let mut input = Input::new(&mut out[6..]);
                let event = decoder.poll(&mut input);
                assert_eq!(
                    event,
                    Ok(Some(Event::Message(Message::Binary(&payload)))),
                    "{level} {bits} {len}"
                );
                assert_eq!(decoder.poll(&mut input), Ok(None));
            }
        }
    }
}

/// Inflates byte by byte, so that nothing but the window is remembered.
fn inflate_within(window: &mut Decompress, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let start = window.total_in();
    loop {
        let taken = usize::try_from(window.total_in() - start).unwrap();
        let mut byte = [0];
        let before = window.total_out();
        window.decompress(&body[taken..], &mut byte, FlushDecompress::None).unwrap();
        if window.total_out() > before {
            out.push(byte[0]);
        } else if taken == body.len() {
            return out;
        }
    }
}

#[test]
fn no_message_refers_further_back_than_was_agreed_on() {
    for level in 1..=9 {
        for bits in [9, 12, 15] {
            let window = WindowBits::new(bits).unwrap();
            let deflate = Deflate { level: Level::new(level).unwrap(), threshold_bytes: 0, window };
            let mut receiver = Decompress::new_with_window_bits(false, bits);
            let mut history = History::new(window);
            for seed in 0..3 {
                let payload = chat(70_000, seed);
                let mut frame = Vec::new();
                deflate.frame(&mut frame, OpCode::Text, &payload, Some(&mut history));
                let header_len = if frame[1] == 126 { 4 } else { 10 };
                let body = [&frame[header_len..], &FLUSH_TAIL].concat();
                assert!(inflate_within(&mut receiver, &body) == payload, "level {level}, {bits} bits");
            }
        }
    }
}

#[test]
fn the_smallest_window_of_all_is_kept_to_although_the_compressor_has_none_so_small() {
    for level in 1..=9 {
        let deflate = Deflate { level: Level::new(level).unwrap(), threshold_bytes: 0, window: BITS_8 };
        // What comes again after 251 bytes and more must not be found; after 250 bytes it may be.
        for period in [100, 250, 251, 255, 256, 257, 300, 511, 512] {
            let once: Vec<u8> = (0..period).map(|at| u8::try_from(at * at % 251).unwrap()).collect();
            let payload = once.repeat(20);
            let mut frame = Vec::new();
            deflate.frame(&mut frame, OpCode::Binary, &payload, None);
            let is_found = frame.len() < payload.len() / 4;
            assert!(period <= 250 || !is_found, "level {level}: found again after {period} bytes");
        }
    }
}

#[test]
fn what_does_not_shrink_leaves_no_trace_in_what_comes_after_it() {
    let mut noise = 7_u32;
    let mut next = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    };
    for level in 1..=9 {
        let deflate = Deflate { level: Level::new(level).unwrap(), ..DEFLATE };
        for len in [3, 200, 1024, 8192, 40_000] {
            let mut wire = Vec::new();
            let mut expected = Vec::new();
            // From bytes that nothing can be made of to letters that shrink a little, several times each.
            for letters in [0, 4, 6, 7, 8, 0, 4, 6, 7, 8] {
                let payload: Vec<u8> =
                    (0..len).map(|_| if next() % 8 < letters { b'a' + next() % 8 } else { next() }).collect();
                let start = wire.len();
                deflate.frame(&mut wire, OpCode::Binary, &payload, None);
                assert!(wire.len() - start <= len + encode::header(OpCode::Binary, len).1);
                expected.push((OpCode::Binary, payload));
            }
            deflate.frame(&mut wire, OpCode::Text, &chat(500, len), None);
            expected.push((OpCode::Text, chat(500, len)));
            assert!(read_with(alone(), &[&wire]) == (expected, None), "level {level}, {len} bytes");
        }
    }
}

#[test]
fn short_messages_and_control_frames_and_what_does_not_shrink_go_as_they_are() {
    let deflate = Deflate { threshold_bytes: 100, ..DEFLATE };
    let cases = [
        (OpCode::Text, chat(99, 0)),
        (OpCode::Text, Vec::new()),
        (OpCode::Ping, vec![b'x'; 125]),
        (OpCode::Binary, (0..=255).collect()),
    ];
    for (opcode, payload) in cases {
        let (mut frame, mut plain) = (Vec::new(), Vec::new());
        let mut history = History::new(WindowBits::MAX);
        deflate.frame(&mut frame, opcode, &payload, Some(&mut history));
        encode::frame(&mut plain, opcode, &payload);
        assert_eq!(frame, plain);
        assert_eq!(history.bytes(), b"", "what passes as it is leaves no trace");
    }
    let mut frame = Vec::new();
    deflate.frame(&mut frame, OpCode::Text, &[b'x'; 100], None);
    assert_eq!((frame[0], frame.len() < 20), (0xc1, true));
}

#[test]
fn a_window_has_8_to_15_bits_and_a_level_is_from_1_to_9() {
    for number in 0..=u8::MAX {
        let window = WindowBits::new(number);
        assert_eq!(window.map(WindowBits::get), (8..=15).contains(&number).then_some(number));
        assert_eq!(Level::new(number).is_some(), (1..=9).contains(&number));
    }
    assert_eq!((WindowBits::MAX.bytes(), size_of::<Option<WindowBits>>()), (32_768, 1));
}

#[test]
fn a_history_is_the_last_bytes_of_all_messages_and_no_larger_than_the_window() {
    let mut history = History::new(BITS_8);
    assert_eq!(history.bytes.capacity(), 0);
    let mut all = Vec::new();
    for len in [0, 1, 100, 155, 1, 256, 3, 300, 7, 250] {
        let message: Vec<u8> = (0..len).map(|at| u8::try_from((at + len) % 251).unwrap()).collect();
        all.extend_from_slice(&message);
        history.note(&message);
        assert_eq!(history.bytes(), &all[all.len().saturating_sub(256)..]);
        assert!(history.bytes.capacity() <= 256);
    }
}
