//! One live connection.
//!
//! Reading and writing are apart. Whoever holds the reader role blocks in `read` on a clone of the TCP socket
//! *without a lock*; under a short lock the bytes are fed to TLS and WebSocket and taken apart. A sender takes the
//! same lock, encodes and writes on its own thread. The lock is held during a write, so writes have a time limit.

use std::io::ErrorKind as IoKind;
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, Utf8Bytes, WebSocket};

use crate::error::{Error, ErrorKind, Result};
use crate::net::{ReadBuffer, Stream};
use crate::socket::engine::{self, Frame, Handshake};
use crate::socket::event::{AckArgs, Complete, Partial, RawEvent};
use crate::socket::packet::{self, Kind};

/// What the server sent, taken apart.
#[derive(Debug)]
pub(crate) enum Inbound {
    Event(RawEvent),
    Ack(u64, AckArgs),
    /// The CONNECT reply: JSON.
    Connected(String),
    /// CONNECT_ERROR: JSON, possibly none.
    Refused(String),
}

/// Why a link ended. `reason` is the official client's word, so that logs can be compared.
#[derive(Debug, Clone)]
pub(crate) struct LinkEnd {
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
}

impl LinkEnd {
    pub(crate) fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        LinkEnd { reason, detail: detail.into() }
    }

    fn parse_error(error: &Error) -> Self {
        LinkEnd::new(reason::PARSE_ERROR, error.to_string())
    }
}

/// The words of the official client.
pub(crate) mod reason {
    pub(crate) const TRANSPORT_CLOSE: &str = "transport close";
    pub(crate) const TRANSPORT_ERROR: &str = "transport error";
    pub(crate) const PING_TIMEOUT: &str = "ping timeout";
    pub(crate) const PARSE_ERROR: &str = "parse error";
    pub(crate) const SERVER_DISCONNECT: &str = "io server disconnect";
    pub(crate) const CLIENT_DISCONNECT: &str = "io client disconnect";
}

/// The longest a write may block. Well under the usual pingTimeout, because no pong goes out meanwhile.
const WRITE_TIMEOUT: Duration = Duration::from_secs(8);
/// How far the socket's read time-out may be from the wanted one.
const TIMEOUT_SLACK: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug)]
pub(crate) struct Link {
    /// Only the holder of the reader role touches this, so the lock is never contended.
    reader: Mutex<Reader>,
    channel: Mutex<Channel>,
    /// To stop a blocked read or write from any thread.
    socket: TcpStream,
    pub(crate) handshake: Handshake,
}

#[derive(Debug)]
struct Reader {
    socket: TcpStream,
    buffer: ReadBuffer,
    timeout: Option<Duration>,
    last_byte: Instant,
    silence: Duration,
}

/// WebSocket and decoder.
#[derive(Debug)]
struct Channel {
    ws: WebSocket<Stream>,
    partial: Option<Partial>,
    /// Attachments that do not come end the link.
    partial_since: Instant,
    pong_due: bool,
    end: Option<LinkEnd>,
}

/// How a send ended that did not reach the socket whole.
#[derive(Debug)]
pub(crate) enum SendFailure {
    /// The link was over before a byte was written.
    NotSent(LinkEnd),
    /// It broke during the write.
    MaybeSent(LinkEnd),
    /// The packet itself is at fault; the link lives.
    Refused(Error),
}

impl Link {
    /// Takes over a WebSocket whose open packet has been read, and waits for nothing more: the CONNECT exchange is
    /// ordinary traffic. Bytes that came with the handshake are decoded by the first [`turn`](Link::turn).
    pub(crate) fn new(mut ws: WebSocket<Stream>, handshake: Handshake) -> Result<Self> {
        let broken = |error| {
            Error::new(ErrorKind::Connect, "the connection broke while it was set up").with_source(error)
        };
        let wire = ws.get_mut().wire_mut();
        let write_timeout = WRITE_TIMEOUT.min(handshake.ping_timeout.max(Duration::from_secs(1)));
        let reader = wire.socket().map_err(broken)?;
        let socket = wire.socket().map_err(broken)?;
        wire.start_feeding().map_err(broken)?;
        wire.set_write_timeout(write_timeout).map_err(broken)?;
        let largest = handshake.max_payload;
        ws.set_config(|config| *config = super::websocket::config(largest));
        let now = Instant::now();
        Ok(Link {
            reader: Mutex::new(Reader {
                socket: reader,
                buffer: ReadBuffer::new(),
                timeout: None,
                last_byte: now,
                silence: handshake.silence(),
            }),
            channel: Mutex::new(Channel {
                ws,
                partial: None,
                partial_since: now,
                pong_due: false,
                end: None,
            }),
            socket,
            handshake,
        })
    }

