//! How threads send over a connection: each on its own thread, under the link's lock.

use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use tungstenite::{Message, Utf8Bytes};

use crate::deadline;
use crate::error::Error;
use crate::socket::connection::Connection;
use crate::socket::connection::core::SERVER_IS_SLOW;
use crate::socket::connection::link::{Link, unanswered_probe};
use crate::socket::disconnect::SendFailure;

/// How long a send that does not wait may take to get the lock, which other threads usually hold for microseconds.
const LOCK_LIMIT: Duration = Duration::from_millis(20);

impl Connection {
    /// Writes a frame on the caller's thread. Returns its number.
    pub(crate) fn send(&self, frame: Utf8Bytes) -> Result<u64, SendFailure> {
        self.check_size(frame.len())?;
        if let Some(polling) = &self.polling {
            return polling.post_frame(&self.core, &frame);
        }
        let mut link = self.awake();
        if let Some(end) = link.over() {
            return Err(SendFailure::NotSent(end));
        }
        self.write(&mut link, frame)
    }

    /// Writes a frame if this is possible without waiting for the server, for another sender, or for a sign of life
    /// after a sleep. With long-polling a short-lived thread posts it.
    pub(crate) fn try_send(self: &Arc<Self>, frame: Utf8Bytes) -> Result<u64, SendFailure> {
        self.check_size(frame.len())?;
        let Some(mut link) = self.core.link_until(deadline::after(LOCK_LIMIT)) else {
            return Err(SendFailure::busy("another message is being sent"));
        };
        if let Some(end) = link.over() {
            return Err(SendFailure::NotSent(end));
        }
        if let Some(polling) = &self.polling {
            return polling.post_soon(&self.core, link, frame, || {
                let connection = Arc::clone(self);
                self.core.start_flush(move || {
                    if let Some(polling) = &connection.polling {
                        polling.empty_outbox(&connection.core);
                    }
                });
            });
        }
        if link.without_waiting(Link::probe_after_sleep).is_some() {
            return Err(SendFailure::busy(
                "the computer was suspended, and the server has not answered since",
            ));
        }
        if link.has_overflow() {
            return Err(SendFailure::busy(SERVER_IS_SLOW));
        }
        let sent = link.without_waiting(|link| self.write(link, frame));
        if sent.is_ok() && link.has_overflow() {
            self.flush_soon();
        }
        sent
    }

    /// Returns the number of the frame.
    fn write(&self, link: &mut Link, frame: Utf8Bytes) -> Result<u64, SendFailure> {
        let before = link.written();
        link.write(Message::Text(frame)).map_err(|end| {
            self.cut();
            if link.written() == before { SendFailure::NotSent(end) } else { SendFailure::MaybeSent(end) }
        })?;
        Ok(self.core.arrivals.sent_one())
    }

    /// Sends the rest of a message on a short-lived thread.
    pub(super) fn flush_soon(self: &Arc<Self>) {
        let connection = Arc::clone(self);
        self.core.start_flush(move || {
            if connection.core.link().flush().is_err() {
                connection.cut();
            }
        });
    }

    /// The server would close the connection for a larger message.
    fn check_size(&self, size: usize) -> Result<(), SendFailure> {
        match self.core.handshake.max_payload {
            Some(max) if size > max => {
                let text =
                    format!("the message is {size} bytes, and the server accepts at most {max}: split it");
                Err(SendFailure::Refused(Error::invalid(text)))
            }
            _ => Ok(()),
        }
    }

    /// Returns the locked link. If the machine was suspended, waits for a sign of life first.
    fn awake(&self) -> MutexGuard<'_, Link> {
        let mut link = self.core.link();
        while let Some(deadline) = link.probe_after_sleep() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                link.set_end(unanswered_probe());
                self.cut();
                self.core.alive.notify_all();
                break;
            }
            link = self.core.wait_alive(link, left);
        }
        link
    }

    /// Sends a ping, so that a blocked read returns. Does nothing with polling.
    pub(crate) fn wake(&self) {
        let mut link = self.core.link();
        if !self.is_polling() && link.over().is_none() {
            link.ping();
        }
    }

    /// Leaves the namespace and starts the closing handshake. The reader sees the end.
    pub(crate) fn send_close(&self, deadline: Instant) {
        // If the lock is not free in time, a write blocks, and a clean close is not possible.
        let Some(mut link) = self.core.link_until(deadline) else { return self.cut() };
        if link.over().is_some() {
            return;
        }
        link.send_close(deadline);
        if link.end().is_some() {
            // The write failed. Cutting the connection wakes the reader.
            return self.cut();
        }
        drop(link);
        if let Some(polling) = &self.polling {
            polling.post_closing_packets(&self.core, deadline);
        }
    }
}
