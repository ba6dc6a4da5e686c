//! Log records of this crate. A logger is code of the user's: when it panics, nothing else ends.

use std::fmt::Arguments;
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::Level;

/// Hands one record to the logger.
pub(crate) fn write(level: Level, target: &str, text: Arguments<'_>) {
    // `log_enabled!` would ask the logger.
    if level <= log::max_level() {
        let _ = catch_unwind(AssertUnwindSafe(|| log::log!(target: target, level, "{text}")));
    }
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

pub(crate) use {debug, info, warning as warn};
