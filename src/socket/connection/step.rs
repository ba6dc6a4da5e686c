//! Reading without blocking, for a thread that keeps many connections.

use std::io::ErrorKind as IoKind;
use std::sync::{Arc, PoisonError, TryLockError};
use std::time::Instant;

use crate::socket::connection::Connection;
use crate::socket::connection::decoder::Inbound;
use crate::socket::disconnect::Disconnect;

/// The result of [`Connection::step`].
#[derive(Debug)]
pub(crate) enum Step {
    /// A sender has the lock: nothing was done.
    Busy,
    Done {
        /// When to check again even if nothing comes.
        check_at: Instant,
        /// Some of the bytes that were read are not decoded yet.
        has_more: bool,
        /// The socket may have more bytes, or its end.
        may_have_more: bool,
    },
}

impl Connection {
    /// Like a [`turn`](Connection::turn), but does not wait: not for bytes, not for a sender, and not for the server to
    /// read a pong. `reads`: the socket is known to have bytes. Must not be called with long-polling, where it would block.
    pub(crate) fn step(self: &Arc<Self>, reads: bool, into: &mut Vec<Inbound>) -> Result<Step, Disconnect> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut decoder = match self.decoder.try_lock() {
            Ok(decoder) => decoder,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(Step::Busy),
        };
        if let Some(end) = decoder.end() {
            return Err(end);
        }
        let is_waited_for = decoder.is_waited_for();
        decoder.set_patient(false);
        let (outcome, may_have_more) = if decoder.has_more() {
            (decoder.decode(into).and_then(|()| decoder.check(Instant::now())), reads)
        } else {
            let read = if reads { reader.read(Some(Instant::now())) } else { Err(IoKind::WouldBlock.into()) };
            let is_full = reader.buffer.is_full();
            (reader.take(read, &mut decoder, into), reads && is_full)
        };
        decoder.set_patient(true);
        if is_waited_for {
            self.alive.notify_all();
        }
        let check_at = outcome.map_err(|end| decoder.set_end(end))?;
        reader.due = check_at;
        if decoder.has_overflow() {
            self.flush_soon();
        }
        // Without this, a thousand connections that mostly wait would keep three buffers each.
        decoder.release_buffers();
        reader.buffer.release();
        Ok(Step::Done { check_at, has_more: decoder.has_more(), may_have_more })
    }
}
