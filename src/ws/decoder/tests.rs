use super::{Decoder, State};
use crate::every_split::every_split;
use crate::ws::{Close, CloseCode, Event, Input, Message, OpCode, ProtocolError, Role, encode};

const LIMIT: usize = 70_000;

/// An event with its payload: that of a close frame without its code, which follows.
type Seen = (OpCode, Vec<u8>, Option<CloseCode>);

fn seen(event: Event<'_>) -> Seen {
    match event {
        Event::Message(Message::Text(text)) => (OpCode::Text, text.as_bytes().to_vec(), None),
        Event::Message(Message::Binary(bytes)) => (OpCode::Binary, bytes.to_vec(), None),
        Event::Ping(payload) => (OpCode::Ping, payload.to_vec(), None),
        Event::Pong(payload) => (OpCode::Pong, payload.to_vec(), None),
        Event::Close(close) => (OpCode::Close, close.reason.as_bytes().to_vec(), close.code),
    }
}

/// What a decoder says of `pieces`: its events, and the error that ended it.
fn read(role: Role, pieces: &[&[u8]]) -> (Vec<Seen>, Option<ProtocolError>) {
    read_with(&mut Decoder::new(role, LIMIT), pieces)
}

fn read_with(decoder: &mut Decoder, pieces: &[&[u8]]) -> (Vec<Seen>, Option<ProtocolError>) {
    let mut events = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut input = Input::new(&mut bytes);
        loop {
            match decoder.poll(&mut input) {
                Ok(Some(event)) => events.push(seen(event)),
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
        assert!(input.is_empty(), "polling until None consumes all input");
    }
    (events, None)
}

/// Asserts the events of `frames`, read by a client, over every split.
fn check(frames: &[&[u8]], expected: &[Event<'_>]) {
    let expected: Vec<Seen> = expected.iter().map(|&event| seen(event)).collect();
    let events = every_split(&frames.concat(), |pieces| read(Role::Client, pieces));
    assert_eq!(events, (expected, None));
}

fn text(text: &str) -> Event<'_> {
    Event::Message(Message::Text(text))
}

fn binary(bytes: &[u8]) -> Event<'_> {
    Event::Message(Message::Binary(bytes))
}

/// As [`read`], by a decoder whose caller reads in pieces of `size` bytes, into its space where it has any. Also how
/// many bytes went there.
fn read_in_place(role: Role, wire: &[u8], size: usize) -> ((Vec<Seen>, Option<ProtocolError>), usize) {
    let mut decoder = Decoder::new(role, 1 << 20);
    let (mut events, mut in_place, mut rest) = (Vec::new(), 0, wire);
    while !rest.is_empty() {
        let mut piece = Vec::new();
        if let Some(space) = decoder.space(size) {
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(rest.split_off(..count).unwrap());
            decoder.fill(count);
            in_place += count;
        } else {
            piece.extend_from_slice(rest.split_off(..size.min(rest.len())).unwrap());
        }
        let (more, error) = read_with(&mut decoder, &[&piece]);
        events.extend(more);
        if error.is_some() {
            return ((events, error), in_place);
        }
    }
    ((events, None), in_place)
}

