//! The packets of a connection over WebSocket.

use std::io::ErrorKind as IoKind;
use std::time::Duration;

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role};
use tungstenite::{Bytes, Message, Utf8Bytes, WebSocket};

use crate::net::MaybeTlsStream;
use crate::net::wire::Wire;
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::protocol::engine_io::IncomingPacket;
use crate::socket::transport::packet_stream::PacketStream;
use crate::socket::transport::refusal::snippet;
use crate::socket::transport::traffic::Traffic;
use crate::socket::transport::websocket::frame_scanner::{FrameScanner, NextFrame};
use crate::socket::transport::websocket::handshake::rejected_after_upgrade;

/// The time limit for telling the server why the client closes the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// After a larger message, release the buffer.
const LARGE: usize = 64 << 10;

/// A WebSocket that returns packets.
#[derive(Debug)]
pub(crate) struct WebSocketPackets {
    ws: WebSocket<FrameScanner<MaybeTlsStream>>,
    /// The number of data messages that `ws` has returned.
    messages: u64,
    /// tungstenite may have prepared an answer that its next read sends.
    unflushed: bool,
    /// The number of the last event that a pong has confirmed.
    confirmed: Option<u64>,
    /// Whether this side has started the closing handshake.
    closing: bool,
}

impl WebSocketPackets {
    /// The open packet has been read.
    pub(crate) fn new(ws: WebSocket<FrameScanner<MaybeTlsStream>>) -> Self {
        let messages = ws.get_ref().frames.messages().min(1);
        WebSocketPackets { ws, messages, unflushed: true, confirmed: None, closing: false }
    }

    /// After a large message, creates the WebSocket again with small buffers, because the message owns the large buffer.
    /// Between two messages a WebSocket has no other state, and it reads no further than requested. Returns whether
    /// the message was large.
    fn release_buffer(&mut self, size: usize) -> bool {
        if size <= LARGE {
            return false;
        }
        let is_idle = self.ws.can_write() && !self.ws.get_ref().frames.is_partial();
        if is_idle && self.ws.flush().is_ok() {
            let scanner = self.ws.get_mut().take();
            let config = *self.ws.get_config();
            self.ws = WebSocket::from_raw_socket(scanner, Role::Client, Some(config));
        }
        true
    }

    /// Converts tungstenite's error to the official client's terms.
    fn broken(&mut self, error: &tungstenite::Error) -> Disconnect {
        use tungstenite::Error as E;
        use tungstenite::error::ProtocolError as P;
        let frames = &self.ws.get_ref().frames;
        if let Some(code) = frames.close()
            && matches!(error, E::Utf8(_) | E::Protocol(P::InvalidCloseSequence))
            && self.messages >= frames.messages()
        {
            // The message was a close frame, but not a valid one.
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
                detail = rejected_after_upgrade();
                (reason::TRANSPORT_ERROR, Some(CloseCode::Protocol))
            }
            E::Protocol(_) => (reason::TRANSPORT_ERROR, Some(CloseCode::Protocol)),
            _ => (reason::TRANSPORT_ERROR, None),
        };
        if code.is_some() {
            self.send_close_frame(code);
        }
        Disconnect::new(reason, detail)
    }
}

impl PacketStream for WebSocketPackets {
    fn wire_mut(&mut self) -> Option<&mut Wire> {
        Some(self.ws.get_mut().get_mut()?.wire_mut())
    }

    #[cfg(any(feature = "agents", crustocean_model))]
    fn release_buffers(&mut self) {
        self.ws.get_mut().release_buffer();
        if let Some(wire) = self.wire_mut() {
            wire.release_queue();
        }
    }

    fn can_write(&self) -> bool {
        self.ws.can_write()
    }

    fn write(&mut self, message: Message) -> tungstenite::Result<()> {
        self.ws.write(message).and_then(|()| self.ws.flush())
    }

    fn take_confirmed(&mut self) -> Option<u64> {
        self.confirmed.take()
    }

    fn close(&mut self) {
        self.closing = true;
        let frame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") };
        let _ = self.ws.close(Some(frame));
        let _ = self.ws.flush();
    }

    fn send_close_frame(&mut self, code: Option<CloseCode>) {
        if self.wire_mut().is_some_and(|wire| wire.set_write_timeout(CLOSE_TIMEOUT).is_ok()) {
            let reason = Utf8Bytes::from_static("");
            let _ = self.ws.close(code.map(|code| CloseFrame { code, reason }));
        }
    }

    fn next(&mut self) -> Result<Option<IncomingPacket>, Disconnect> {
        loop {
            // After a close, tungstenite decides which messages still count.
            if self.ws.can_write() {
                match self.ws.get_mut().next_text() {
                    NextFrame::Text(text) => {
                        self.messages += 1;
                        return Ok(Some(IncomingPacket::Text(text)));
                    }
                    NextFrame::Nothing if !self.unflushed => return Ok(None),
                    NextFrame::Nothing | NextFrame::Other => {}
                }
            }
            let read = self.ws.read();
            self.unflushed = matches!(read, Ok(Message::Ping(_) | Message::Close(_)));
            match read {
                Ok(Message::Text(text)) => {
                    self.messages += 1;
                    let large = self.release_buffer(text.len());
                    // A small message must not keep a large buffer.
                    let text = if large { text } else { Utf8Bytes::from(text.as_str()) };
                    return Ok(Some(IncomingPacket::Text(text)));
                }
                Ok(Message::Binary(bytes)) => {
                    self.messages += 1;
                    let large = self.release_buffer(bytes.len());
                    let bytes = if large { bytes } else { Bytes::copy_from_slice(&bytes) };
                    return Ok(Some(IncomingPacket::Binary(bytes)));
                }
                Ok(Message::Close(frame)) => {
                    // tungstenite has prepared the answer. This call sends it.
                    self.send_close_frame(None);
                    let code = self.ws.get_ref().frames.close().flatten();
                    // Servers return the client's code. Another code means that the server itself closes the
                    // connection.
                    if self.closing && code == Some(u16::from(CloseCode::Normal)) {
                        self.confirmed = Some(u64::MAX);
                    }
                    let said = frame.map_or_else(String::new, |frame| snippet(&frame.reason));
                    return Err(closed_by_server(code, &said));
                }
                Ok(Message::Pong(payload)) => {
                    let number = std::str::from_utf8(&payload).ok().and_then(|number| number.parse().ok());
                    self.confirmed = self.confirmed.max(number);
                }
                // tungstenite answers WebSocket pings itself.
                Ok(Message::Ping(_) | Message::Frame(_)) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == IoKind::WouldBlock => return Ok(None),
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    fn bytes_read(&self) -> u64 {
        self.ws.get_ref().bytes_read()
    }

    fn take_seen(&mut self) -> (Traffic, bool) {
        let frames = &mut self.ws.get_mut().frames;
        (frames.take(), frames.is_partial())
    }
}

fn closed_by_server(code: Option<u16>, said: &str) -> Disconnect {
    let detail = match code {
        Some(code) => format!("the server closed with code {code} {said}"),
        None => "the server closed without a code".to_owned(),
    };
    Disconnect::new(reason::TRANSPORT_CLOSE, detail.trim_end())
}
