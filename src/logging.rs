//! Writes this crate's log records. The logger is the user's code, so the crate catches panics of the logger.

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
