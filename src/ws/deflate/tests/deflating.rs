//! What is compressed here, at every level and window.

use super::*;

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
