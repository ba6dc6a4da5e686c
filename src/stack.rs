//! The stack of threads that end soon.

use std::thread;

/// The stack size of a thread that opens a connection or reads a history and then ends, in bytes.
///
/// Such a thread uses much stack, for HTTP, TLS and JSON. glibc keeps the stack of an ended thread with all the memory
/// that the thread has used, and reuses it for a new thread whose stack is at most as large and at least a quarter of
/// it. So glibc does not give such a stack to a thread that runs as long as its agent (256 KiB), or to a usual thread
/// of the program (2 MiB), and these threads do not keep that memory. The unused part of a stack needs no memory.
const SHORT_LIVED: usize = 1536 << 10;

/// A builder of such a thread.
pub(crate) fn short_lived(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned()).stack_size(SHORT_LIVED)
}
