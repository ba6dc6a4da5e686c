//! WebSocket and decoder of one link: everything that happens under the link's lock.

use std::io::ErrorKind as IoKind;
use std::time::{Duration, Instant};

use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Bytes, Message, Utf8Bytes, WebSocket};

use crate::error::Error;
use crate::net::Stream;
use crate::net::wire::Wire;
use crate::socket::engine::{self, Frame};
use crate::socket::event::{AckArgs, Complete, Partial, RawEvent};
use crate::socket::link::{Inbound, LinkEnd, reason};
use crate::socket::packet::{self, Kind, Reply};
use crate::socket::pulse::{Clock, Dead, Flood, LONGEST_MESSAGE, Pulse};
use crate::socket::tap::Tap;
use crate::socket::websocket::snippet;

/// How long the other side of a link that slept may take to show that it is alive.
pub(crate) const PROBE: Duration = Duration::from_secs(5);
/// How long saying why the link is given up may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Channel {
    ws: WebSocket<Tap<Stream>>,
    partial: Option<Partial>,
    /// Attachments that do not come end the link.
    partial_since: Instant,
    pong_due: bool,
    /// Data messages that came out of `ws`.
    messages: u64,
    /// Frames since the last turn that carry nothing.
    idle_frames: u32,
    /// The public id of this session, once the server has said it.
    sid: Option<Box<str>>,
    pulse: Pulse,
    flood: Flood,
    clock: Clock,
    /// Until when a sign of life has to come, after the machine slept.
    probe: Option<Instant>,
    /// We have said goodbye: nothing is sent any more, but the answer is still read.
    closing: bool,
    end: Option<LinkEnd>,
}

impl Channel {
    pub(crate) fn new(ws: WebSocket<Tap<Stream>>, silence: Duration, clock: Clock) -> Self {
        let now = Instant::now();
        // The open packet has been read.
        let messages = ws.get_ref().frames.messages().min(1);
        Channel {
            ws,
            partial: None,
            partial_since: now,
            pong_due: false,
            messages,
            idle_frames: 0,
            sid: None,
            pulse: Pulse::new(silence, now),
            flood: Flood::new(now),
            clock,
            probe: None,
            closing: false,
            end: None,
        }
    }

    pub(crate) fn wire_mut(&mut self) -> &mut Wire {
        self.ws.get_mut().get_mut().wire_mut()
    }

    /// Why nothing can be sent any more, if so.
    pub(crate) fn over(&mut self) -> Option<LinkEnd> {
        if let Some(end) = &self.end {
            return Some(end.clone());
        }
        if self.closing {
            return Some(LinkEnd::new(reason::CLIENT_DISCONNECT, ""));
        }
        if !self.ws.can_write() {
            return Some(LinkEnd::new(reason::TRANSPORT_CLOSE, "the connection is closing"));
        }
        self.write_failed()
    }

    /// What ended the link, for whoever reads.
    pub(crate) fn end(&self) -> Option<LinkEnd> {
        self.end.clone()
    }

    /// The link is over. The first reason is the one that counts.
    pub(crate) fn set_end(&mut self, end: LinkEnd) -> LinkEnd {
        self.probe = None;
        self.end.get_or_insert(end).clone()
    }

    /// TLS and WebSocket both swallow failed writes; the lowest stream remembers them.
    fn write_failed(&mut self) -> Option<LinkEnd> {
        let kind = self.wire_mut().write_failure()?;
        Some(self.set_end(LinkEnd::new(reason::TRANSPORT_ERROR, format!("writing failed: {kind}"))))
    }

    /// How many bytes the operating system has taken from us.
    pub(crate) fn written(&self) -> u64 {
        self.ws.get_ref().get_ref().wire().written()
    }

    pub(crate) fn write(&mut self, message: Message) -> Result<(), LinkEnd> {
        let written = self.ws.write(message).and_then(|()| self.ws.flush());
        if let Some(end) = self.write_failed() {
            return Err(end);
        }
        written.map_err(|error| self.set_end(LinkEnd::new(reason::TRANSPORT_ERROR, error.to_string())))
    }

    /// Leaves the namespace and starts the closing handshake.
    pub(crate) fn say_goodbye(&mut self) {
        if self.over().is_some() {
            return;
        }
        let _ = self.write(Message::text(packet::DISCONNECT_FRAME));
        let frame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") };
        let _ = self.ws.close(Some(frame));
        let _ = self.ws.flush();
        self.closing = true;
    }

    /// Tells the server why it is left: politeness, so it may fail, and it must not take long.
    fn say_why(&mut self, code: Option<CloseCode>) {
        if self.wire_mut().set_write_timeout(FAREWELL).is_ok() {
            let reason = Utf8Bytes::from_static("");
            let _ = self.ws.close(code.map(|code| CloseFrame { code, reason }));
        }
    }

