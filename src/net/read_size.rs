//! The size of a buffer for reads.

pub(crate) const MIN: usize = 1 << 10;
pub(crate) const MAX: usize = 64 << 10;
/// A large buffer shrinks after this many reads in a row that used less than a quarter of the buffer.
const SMALL_READS: u8 = 8;

/// The size of a buffer for reads: 1 KiB for little data. The size doubles up to 64 KiB under load, and shrinks
/// afterwards.
#[derive(Debug)]
pub(crate) struct ReadSize {
    size: usize,
    small_reads: u8,
}

impl Default for ReadSize {
    fn default() -> Self {
        ReadSize { size: MIN, small_reads: 0 }
    }
}

impl ReadSize {
    pub(crate) fn get(&self) -> usize {
        self.size
    }

    /// Notes how many bytes a read returned.
    pub(crate) fn adapt(&mut self, count: usize) {
        let is_small = count < self.size / 4 && self.size > MIN;
        self.small_reads = if is_small { self.small_reads + 1 } else { 0 };
        if count >= self.size {
            self.size = (self.size * 2).min(MAX);
        } else if self.small_reads == SMALL_READS {
            *self = ReadSize::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_shrinks() {
        let mut size = ReadSize::default();
        let sizes: Vec<_> = (0..8)
            .map(|_| {
                let now = size.get();
                size.adapt(now);
                now
            })
            .collect();
        assert_eq!(sizes, [1024, 2048, 4096, 8192, 16384, 32768, 65536, 65536]);
        for _ in 1..SMALL_READS {
            size.adapt(1);
        }
        size.adapt(MAX / 4);
        assert_eq!(size.get(), MAX, "a larger read among them");
        for _ in 0..SMALL_READS {
            size.adapt(1);
        }
        assert_eq!(size.get(), MIN);
    }
}
