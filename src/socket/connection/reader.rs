//! Reads a connection, on the thread with the reader role.

use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

use crate::socket::connection::Connection;
use crate::socket::connection::decoder::Inbound;
use crate::socket::connection::link::Link;
use crate::socket::disconnect::Disconnect;

impl Connection {
    /// Decodes buffered bytes without reading from the socket. Call it once before the first turn: no event of the
    /// socket announces bytes that came with the handshake.
    pub(crate) fn drain(&self, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let mut link = self.core.link();
        link.decode(into).map_err(|end| link.set_end(end))?;
        self.answer_ping(link)
    }

    /// Blocks until bytes come, `until` passes or the connection ends, and decodes the bytes. Only the thread with
    /// the reader role may call this. After a failure, every call fails with the same reason.
    pub(crate) fn turn(&self, until: Option<Instant>, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut link = self.core.link();
            if let Some(end) = link.end() {
                return Err(end);
            }
            if link.has_more() {
                let due = link.decode(into).and_then(|()| link.check(Instant::now()));
                reader.due = due.map_err(|end| link.set_end(end))?;
                return self.answer_ping(link);
            }
        }
        if let Some(polling) = &self.polling
            && !polling.connect(&self.core, &mut reader, until, into)?
        {
            return Ok(());
        }
        let read = reader.read(until);
        let mut link = self.core.link();
        let is_waited_for = link.is_waited_for();
        // If another thread has ended the connection, that thread has also ended the read.
        let outcome = match link.end() {
            Some(end) => Err(end),
            None => reader.take(read, &mut link, into),
        };
        // Notifies only if threads may wait for a sign of life: a notification that no thread needs would cost a
        // system call per read.
        if is_waited_for {
            self.core.alive.notify_all();
        }
        reader.due = outcome.map_err(|end| link.set_end(end))?;
        self.answer_ping(link)
    }

    /// Long-polling: answers a ping if one came. Over a WebSocket, the link does so.
    fn answer_ping(&self, link: MutexGuard<'_, Link>) -> Result<(), Disconnect> {
        self.polling.as_ref().map_or(Ok(()), |polling| polling.answer_ping(&self.core, link))
    }
}