    /// If the machine was suspended, asks the other side whether it is still there. Until it says something, nothing
    /// is sent: on a dead link it would be lost.
    pub(crate) fn probe_after_sleep(&mut self) -> Option<Instant> {
        if self.clock.slept() && self.end.is_none() && !self.closing {
            log::debug!("the computer was asleep: asking the server for a sign of life");
            self.probe = Some(Instant::now() + PROBE);
            let _ = self.write(Message::Ping(Bytes::new()));
        }
        self.probe
    }

    /// When whoever reads has to come back even if nothing comes.
    ///
    /// # Errors
    /// When the other side has been silent for too long, in one way or another.
    pub(crate) fn check(&mut self, now: Instant) -> Result<Instant, LinkEnd> {
        let mut due = self.pulse.check(now).map_err(|dead| match dead {
            Dead::Silent => LinkEnd::new(reason::PING_TIMEOUT, "nothing whole came for too long"),
            Dead::TooSlow => LinkEnd::new(reason::TRANSPORT_ERROR, "a message took longer than a minute"),
        })?;
        if let Some(probe) = self.probe {
            if now >= probe {
                return Err(unanswered_probe());
            }
            due = due.min(probe);
        }
        if self.partial.is_some() {
            let end = self.partial_since + LONGEST_MESSAGE;
            if now >= end {
                return Err(LinkEnd::new(reason::PARSE_ERROR, "attachments did not come"));
            }
            due = due.min(end);
        }
        Ok(due)
    }

    /// Takes apart all that is buffered, and answers pings.
    pub(crate) fn decode(&mut self, into: &mut Vec<Inbound>) -> Result<(), LinkEnd> {
        let result = loop {
            match self.ws.read() {
                Ok(message) => {
                    if let Err(end) = self.accept(message, into) {
                        break Err(end);
                    }
                }
                Err(tungstenite::Error::Io(error)) if error.kind() == IoKind::WouldBlock => break Ok(()),
                Err(error) => break Err(self.broken(&error)),
            }
        };
        if result.is_ok() && std::mem::take(&mut self.pong_due) && self.over().is_none() {
            self.write(Message::text(engine::PONG))?;
        }
        if let Some(end) = self.write_failed() {
            return Err(end);
        }
        result?;

        let now = Instant::now();
        let tap = self.ws.get_mut();
        let (seen, partial) = (tap.frames.take(), tap.frames.is_partial());
        self.pulse.heard(seen, partial, now);
        if seen.messages > 0 || seen.controls > 0 {
            self.probe = None;
        }
        let idle = std::mem::take(&mut self.idle_frames).saturating_add(seen.controls);
        if self.flood.add(idle, now) {
            self.say_why(Some(CloseCode::Policy));
            return Err(LinkEnd::new(reason::TRANSPORT_ERROR, "the server floods us with control frames"));
        }
        Ok(())
    }

    /// tungstenite's error in the official client's words.
    fn broken(&mut self, error: &tungstenite::Error) -> LinkEnd {
        use tungstenite::Error as E;
        use tungstenite::error::ProtocolError as P;
        let frames = &self.ws.get_ref().frames;
        if let Some(code) = frames.close()
            && matches!(error, E::Utf8(_) | E::Protocol(P::InvalidCloseSequence))
            && self.messages >= frames.messages()
        {
            // It was a close frame, only not a neat one.
            return closed_by_server(code, "");
        }
        let mut detail = error.to_string();
        let (reason, code) = match error {
            E::ConnectionClosed | E::AlreadyClosed | E::Protocol(P::ResetWithoutClosingHandshake) => {
                (reason::TRANSPORT_CLOSE, None)
            }
            E::Io(error) if matches!(error.kind(), IoKind::ConnectionReset | IoKind::UnexpectedEof) => {
                (reason::TRANSPORT_CLOSE, None)
            }
            E::Utf8(_) => (reason::PARSE_ERROR, Some(CloseCode::Invalid)),
            E::Capacity(_) => (reason::TRANSPORT_ERROR, Some(CloseCode::Size)),
            E::Protocol(_) if frames.saw_http() => {
                detail = super::websocket::rejected_after_upgrade();
                (reason::TRANSPORT_ERROR, Some(CloseCode::Protocol))
            }
            E::Protocol(_) => (reason::TRANSPORT_ERROR, Some(CloseCode::Protocol)),
            _ => (reason::TRANSPORT_ERROR, None),
        };
        if code.is_some() {
            self.say_why(code);
        }
        LinkEnd::new(reason, detail)
    }

