//! Transport and decoder of a connection: the state under the connection's lock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Bytes, Message, Utf8Bytes};

use crate::deadline;
use crate::error::Error;
use crate::net::ReadBuffer;
use crate::socket::connection::arrivals::Arrivals;
use crate::socket::connection::liveness::{Dead, FloodDetector, LONGEST_MESSAGE, Liveness, SleepDetector};
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::protocol::engine_io::Incoming;
use crate::socket::protocol::engine_io::{self, EnginePacket};
use crate::socket::protocol::event::{AckArgs, BinaryPacket, Complete, RawEvent};
use crate::socket::protocol::socket_io::{self, ConnectReply, PacketKind};
use crate::socket::transport::packet_stream::PacketStream;
use crate::socket::transport::polling::PollReceiver;

/// A decoded packet from the server.
#[derive(Debug)]
pub(crate) enum Inbound {
    Event(RawEvent),
    Ack(u64, AckArgs),
    /// The reply to CONNECT. Comes once.
    Connected(ConnectReply),
    /// CONNECT_ERROR, with its JSON or an empty text.
    Refused(String),
}

/// How long the server may take to answer a ping after the machine slept.
pub(crate) const PROBE: Duration = Duration::from_secs(5);

/// How many packets are decoded before other threads get a turn. One polling body may contain millions.
const MOST_PACKETS: usize = 1024;

/// The state under the lock of a [`Connection`](crate::socket::connection::Connection).
#[derive(Debug)]
pub(crate) struct PacketDecoder {
    stream: PacketStream,
    partial: Option<BinaryPacket>,
    /// When the header came. If the attachments take too long, the connection ends.
    partial_since: Instant,
    /// The buffer has more packets than one call decodes.
    more: bool,
    pong_due: bool,
    arrivals: Arc<Arrivals>,
    /// The number of events that were sent before the last pong. The server's next ping confirms them.
    sent_before_pong: Option<u64>,
    /// Frames without content since the last read.
    idle_frames: u32,
    /// The public id of this session, after the CONNECT reply.
    sid: Option<Box<str>>,
    liveness: Liveness,
    flood: FloodDetector,
    clock: SleepDetector,
    /// The deadline for a sign of life from the server, after the machine slept.
    probe: Option<Instant>,
    /// Closing has started: nothing more is sent, but answers are still read.
    closing: bool,
    end: Option<Disconnect>,
}

impl PacketDecoder {
    pub(crate) fn new(
        stream: PacketStream,
        silence: Duration,
        clock: SleepDetector,
        arrivals: Arc<Arrivals>,
    ) -> Self {
        let now = Instant::now();
        PacketDecoder {
            stream,
            partial: None,
            partial_since: now,
            more: false,
            pong_due: false,
            arrivals,
            sent_before_pong: None,
            idle_frames: 0,
            sid: None,
            liveness: Liveness::new(silence, now),
            flood: FloodDetector::new(now),
            clock,
            probe: None,
            closing: false,
            end: None,
        }
    }

    /// Takes the bytes that were read from the socket.
    pub(crate) fn feed(&mut self, buffer: &mut ReadBuffer) -> Result<(), Disconnect> {
        let Some(wire) = self.stream.wire_mut() else { return Ok(()) };
        wire.feed_from(buffer).map_err(|error| Disconnect::new(reason::TRANSPORT_ERROR, error.to_string()))
    }

    /// The socket has ended. Polling continues on another socket, unless a response was incomplete.
    pub(crate) fn ended(&mut self, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        if let Some(wire) = self.stream.wire_mut() {
            wire.end();
        }
        self.decode(into)?;
        if self.stream.is_polling() && !self.closing {
            return Ok(());
        }
        Err(Disconnect::new(reason::TRANSPORT_CLOSE, "the server closed the connection"))
    }

    /// The [`PollReceiver`], with polling.
    pub(crate) fn poll_mut(&mut self) -> Option<&mut PollReceiver> {
        match &mut self.stream {
            PacketStream::Polling(poll) => Some(poll),
            PacketStream::WebSocket(_) => None,
        }
    }

