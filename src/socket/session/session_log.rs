//! Log records of a session. A thread that holds no lock passes them to the logger. No other thread waits for the
//! logger.
//!
//! The logger is the user's code: it may call this crate, block, or panic.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::Level;

use crate::logging;

/// Further records are dropped while the logger blocks.
const MOST_RECORDS: usize = 256;
const TARGET: &str = "crustocean::socket";

/// Takes records under any lock. A short-lived thread writes them.
#[derive(Debug, Clone)]
pub(crate) struct LogQueue {
    /// The start of every record: the agent's name.
    name: Arc<str>,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    records: VecDeque<(Level, String)>,
    /// A thread is writing, and also writes records that are added meanwhile.
    writing: bool,
}

impl LogQueue {
    pub(crate) fn new(name: &str) -> Self {
        LogQueue { name: name.into(), queue: Arc::default() }
    }

    /// Adds a record without calling the logger.
    pub(crate) fn add(&self, level: Level, text: std::fmt::Arguments<'_>) {
        // `log_enabled!` would call the logger.
        if level > log::max_level() {
            return;
        }
        let mut queue = self.lock();
        if queue.records.len() >= MOST_RECORDS {
            return;
        }
        queue.records.push_back((level, format!("{}: {text}", self.name)));
        if queue.writing {
            return;
        }
        queue.writing = true;
        drop(queue);
        let this = self.clone();
        let work: Box<dyn FnOnce() + Send> = Box::new(move || this.write_all());
        if std::thread::Builder::new().name("crustocean-log".to_owned()).spawn(work).is_err() {
            // The next record tries to start a thread again.
            self.lock().writing = false;
        }
    }

    /// Writes the waiting records on this thread, which must hold no lock. Used at the end of the program.
    pub(crate) fn flush(&self) {
        while let Some((level, text)) = self.take() {
            logging::pass(level, TARGET, &text);
        }
    }

    fn write_all(&self) {
        loop {
            self.flush();
            let mut queue = self.lock();
            if queue.records.is_empty() {
                queue.writing = false;
                return;
            }
        }
    }

    fn take(&self) -> Option<(Level, String)> {
        self.lock().records.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds a record to a [`LogQueue`]: `note!(log, Warn, "lost {n}")`.
macro_rules! note {
    ($log:expr, $level:ident, $($text:tt)+) => {
        $log.add(log::Level::$level, format_args!($($text)+))
    };
}

pub(crate) use note;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_and_is_bounded() {
        log::set_max_level(log::LevelFilter::Debug);
        let log = LogQueue::new("@larry");
        // As if the logger were blocking.
        log.lock().writing = true;
        note!(log, Trace, "too fine");
        for n in 0..1000 {
            note!(log, Info, "{n}");
        }
        assert_eq!(log.lock().records.len(), MOST_RECORDS);
        assert_eq!(log.take().unwrap(), (Level::Info, "@larry: 0".to_owned()));
        log.flush();
        assert!(log.take().is_none());
    }
}
