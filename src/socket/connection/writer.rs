//! How threads send over a connection: each on its own thread, under the link's lock.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tungstenite::{Message, Utf8Bytes};

use crate::deadline;
use crate::error::Error;
use crate::socket::connection::Connection;
use crate::socket::connection::link::{Link, unanswered_probe};
use crate::socket::disconnect::{Disconnect, SendFailure, reason};
use crate::socket::protocol::socket_io;

/// How long a send that does not wait may take to get the lock, which other threads usually hold for microseconds.
const LOCK_LIMIT: Duration = Duration::from_millis(20);

impl Connection {
    /// Writes a frame on the caller's thread. Returns its number.
    pub(crate) fn send(&self, frame: Utf8Bytes) -> Result<u64, SendFailure> {
        self.check_size(frame.len())?;
        if let Some(polling) = &self.polling {
            return polling.post_frame(self, &frame);
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
        let Some(mut link) = deadline::lock(&self.link, deadline::after(LOCK_LIMIT)) else {
            return Err(SendFailure::busy("another message is being sent"));
        };
        if let Some(end) = link.over() {
            return Err(SendFailure::NotSent(end));
        }
        if let Some(polling) = &self.polling {
            return polling.post_soon(self, link, frame);
        }
        if link.without_waiting(Link::probe_after_sleep).is_some() {
            return Err(SendFailure::busy(
                "the computer was asleep, and the server has not shown yet that it is still there",
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
        Ok(self.arrivals.sent_one())
    }

    /// Sends the rest of a message on a short-lived thread.
    pub(super) fn flush_soon(self: &Arc<Self>) {
        let connection = Arc::clone(self);
        self.start_flush(Box::new(move || {
            if connection.link().flush().is_err() {
                connection.cut();
            }
        }));
    }

    /// Runs the work on a short-lived thread. If the system cannot start a thread, ends the connection, because the
    /// caller has already reported the data as sent.
    pub(super) fn start_flush(&self, work: Box<dyn FnOnce() + Send>) {
        if std::thread::Builder::new().name("crustocean-flush".to_owned()).spawn(work).is_err() {
            self.cut();
        }
    }

    /// The server would close the connection for a larger message.
    fn check_size(&self, size: usize) -> Result<(), SendFailure> {
        match self.handshake.max_payload {
            Some(max) if size > max => {
                let text = format!("the message is {size} bytes, the server takes at most {max}: split it");
                Err(SendFailure::Refused(Error::invalid(text)))
            }
            _ => Ok(()),
        }
    }

    /// Returns the locked link. If the machine was suspended, waits for a sign of life first.
    fn awake(&self) -> MutexGuard<'_, Link> {
        let mut link = self.link();
        while let Some(deadline) = link.probe_after_sleep() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                link.set_end(unanswered_probe());
                self.cut();
                self.alive.notify_all();
                break;
            }
            link = self.alive.wait_timeout(link, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        link
    }

    /// Sends a ping, so that a blocked read returns. Does nothing with polling.
    pub(crate) fn nudge(&self) {
        let mut link = self.link();
        if !self.is_polling() && link.over().is_none() {
            link.ping();
        }
    }

    /// Leaves the namespace and starts the closing handshake. The reader sees the end.
    pub(crate) fn send_close(&self, deadline: Instant) {
        // If the lock is not free in time, a write blocks, and a clean close is not possible.
        let Some(mut link) = deadline::lock(&self.link, deadline) else { return self.cut() };
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
            polling.post_closing_packets(self, deadline);
        }
    }
}

/// Why the connection refuses a send that does not wait.
pub(super) const SERVER_IS_SLOW: &str = "the server does not read as fast as messages are sent";

impl Link {
    /// How many bytes the operating system has taken.
    fn written(&mut self) -> u64 {
        self.stream.wire_mut().map_or(0, |wire| wire.written())
    }

    /// Writes a message. A failure ends the connection.
    pub(super) fn write(&mut self, message: Message) -> Result<(), Disconnect> {
        let written = self.stream.write(message);
        if let Some(end) = self.write_failed() {
            return Err(end);
        }
        written.map_err(|error| self.set_end(Disconnect::new(reason::TRANSPORT_ERROR, error)))
    }

    /// Does work whose writes do not wait. The wire keeps bytes that the system does not take at once, and the caller
    /// must [flush](Link::flush) them.
    pub(super) fn without_waiting<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let set_nonblocking = |link: &mut Self, on| {
            if let Some(wire) = link.stream.wire_mut() {
                wire.set_nonblocking_writes(on);
            }
        };
        set_nonblocking(self, true);
        let result = work(self);
        set_nonblocking(self, false);
        result
    }

    pub(super) fn has_overflow(&mut self) -> bool {
        self.stream.wire_mut().is_some_and(|wire| wire.has_overflow())
    }

    /// Writes the kept bytes.
    fn flush(&mut self) -> Result<(), Disconnect> {
        let flushed = self.stream.wire_mut().map_or(Ok(()), |wire| wire.flush_overflow());
        flushed.map_err(|error| {
            self.set_end(Disconnect::new(reason::TRANSPORT_ERROR, format!("writing failed: {error}")))
        })
    }

    /// Sends a ping, whose answer also confirms earlier events. The reader sees any failure.
    pub(super) fn ping(&mut self) {
        let number = self.arrivals.sent().to_string();
        let _ = self.write(Message::Ping(number.into()));
    }

    /// Leaves the namespace and starts the closing handshake. With polling, only notes that the client leaves the
    /// namespace.
    fn send_close(&mut self, deadline: Instant) {
        if let Some(wire) = self.stream.wire_mut() {
            // The closing packets may use all the remaining time.
            let _ = wire.set_write_timeout(deadline.saturating_duration_since(Instant::now()));
        }
        if self.arrivals.unconfirmed() > 0 {
            // The server reads this ping before the DISCONNECT packet, so it answers the ping even if it closes the
            // connection after that packet.
            self.ping();
        }
        let _ = self.write(Message::text(socket_io::DISCONNECT_FRAME));
        self.stream.close();
        self.closing = true;
    }
}
