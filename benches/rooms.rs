//! What does a message cost the room's log, and what does a member cost that reads from it?
//!
//! `cargo bench --bench rooms`. Appending is compared with copying the same bytes into a plain buffer in the same run.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use foghorn::rooms::Timestamp;
use foghorn::rooms::log::{Log, Window};

const WINDOW: Window = Window { messages: 256, bytes: 1 << 20 };
const SIZES: [usize; 3] = [128, 1024, 16 * 1024];

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

criterion_group!(benches, append, slice);
criterion_main!(benches);
