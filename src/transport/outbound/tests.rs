//! The write half over a real socket.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::backlog::frame_end;
use super::pressure::Progress;
use super::*;
use crate::rooms::Timestamp;
use crate::rooms::log::Log;

const REPLY_BYTES: usize = 4096;

/// A write half, and the peer that reads it.
fn pair() -> (Arc<Outbound>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let stream = Stream::plain(mio::net::TcpStream::from_std(stream));
    (Arc::new(Outbound::new(stream, REPLY_BYTES)), peer)
}

/// Sends until the socket takes no more; returns what was sent.
fn fill(outbound: &Outbound) -> Vec<u8> {
    let (frame, mut sent) = ([b'.'; 50_000], Vec::new());
    while outbound.stalled_at().is_none() {
        outbound.send(&frame).unwrap();
        sent.extend_from_slice(&frame);
    }
    sent
}

/// Flushes while the peer reads; returns all that it read once nothing waits any more.
fn drain(outbound: &Outbound, peer: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut read = vec![0; len];
    let mut at = 0;
    while at < len {
        at += peer.read(&mut read[at..]).unwrap();
        outbound.flush();
    }
    read
}

#[test]
fn what_a_room_has_to_say_is_queued_whatever_waits_already() {
    let (outbound, mut peer) = pair();
    let mut expected = fill(&outbound);
    while Outbound::send(&outbound, b"reply").is_ok() {
        expected.extend_from_slice(b"reply");
    }
    assert_eq!(Outbound::send(&outbound, b"more"), Err(SendError::Full));
    Peer::reply(&outbound, b"GAP", 1);
    expected.extend_from_slice(b"GAP");
    assert!(drain(&outbound, &mut peer, expected.len()) == expected);
}

#[test]
fn less_than_four_kibibytes_are_no_progress_and_what_is_written_counts_in_bytes() {
    for from in [0, 5, (1 << 30) - 7] {
        for (bytes, counts) in [(0, false), (1, false), (4095, false), (4096, true), (1 << 20, true)] {
            let before = Progress::default().plus(from);
            assert_eq!(before.plus(bytes).is_since(before), counts, "{from} and {bytes}");
        }
    }
    let (outbound, mut peer) = pair();
    let sent = fill(&outbound);
    let (progress, waiting) = (outbound.stalled_at().unwrap(), outbound.backlog_bytes());
    // More than the socket takes at once, so that something goes on waiting.
    (0..4).for_each(|_| outbound.send_unbounded(&sent).unwrap());
    let mut taken = vec![0; sent.len() - waiting];
    peer.read_exact(&mut taken).unwrap();
    let all = waiting + 4 * sent.len();
    while outbound.backlog_bytes() == all {
        outbound.flush();
    }
    let written = all - outbound.backlog_bytes();
    assert_eq!(outbound.stalled_at(), Some(progress.plus(u32::try_from(written).unwrap())));
}

#[test]
fn what_is_shed_ends_with_the_frame_in_flight_and_the_count_follows() {
    use crate::ws::{CloseCode, OpCode, encode};
    for frames_kept in [0, 1, 5] {
        let (outbound, mut peer) = pair();
        let budget = MemoryBudget::default();
        let outbound = Arc::new(Arc::into_inner(outbound).unwrap().counted(budget.clone()));
        let mut frames = Vec::new();
        for len in [0, 125, 126, 70_000] {
            encode::frame(&mut frames, OpCode::Binary, &vec![b'x'; len]);
        }
        let mut sent = 0;
        while outbound.stalled_at().is_none() {
            outbound.send_unbounded(&frames).unwrap();
            sent += frames.len();
        }
        for _ in 0..frames_kept {
            outbound.send_unbounded(&frames).unwrap();
            sent += frames.len();
        }
        assert!(budget.bytes() >= outbound.backlog_bytes());
        // So much as one flush can take is read before, so that the cut falls into what was queued, too.
        let mut taken = vec![0; sent / 2];
        peer.read_exact(&mut taken).unwrap();
        outbound.flush();
        outbound.shed();
        assert!(outbound.backlog_bytes() <= 70_010, "{}", outbound.backlog_bytes());
        assert!(budget.bytes() >= outbound.backlog_bytes());
        let mut close = Vec::new();
        encode::close(&mut close, Some(CloseCode::TOO_SLOW), "");
        outbound.close(&close);
        outbound.finish();
        let read = std::thread::spawn(move || peer.read_to_end(&mut taken).map(|_| taken));
        while outbound.flush() != Flushed::Closed {
            std::thread::yield_now();
        }
        let received = read.join().unwrap().unwrap();
        let whole = received.strip_suffix(&*close).unwrap();
        assert_eq!(frame_end(whole, 0, whole.len()), whole.len());
        let ends: Vec<_> = (0..=frames.len()).filter(|&at| frame_end(&frames, 0, at) == at).collect();
        assert!(ends.contains(&(whole.len() % frames.len())), "{} of {sent}", whole.len());
        assert_eq!(budget.bytes(), 0);
    }
}

