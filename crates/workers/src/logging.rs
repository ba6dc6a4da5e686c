//! Passes log records to the logger on a separate thread.
//!
//! The logger is the program's code: it may block, panic, or call this crate. No thread of this crate waits for it.

use std::fmt::Arguments;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use log::Level;

/// How many records may wait for the logger. Further records get lost.
const MAX_RECORDS: usize = 4096;

type Record = (Level, &'static str, String);

static QUEUE: LazyLock<SyncSender<Record>> = LazyLock::new(|| {
    let (queue, records) = sync_channel(MAX_RECORDS);
    // If the thread does not start, all records get lost.
    let _ = thread::Builder::new()
        .name(concat!(env!("CARGO_PKG_NAME"), "-log").to_owned())
        .spawn(move || write_all(&records));
    queue
});

fn write_all(records: &Receiver<Record>) {
    for (level, target, text) in records {
        let panicked = catch_unwind(AssertUnwindSafe(|| log::log!(target: target, level, "{text}"))).err();
        // The payload of the logger's panic may panic when it is dropped, too.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panicked))) {
            std::mem::forget(second);
        }
    }
}

/// Queues one record for the logger.
pub(crate) fn write(level: Level, target: &'static str, text: Arguments<'_>) {
    // `log_enabled!` would call the logger.
    if level <= log::max_level() {
        let _ = QUEUE.try_send((level, target, text.to_string()));
    }
}

/// `record!(Warn, "text")`.
macro_rules! record {
    ($level:ident, $($text:tt)+) => {
        $crate::logging::write(log::Level::$level, module_path!(), format_args!($($text)+))
    };
}

pub(crate) use record;
