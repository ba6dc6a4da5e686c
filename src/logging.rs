//! Writes this crate's log records. The logger is the user's code, so the crate catches panics of the logger.

use std::collections::VecDeque;
use std::fmt::Arguments;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::Level;

/// Further records are dropped while the logger blocks.
const MOST_RECORDS: usize = 1024;

static QUEUE: Mutex<Queue> = Mutex::new(Queue { records: VecDeque::new(), writing: false });

struct Queue {
    records: VecDeque<(Level, &'static str, String)>,
    writing: bool,
}

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes one record to the logger, on a thread of its own: the caller may hold locks, and the logger may block.
pub(crate) fn write(level: Level, target: &'static str, text: Arguments<'_>) {
    // `log_enabled!` would call the logger.
    if level > log::max_level() {
        return;
    }
    // The text may contain an error of the program.
    let Ok(text) = caught(|| text.to_string()) else { return };
    let mut queue = queue();
    if queue.records.len() >= MOST_RECORDS {
        return;
    }
    queue.records.push_back((level, target, text));
    if !std::mem::replace(&mut queue.writing, true) {
        drop(queue);
        let started = std::thread::Builder::new().name("crustocean-log".to_owned()).spawn(write_all);
        if started.is_err() {
            self::queue().writing = false;
        }
    }
}

fn write_all() {
    loop {
        let mut queue = queue();
        let Some((level, target, text)) = queue.records.pop_front() else {
            queue.writing = false;
            return;
        };
        drop(queue);
        pass(level, target, &text);
    }
}

/// Calls the logger on this thread.
pub(crate) fn pass(level: Level, target: &str, text: &str) {
    let _ = caught(|| log::log!(target: target, level, "{text}"));
}

/// Runs code of the program. If it panics, returns what it says. The drop of the panic's payload is code of the program,
/// too.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        // A second payload is leaked.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            std::mem::forget(second);
        }
        text.unwrap_or_else(|| "without words".to_owned())
    })
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
    allow(unused_macros, reason = "only a webhook has an error of its own")
)]
macro_rules! error {
    ($($text:tt)+) => {
        $crate::logging::write(log::Level::Error, module_path!(), format_args!($($text)+))
    };
}

pub(crate) use {debug, error, info, warning as warn};
