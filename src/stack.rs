//! The stack of threads that end soon.

use std::thread;

/// The stack size of a thread that opens a connection or reads a history and then ends, in bytes.
///
/// Such a thread uses much stack, for HTTP, TLS and JSON. glibc keeps the stack of an ended thread with all the memory
/// that the thread has used, and gives it to a new thread that asks for at least a quarter of the size, and at most the
/// whole. Neither a thread that lives as long as its agent (256 KiB), nor a thread of the program with the usual 2 MiB,
/// gets a stack of this size. Only memory that is used counts.
const SHORT_LIVED: usize = 1536 << 10;

/// A builder of such a thread.
pub(crate) fn short_lived(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned()).stack_size(SHORT_LIVED)
}
