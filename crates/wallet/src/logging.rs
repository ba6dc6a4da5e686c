//! Log records. The logger is the user's code: a panic in it must not end a thread of this crate, or a call halfway.

use std::fmt::Arguments;
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::Level;

/// Passes one record to the logger.
pub(crate) fn write(level: Level, target: &str, text: Arguments<'_>) {
    // `log_enabled!` would call the logger outside `catch_unwind`.
    if level <= log::max_level() {
        let _ = catch_unwind(AssertUnwindSafe(|| log::log!(target: target, level, "{text}")));
    }
}

/// `record!(Warn, "text")`.
macro_rules! record {
    ($level:ident, $($text:tt)+) => {
        $crate::logging::write(log::Level::$level, module_path!(), format_args!($($text)+))
    };
}

pub(crate) use record;
