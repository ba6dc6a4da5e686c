//! The stream of packets under a connection: a WebSocket, or HTTP long-polling.

use std::io::ErrorKind as IoKind;
use std::time::Instant;

use tungstenite::protocol::frame::coding::CloseCode;

use crate::net::wire::Wire;
use crate::socket::disconnect::Disconnect;
use crate::socket::protocol::engine_io::Incoming;
use crate::socket::transport::polling::PollReceiver;
use crate::socket::transport::websocket::frame_scanner::Traffic;
use crate::socket::transport::websocket::packets::WebSocketPackets;

/// The half that is read. A WebSocket is also written through it.
#[derive(Debug)]
pub(crate) enum PacketStream {
    WebSocket(Box<WebSocketPackets>),
    Polling(Box<PollReceiver>),
}

impl PacketStream {
    pub(crate) fn is_polling(&self) -> bool {
        matches!(self, PacketStream::Polling(_))
    }

    /// The lowest stream, which gets the bytes that were read from the socket.
    pub(crate) fn wire_mut(&mut self) -> Option<&mut Wire> {
        match self {
            PacketStream::WebSocket(websocket) => websocket.wire_mut(),
            PacketStream::Polling(poll) => poll.wire_mut(),
        }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Incoming>, Disconnect> {
        match self {
            PacketStream::WebSocket(websocket) => websocket.next(),
            PacketStream::Polling(poll) => poll.next(Instant::now()),
        }
    }

    pub(crate) fn take_seen(&mut self) -> (Traffic, bool) {
        match self {
            PacketStream::WebSocket(websocket) => websocket.take_seen(),
            PacketStream::Polling(poll) => poll.take_seen(),
        }
    }

    /// The number of the last event that a pong has confirmed; after the closing handshake, of any event.
    pub(crate) fn take_confirmed(&mut self) -> Option<u64> {
        match self {
            PacketStream::WebSocket(websocket) => websocket.take_confirmed(),
            PacketStream::Polling(_) => None,
        }
    }

    /// How many bytes were read in large chunks that events may share.
    pub(crate) fn bytes_read(&self) -> u64 {
        match self {
            PacketStream::WebSocket(websocket) => websocket.bytes_read(),
            PacketStream::Polling(_) => 0,
        }
    }

    /// When the pause between two polls ends.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self {
            PacketStream::WebSocket(_) => None,
            PacketStream::Polling(poll) => poll.due(),
        }
    }

    pub(crate) fn can_write(&self) -> bool {
        match self {
            PacketStream::WebSocket(websocket) => websocket.can_write(),
            PacketStream::Polling(_) => true,
        }
    }

    /// A write failure that a library above the wire may have hidden. Polling checks its own writes.
    pub(crate) fn write_failure(&self) -> Option<IoKind> {
        match self {
            PacketStream::WebSocket(websocket) => websocket.wire()?.write_failure(),
            PacketStream::Polling(_) => None,
        }
    }

    pub(crate) fn written(&self) -> u64 {
        match self {
            PacketStream::WebSocket(websocket) => websocket.wire().map_or(0, Wire::written),
            PacketStream::Polling(_) => 0,
        }
    }

    /// Tells the server why the connection is closed, if possible.
    pub(crate) fn say_why(&mut self, code: Option<CloseCode>) {
        if let PacketStream::WebSocket(websocket) = self {
            websocket.say_why(code);
        }
    }
}