#[test]
fn a_frame_in_two_parts_arrives_whole_wherever_the_socket_cuts_it() {
    let (outbound, mut peer) = pair();
    let (payload, mut expected) = (vec![b'p'; 300_001], Vec::new());
    for _ in 0..60 {
        outbound.send_parts(b"header", &payload).unwrap();
        expected.extend_from_slice(b"header");
        expected.extend_from_slice(&payload);
    }
    assert!(outbound.stalled_at().is_some(), "so much does not fit");
    assert!(drain(&outbound, &mut peer, expected.len()) == expected);
    outbound.close(b"");
    assert_eq!(outbound.send_parts(b"header", b"late"), Err(SendError::Closed));
}

#[test]
fn of_the_pongs_that_wait_only_the_newest_is_sent_before_other_replies() {
    let (outbound, mut peer) = pair();
    let mut expected = fill(&outbound);
    outbound.send_unbounded(b"reply").unwrap();
    outbound.pong(b"old");
    outbound.pong(b"new");
    expected.extend_from_slice(b"newreply");
    assert!(drain(&outbound, &mut peer, expected.len()) == expected);
    outbound.pong(b"at once");
    assert_eq!(drain(&outbound, &mut peer, 7), b"at once");
}

#[test]
fn a_close_is_the_last_frame_and_the_end_comes_after_everything_that_waits() {
    let (outbound, mut peer) = pair();
    let mut expected = fill(&outbound);
    assert!(outbound.close(b"close"));
    assert!(!outbound.close(b"again"));
    outbound.pong(b"pong");
    assert_eq!(Outbound::send(&outbound, b"late"), Err(SendError::Closed));
    outbound.finish();
    expected.extend_from_slice(b"close");
    assert!(drain(&outbound, &mut peer, expected.len()) == expected);
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0, "the end of the stream");
    assert_eq!(outbound.flush(), Flushed::Closed);
}

#[test]
fn a_frame_that_was_begun_is_finished_before_anything_else_and_the_room_hears_of_it() {
    let (outbound, mut peer) = pair();
    let mut log = Log::default();
    for number in 0..200u8 {
        log.append(Timestamp::from_micros(1), |out| out.resize(out.len() + 50_000, number));
    }
    let mut cursor = 0;
    let mut read = Vec::new();
    while cursor < log.head() {
        let slice = log.slice(cursor, log.head()).unwrap();
        match Peer::send(&outbound, &slice) {
            Sent::All => cursor = log.head(),
            Sent::Blocked { frames } => cursor += frames,
            Sent::Closed => panic!("nobody has closed it"),
        }
        if cursor == log.head() && outbound.stalled_at().is_none() {
            break;
        }
        assert_eq!(Peer::send(&outbound, &slice), Sent::Blocked { frames: 0 });
        loop {
            let mut bytes = vec![0; 1 << 20];
            let count = peer.read(&mut bytes).unwrap();
            read.extend_from_slice(&bytes[..count]);
            if outbound.flush() == (Flushed::Empty { resume: true, progress: true }) {
                break;
            }
        }
        let again = Flushed::Empty { resume: false, progress: false };
        assert_eq!(outbound.flush(), again, "a room is resumed once");
    }
    let rest = 200 * 50_000 - read.len();
    read.extend(drain(&outbound, &mut peer, rest));
    assert!(read.chunks(50_000).zip(0..).all(|(frame, number)| frame.iter().all(|byte| *byte == number)));
}
