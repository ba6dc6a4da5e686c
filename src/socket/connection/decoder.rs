//! Decodes the packets of a connection.

use std::time::Instant;

use tungstenite::{Bytes, Utf8Bytes};

use crate::error::Error;
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

/// The state of the decoder between two packets.
#[derive(Debug, Default)]
pub(super) struct PacketDecoder {
    /// A packet whose attachments have not come, and when its header came.
    partial: Option<(BinaryPacket, Instant)>,
    /// Whether a ping waits for its pong.
    pong_due: bool,
    /// Frames without content since the last check for a flood.
    idle_frames: u32,
    /// The public id of this session, after the CONNECT reply.
    sid: Option<Box<str>>,
}

impl PacketDecoder {
    /// The time at which the header of an incomplete packet came. The attachments of this packet are missing.
    pub(super) fn incomplete_since(&self) -> Option<Instant> {
        self.partial.as_ref().map(|(_, since)| *since)
    }

    pub(super) fn is_pong_due(&self) -> bool {
        self.pong_due
    }

    pub(super) fn take_pong_due(&mut self) -> bool {
        std::mem::take(&mut self.pong_due)
    }

    /// The number of frames without content since the last call.
    pub(super) fn take_idle_frames(&mut self) -> u32 {
        std::mem::take(&mut self.idle_frames)
    }

    /// Decodes a packet, and adds what the session needs to `into`.
    ///
    /// # Errors
    /// Why the connection must end.
    pub(super) fn accept(
        &mut self,
        packet: IncomingPacket,
        into: &mut Vec<Inbound>,
    ) -> Result<(), Disconnect> {
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
                return Err(Disconnect::new(reason::PARSE_ERROR, "the server sent a second open packet"));
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
            return Err(Disconnect::new(reason::PARSE_ERROR, "the server sent text instead of attachments"));
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

fn malformed(error: Error) -> Disconnect {
    Disconnect::new(reason::PARSE_ERROR, error)
}
