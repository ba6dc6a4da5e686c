//! Starts threads.

use std::io;
use std::thread::{Builder, JoinHandle};

/// The stack size of a thread that opens a connection or reads a history and then ends, in bytes.
///
/// Such a thread uses much stack, for HTTP, TLS and JSON. glibc keeps the stack of an ended thread with all the memory
/// that the thread has used, and reuses it for a new thread whose stack is at most as large and at least a quarter of
/// it. So glibc does not give such a stack to a thread that runs as long as its agent (256 KiB), or to a usual thread
/// of the program (2 MiB), and these threads do not keep that memory. The unused part of a stack needs no memory.
const SHORT_LIVED: usize = 1536 << 10;

/// Starts a thread.
///
/// # Errors
/// The system's error if it starts no more threads. Then `work` is dropped.
pub(crate) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    start_boxed(named(name), Box::new(work))
}

/// Starts a thread whose stack has this size in bytes.
///
/// # Errors
/// The errors of [`start`].
pub(crate) fn start_with_stack(
    name: &str,
    stack_size: usize,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    start_boxed(named(name).stack_size(stack_size), Box::new(work))
}

/// Starts a thread that opens a connection or reads a history, and then ends.
///
/// # Errors
/// The errors of [`start`].
pub(crate) fn start_short_lived(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    start_boxed(short_lived(name), Box::new(work))
}

/// Returns a builder for a thread like those of [`start_short_lived`], if the thread has a scope or a result.
pub(crate) fn short_lived(name: &str) -> Builder {
    named(name).stack_size(SHORT_LIVED)
}

fn named(name: &str) -> Builder {
    Builder::new().name(name.to_owned())
}

/// The work is boxed, so that the compiler compiles the code that starts a thread only once.
fn start_boxed(thread: Builder, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    thread.spawn(work)
}
