//! Reading without blocking, for a thread that drives many sessions: while this thread waits for one connection, it
//! could not answer the pings of the others.

use std::io::ErrorKind as IoKind;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use crate::socket::connection::Connection;
use crate::socket::connection::decoder::Inbound;
use crate::socket::disconnect::Disconnect;

/// The result of [`Connection::step`].
#[derive(Debug)]
pub(crate) enum StepResult {
    /// A sender has the lock, so the step has done nothing.
    Busy,
    Done {
        /// When to check again even if nothing comes.
        check_at: Instant,
        /// Whether some bytes of the read are not decoded yet.
        has_more: bool,
        /// Whether the socket may have more bytes, or its end.
        may_have_more: bool,
    },
}

impl Connection {
    /// Like a [`turn`](Connection::turn), but does not wait: not for bytes, not for a sender, and not for the server to
    /// read a pong. `reads`: whether the socket has bytes. Do not call it with long-polling, where it would block.
    pub(crate) fn step(
        self: &Arc<Self>,
        reads: bool,
        into: &mut Vec<Inbound>,
    ) -> Result<StepResult, Disconnect> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut link) = self.core.link_if_free() else { return Ok(StepResult::Busy) };
        if let Some(end) = link.end() {
            return Err(end);
        }
        let is_waited_for = link.is_waited_for();
        let (outcome, may_have_more) = link.without_waiting(|link| {
            if link.has_more() {
                return (link.decode(into).and_then(|()| link.check(Instant::now())), reads);
            }
            let full = reader.wire.buffer_size();
            let read = if reads { reader.read(Some(Instant::now())) } else { Err(IoKind::WouldBlock.into()) };
            let is_full = read.as_ref().is_ok_and(|count| *count >= full);
            (reader.take(read, link, into), is_full)
        });
        if is_waited_for {
            self.core.alive.notify_all();
        }
        let check_at = outcome.map_err(|end| link.set_end(end))?;
        reader.due = check_at;
        if link.has_overflow() {
            self.flush_soon();
        }
        // Otherwise a thousand connections that mostly wait would keep three buffers each.
        link.stream.release_buffers();
        reader.wire.release();
        Ok(StepResult::Done { check_at, has_more: link.has_more(), may_have_more })
    }
}
