//! How threads send over a connection: each on its own thread, under the decoder's lock.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tungstenite::{Bytes, Message, Utf8Bytes};

use crate::deadline;
use crate::error::Error;
use crate::socket::connection::Connection;
use crate::socket::connection::decoder::{PacketDecoder, unanswered_probe};
use crate::socket::disconnect::{Disconnect, SendFailure, reason};

/// How long a send that does not wait may take to get the lock, which is usually held for microseconds.
const LOCK_LIMIT: Duration = Duration::from_millis(20);

impl Connection {
    /// Writes a frame on the caller's thread. Returns its number.
    pub(crate) fn send(&self, frame: Utf8Bytes) -> Result<u64, SendFailure> {
        self.send_packet(frame, &[])
    }

    /// Writes a frame if this is possible without waiting for the server, for another sender, or for a sign of life
    /// after a sleep. With long-polling a short-lived thread posts it.
    pub(crate) fn try_send(self: &Arc<Self>, frame: Utf8Bytes) -> Result<u64, SendFailure> {
        self.check_size(frame.len())?;
        let busy = |what: &str| SendFailure::Busy(Disconnect::new(reason::TRANSPORT_ERROR, what));
        let Some(mut decoder) = self.lock_until(deadline::after(LOCK_LIMIT)) else {
            return Err(busy("another message is being sent"));
        };
        if let Some(end) = decoder.over() {
            return Err(SendFailure::NotSent(end));
        }
        if self.poll_sender.is_some() {
            // Pushes under the lock, so that a later goodbye posts this frame first.
            let taken = self.outbox.push(frame, &self.arrivals);
            drop(decoder);
            let taken = taken.ok_or_else(|| busy("the server does not read as fast as messages are sent"))?;
            if taken.needs_thread {
                self.post_soon();
            }
            return Ok(taken.number);
        }
        if decoder.probe_without_waiting().is_some() {
            return Err(busy(
                "the computer was asleep, and the server has not shown yet that it is still there",
            ));
        }
        if decoder.has_overflow() {
            return Err(busy("the server does not read as fast as messages are sent"));
        }
        let before = decoder.written();
        let rest = decoder.write_without_waiting(Message::Text(frame)).map_err(|end| {
            self.cut();
            if decoder.written() == before { SendFailure::NotSent(end) } else { SendFailure::MaybeSent(end) }
        })?;
        if rest {
            self.flush_soon();
        }
        Ok(self.arrivals.sent_one())
    }

    /// Sends the rest of a message on a short-lived thread.
    pub(super) fn flush_soon(self: &Arc<Self>) {
        let connection = Arc::clone(self);
        let work: Box<dyn FnOnce() + Send> = Box::new(move || {
            if connection.decoder().flush().is_err() {
                connection.cut();
            }
        });
        if std::thread::Builder::new().name("crustocean-flush".to_owned()).spawn(work).is_err() {
            // Half a message was sent, and no thread could be started to send the rest.
            self.cut();
        }
    }

    /// Writes a header and its attachments without other frames between them.
    pub(super) fn send_packet(&self, header: Utf8Bytes, attachments: &[Bytes]) -> Result<u64, SendFailure> {
        self.check_size(header.len())?;
        attachments.iter().try_for_each(|bytes| self.check_size(bytes.len()))?;
        if let Some(poll_sender) = &self.poll_sender {
            return self.post_packet(poll_sender, &header, attachments);
        }
        let mut decoder = self.awake();
        if let Some(end) = decoder.over() {
            return Err(SendFailure::NotSent(end));
        }
        let before = decoder.written();
        let mut result = decoder.write(Message::Text(header));
        for bytes in attachments {
            if result.is_ok() {
                result = decoder.write(Message::Binary(bytes.clone()));
            }
        }
        result.map_err(|end| {
            self.cut();
            if decoder.written() == before { SendFailure::NotSent(end) } else { SendFailure::MaybeSent(end) }
        })?;
        Ok(self.arrivals.sent_one())
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

    /// Returns the locked decoder. If the machine was suspended, waits for a sign of life first.
    fn awake(&self) -> MutexGuard<'_, PacketDecoder> {
        let mut decoder = self.decoder();
        while let Some(deadline) = decoder.probe_after_sleep() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                decoder.set_end(unanswered_probe());
                self.cut();
                self.alive.notify_all();
                break;
            }
            decoder = self.alive.wait_timeout(decoder, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        decoder
    }

    /// Sends a ping, so that a blocked read returns. Not possible with polling.
    pub(crate) fn nudge(&self) {
        let mut decoder = self.decoder();
        if self.poll_sender.is_none() && decoder.over().is_none() {
            decoder.ping();
        }
    }

    /// Leaves the namespace and starts the closing handshake. The reader sees the end.
    pub(crate) fn say_goodbye(&self, deadline: Instant) {
        // A write is stuck, so a clean close is not possible.
        let Some(mut decoder) = self.lock_until(deadline) else { return self.cut() };
        if !decoder.say_goodbye(deadline) {
            return;
        }
        if decoder.end().is_some() {
            // The write failed. Cutting the connection wakes the reader.
            return self.cut();
        }
        drop(decoder);
        if let Some(poll_sender) = &self.poll_sender {
            self.post_goodbye(poll_sender, deadline);
        }
    }

    fn lock_until(&self, deadline: Instant) -> Option<MutexGuard<'_, PacketDecoder>> {
        loop {
            match self.decoder.try_lock() {
                Ok(decoder) => return Some(decoder),
                Err(std::sync::TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(std::sync::TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
                // The lock is held for microseconds, unless a write is stuck.
                Err(std::sync::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}