#[test]
fn a_large_message_is_read_in_place_to_the_same_end() {
    let long = "aä€".repeat(20_000);
    let mut broken = long.clone().into_bytes();
    broken[100_000] = 0xff;
    let mut cut_off = long.clone().into_bytes();
    cut_off.pop();
    for (payload, is_text) in [(long.as_bytes(), true), (&broken, true), (&cut_off, true), (&broken, false)] {
        let opcode = if is_text { OpCode::Text } else { OpCode::Binary };
        let mut wire = Vec::new();
        encode::masked(&mut wire, opcode, payload, [1, 2, 3, 4]);
        wire[0] &= 0x7f;
        encode::masked(&mut wire, OpCode::Ping, b"between", [5, 6, 7, 8]);
        let start = wire.len();
        encode::masked(&mut wire, OpCode::Text, "€".repeat(30_000).as_bytes(), [9, 8, 7, 6]);
        wire[start] &= 0xf0;
        encode::masked(&mut wire, OpCode::Text, b"behind", [3, 3, 3, 3]);
        let expected = read_with(&mut Decoder::new(Role::Server, 1 << 20), &[&wire]);
        for size in [20_000, 32_768, 100_001] {
            let (seen, in_place) = read_in_place(Role::Server, &wire, size);
            assert_eq!(seen, expected, "{size}");
            assert!(in_place > 16_000, "{in_place} of {size}");
        }
    }
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    check(&[b"\x81\x05\x48\x65\x6c\x6c\x6f"], &[text("Hello")]);
    check(&[b"\x01\x03\x48\x65\x6c", b"\x80\x02\x6c\x6f"], &[text("Hello")]);
    check(&[b"\x89\x05Hello"], &[Event::Ping(b"Hello")]);
    check(&[b"\x82\x7e\x01\x00", &[7; 256]], &[binary(&[7; 256])]);
    check(&[b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", &[7; 65_536]], &[binary(&[7; 65_536])]);

    let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let events = every_split(masked, |pieces| read(Role::Server, pieces));
    assert_eq!(events, (vec![seen(text("Hello")), seen(Event::Pong(b"Hello"))], None));
}

#[test]
fn control_frames_may_come_between_fragments() {
    let frames: [&[u8]; 5] = [b"\x01\x02\xce\xba", b"\x89\x01p", b"\x00\x00", b"\x8a\x01q", b"\x80\x01!"];
    check(&frames, &[Event::Ping(b"p"), Event::Pong(b"q"), text("κ!")]);
}

#[test]
fn a_character_may_be_cut_by_fragments() {
    check(&[b"\x01\x01\xf0", b"\x00\x02\x9f\x8e", b"\x80\x01\xba"], &[text("🎺")]);
}

#[test]
fn empty_messages_and_empty_fragments_are_messages_and_fragments() {
    check(&[b"\x81\x00", b"\x02\x00", b"\x00\x00", b"\x80\x00"], &[text(""), binary(b"")]);
}

#[test]
fn a_control_frame_of_125_bytes_is_kept_when_it_is_cut_off() {
    let payload = [0xa5; 125];
    check(&[b"\x89\x7d", &payload, b"\x8a\x7d", &payload], &[Event::Ping(&payload), Event::Pong(&payload)]);
}

#[test]
fn a_close_frame_is_an_event_like_any_other_and_ends_nothing_here() {
    let close = Event::Close(Close { code: CloseCode::new(4999), reason: "bye" });
    let empty = Event::Close(Close { code: None, reason: "" });
    check(&[b"\x88\x05\x13\x87bye", b"\x88\x00", b"\x81\x01a"], &[close, empty, text("a")]);
}

#[test]
fn many_messages_in_one_piece_come_out_in_order() {
    let mut wire = Vec::new();
    for i in 0..1000 {
        encode::masked(&mut wire, OpCode::Text, format!("message {i}").as_bytes(), [9, 8, 7, 6]);
    }
    let expected: Vec<Seen> = (0..1000).map(|i| seen(text(&format!("message {i}")))).collect();
    assert_eq!(read(Role::Server, &[&wire]), (expected, None));
}

/// One way or more to break each rule; the client's frames stand unmasked, as read by a client.
const BROKEN: &[(Role, &[u8], ProtocolError)] = &[
    (Role::Client, b"\xc1\x00", ProtocolError::ReservedBit),
    (Role::Client, b"\x01\x01a\x90\x00", ProtocolError::ReservedBit),
    (Role::Client, b"\x83\x00", ProtocolError::ReservedOpcode),
    (Role::Client, b"\x8f\x00", ProtocolError::ReservedOpcode),
    (Role::Server, b"\x81\x01a", ProtocolError::MaskMissing),
    (Role::Client, b"\x81\x81\x00\x00\x00\x00a", ProtocolError::MaskForbidden),
    (Role::Client, b"\x09\x00", ProtocolError::ControlFragmented),
    (Role::Client, b"\x88\x7e\x00\x7e", ProtocolError::ControlTooLong),
    (Role::Client, b"\x82\x7e\x00\x01a", ProtocolError::LengthNotMinimal),
    (Role::Client, b"\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x01a", ProtocolError::LengthNotMinimal),
    (Role::Client, b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", ProtocolError::LengthTopBit),
    (Role::Client, b"\x80\x00", ProtocolError::ContinuationUnexpected),
    (Role::Client, b"\x00\x01a", ProtocolError::ContinuationUnexpected),
    (Role::Client, b"\x01\x00\x81\x00", ProtocolError::ContinuationMissing),
    (Role::Client, b"\x02\x00\x02\x00", ProtocolError::ContinuationMissing),
    (Role::Client, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x71", ProtocolError::MessageTooBig),
    (Role::Client, b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", ProtocolError::MessageTooBig),
    (Role::Client, b"\x02\x01a\x80\x7f\x00\x00\x00\x00\x00\x01\x11\x70", ProtocolError::MessageTooBig),
    (Role::Client, b"\x81\x01\xff", ProtocolError::TextNotUtf8),
    (Role::Client, b"\x81\x02\xf0\x9f", ProtocolError::TextNotUtf8),
    (Role::Client, b"\x01\x01\xc3\x80\x01\x28", ProtocolError::TextNotUtf8),
    (Role::Client, b"\x01\x01\xc3\x80\x00", ProtocolError::TextNotUtf8),
    (Role::Client, b"\x88\x01\x03", ProtocolError::CloseCodeCutShort),
    (Role::Client, b"\x88\x02\x03\xed", ProtocolError::CloseCodeInvalid),
    (Role::Client, b"\x01\x01a\x88\x03\x03\xe8\xff", ProtocolError::CloseReasonNotUtf8),
];

#[test]
fn every_broken_rule_is_named_and_ends_the_decoder_for_good() {
    for &(role, wire, error) in BROKEN {
        let wire = [wire, b"\x81\x05Hello"].concat();
        let verdict = every_split(&wire, |pieces| read(role, pieces));
        assert_eq!(verdict, (vec![], Some(error)), "{wire:02x?}");

        let mut decoder = Decoder::new(role, LIMIT);
        read_with(&mut decoder, &[&wire]);
        for next in [&b"\x81\x05Hello"[..], b""] {
            assert_eq!(read_with(&mut decoder, &[next]), (vec![], Some(error)), "{wire:02x?}");
        }
    }
}

#[test]
fn every_rule_has_a_case_that_breaks_it_a_text_and_a_close_code() {
    let rules: Vec<ProtocolError> =
        BROKEN.iter().map(|&(_, _, error)| error).fold(vec![], |mut rules, error| {
            if rules.last() != Some(&error) {
                rules.push(error);
            }
            rules
        });
    for rule in &rules {
        let expected = match rule {
            ProtocolError::TextNotUtf8
            | ProtocolError::DeflateInvalid
            | ProtocolError::DeflateCutShort
            | ProtocolError::CloseReasonNotUtf8 => CloseCode::INVALID_PAYLOAD,
            ProtocolError::MessageTooBig => CloseCode::TOO_BIG,
            ProtocolError::ReservedBit
            | ProtocolError::ReservedOpcode
            | ProtocolError::MaskMissing
            | ProtocolError::MaskForbidden
            | ProtocolError::ControlFragmented
            | ProtocolError::ControlTooLong
            | ProtocolError::LengthNotMinimal
            | ProtocolError::LengthTopBit
            | ProtocolError::ContinuationUnexpected
            | ProtocolError::ContinuationMissing
            | ProtocolError::CloseCodeCutShort
            | ProtocolError::CloseCodeInvalid => CloseCode::PROTOCOL_ERROR,
        };
        assert_eq!(rule.close_code(), expected);
        assert!(rule.to_string().len() <= 123, "fits a close reason");
    }
    assert_eq!(rules.len(), 15, "the last variant is {:?}", ProtocolError::CloseReasonNotUtf8);
    assert_eq!(ProtocolError::CloseReasonNotUtf8 as usize, rules.len() - 1);
    let behind = ProtocolError::DeflateInvalid as usize;
    assert_eq!(behind, rules.len(), "those of compressed messages are broken in `deflate`");
}

#[test]
fn a_reserved_opcode_is_refused_by_two_bytes_whatever_length_follows() {
    for second in [0x80, 0xfe, 0xff] {
        assert_eq!(read(Role::Server, &[&[0x83, second]]), (vec![], Some(ProtocolError::ReservedOpcode)));
    }
}

#[test]
fn invalid_text_is_refused_inside_a_frame_that_has_not_ended() {
    let begun = b"\x81\x7e\x01\x00\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4";
    assert_eq!(read(Role::Client, &[begun]), (vec![], None));
    let impossible = [&begun[..], b"\x90"].concat();
    let verdict = every_split(&impossible, |pieces| read(Role::Client, pieces));
    assert_eq!(verdict, (vec![], Some(ProtocolError::TextNotUtf8)));
}

#[test]
fn the_limit_counts_all_fragments_and_no_control_frame() {
    let limited = |pieces: &[&[u8]]| read_with(&mut Decoder::new(Role::Client, 4), pieces);
    let hit = (vec![], Some(ProtocolError::MessageTooBig));
    assert_eq!(every_split(b"\x82\x04abcd", limited).1, None);
    assert_eq!(every_split(b"\x82\x05", limited), hit);
    assert_eq!(every_split(b"\x02\x03abc\x00\x01d\x80\x00", limited).1, None);
    assert_eq!(every_split(b"\x02\x03abc\x00\x00\x80\x02", limited), hit);
    let ping_first = (vec![seen(Event::Ping(b"Hello"))], Some(ProtocolError::MessageTooBig));
    assert_eq!(every_split(b"\x02\x04abcd\x89\x05Hello\x80\x01", limited), ping_first);
}

#[test]
fn a_limit_lowered_within_a_message_holds_from_its_next_fragment() {
    let mut decoder = Decoder::new(Role::Client, 100);
    assert_eq!(read_with(&mut decoder, &[b"\x02\x05Hello\x00\x04wo"]), (vec![], None));
    decoder.set_message_bytes_max(3);
    assert_eq!(read_with(&mut decoder, &[b"rl"]), (vec![], None), "this fragment was let in before");
    assert_eq!(read_with(&mut decoder, &[b"\x80\x01d"]), (vec![], Some(ProtocolError::MessageTooBig)));
}

#[test]
fn a_message_in_one_whole_frame_is_lent_from_the_input_and_nothing_is_kept() {
    let mut wire = Vec::new();
    encode::masked(&mut wire, OpCode::Text, b"in place", [1, 2, 3, 4]);
    let place = wire.as_ptr_range();
    let mut decoder = Decoder::new(Role::Server, LIMIT);
    let Ok(Some(Event::Message(Message::Text(text)))) = decoder.poll(&mut Input::new(&mut wire)) else {
        panic!("a text message")
    };
    assert_eq!(text, "in place");
    assert!(place.contains(&text.as_ptr()));
    assert!(matches!(decoder.state, State::Idle));
}

#[test]
fn what_a_delivered_message_owned_is_freed_when_the_input_is_consumed() {
    for wire in [&b"\x01\x00\x80\x05Hello"[..], b"\x81\x05Hello", b"\x89\x05Hello"] {
        let mut decoder = Decoder::new(Role::Client, LIMIT);
        for byte in wire {
            assert!(matches!(decoder.state, State::Idle) || !decoder.is_idle());
            read_with(&mut decoder, &[&[*byte]]);
        }
        assert!(decoder.is_idle());
        assert!(matches!(decoder.state, State::Idle), "{wire:02x?}");
    }
}

#[test]
fn only_a_close_comes_out_of_poll_close() {
    let frames = b"\x81\x01a\x01\x01b\x89\x00\x80\x01c\x8a\x00\x88\x02\x03\xe8";
    let closes = every_split(frames, |pieces| {
        let mut decoder = Decoder::new(Role::Client, LIMIT);
        let mut closes = Vec::new();
        for piece in pieces {
            let mut bytes = piece.to_vec();
            let mut input = Input::new(&mut bytes);
            while let Some(close) = decoder.poll_close(&mut input).unwrap() {
                closes.push(close.code);
            }
        }
        closes
    });
    assert_eq!(closes, [Some(CloseCode::NORMAL)]);
}
