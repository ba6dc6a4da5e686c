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
        text.unwrap_or_else(|| "without a message".to_owned())
    })
}
