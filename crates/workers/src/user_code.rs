//! Calls code of the program, such as handlers, and catches its panics.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs code of the program. If it panics, returns the message of the panic.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        // The payload is a value of the program, so its `drop` may panic, too. Leak the payload of that second panic.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            std::mem::forget(second);
        }
        text.unwrap_or_else(|| "without a message".to_owned())
    })
}
