//! Inflating within limits: turns, lengths, text that is impossible.

use super::*;

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
