//! One live connection.
//!
//! Reading and writing are separate. The thread with the reader role blocks in `read` on a clone of the TCP socket,
//! *without the link's lock*. It then takes this lock for a short time, and lets TLS, WebSocket and the decoder take
//! the bytes. A sender takes the same lock, encodes, and writes on its own thread. It holds the lock during the write,
//! so writes have a time limit.

pub(crate) mod arrivals;
pub(crate) mod connect;
mod core;
pub(crate) mod decoder;
mod link;
pub(crate) mod liveness;
mod open;
#[cfg(feature = "polling")]
mod outbox;
#[cfg_attr(not(feature = "polling"), path = "no_polling.rs")]
mod polling;
mod reader;
#[cfg(any(feature = "agents", crustocean_model))]
pub(crate) mod step;
mod writer;

use std::io::ErrorKind as IoKind;
#[cfg(feature = "agents")]
use std::net::TcpStream;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tungstenite::WebSocket;

use crate::deadline;
use crate::error::Result;
use crate::net::{CancelToken, MaybeTlsStream};
use crate::socket::connection::core::{ConnectionCore, OpenTransport, broken_early, write_timeout};
use crate::socket::connection::decoder::Inbound;
use crate::socket::connection::liveness::SleepDetector;
use crate::socket::connection::polling::Polling;
use crate::socket::connection::reader::SocketReader;
use crate::socket::disconnect::Disconnect;
use crate::socket::protocol::engine_io::Handshake;
use crate::socket::transport::websocket::frame_scanner::FrameScanner;
use crate::socket::transport::websocket::packets::WebSocketPackets;

/// One live connection: the read half, the write half, and how it ended.
#[derive(Debug)]
pub(crate) struct Connection {
    /// For the thread with the reader role.
    reader: Mutex<SocketReader>,
    /// The reader's socket, for the poller of a set. The poller must not wait for a thread that is blocked in a read.
    #[cfg(feature = "agents")]
    socket: Arc<TcpStream>,
    core: ConnectionCore,
    /// With long-polling, the sending half.
    polling: Option<Polling>,
}

impl Connection {
    /// Takes a WebSocket whose open packet has been read. Does not wait: the CONNECT exchange is ordinary traffic.
    /// The first [`drain`](Connection::drain) decodes bytes that came with the handshake.
    pub(crate) fn new(ws: WebSocket<FrameScanner<MaybeTlsStream>>, handshake: Handshake) -> Result<Self> {
        Self::with_skew(ws, handshake, Arc::default())
    }

    /// `skew` is for [`SleepDetector`].
    fn with_skew(
        mut ws: WebSocket<FrameScanner<MaybeTlsStream>>,
        handshake: Handshake,
        skew: Arc<AtomicU64>,
    ) -> Result<Self> {
        let cancel_token = CancelToken::default();
        let gone = || broken_early(IoKind::NotConnected.into());
        let stream = ws.get_mut().get_mut().ok_or_else(gone)?;
        cancel_token.register(stream.wire());
        let wire = stream.wire_mut().start_feeding(write_timeout(&handshake)).map_err(broken_early)?;
        let largest = handshake.max_payload;
        ws.set_config(|config| *config = crate::socket::transport::websocket::handshake::config(largest));
        let packets = Box::new(WebSocketPackets::new(ws));
        let clock = SleepDetector::new(skew);
        let transport = OpenTransport { packets, wire, cancel_token, handshake };
        Ok(Self::over(transport, None, clock))
    }

    /// `polling` is the sending half of long-polling.
    fn over(transport: OpenTransport, polling: Option<Polling>, clock: SleepDetector) -> Self {
        let OpenTransport { packets, wire, cancel_token, handshake } = transport;
        let due = deadline::after(handshake.silence());
        Connection {
            #[cfg(feature = "agents")]
            socket: Arc::clone(wire.socket()),
            reader: Mutex::new(SocketReader::new(wire, due)),
            core: ConnectionCore::new(packets, cancel_token, handshake, clock),
            polling,
        }
    }

    /// Decodes buffered bytes without reading from the socket. Call it once before the first turn: no event of the
    /// socket announces bytes that came with the handshake.
    pub(crate) fn drain(&self, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        reader::drain(&self.core, self.polling.as_ref(), into)
    }

    /// Blocks until bytes come, `until` passes or the connection ends, and decodes the bytes. Only the thread with
    /// the reader role may call this. After a failure, every call fails with the same reason.
    pub(crate) fn turn(&self, until: Option<Instant>, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.turn(&self.core, self.polling.as_ref(), until, into)
    }

    /// How long the server may be silent.
    pub(crate) fn silence(&self) -> Duration {
        self.core.handshake.silence()
    }

    /// How many events the server may not have received.
    pub(crate) fn unconfirmed(&self) -> u64 {
        self.core.arrivals.unconfirmed()
    }

    /// Notes that the server has answered the event with this number.
    pub(crate) fn confirm(&self, number: u64) {
        self.core.arrivals.confirm(number);
    }

    /// The session is restored: events from now on are the program's.
    pub(crate) fn count_from_now(&self) {
        self.core.arrivals.count_from_now();
    }

    /// Ends the connection, even before a thread reads it.
    pub(crate) fn cancel_token(&self) -> &CancelToken {
        &self.core.cancel_token
    }

    /// Ends the connection in the same way as the network, before a reader notices the end.
    #[cfg(test)]
    pub(crate) fn end_unnoticed(&self) {
        self.core.link().set_end(crate::socket::disconnect::Disconnect::new(
            crate::socket::disconnect::reason::TRANSPORT_CLOSE,
            "as the test wishes",
        ));
    }

    pub(crate) fn is_polling(&self) -> bool {
        self.polling.is_some()
    }

    /// Ends the connection at once. Blocked reads and writes return.
    pub(crate) fn cut(&self) {
        self.core.cut();
    }

    /// The socket, for a poller. With long-polling, this is the socket of the first poll.
    #[cfg(feature = "agents")]
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

#[cfg(test)]
mod tests;