    fn accept(&mut self, message: Message, into: &mut Vec<Inbound>) -> Result<(), LinkEnd> {
        match message {
            Message::Text(text) => {
                self.messages += 1;
                self.accept_text(&text, into).inspect_err(|_| self.say_why(None))
            }
            Message::Binary(bytes) => {
                self.messages += 1;
                self.accept_binary(bytes, into).inspect_err(|_| self.say_why(None))
            }
            Message::Close(frame) => {
                // Its answer is ready and only has to go out.
                self.say_why(None);
                let said = frame.map_or_else(String::new, |frame| snippet(&frame.reason));
                Err(closed_by_server(self.ws.get_ref().frames.close().flatten(), &said))
            }
            // tungstenite answers WebSocket pings itself.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    fn accept_binary(&mut self, bytes: Bytes, into: &mut Vec<Inbound>) -> Result<(), LinkEnd> {
        let Some(partial) = &mut self.partial else {
            return Err(LinkEnd::new(reason::PARSE_ERROR, "binary data without a header"));
        };
        if partial.push(bytes).map_err(malformed)? {
            self.finish_partial(into)?;
        }
        Ok(())
    }

    fn accept_text(&mut self, text: &Utf8Bytes, into: &mut Vec<Inbound>) -> Result<(), LinkEnd> {
        match engine::decode(text) {
            Ok(Frame::Message(packet)) => self.accept_packet(text, packet, into),
            Ok(Frame::Ping(_)) => {
                // One pong answers any number of pings that came together.
                self.pong_due = true;
                self.idle_frames = self.idle_frames.saturating_add(1);
                Ok(())
            }
            Ok(Frame::Pong | Frame::Upgrade | Frame::Noop) => {
                self.idle_frames = self.idle_frames.saturating_add(1);
                Ok(())
            }
            Ok(Frame::Close) => Err(LinkEnd::new(reason::TRANSPORT_CLOSE, "the server ended the session")),
            Ok(Frame::Open(_)) => Err(LinkEnd::new(reason::PARSE_ERROR, "a second open packet")),
            Err(error) => Err(LinkEnd::new(reason::TRANSPORT_ERROR, error.to_string())),
        }
    }

    fn accept_packet(
        &mut self,
        frame: &Utf8Bytes,
        text: &str,
        into: &mut Vec<Inbound>,
    ) -> Result<(), LinkEnd> {
        if self.partial.is_some() {
            return Err(LinkEnd::new(reason::PARSE_ERROR, "text while attachments were due"));
        }
        let packet = packet::decode(text).map_err(malformed)?;
        // Only the main namespace was joined. A query after the name is of Socket.IO v2.
        let foreign = packet.namespace.split('?').next() != Some("/");
        if foreign {
            log::debug!("ignored a packet of namespace {:?}", snippet(packet.namespace));
        }
        match packet.kind {
            // Its attachments have to be taken off the wire, whoever it is for.
            Kind::BinaryEvent | Kind::BinaryAck => {
                let partial = Partial::new(frame, &packet, foreign);
                let complete = partial.is_complete();
                self.partial = Some(partial);
                self.partial_since = Instant::now();
                if complete {
                    self.finish_partial(into)?;
                }
            }
            _ if foreign => {}
            Kind::Event => {
                let event = RawEvent::new(frame, packet.data, packet.id, Vec::new()).map_err(malformed)?;
                into.push(Inbound::Event(event));
            }
            Kind::Ack => {
                let args = AckArgs::new(packet.data).map_err(malformed)?;
                into.push(Inbound::Ack(packet.id.unwrap_or_default(), args));
            }
            Kind::Connect => self.accept_reply(Reply::parse(packet.data), into)?,
            Kind::ConnectError => into.push(Inbound::Refused(packet.data.to_owned())),
            Kind::Disconnect => {
                return Err(LinkEnd::new(reason::SERVER_DISCONNECT, "the server ended the session"));
            }
        }
        Ok(())
    }

    /// The same answer twice is nothing; another one means that the server has forgotten the session we know.
    fn accept_reply(&mut self, reply: Reply, into: &mut Vec<Inbound>) -> Result<(), LinkEnd> {
        match &self.sid {
            Some(sid) if reply.sid.as_ref() == Some(sid) => {
                log::debug!("the server answered CONNECT twice");
                Ok(())
            }
            Some(_) => Err(LinkEnd::new(reason::PARSE_ERROR, "the server began another session")),
            None => {
                self.sid.clone_from(&reply.sid);
                into.push(Inbound::Connected(reply));
                Ok(())
            }
        }
    }

    fn finish_partial(&mut self, into: &mut Vec<Inbound>) -> Result<(), LinkEnd> {
        let Some(partial) = self.partial.take() else { return Ok(()) };
        match partial.finish().map_err(malformed)? {
            Complete::Event(event) => into.push(Inbound::Event(event)),
            Complete::Ack(id, args) => into.push(Inbound::Ack(id, args)),
            Complete::Foreign => {}
        }
        Ok(())
    }
}

fn malformed(error: Error) -> LinkEnd {
    LinkEnd::new(reason::PARSE_ERROR, error.to_string())
}

pub(crate) fn unanswered_probe() -> LinkEnd {
    LinkEnd::new(reason::PING_TIMEOUT, "the server gave no sign of life after the computer had slept")
}

fn closed_by_server(code: Option<u16>, said: &str) -> LinkEnd {
    let detail = match code {
        Some(code) => format!("the server closed with code {code} {said}"),
        None => "the server closed without a code".to_owned(),
    };
    LinkEnd::new(reason::TRANSPORT_CLOSE, detail.trim_end())
}
