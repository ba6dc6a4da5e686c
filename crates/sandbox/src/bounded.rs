//! A queue that drops its oldest entries.

use std::collections::VecDeque;

/// A queue with a limit on entries and on bytes. The newest entry always stays.
#[derive(Debug)]
pub(crate) struct Bounded<T> {
    entries: VecDeque<(usize, T)>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
}

impl<T> Bounded<T> {
    pub(crate) fn new(most: usize, most_bytes: usize) -> Self {
        Bounded { entries: VecDeque::new(), bytes: 0, most, most_bytes }
    }

    pub(crate) fn push(&mut self, entry: T, size: usize) {
        self.bytes += size;
        self.entries.push_back((size, entry));
        while self.entries.len() > 1 && (self.entries.len() > self.most || self.bytes > self.most_bytes) {
            let Some((size, _)) = self.entries.pop_front() else { return };
            self.bytes -= size;
        }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.entries.iter().map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_by_number_and_by_bytes() {
        let mut few = Bounded::new(2, 100);
        (0..5).for_each(|n| few.push(n, 1));
        assert_eq!(few.iter().copied().collect::<Vec<_>>(), [3, 4]);
        few.push(5, 99);
        few.push(6, 500);
        assert_eq!(few.iter().copied().collect::<Vec<_>>(), [6]);
    }
}
