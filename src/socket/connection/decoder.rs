//! Decodes the packets of a connection.

use std::time::Instant;

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Bytes, Message, Utf8Bytes};

use crate::error::Error;
use crate::socket::connection::link::Link;
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::protocol::engine_io::{self, EnginePacket, IncomingPacket};
use crate::socket::protocol::event::{AckArgs, BinaryPacket, Complete, RawEvent};
use crate::socket::protocol::socket_io::{self, ConnectReply, PacketKind};

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

/// How many packets one call decodes before other threads get a turn. One polling body may contain millions.
const MOST_PACKETS: usize = 1024;

/// The state of the decoder between two packets.
#[derive(Debug, Default)]
pub(super) struct PacketDecoder {
    /// A packet whose attachments have not come, and when its header came.
    partial: Option<(BinaryPacket, Instant)>,
    /// The buffers have more packets than one call decodes.
    more: bool,
    /// Whether a ping waits for its pong.
    pong_due: bool,
    /// Frames without content since the last check for a flood.
    idle_frames: u32,
    /// The public id of this session, after the CONNECT reply.
    sid: Option<Box<str>>,
}

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
        if self.decoder.pong_due
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
        self.liveness.heard(seen, partial, now);
        if seen.messages > 0 || seen.controls > 0 {
            self.probe = None;
        }
        let idle = std::mem::take(&mut self.decoder.idle_frames).saturating_add(seen.controls);
        if self.flood.add(idle, now) {
            self.stream.send_close_frame(Some(CloseCode::Policy));
            return Err(Disconnect::new(reason::TRANSPORT_ERROR, "the server sends too many control frames"));
        }
        Ok(())
    }

    fn decode_packets(&mut self, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        self.decoder.more = false;
        for _ in 0..MOST_PACKETS {
            let Some(packet) = self.stream.next()? else { return Ok(()) };
            self.decoder.accept(packet, into).inspect_err(|_| self.stream.send_close_frame(None))?;
        }
        self.decoder.more = true;
        Ok(())
    }

    /// Whether [`decode`](Link::decode) has work without another read.
    pub(super) fn has_more(&self) -> bool {
        self.decoder.more
    }

    /// Whether the caller must send a pong now.
    pub(super) fn take_pong(&mut self) -> bool {
        std::mem::take(&mut self.decoder.pong_due) && self.over().is_none()
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

impl PacketDecoder {
    /// The time at which the header of an incomplete packet came. The attachments of this packet are missing.
    pub(super) fn incomplete_since(&self) -> Option<Instant> {
        self.partial.as_ref().map(|(_, since)| *since)
    }

    fn accept(&mut self, packet: IncomingPacket, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        match packet {
            IncomingPacket::Text(text) => self.accept_text(text, into),
            IncomingPacket::Binary(bytes) => self.accept_binary(bytes, into),
        }
    }

    fn accept_binary(&mut self, bytes: Bytes, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let Some((partial, _)) = &mut self.partial else {
            return Err(Disconnect::new(reason::PARSE_ERROR, "binary data without a header"));
        };
        partial.push(bytes).map_err(malformed)?;
        self.finish_if_complete(into)
    }

    fn accept_text(&mut self, text: Utf8Bytes, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        match engine_io::decode(&text) {
            Ok(EnginePacket::Message(packet)) => return self.accept_packet(&text, packet, into),
            // One pong answers all pings that came together.
            Ok(EnginePacket::Ping(_)) => self.pong_due = true,
            Ok(EnginePacket::Pong | EnginePacket::Upgrade | EnginePacket::Noop) => {}
            Ok(EnginePacket::Close) => return Err(Disconnect::by_server(reason::TRANSPORT_CLOSE)),
            Ok(EnginePacket::Open(_)) => {
                return Err(Disconnect::new(reason::PARSE_ERROR, "a second open packet"));
            }
            Err(error) => return Err(Disconnect::new(reason::TRANSPORT_ERROR, error)),
        }
        self.idle_frames = self.idle_frames.saturating_add(1);
        Ok(())
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
        // The client has joined only the main namespace. A query after the name is from Socket.IO v2.
        let foreign = packet.namespace.split('?').next() != Some("/");
        match packet.kind {
            // The attachments must be read, for any namespace.
            PacketKind::BinaryEvent | PacketKind::BinaryAck => {
                self.partial = Some((BinaryPacket::new(frame, &packet, foreign), Instant::now()));
                self.finish_if_complete(into)?;
            }
            _ if foreign => {}
            // The client has sent no request yet.
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
            PacketKind::Disconnect => return Err(Disconnect::by_server(reason::SERVER_DISCONNECT)),
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

    fn finish_if_complete(&mut self, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let Some((partial, _)) = self.partial.take_if(|(partial, _)| partial.is_complete()) else {
            return Ok(());
        };
        match partial.finish().map_err(malformed)? {
            Complete::Event(event) => into.push(Inbound::Event(event)),
            Complete::Ack(id, args) if self.sid.is_some() => into.push(Inbound::Ack(id, args)),
            Complete::Ack(..) | Complete::Foreign => {}
        }
        Ok(())
    }
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

fn malformed(error: Error) -> Disconnect {
    Disconnect::new(reason::PARSE_ERROR, error)
}
