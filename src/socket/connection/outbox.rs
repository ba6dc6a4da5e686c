//! The outbox of long-polling: messages of sends that do not wait, until a request carries them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tungstenite::Utf8Bytes;

use crate::socket::connection::arrivals::Arrivals;

/// The limit for waiting bytes. The outbox always accepts one message.
const MAX_BYTES: usize = 64 << 10;

/// The separator between the packets of a body.
const SEPARATOR: char = '\x1e';

#[derive(Debug, Default)]
pub(super) struct Outbox(Mutex<WaitingFrames>);

#[derive(Debug, Default)]
struct WaitingFrames {
    /// The waiting frames, with their numbers.
    frames: VecDeque<(Utf8Bytes, u64)>,
    bytes: usize,
    /// A thread is posting the frames.
    has_thread: bool,
}

/// The result of accepting a message.
pub(super) struct Taken {
    pub(super) number: u64,
    /// No thread is posting the outbox yet.
    pub(super) needs_thread: bool,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, WaitingFrames> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts a message and counts it as sent. `None` if too many bytes wait.
    pub(super) fn push(&self, frame: Utf8Bytes, arrivals: &Arrivals) -> Option<Taken> {
        let mut waiting = self.lock();
        if !waiting.frames.is_empty() && waiting.bytes + frame.len() > MAX_BYTES {
            return None;
        }
        let number = arrivals.sent_one();
        waiting.bytes += frame.len();
        waiting.frames.push_back((frame, number));
        let needs_thread = !std::mem::replace(&mut waiting.has_thread, true);
        Some(Taken { number, needs_thread })
    }

    /// The next body to post, and the number of its last message.
    pub(super) fn next_body(&self, max: Option<usize>) -> Option<(String, u64)> {
        let mut waiting = self.lock();
        let (frame, mut last) = waiting.frames.pop_front()?;
        let mut body = frame.as_str().to_owned();
        let fits = |body: &String, frame: &Utf8Bytes| {
            max.is_none_or(|max| body.len() + SEPARATOR.len_utf8() + frame.len() <= max)
        };
        while waiting.frames.front().is_some_and(|(frame, _)| fits(&body, frame))
            && let Some((frame, number)) = waiting.frames.pop_front()
        {
            body.push(SEPARATOR);
            body.push_str(&frame);
            last = number;
        }
        waiting.bytes = waiting.frames.iter().map(|(frame, _)| frame.len()).sum();
        Some((body, last))
    }

    /// Counts a message that the caller posts directly. `None` if other messages wait, because they must go first.
    pub(super) fn number_if_empty(&self, arrivals: &Arrivals) -> Option<u64> {
        let waiting = self.lock();
        waiting.frames.is_empty().then(|| arrivals.sent_one())
    }

    /// Whether the thread that posts may end.
    pub(super) fn end_thread(&self) -> bool {
        let mut waiting = self.lock();
        waiting.has_thread = !waiting.frames.is_empty();
        !waiting.has_thread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_share_bodies_and_keep_their_order_and_bound() {
        let (outbox, arrivals) = (Outbox::default(), Arrivals::default());
        assert!(outbox.push("4a".into(), &arrivals).unwrap().needs_thread);
        for text in ["4bb", "4ccc"] {
            assert!(!outbox.push(text.into(), &arrivals).unwrap().needs_thread);
        }
        assert!(outbox.number_if_empty(&arrivals).is_none(), "they go first");
        assert_eq!(outbox.next_body(Some(7)), Some(("4a\u{1e}4bb".to_owned(), 2)));
        assert!(!outbox.end_thread());
        assert_eq!(outbox.next_body(None), Some(("4ccc".to_owned(), 3)));
        assert!(outbox.next_body(None).is_none() && outbox.end_thread());
        assert_eq!(outbox.number_if_empty(&arrivals), Some(4));

        let large = Utf8Bytes::from("4".repeat(2 * MAX_BYTES));
        assert!(outbox.push(large, &arrivals).unwrap().needs_thread, "one is always taken");
        assert!(outbox.push("4d".into(), &arrivals).is_none());
    }

    #[test]
    fn t94_a_body_is_never_too_large() {
        let (outbox, arrivals) = (Outbox::default(), Arrivals::default());
        for text in ["4é", "412345", "42", "4567890123"] {
            outbox.push(text.into(), &arrivals).unwrap();
        }
        let bodies: Vec<String> =
            std::iter::from_fn(|| outbox.next_body(Some(10)).map(|(body, _)| body)).collect();
        assert_eq!(bodies, ["4é\u{1e}412345", "42", "4567890123"], "3 + 1 + 6 is exactly the limit");
    }
}
