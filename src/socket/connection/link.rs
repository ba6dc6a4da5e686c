//! The state under the lock of a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::deadline;
use crate::socket::connection::arrivals::Arrivals;
use crate::socket::connection::decoder::{Inbound, PacketDecoder};
use crate::socket::connection::liveness::{FloodDetector, Liveness, MAX_MESSAGE_TIME, SleepDetector};
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::protocol::{engine_io, socket_io};
use crate::socket::transport::packet_stream::PacketStream;

/// How many packets one call decodes before other threads get a turn. One polling body may contain millions.
const MAX_PACKETS: usize = 1024;
/// How long the server may take to answer a ping after the machine slept.
const PROBE: Duration = Duration::from_secs(5);

/// The transport of a [`Connection`](crate::socket::connection::Connection), its decoder, and whether the server is
/// still alive.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: Box<dyn PacketStream>,
    decoder: PacketDecoder,
    /// The buffers have more packets than one call of [`decode`](Link::decode) takes.
    has_more: bool,
    arrivals: Arc<Arrivals>,
    /// The number of the last event before the last pong. The server's next ping confirms the events up to this number.
    sent_before_pong: Option<u64>,
    liveness: Liveness,
    flood: FloodDetector,
    clock: SleepDetector,
    /// The deadline for a sign of life from the server, after the machine slept.
    probe: Option<Instant>,
    /// Closing has started: the client sends nothing more, but still reads answers.
    closing: bool,
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
            has_more: false,
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
    fn write_failed(&mut self) -> Option<Disconnect> {
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
            let end = since + MAX_MESSAGE_TIME;
            if now >= end {
                return Err(Disconnect::new(reason::PARSE_ERROR, "the server did not send all attachments"));
            }
            due = due.min(end);
        }
        Ok(due)
    }
}

/// Reading.
impl Link {
    /// Decodes the buffered bytes up to a limit, and answers pings if the transport can do this at once.
    pub(super) fn decode(&mut self, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let (before, read_before) = (into.len(), self.stream.bytes_read());
        let result = self.decode_packets(into);
        let read = self.stream.bytes_read() - read_before;
        detach_if_sparse(into.get_mut(before..).unwrap_or_default(), read);
        if let Some(number) = self.stream.take_confirmed() {
            self.arrivals.confirm(number);
        }
        if self.decoder.is_pong_due()
            && let Some(sent) = self.sent_before_pong.take()
        {
            self.arrivals.confirm(sent);
        }
        if result.is_ok() && !self.stream.is_polling() && self.take_pong() {
            self.write(Message::text(engine_io::PONG))?;
            self.sent_before_pong = Some(self.arrivals.sent());
        }
        if let Some(end) = self.write_failed() {
            return Err(end);
        }
        result?;

        let now = Instant::now();
        let (seen, partial) = self.stream.take_seen();
        self.liveness.received(seen, partial, now);
        if seen.messages > 0 || seen.controls > 0 {
            self.probe = None;
        }
        let idle = self.decoder.take_idle_frames().saturating_add(seen.controls);
        if self.flood.add(idle, now) {
            self.stream.send_close_frame(Some(CloseCode::Policy));
            return Err(Disconnect::new(reason::TRANSPORT_ERROR, "the server sends too many control frames"));
        }
        Ok(())
    }

    fn decode_packets(&mut self, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        self.has_more = false;
        for _ in 0..MAX_PACKETS {
            let Some(packet) = self.stream.next()? else { return Ok(()) };
            self.decoder.accept(packet, into).inspect_err(|_| self.stream.send_close_frame(None))?;
        }
        self.has_more = true;
        Ok(())
    }

    /// Whether [`decode`](Link::decode) has work without another read.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Whether the caller must send a pong now.
    pub(super) fn take_pong(&mut self) -> bool {
        self.decoder.take_pong_due() && self.over().is_none()
    }

    /// The socket has ended. Polling continues on another socket, unless a response was incomplete.
    pub(super) fn ended(&mut self, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        self.decode(into)?;
        if self.stream.is_polling() && !self.closing {
            return Ok(());
        }
        Err(Disconnect::new(reason::TRANSPORT_CLOSE, "the server closed the connection"))
    }
}

/// Writing.
impl Link {
    /// How many bytes the operating system has taken.
    pub(super) fn written(&mut self) -> u64 {
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
    pub(super) fn flush(&mut self) -> Result<(), Disconnect> {
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
    pub(super) fn send_close(&mut self, deadline: Instant) {
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

pub(super) fn unanswered_probe() -> Disconnect {
    Disconnect::new(reason::PING_TIMEOUT, "the server sent nothing after the computer was suspended")
}

/// Events share the memory of the read that they came in. A waiting event counts only its own bytes, so it must not
/// keep much more: copies events that are a small part of a read.
fn detach_if_sparse(events: &mut [Inbound], read: u64) {
    let kept = |inbound: &Inbound| match inbound {
        Inbound::Event(event) => event.frame_len() as u64,
        _ => 0,
    };
    if events.iter().map(kept).sum::<u64>() * 2 >= read {
        return;
    }
    for inbound in events {
        if let Inbound::Event(event) = inbound {
            event.detach();
        }
    }
}
