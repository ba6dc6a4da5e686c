//! The state under the lock of a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::socket::connection::arrivals::Arrivals;
use crate::socket::connection::decoder::PacketDecoder;
use crate::socket::connection::liveness::{FloodDetector, LONGEST_MESSAGE, Liveness, SleepDetector};
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::transport::packet_stream::PacketStream;

/// How long the server may take to answer a ping after the machine slept.
const PROBE: Duration = Duration::from_secs(5);

/// The transport of a [`Connection`](crate::socket::connection::Connection), its decoder, and whether the server is
/// still alive. [`decoder`](super::decoder) reads, [`writer`](super::writer) writes.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: Box<dyn PacketStream>,
    pub(super) decoder: PacketDecoder,
    pub(super) arrivals: Arc<Arrivals>,
    /// The number of the last event before the last pong. The server's next ping confirms the events up to this number.
    pub(super) sent_before_pong: Option<u64>,
    pub(super) liveness: Liveness,
    pub(super) flood: FloodDetector,
    clock: SleepDetector,
    /// The deadline for a sign of life from the server, after the machine slept.
    pub(super) probe: Option<Instant>,
    /// Closing has started: the client sends nothing more, but still reads answers.
    pub(super) closing: bool,
    end: Option<Disconnect>,
}

impl Link {
    pub(super) fn new(
        stream: Box<dyn PacketStream>,
        silence: Duration,
        clock: SleepDetector,
        arrivals: Arc<Arrivals>,
    ) -> Self {
        let now = Instant::now();
        Link {
            stream,
            decoder: PacketDecoder::default(),
            arrivals,
            sent_before_pong: None,
            liveness: Liveness::new(silence, now),
            flood: FloodDetector::new(now),
            clock,
            probe: None,
            closing: false,
            end: None,
        }
    }

    /// Why the connection ended, for the reader.
    pub(super) fn end(&self) -> Option<Disconnect> {
        self.end.clone()
    }

    /// Ends the connection. The first reason counts.
    pub(super) fn set_end(&mut self, end: Disconnect) -> Disconnect {
        self.probe = None;
        self.end.get_or_insert(end).clone()
    }

    /// The reason why the connection can send nothing more. `None` if sending is possible.
    pub(super) fn over(&mut self) -> Option<Disconnect> {
        if let Some(end) = &self.end {
            return Some(end.clone());
        }
        if self.closing {
            return Some(Disconnect::new(reason::CLIENT_DISCONNECT, ""));
        }
        if !self.stream.can_write() {
            return Some(Disconnect::new(reason::TRANSPORT_CLOSE, "the connection is closing"));
        }
        self.write_failed()
    }

    /// TLS and WebSocket libraries hide failed writes; the lowest stream remembers them. Polling checks its own writes.
    pub(super) fn write_failed(&mut self) -> Option<Disconnect> {
        if self.stream.is_polling() {
            return None;
        }
        let kind = self.stream.wire_mut()?.write_failure()?;
        Some(self.set_end(Disconnect::new(reason::TRANSPORT_ERROR, format!("writing failed: {kind}"))))
    }

    /// Whether another thread may be waiting for a sign of life or for the end.
    pub(super) fn is_waited_for(&self) -> bool {
        self.probe.is_some() || self.end.is_some()
    }

    /// If the machine was suspended, pings the server. Senders wait until the server answers, because a message on a
    /// dead connection would be lost. Polling needs no ping, because the server answers each request.
    pub(super) fn probe_after_sleep(&mut self) -> Option<Instant> {
        if self.clock.slept() && !self.stream.is_polling() && self.end.is_none() && !self.closing {
            self.probe = Some(deadline::after(PROBE));
            self.ping();
        }
        self.probe
    }

    /// When the reader must check again, even without data.
    ///
    /// # Errors
    /// If the server has been silent for too long.
    pub(super) fn check(&mut self, now: Instant) -> Result<Instant, Disconnect> {
        let mut due = self.liveness.check(now)?;
        if let Some(probe) = self.probe {
            if now >= probe {
                return Err(unanswered_probe());
            }
            due = due.min(probe);
        }
        if let Some(pause) = self.stream.due() {
            due = due.min(pause);
        }
        if let Some(since) = self.decoder.incomplete_since() {
            let end = since + LONGEST_MESSAGE;
            if now >= end {
                return Err(Disconnect::new(reason::PARSE_ERROR, "attachments did not come"));
            }
            due = due.min(end);
        }
        Ok(due)
    }
}

pub(super) fn unanswered_probe() -> Disconnect {
    Disconnect::new(reason::PING_TIMEOUT, "the server gave no sign of life after the computer had slept")
}