    /// The reason why nothing can be sent any more. `None` if sending is possible.
    pub(crate) fn over(&mut self) -> Option<Disconnect> {
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

    /// Whether another thread may be waiting for a sign of life or for the end.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.probe.is_some() || self.end.is_some()
    }

    /// Why the connection ended, for the reader.
    pub(crate) fn end(&self) -> Option<Disconnect> {
        self.end.clone()
    }

    /// Ends the connection. The first reason counts.
    pub(crate) fn set_end(&mut self, end: Disconnect) -> Disconnect {
        self.probe = None;
        self.end.get_or_insert(end).clone()
    }

    /// TLS and WebSocket libraries hide failed writes; the lowest stream remembers them.
    fn write_failed(&mut self) -> Option<Disconnect> {
        let kind = self.stream.write_failure()?;
        Some(self.set_end(Disconnect::new(reason::TRANSPORT_ERROR, format!("writing failed: {kind}"))))
    }

    /// How many bytes of a WebSocket the operating system has taken.
    pub(crate) fn written(&self) -> u64 {
        self.stream.written()
    }

    /// Writes a message. WebSocket only: a poll cannot send.
    pub(crate) fn write(&mut self, message: Message) -> Result<(), Disconnect> {
        let PacketStream::WebSocket(websocket) = &mut self.stream else { return Ok(()) };
        let written = websocket.write(message);
        if let Some(end) = self.write_failed() {
            return Err(end);
        }
        written.map_err(|error| self.set_end(Disconnect::new(reason::TRANSPORT_ERROR, error.to_string())))
    }

    /// Like [`write`](PacketDecoder::write), but never waits: bytes that the system does not take at once are kept.
    /// Returns `true` if a [`flush`](PacketDecoder::flush) is needed.
    pub(crate) fn write_without_waiting(&mut self, message: Message) -> Result<bool, Disconnect> {
        self.set_patient(false);
        let written = self.write(message);
        self.set_patient(true);
        written.map(|()| self.has_overflow())
    }

    pub(crate) fn set_patient(&mut self, patient: bool) {
        if let Some(wire) = self.stream.wire_mut() {
            wire.set_patient(patient);
        }
    }

    pub(crate) fn has_overflow(&mut self) -> bool {
        self.stream.wire_mut().is_some_and(|wire| wire.has_overflow())
    }

    /// Writes the kept bytes.
    pub(crate) fn flush(&mut self) -> Result<(), Disconnect> {
        let flushed = self.stream.wire_mut().map_or(Ok(()), |wire| wire.flush_overflow());
        flushed.map_err(|error| {
            self.set_end(Disconnect::new(reason::TRANSPORT_ERROR, format!("writing failed: {error}")))
        })
    }

    /// Leaves the namespace and starts the closing handshake. With polling, only notes that the namespace is left.
    /// Returns `false` if the connection has already ended.
    pub(crate) fn say_goodbye(&mut self, deadline: Instant) -> bool {
        if self.over().is_some() {
            return false;
        }
        if let Some(wire) = self.stream.wire_mut() {
            // The goodbye may use all the time that is left.
            let _ = wire.set_write_timeout(deadline.saturating_duration_since(Instant::now()));
        }
        if self.arrivals.unconfirmed() > 0 {
            // A server that closes after the next packet has thereby answered this ping.
            self.ping();
        }
        let _ = self.write(Message::text(socket_io::DISCONNECT_FRAME));
        if let PacketStream::WebSocket(websocket) = &mut self.stream {
            websocket.close();
        }
        self.closing = true;
        true
    }

    /// If the machine was suspended, pings the server. Nothing is sent until it answers, because a message on a dead
    /// connection would be lost. Polling does not need this: each request is answered.
    pub(crate) fn probe_after_sleep(&mut self) -> Option<Instant> {
        if self.clock.slept() && !self.stream.is_polling() && self.end.is_none() && !self.closing {
            self.probe = Some(deadline::after(PROBE));
            self.ping();
        }
        self.probe
    }

    /// Like [`probe_after_sleep`](PacketDecoder::probe_after_sleep), for a thread that must not wait for the server
    /// to read.
    pub(crate) fn probe_without_waiting(&mut self) -> Option<Instant> {
        self.set_patient(false);
        let probe = self.probe_after_sleep();
        self.set_patient(true);
        probe
    }

