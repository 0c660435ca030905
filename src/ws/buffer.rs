//! What messages that arrive in pieces are gathered in.

/// A smaller buffer is not worth keeping, nor reading into.
// The reactor's own buffer serves everything shorter without another read.
pub(super) const WORTHWHILE_BYTES: usize = 16 * 1024;
/// A larger buffer is given back to the allocator.
// One large message must not keep its memory for ever.
const SPARE_BYTES_MAX: usize = 2 << 20;
const SPARES_MAX: usize = 4;

/// Bytes that grow at their end, in memory that may have served before.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    /// Bytes of this message, then zeros or those of former ones: the place that is read into.
    memory: Vec<u8>,
    len: usize,
}

impl Buffer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[..self.len]
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Appends `piece`, and shows where it lies now. `max`: what the buffer may ever have to hold.
    pub(super) fn push(&mut self, piece: &[u8], max: usize) -> &mut [u8] {
        self.grow(piece.len(), max);
        self.memory[self.len..][..piece.len()].copy_from_slice(piece);
        self.fill(piece.len())
    }

    /// The place for the next bytes: `wanted`, or fewer, for memory grows with what has come. See [`fill`](Self::fill).
    pub(super) fn space(&mut self, wanted: usize, max: usize) -> &mut [u8] {
        let space = wanted.min(self.len.max(self.memory.len() - self.len));
        self.grow(space, max);
        &mut self.memory[self.len..][..space]
    }

    /// Takes `count` bytes that have been written to its space, and shows where they lie.
    pub(super) fn fill(&mut self, count: usize) -> &mut [u8] {
        let start = self.len;
        self.len += count;
        &mut self.memory[start..self.len]
    }

    /// Makes room for this number of bytes more, doubling as `Vec` does, but not past `max`.
    fn grow(&mut self, more: usize, max: usize) {
        let len = self.len + more;
        if len > self.memory.capacity() {
            let capacity = (2 * self.memory.capacity()).min(max).max(len);
            self.memory.reserve_exact(capacity - self.memory.len());
        }
        if len > self.memory.len() {
            self.memory.resize(len, 0);
        }
    }
}

/// A few buffers that large messages have left behind, shared by all decoders of one thread: 8 MiB at most.
///
/// The allocator returns large buffers to the kernel at once and has every page of the next one cleared: without spare
/// ones an echo of 256 KiB takes more than twice as long.
#[derive(Debug, Default)]
pub struct Spares {
    memories: Vec<Vec<u8>>,
}

impl Spares {
    /// An empty buffer for a message that lacks `len` bytes; with memory, if there is any to spare.
    pub(super) fn take(&mut self, len: usize) -> Buffer {
        let memory = if len < WORTHWHILE_BYTES { None } else { self.memories.pop() };
        Buffer { memory: memory.unwrap_or_default(), len: 0 }
    }

    /// Keeps the memory, if it is of use.
    pub(super) fn put(&mut self, buffer: Buffer) {
        let useful = (WORTHWHILE_BYTES..=SPARE_BYTES_MAX).contains(&buffer.capacity());
        if useful && self.memories.len() < SPARES_MAX {
            self.memories.push(buffer.memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    fn buffer(len: usize) -> Buffer {
        let mut buffer = Buffer::default();
        buffer.push(&vec![1; len], len);
        buffer
    }

    #[test]
    fn what_is_pushed_and_what_is_read_into_follow_each_other() {
        let mut spares = Spares::default();
        spares.put(buffer(WORTHWHILE_BYTES));
        for mut buffer in [Buffer::default(), spares.take(MAX)] {
            assert_eq!(buffer.push(b"ab", MAX), b"ab");
            buffer.space(2, MAX).copy_from_slice(b"cd");
            assert_eq!(buffer.fill(1), b"c");
            assert_eq!(buffer.push(b"e", MAX), b"e");
            assert_eq!(buffer.bytes(), b"abce");
        }
    }

    #[test]
    fn the_place_to_read_into_is_no_larger_than_what_has_come_unless_memory_is_there() {
        assert_eq!(Buffer::default().space(MAX, MAX).len(), 0);
        let mut fresh = buffer(100);
        assert_eq!(fresh.space(MAX, MAX).len(), 100);
        assert!(fresh.capacity() <= 200);
        let mut spares = Spares::default();
        spares.put(buffer(WORTHWHILE_BYTES));
        assert_eq!(spares.take(MAX).space(MAX, MAX).len(), WORTHWHILE_BYTES);
    }

    #[test]
    fn large_buffers_are_used_again_and_only_a_few_are_kept() {
        let mut spares = Spares::default();
        spares.put(buffer(100_000));
        assert_eq!(spares.take(100).capacity(), 0);
        let again = spares.take(20_000);
        assert!(again.bytes().is_empty() && again.capacity() >= 100_000);
        assert_eq!(spares.take(20_000).capacity(), 0);
        for len in [100, SPARE_BYTES_MAX + 1] {
            spares.put(buffer(len));
            assert_eq!(spares.take(20_000).capacity(), 0, "{len}");
        }
        (0..100).for_each(|_| spares.put(buffer(WORTHWHILE_BYTES)));
        assert_eq!(spares.memories.len(), SPARES_MAX);
    }
}
