//! What does a message cost the room's log, what does a member cost that reads from it, and what does a compressed
//! broadcast cost?
//!
//! `cargo bench --bench rooms`. Appending is compared with copying the same bytes into a plain buffer in the same run, a
//! compressed broadcast with a plain one and with one compression.

use std::cell::RefCell;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use foghorn::rooms::log::{Log, Slice, Window};
use foghorn::rooms::{
    Arena, BlockSize, Bounds, Command, Format, Join, MemberKey, Notices, OnLag, Peer, Publication,
    RoomLimits, Sent, Sequential, SessionKey, Shard, Start, TextSpan, Timestamp, Variant,
};
use foghorn::ws::OpCode;
use foghorn::ws::deflate::{Deflate, Level, WindowBits};

const WINDOW: Window = Window { messages: 256, bytes: 1 << 20 };
const SIZES: [usize; 3] = [128, 1024, 16 * 1024];
const MEMBERS: u32 = 1000;
const DEFLATE: Deflate = Deflate { level: Level::FASTEST, threshold_bytes: 1024, window: WindowBits::MAX };

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for size in SIZES {
        let frame = vec![b'x'; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("log", size), &frame, |bencher, frame| {
            let mut log = Log::default();
            bencher.iter(|| {
                log.append(Timestamp::from_micros(1), |out| out.extend_from_slice(black_box(frame)));
                log.evict(WINDOW, log.head());
            });
        });
        group.bench_with_input(BenchmarkId::new("memcpy", size), &frame, |bencher, frame| {
            let mut buffer = Vec::with_capacity(2 * WINDOW.messages * size);
            bencher.iter(|| {
                if buffer.len() + frame.len() > buffer.capacity() {
                    buffer.clear();
                }
                buffer.extend_from_slice(black_box(frame));
            });
        });
    }
    group.finish();
}

fn slice(criterion: &mut Criterion) {
    let mut log = Log::default();
    for _ in 0..WINDOW.messages {
        log.append(Timestamp::from_micros(1), |out| out.extend_from_slice(&[b'x'; 128]));
    }
    let mut group = criterion.benchmark_group("slice");
    for lag in [1, 16, 256] {
        group.bench_with_input(BenchmarkId::new("messages", lag), &lag, |bencher, lag| {
            bencher
                .iter(|| log.slice(black_box(log.head() - lag), log.head()).map(|slice| slice.bytes().len()));
        });
        group.bench_with_input(BenchmarkId::new("cut", lag), &lag, |bencher, lag| {
            let slice = log.slice(log.head() - lag, log.head());
            bencher.iter(|| slice.map(|slice| slice.cut(black_box(100))));
        });
    }
    group.finish();
}

/// A member's connection that takes everything at once: it copies, as a kernel does, and forgets.
struct Sink(RefCell<Vec<u8>>);

impl Peer for Sink {
    fn send(&self, slice: &Slice<'_>) -> Sent {
        let mut buffer = self.0.borrow_mut();
        buffer.clear();
        buffer.extend_from_slice(slice.bytes());
        Sent::All
    }

    fn reply(&self, _: &[u8], _: u64) {}

    fn address(&self) -> Option<SocketAddr> {
        None
    }
}

/// A shard with one relay room, all members of one kind.
fn room(variant: Variant) -> Shard<Sink> {
    let limits = RoomLimits {
        window: WINDOW,
        on_lag: OnLag::Close,
        bounds: Arc::new(Bounds::new(1)),
        block_size: BlockSize::DEFAULT,
        parallel_members: usize::MAX,
        open_rooms: true,
        dedup_window: Duration::ZERO,
        notices: Notices::default(),
        store: None,
        deflate: DEFLATE,
    };
    let mut shard = Shard::new(limits, 0, 1, Box::new(Sequential));
    for number in 0..MEMBERS {
        let join = Join {
            member: MemberKey(number),
            session: SessionKey(number.into()),
            session_id: number.into(),
            room: "r".into(),
            format: Format::Relay,
            user: "".into(),
            peer: Sink(RefCell::default()),
            start: Start::Live,
            welcome: false,
            variant,
            announced: true,
            creates: true,
            encoding: None,
            reply: None,
        };
        shard.apply(Command::Join(Box::new(join)), &Arena::default(), Timestamp::from_micros(1).into());
    }
    shard
}

/// JSON as a chat has it.
fn payload(size: usize) -> String {
    let lines = (0..).flat_map(|number| {
        let text = format!("{{\"sender\":\"user{number}\",\"content\":\"hello number {}\"}}", number * 7919);
        text.into_bytes()
    });
    lines.take(size).map(char::from).collect()
}

fn broadcast(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("broadcast");
    for size in [1024, 16 * 1024] {
        let payload = payload(size);
        for (name, variant) in [("plain", Variant::Plain), ("deflated", Variant::Deflated)] {
            let mut shard = room(variant);
            group.bench_with_input(BenchmarkId::new(name, size), &payload, |bencher, payload| {
                let mut arena = Arena::default();
                bencher.iter(|| {
                    arena.clear(usize::MAX);
                    let Some(content) = TextSpan::store(&mut arena.text, black_box(payload)) else { return };
                    let message = Publication::Text { content, id: None };
                    let publish = Command::Publish { member: MemberKey(0), message };
                    shard.apply(publish, &arena, Timestamp::from_micros(2).into());
                    while shard.pump(usize::MAX) {}
                });
            });
        }
        group.bench_with_input(BenchmarkId::new("one-compression", size), &payload, |bencher, payload| {
            let mut out = Vec::new();
            bencher.iter(|| {
                out.clear();
                DEFLATE.frame(&mut out, OpCode::Text, black_box(payload.as_bytes()), None);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, append, slice, broadcast);
criterion_main!(benches);
