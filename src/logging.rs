//! Writes this crate's log records on a separate thread.
//!
//! The logger is the program's code: it may block, panic, or call this crate. So no thread that holds a lock, or that
//! other threads wait for, calls the logger. The crate queues each record instead. The thread `crustocean-log` passes
//! the records to the logger in order, and ends when the queue is empty.

use std::collections::VecDeque;
use std::fmt::Arguments;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use log::Level;

use crate::threads;
use crate::user_code::caught;

/// The most queued records, and the most bytes of their texts, because a record may quote a server. While the logger
/// blocks, the queue drops further records.
const MAX_RECORDS: usize = 4096;
const MAX_BYTES: usize = 4 << 20;
/// How long the end of a program waits for its last records.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

static QUEUE: Mutex<LogQueue> = Mutex::new(LogQueue::new());
static WRITTEN: Condvar = Condvar::new();

struct Record {
    level: Level,
    target: &'static str,
    text: String,
}

struct LogQueue {
    records: VecDeque<Record>,
    /// The length of the records' texts.
    bytes: usize,
    /// The number of dropped records that are not reported yet.
    dropped: u64,
    /// A thread is writing, and also writes records that are added meanwhile.
    writing: bool,
    writer: Option<ThreadId>,
}

impl LogQueue {
    const fn new() -> Self {
        LogQueue { records: VecDeque::new(), bytes: 0, dropped: 0, writing: false, writer: None }
    }

    /// Adds a record. Returns whether a thread must be started to write it.
    fn add(&mut self, record: Record) -> bool {
        if self.records.len() >= MAX_RECORDS || self.bytes.saturating_add(record.text.len()) > MAX_BYTES {
            self.dropped += 1;
            // Even if the first record alone is too large, a thread must report the dropped record.
            return !std::mem::replace(&mut self.writing, true);
        }
        self.bytes += record.text.len();
        self.records.push_back(record);
        !std::mem::replace(&mut self.writing, true)
    }

    fn next(&mut self) -> Option<Record> {
        let waiting = self.records.pop_front();
        self.bytes -= waiting.as_ref().map_or(0, |record| record.text.len());
        waiting.or_else(|| match std::mem::take(&mut self.dropped) {
            0 => None,
            dropped => {
                let text = format!(
                    "{dropped} records were dropped, because they were too large or the logger was blocked"
                );
                Some(Record { level: Level::Warn, target: module_path!(), text })
            }
        })
    }
}

/// Queues one record for the logger.
pub(crate) fn write(level: Level, target: &'static str, text: Arguments<'_>) {
    // `log_enabled!` would call the logger.
    if level > log::max_level() {
        return;
    }
    // Formatting may run code of the program: the `Display` of its error types.
    let Ok(text) = caught(|| text.to_string()) else { return };
    let needs_thread = queue().add(Record { level, target, text });
    if needs_thread && threads::start("crustocean-log", write_all).is_err() {
        // The next record tries to start a thread again.
        queue().writing = false;
    }
}

/// Waits until the logger has all records, at most one second. For the end of a program.
pub(crate) fn flush() {
    let queue = queue();
    // The logger itself may drop the last handle of an agent.
    if queue.writer != Some(thread::current().id()) {
        let _ = WRITTEN.wait_timeout_while(queue, FLUSH_TIMEOUT, |queue| queue.writing);
    }
}

fn write_all() {
    queue().writer = Some(thread::current().id());
    loop {
        let mut queue = queue();
        let Some(record) = queue.next() else {
            (queue.writing, queue.writer) = (false, None);
            WRITTEN.notify_all();
            return;
        };
        drop(queue);
        pass(&record);
    }
}

fn pass(Record { level, target, text }: &Record) {
    let _ = caught(|| log::log!(target: target, *level, "{text}"));
}

fn queue() -> MutexGuard<'static, LogQueue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

macro_rules! debug {
    ($($text:tt)+) => {
        $crate::logging::write(log::Level::Debug, module_path!(), format_args!($($text)+))
    };
}

macro_rules! info {
    ($($text:tt)+) => {
        $crate::logging::write(log::Level::Info, module_path!(), format_args!($($text)+))
    };
}

macro_rules! warning {
    ($($text:tt)+) => {
        $crate::logging::write(log::Level::Warn, module_path!(), format_args!($($text)+))
    };
}

#[cfg_attr(
    not(feature = "receiver"),
    allow(unused_macros, reason = "only webhooks write records of this level")
)]
macro_rules! error {
    ($($text:tt)+) => {
        $crate::logging::write(log::Level::Error, module_path!(), format_args!($($text)+))
    };
}

pub(crate) use {debug, error, info, warning as warn};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_keeps_the_order_and_says_how_much_it_has_dropped() {
        let mut queue = LogQueue::new();
        let record = |number: usize| Record { level: Level::Info, target: "test", text: number.to_string() };
        assert!(queue.add(record(0)), "a thread is needed");
        assert!((1..MAX_RECORDS + 7).all(|number| !queue.add(record(number))));
        for number in 0..MAX_RECORDS {
            assert_eq!(queue.next().unwrap().text, number.to_string());
        }
        let last = queue.next().unwrap();
        assert_eq!(last.level, Level::Warn);
        assert!(last.text.starts_with("7 records were dropped"), "{}", last.text);
        assert!(queue.next().is_none());
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn the_queue_is_bounded_in_bytes() {
        let mut queue = LogQueue::new();
        let large = || Record { level: Level::Info, target: "test", text: "x".repeat(MAX_BYTES / 3) };
        for _ in 0..9 {
            queue.add(large());
        }
        assert_eq!((queue.records.len(), queue.dropped), (3, 6));
        while queue.next().is_some() {}
        assert_eq!(queue.bytes, 0);
    }
}