    /// WebSocket: sends a ping, whose answer also confirms earlier events. The reader sees any failure.
    pub(crate) fn ping(&mut self) {
        let number = self.arrivals.sent().to_string();
        let _ = self.write(Message::Ping(number.into()));
    }

    /// When the reader must check again, even without data.
    ///
    /// # Errors
    /// If the server has been silent for too long.
    pub(crate) fn check(&mut self, now: Instant) -> Result<Instant, Disconnect> {
        let mut due = self.liveness.check(now).map_err(|dead| match dead {
            Dead::Silent => Disconnect::new(reason::PING_TIMEOUT, "nothing whole came for too long"),
            Dead::TooSlow => Disconnect::new(reason::TRANSPORT_ERROR, "a message took longer than a minute"),
        })?;
        if let Some(probe) = self.probe {
            if now >= probe {
                return Err(unanswered_probe());
            }
            due = due.min(probe);
        }
        if let Some(pause) = self.stream.due() {
            due = due.min(pause);
        }
        if self.partial.is_some() {
            let end = self.partial_since + LONGEST_MESSAGE;
            if now >= end {
                return Err(Disconnect::new(reason::PARSE_ERROR, "attachments did not come"));
            }
            due = due.min(end);
        }
        Ok(due)
    }

    /// Frees the memory of empty buffers, for a process with many connections.
    #[cfg(any(feature = "agents", crustocean_model))]
    pub(crate) fn release_buffers(&mut self) {
        if let PacketStream::WebSocket(framed) = &mut self.stream {
            framed.release_buffers();
        }
    }

    /// Whether [`decode`](PacketDecoder::decode) has work without another read.
    pub(crate) fn has_more(&self) -> bool {
        self.more
    }

