//! How fast received bytes become messages. `cargo bench --bench ws` runs all of it in about two minutes.
//!
//! - `header`: one header, from its bytes to a value.
//! - `unmask`: unmasking alone and with validation, against copying the same bytes: the limit of the memory.
//! - `text`: validating short payloads, which is where the library's `unsafe` earns its place.
//! - `decode`: 64 KiB of small masked text messages, against `tungstenite` and `fastwebsockets`.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use foghorn::ws::mask::Mask;
use foghorn::ws::text::Payload;
use foghorn::ws::{Decoder, Event, Input, OpCode, Role, encode, header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Keeps ASCII within ASCII: masked text is text too, and can be unmasked in place over and over.
const KEY: [u8; 4] = [0x21, 0x43, 0x15, 0x37];

/// What one read of a busy socket gives.
const READ_BYTES: usize = 64 * 1024;

fn header(c: &mut Criterion) {
    let mut group = c.benchmark_group("header");
    for payload_len in [16, 1000, 100_000] {
        let mut frame = Vec::new();
        encode::masked(&mut frame, OpCode::Text, &vec![b'a'; payload_len], KEY);
        group.bench_function(BenchmarkId::from_parameter(payload_len), |b| {
            b.iter(|| header::parse(black_box(&frame), Role::Server, false));
        });
    }
    group.finish();
}

fn unmask(c: &mut Criterion) {
    let mut group = c.benchmark_group("unmask");
    for len in [16_u32, 64, 256, 1024, 4096, 16_384, 65_536, 1 << 20] {
        let mut payload = vec![b'a'; len as usize];
        let mut copy = payload.clone();
        group.throughput(Throughput::Bytes(len.into()));
        group.bench_function(BenchmarkId::new("memcpy", len), |b| {
            b.iter(|| black_box(&mut copy[..]).copy_from_slice(black_box(&payload)));
        });
        group.bench_function(BenchmarkId::new("unmask", len), |b| {
            b.iter(|| Mask::new(black_box(KEY)).apply(black_box(&mut payload)));
        });
        group.bench_function(BenchmarkId::new("unmask and validate", len), |b| {
            b.iter(|| Payload::unmask(black_box(&mut payload), Mask::new(black_box(KEY))).text().is_ok());
        });
    }
    group.finish();
}

/// Masked ASCII behind headers of six bytes, at any alignment as in a read buffer, unmasked and validated.
fn text(c: &mut Criterion) {
    let mut group = c.benchmark_group("text");
    for len in [16, 40, 128] {
        let count = 1000;
        let mut buffer = vec![b'a'; count * (6 + len)];
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("std", len), |b| {
            b.iter(|| {
                unmask_each(&mut buffer, len, |payload| {
                    Mask::new(KEY).apply(payload);
                    str::from_utf8(payload).is_ok()
                })
            });
        });
        group.bench_function(BenchmarkId::new("simdutf8", len), |b| {
            b.iter(|| {
                unmask_each(&mut buffer, len, |payload| {
                    Mask::new(KEY).apply(payload);
                    simdutf8::basic::from_utf8(payload).is_ok()
                })
            });
        });
        group.bench_function(BenchmarkId::new("foghorn", len), |b| {
            b.iter(|| {
                unmask_each(&mut buffer, len, |payload| {
                    Payload::unmask(payload, Mask::new(KEY)).text().is_ok()
                })
            });
        });
    }
    group.finish();
}

fn unmask_each(buffer: &mut [u8], len: usize, mut unmask: impl FnMut(&mut [u8]) -> bool) {
    for frame in black_box(buffer).chunks_mut(6 + len) {
        black_box(unmask(&mut frame[6..]));
    }
}

/// All three get the same 64 KiB in one read, which copies them from `wire` as `read(2)` copies from the kernel,
/// and hand out every message as text that has been validated: the same work. Each keeps one connection with its
/// buffers over all iterations. `memcpy` is that copy alone, which every figure contains.
///
/// `fastwebsockets` runs with its SIMD validation, over a reader that is always ready, one `block_on` for all
/// messages of a read, and with the collector that a server needs for fragments.
fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    let texts = [
        ("16 B", "0123456789abcde\n".to_owned()),
        ("128 B", "0123456789abcde\n".repeat(8)),
        ("108 B not ASCII", "Größe: κόσμε 🎺\n".repeat(4)),
    ];
    for (name, text) in texts {
        let mut message = Vec::new();
        encode::masked(&mut message, OpCode::Text, text.as_bytes(), KEY);
        let count = READ_BYTES / message.len();
        let wire = message.repeat(count);
        group.throughput(Throughput::Elements(count as u64));

        let mut buffer = vec![0; wire.len()];
        group.bench_function(BenchmarkId::new("memcpy", name), |b| {
            b.iter(|| black_box(&mut buffer[..]).copy_from_slice(black_box(&wire)));
        });
        group.bench_function(BenchmarkId::new("foghorn", name), |b| {
            let mut decoder = Decoder::new(Role::Server, READ_BYTES);
            b.iter(|| assert_eq!(read_with_foghorn(&mut decoder, &mut buffer, &wire), count));
        });
        group.bench_function(BenchmarkId::new("fastwebsockets", name), |b| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("needs no driver");
            let role = fastwebsockets::Role::Server;
            let socket = fastwebsockets::WebSocket::after_handshake(Wire::new(&wire), role);
            let mut socket = fastwebsockets::FragmentCollector::new(socket);
            b.iter(|| {
                runtime.block_on(async {
                    for _ in 0..count {
                        black_box(&socket.read_frame().await.expect("a frame").payload);
                    }
                });
            });
        });
        group.bench_function(BenchmarkId::new("tungstenite", name), |b| {
            let role = tungstenite::protocol::Role::Server;
            let mut socket = tungstenite::WebSocket::from_raw_socket(Wire::new(&wire), role, None);
            b.iter(|| {
                for _ in 0..count {
                    black_box(&socket.read().expect("a message"));
                }
            });
        });
    }
    group.finish();
}

/// Returns the number of messages.
fn read_with_foghorn(decoder: &mut Decoder, buffer: &mut [u8], wire: &[u8]) -> usize {
    buffer.copy_from_slice(wire);
    let mut input = Input::new(buffer);
    let mut count = 0;
    while let Some(event) = decoder.poll(&mut input).expect("no rule is broken") {
        let Event::Message(message) = event else { continue };
        black_box(&message);
        count += 1;
    }
    count
}

/// A socket that gives the same bytes over and over, and swallows what is written.
struct Wire<'w> {
    bytes: &'w [u8],
    rest: &'w [u8],
}

impl<'w> Wire<'w> {
    fn new(bytes: &'w [u8]) -> Self {
        Self { bytes, rest: bytes }
    }
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.bytes;
        }
        self.rest.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.read(buffer.initialize_unfilled())?;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

criterion_group! {
    name = ws;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots();
    targets = header, unmask, text, decode
}
criterion_main!(ws);