    fn channel(&self) -> MutexGuard<'_, Channel> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decodes what is buffered already, without touching the socket. To be called once before the first turn:
    /// what came along with the handshake is announced by nothing.
    pub(crate) fn drain(&self, into: &mut Vec<Inbound>) -> Result<(), LinkEnd> {
        self.channel().decode(into)
    }

    /// Blocks until bytes come, `until` passes or the link is over, and decodes what came.
    /// Only the holder of the reader role may call it.
    pub(crate) fn turn(&self, until: Option<Instant>, into: &mut Vec<Inbound>) -> Result<(), LinkEnd> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let count = match reader.read(until) {
            Ok(count) => count,
            Err(error) if matches!(error.kind(), IoKind::WouldBlock | IoKind::TimedOut) => {
                return if reader.last_byte.elapsed() >= reader.silence {
                    Err(LinkEnd::new(reason::PING_TIMEOUT, format!("nothing came for {:?}", reader.silence)))
                } else {
                    self.channel().check_partial()
                };
            }
            Err(error) if matches!(error.kind(), IoKind::ConnectionReset | IoKind::BrokenPipe) => {
                return Err(LinkEnd::new(reason::TRANSPORT_CLOSE, error.to_string()));
            }
            Err(error) => return Err(LinkEnd::new(reason::TRANSPORT_ERROR, error.to_string())),
        };
        let mut channel = self.channel();
        let wire = channel.ws.get_mut().wire_mut();
        if count == 0 {
            wire.end();
        } else if let Err(error) = wire.feed_from(&mut reader.buffer) {
            return Err(LinkEnd::new(reason::TRANSPORT_ERROR, error.to_string()));
        }
        channel.decode(into)?;
        if count == 0 {
            return Err(LinkEnd::new(reason::TRANSPORT_CLOSE, "the server closed the connection"));
        }
        Ok(())
    }

    /// Writes one frame, on the caller's thread.
    pub(crate) fn send(&self, frame: Utf8Bytes) -> Result<(), SendFailure> {
        if let Some(max) = self.handshake.max_payload
            && frame.len() > max
        {
            // Larger, and the server would close the connection.
            let text =
                format!("the message is {} bytes, the server takes at most {max}: split it", frame.len());
            return Err(SendFailure::Refused(Error::invalid(text)));
        }
        let mut channel = self.channel();
        if let Some(end) = channel.over() {
            return Err(SendFailure::NotSent(end));
        }
        let before = channel.written();
        channel.write(Message::Text(frame)).map_err(|end| {
            self.cut();
            if channel.written() == before { SendFailure::NotSent(end) } else { SendFailure::MaybeSent(end) }
        })
    }

    /// Says goodbye: leaves the namespace and starts the closing handshake. The reader sees the end of it.
    pub(crate) fn say_goodbye(&self, deadline: Instant) {
        let Some(mut channel) = self.lock_until(deadline) else {
            // A writer is stuck: there is nobody to be polite to.
            self.cut();
            return;
        };
        if channel.over().is_none() {
            let _ = channel.write(Message::text(packet::DISCONNECT_FRAME));
            let frame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") };
            let _ = channel.ws.close(Some(frame));
            let _ = channel.ws.flush();
            channel.end = Some(LinkEnd::new(reason::CLIENT_DISCONNECT, ""));
        }
    }

    fn lock_until(&self, deadline: Instant) -> Option<MutexGuard<'_, Channel>> {
        loop {
            match self.channel.try_lock() {
                Ok(channel) => return Some(channel),
                Err(std::sync::TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(std::sync::TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
                // Held for microseconds, unless a write is stuck.
                Err(std::sync::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Ends the connection at once; blocked reads and writes return.
    pub(crate) fn cut(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Reader {
    fn read(&mut self, until: Option<Instant>) -> std::io::Result<usize> {
        let now = Instant::now();
        let alive = self.silence.saturating_sub(now.duration_since(self.last_byte));
        let wait = until.map_or(alive, |until| alive.min(until.saturating_duration_since(now)));
        // Zero would mean "for ever".
        let wait = wait.max(Duration::from_millis(1));
        // Under load the wait is always nearly the whole silence: setting it anew each time would cost a system
        // call per read. A time-out that fires a little early only goes round once more.
        let fits = |set: Duration| set <= wait + TIMEOUT_SLACK && set + TIMEOUT_SLACK >= wait;
        let exact = |set: Duration| set <= wait && set + TIMEOUT_SLACK >= wait;
        if !self.timeout.is_some_and(|set| if until.is_some() { exact(set) } else { fits(set) }) {
            self.socket.set_read_timeout(Some(wait))?;
            self.timeout = Some(wait);
        }
        let count = self.buffer.read(&mut self.socket)?;
        self.last_byte = Instant::now();
        Ok(count)
    }
}

/// A packet whose attachments take longer than this is given up, and the link with it.
const PARTIAL_TIMEOUT: Duration = Duration::from_secs(60);

impl Channel {
    /// Why nothing can be sent any more, if so.
    fn over(&mut self) -> Option<LinkEnd> {
        if let Some(end) = &self.end {
            return Some(end.clone());
        }
        if !self.ws.can_write() {
            return Some(LinkEnd::new(reason::TRANSPORT_CLOSE, "the connection is closing"));
        }
        self.write_failed()
    }

    /// TLS and WebSocket both swallow failed writes; the lowest stream remembers them.
    fn write_failed(&mut self) -> Option<LinkEnd> {
        let kind = self.ws.get_mut().wire_mut().write_failure()?;
        let end = LinkEnd::new(reason::TRANSPORT_ERROR, format!("writing failed: {kind}"));
        self.end = Some(end.clone());
        Some(end)
    }

    /// How many bytes the operating system has taken from us.
    fn written(&self) -> u64 {
        self.ws.get_ref().wire().written()
    }

    fn write(&mut self, message: Message) -> Result<(), LinkEnd> {
        let written = self.ws.write(message).and_then(|()| self.ws.flush());
        if let Some(end) = self.write_failed() {
            return Err(end);
        }
        written.map_err(|error| {
            let end = LinkEnd::new(reason::TRANSPORT_ERROR, error.to_string());
            self.end = Some(end.clone());
            end
        })
    }

    fn check_partial(&mut self) -> Result<(), LinkEnd> {
        if self.partial.is_some() && self.partial_since.elapsed() > PARTIAL_TIMEOUT {
            return Err(LinkEnd::new(reason::PARSE_ERROR, "attachments did not come"));
        }
        Ok(())
    }

    /// Takes apart all that is buffered, and answers pings.
    fn decode(&mut self, into: &mut Vec<Inbound>) -> Result<(), LinkEnd> {
        let result = loop {
            match self.ws.read() {
                Ok(message) => {
                    if let Err(end) = self.accept(message, into) {
                        break Err(end);
                    }
                }
                Err(tungstenite::Error::Io(error)) if error.kind() == IoKind::WouldBlock => break Ok(()),
                Err(error) => break Err(socket_error(&error)),
            }
        };
        if result.is_ok() && std::mem::take(&mut self.pong_due) && self.over().is_none() {
            self.write(Message::text(engine::PONG))?;
        }
        if let Some(end) = self.write_failed() {
            return Err(end);
        }
        result.and_then(|()| self.check_partial())
    }

    fn accept(&mut self, message: Message, into: &mut Vec<Inbound>) -> Result<(), LinkEnd> {
        match message {
            Message::Text(text) => self.accept_text(&text, into),
            Message::Binary(bytes) => {
                let Some(partial) = &mut self.partial else {
                    return Err(LinkEnd::new(reason::PARSE_ERROR, "binary data without a header"));
                };
                if partial.push(bytes).map_err(|error| LinkEnd::parse_error(&error))? {
                    self.finish_partial(into)?;
                }
                Ok(())
            }
            Message::Close(frame) => {
                let detail = frame.map_or_else(String::new, |frame| {
                    let text = super::websocket::snippet(&frame.reason);
                    format!("the server closed with code {} {text}", u16::from(frame.code))
                });
                Err(LinkEnd::new(reason::TRANSPORT_CLOSE, detail))
            }
            // tungstenite answers WebSocket pings itself.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    fn accept_text(&mut self, text: &Utf8Bytes, into: &mut Vec<Inbound>) -> Result<(), LinkEnd> {
        match engine::decode(text) {
            Ok(Frame::Message(packet)) => self.accept_packet(text, packet, into),
            Ok(Frame::Ping(_)) => {
                // One pong answers any number of pings that came together.
                self.pong_due = true;
                Ok(())
            }
            Ok(Frame::Pong | Frame::Upgrade | Frame::Noop) => Ok(()),
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
        let malformed = |error: Error| LinkEnd::parse_error(&error);
        if self.partial.is_some() {
            return Err(LinkEnd::new(reason::PARSE_ERROR, "text while attachments were due"));
        }
        let packet = packet::decode(text).map_err(malformed)?;
        let binary = matches!(packet.kind, Kind::BinaryEvent | Kind::BinaryAck);
        // Only the main namespace was joined. A query after the name is of Socket.IO v2.
        if packet.namespace.split('?').next() != Some("/") && !binary {
            log::debug!("ignored a packet of namespace {:?}", super::websocket::snippet(packet.namespace));
            return Ok(());
        }
        match packet.kind {
            Kind::Event => {
                let event = RawEvent::new(frame, packet.data, packet.id, Vec::new()).map_err(malformed)?;
                into.push(Inbound::Event(event));
            }
            Kind::Ack => {
                let args = AckArgs::new(packet.data);
                into.push(Inbound::Ack(packet.id.unwrap_or_default(), args));
            }
            Kind::BinaryEvent | Kind::BinaryAck => {
                let partial = Partial::new(frame, &packet);
                let complete = partial.is_complete();
                self.partial = Some(partial);
                self.partial_since = Instant::now();
                if complete {
                    self.finish_partial(into)?;
                }
            }
            Kind::Connect => into.push(Inbound::Connected(packet.data.to_owned())),
            Kind::ConnectError => into.push(Inbound::Refused(packet.data.to_owned())),
            Kind::Disconnect => {
                return Err(LinkEnd::new(reason::SERVER_DISCONNECT, "the server ended the session"));
            }
        }
        Ok(())
    }

    fn finish_partial(&mut self, into: &mut Vec<Inbound>) -> Result<(), LinkEnd> {
        let Some(partial) = self.partial.take() else { return Ok(()) };
        match partial.finish().map_err(|error| LinkEnd::parse_error(&error))? {
            Complete::Event(event) => into.push(Inbound::Event(event)),
            Complete::Ack(id, args) => into.push(Inbound::Ack(id, args)),
        }
        Ok(())
    }
}

/// tungstenite's error in the official client's words.
fn socket_error(error: &tungstenite::Error) -> LinkEnd {
    use tungstenite::Error as E;
    use tungstenite::error::ProtocolError as P;
    let reason = match error {
        E::ConnectionClosed | E::AlreadyClosed | E::Protocol(P::ResetWithoutClosingHandshake) => {
            reason::TRANSPORT_CLOSE
        }
        E::Io(error) if matches!(error.kind(), IoKind::ConnectionReset | IoKind::UnexpectedEof) => {
            reason::TRANSPORT_CLOSE
        }
        E::Utf8(_) => reason::PARSE_ERROR,
        _ => reason::TRANSPORT_ERROR,
    };
    let mut detail = error.to_string();
    if matches!(error, E::Protocol(P::NonZeroReservedBits)) {
        // What engine.io does to a client of another protocol version: it answers HTTP inside the WebSocket.
        detail.push_str(" (the server may have rejected the session after the upgrade)");
    }
    LinkEnd::new(reason, detail)
}