    /// Decodes the buffered bytes up to a limit, and answers pings if the transport can do this at once.
    pub(crate) fn decode(&mut self, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let (before, read_before) = (into.len(), self.stream.bytes_read());
        let mut packets = 0;
        self.more = false;
        let result = loop {
            if packets >= MOST_PACKETS {
                self.more = true;
                break Ok(());
            }
            packets += 1;
            match self.stream.next() {
                Ok(Some(packet)) => {
                    if let Err(end) = self.accept(packet, into) {
                        break Err(end);
                    }
                }
                Ok(None) => break Ok(()),
                Err(end) => break Err(end),
            }
        };
        let read = self.stream.bytes_read() - read_before;
        detach_if_sparse(into.get_mut(before..).unwrap_or_default(), read);
        if let Some(number) = self.stream.take_confirmed() {
            self.arrivals.confirm(number);
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
        self.liveness.heard(seen, partial, now);
        if seen.messages > 0 || seen.controls > 0 {
            self.probe = None;
        }
        let idle = std::mem::take(&mut self.idle_frames).saturating_add(seen.controls);
        if self.flood.add(idle, now) {
            self.stream.say_why(Some(CloseCode::Policy));
            return Err(Disconnect::new(reason::TRANSPORT_ERROR, "the server floods us with control frames"));
        }
        Ok(())
    }

    /// Whether a pong must be sent now.
    pub(crate) fn take_pong(&mut self) -> bool {
        std::mem::take(&mut self.pong_due) && self.over().is_none()
    }

    fn accept(&mut self, packet: Incoming, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let accepted = match packet {
            Incoming::Text(text) => self.accept_text(text, into),
            Incoming::Binary(bytes) => self.accept_binary(bytes, into),
        };
        accepted.inspect_err(|_| self.stream.say_why(None))
    }

    fn accept_binary(&mut self, bytes: Bytes, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let Some(partial) = &mut self.partial else {
            return Err(Disconnect::new(reason::PARSE_ERROR, "binary data without a header"));
        };
        if partial.push(bytes).map_err(malformed)? {
            self.finish_partial(into)?;
        }
        Ok(())
    }

    fn accept_text(&mut self, text: Utf8Bytes, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        match engine_io::decode(&text) {
            Ok(EnginePacket::Message(packet)) => self.accept_packet(&text, packet, into),
            Ok(EnginePacket::Ping(_)) => {
                // One pong answers all pings that came together.
                if !std::mem::replace(&mut self.pong_due, true)
                    && let Some(sent) = self.sent_before_pong.take()
                {
                    self.arrivals.confirm(sent);
                }
                self.idle_frames = self.idle_frames.saturating_add(1);
                Ok(())
            }
            Ok(EnginePacket::Pong | EnginePacket::Upgrade | EnginePacket::Noop) => {
                self.idle_frames = self.idle_frames.saturating_add(1);
                Ok(())
            }
            Ok(EnginePacket::Close) => Err(Disconnect::told(reason::TRANSPORT_CLOSE)),
            Ok(EnginePacket::Open(_)) => Err(Disconnect::new(reason::PARSE_ERROR, "a second open packet")),
            Err(error) => Err(Disconnect::new(reason::TRANSPORT_ERROR, error.to_string())),
        }
    }

    fn accept_packet(
        &mut self,
        frame: &Utf8Bytes,
        text: &str,
        into: &mut Vec<Inbound>,
    ) -> Result<(), Disconnect> {
        if self.partial.is_some() {
            return Err(Disconnect::new(reason::PARSE_ERROR, "text while attachments were due"));
        }
        let packet = socket_io::decode(text).map_err(malformed)?;
        // Only the main namespace was joined. A query after the name is from Socket.IO v2.
        let foreign = packet.namespace.split('?').next() != Some("/");
        match packet.kind {
            // The attachments must be read, for any namespace.
            PacketKind::BinaryEvent | PacketKind::BinaryAck => {
                let partial = BinaryPacket::new(frame, &packet, foreign);
                let complete = partial.is_complete();
                self.partial = Some(partial);
                self.partial_since = Instant::now();
                if complete {
                    self.finish_partial(into)?;
                }
            }
            _ if foreign => {}
            // No request was sent yet.
            PacketKind::Ack if self.sid.is_none() => {}
            PacketKind::Event => {
                let event = RawEvent::new(frame, packet.data, packet.id, Vec::new()).map_err(malformed)?;
                into.push(Inbound::Event(event));
            }
            PacketKind::Ack => {
                let args = AckArgs::new(packet.data).map_err(malformed)?;
                into.push(Inbound::Ack(packet.id.unwrap_or_default(), args));
            }
            PacketKind::Connect => self.accept_reply(ConnectReply::parse(packet.data), into)?,
            PacketKind::ConnectError => into.push(Inbound::Refused(packet.data.to_owned())),
            PacketKind::Disconnect => {
                return Err(Disconnect::told(reason::SERVER_DISCONNECT));
            }
        }
        Ok(())
    }

    /// Ignores a repeated reply. A different reply means that the server has lost the session.
    fn accept_reply(&mut self, reply: ConnectReply, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        match &self.sid {
            Some(sid) if reply.sid.as_ref() == Some(sid) => Ok(()),
            Some(_) => Err(Disconnect::new(reason::PARSE_ERROR, "the server began another session")),
            None => {
                self.sid.clone_from(&reply.sid);
                into.push(Inbound::Connected(reply));
                Ok(())
            }
        }
    }

    fn finish_partial(&mut self, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let Some(partial) = self.partial.take() else { return Ok(()) };
        match partial.finish().map_err(malformed)? {
            Complete::Event(event) => into.push(Inbound::Event(event)),
            Complete::Ack(id, args) if self.sid.is_some() => into.push(Inbound::Ack(id, args)),
            Complete::Ack(..) => {}
            Complete::Foreign => {}
        }
        Ok(())
    }
}

/// Events share the memory of the read that they came in. A waiting event counts only its own bytes, so it must not
/// keep much more: events that are a small part of a read are copied.
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

fn malformed(error: Error) -> Disconnect {
    Disconnect::new(reason::PARSE_ERROR, error.to_string())
}

pub(crate) fn unanswered_probe() -> Disconnect {
    Disconnect::new(reason::PING_TIMEOUT, "the server gave no sign of life after the computer had slept")
}
