//! The stream of packets under a connection: a WebSocket, or HTTP long-polling.

use std::time::Instant;

use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

#[cfg(feature = "polling")]
use crate::net::MaybeTlsStream;
use crate::net::wire::Wire;
use crate::socket::disconnect::Disconnect;
use crate::socket::protocol::engine_io::IncomingPacket;
use crate::socket::transport::traffic::Traffic;

/// The read half of a transport. A WebSocket also writes through this half. If only one transport needs a method, the
/// default of that method does nothing.
pub(crate) trait PacketStream: std::fmt::Debug + Send {
    fn is_polling(&self) -> bool {
        false
    }

    /// The next packet in the buffers.
    ///
    /// # Errors
    /// Why the connection ended.
    fn next(&mut self) -> Result<Option<IncomingPacket>, Disconnect>;

    /// The traffic since the last call, and whether a message is incomplete.
    fn take_seen(&mut self) -> (Traffic, bool);

    /// The lowest stream.
    fn wire_mut(&mut self) -> Option<&mut Wire>;

    /// The number of the last event that a pong has confirmed; after the closing handshake, of any event.
    fn take_confirmed(&mut self) -> Option<u64> {
        None
    }

    /// The number of bytes from large chunks that events may share.
    fn bytes_read(&self) -> u64 {
        0
    }

    fn can_write(&self) -> bool {
        true
    }

    /// WebSocket: writes a message.
    fn write(&mut self, _message: Message) -> tungstenite::Result<()> {
        Ok(())
    }

    /// WebSocket: starts the closing handshake.
    fn close(&mut self) {}

    /// WebSocket: tells the server why the client closes the connection. The call may fail, and must not take long.
    fn send_close_frame(&mut self, _code: Option<CloseCode>) {}

    /// WebSocket: frees the memory of empty buffers.
    #[cfg(any(feature = "agents", crustocean_model))]
    fn release_buffers(&mut self) {}

    /// Long-polling: when the pause between two polls ends.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Long-polling: when to poll again, if the connection for it is missing.
    #[cfg(feature = "polling")]
    fn wants_connection(&self) -> Option<Instant> {
        None
    }

    /// Long-polling: continues on another connection. Its wire must be in fed mode. `proven`: the connection has carried
    /// a response before.
    #[cfg(feature = "polling")]
    fn resume(&mut self, _stream: MaybeTlsStream, _proven: bool) {}
}
