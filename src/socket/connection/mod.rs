//! One live connection.
//!
//! Reading and writing are separate. The thread with the reader role blocks in `read` on a clone of the TCP socket,
//! *without the link's lock*. It then takes this lock for a short time, and lets TLS, WebSocket and the decoder take
//! the bytes. A sender takes the same lock, encodes, and writes on its own thread. It holds the lock during the write,
//! so writes have a time limit.

pub(crate) mod arrivals;
pub(crate) mod connect;
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
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tungstenite::WebSocket;

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::net::wire::WireReader;
use crate::net::{CancelToken, MaybeTlsStream};
use crate::socket::connection::arrivals::Arrivals;
use crate::socket::connection::link::Link;
use crate::socket::connection::liveness::SleepDetector;
use crate::socket::connection::polling::Polling;
use crate::socket::connection::reader::ConnectionReader;
use crate::socket::disconnect::Disconnect;
use crate::socket::protocol::engine_io::Handshake;
use crate::socket::transport::packet_stream::PacketStream;
use crate::socket::transport::websocket::frame_scanner::FrameScanner;
use crate::socket::transport::websocket::packets::WebSocketPackets;

/// How long a write may block: far shorter than the usual pingTimeout, because the connection cannot send a pong
/// meanwhile.
const WRITE_TIMEOUT: Duration = Duration::from_secs(8);

/// One live connection: the read half, the write half, and how it ended.
#[derive(Debug)]
pub(crate) struct Connection {
    /// For the thread with the reader role.
    reader: Mutex<ConnectionReader>,
    /// The reader's socket, for the poller of a set. The poller must not wait for a thread that is blocked in a read.
    #[cfg(feature = "agents")]
    socket: Arc<TcpStream>,
    link: Mutex<Link>,
    /// Notified when the sign of life that senders wait for came, or when it will not come.
    alive: Condvar,
    /// Stops a blocked read or write from any thread.
    cancel_token: CancelToken,
    /// With long-polling, the sending half.
    polling: Option<Polling>,
    arrivals: Arc<Arrivals>,
    pub(crate) handshake: Handshake,
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
        Ok(Self::with_packets(packets, None, wire, cancel_token, handshake, clock))
    }

    fn with_packets(
        packets: Box<dyn PacketStream>,
        polling: Option<Polling>,
        wire: WireReader,
        cancel_token: CancelToken,
        handshake: Handshake,
        clock: SleepDetector,
    ) -> Self {
        let silence = handshake.silence();
        let arrivals = Arc::<Arrivals>::default();
        Connection {
            #[cfg(feature = "agents")]
            socket: Arc::clone(wire.socket()),
            reader: Mutex::new(ConnectionReader::new(wire, deadline::after(silence))),
            link: Mutex::new(Link::new(packets, silence, clock, Arc::clone(&arrivals))),
            alive: Condvar::new(),
            cancel_token,
            polling,
            arrivals,
            handshake,
        }
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Long-polling: answers a ping if one came. Over a WebSocket, the decoder does so.
    fn answer_ping(&self, link: MutexGuard<'_, Link>) -> Result<(), Disconnect> {
        self.polling.as_ref().map_or(Ok(()), |polling| polling.answer_ping(self, link))
    }

    /// How many events the server may not have received.
    pub(crate) fn unconfirmed(&self) -> u64 {
        self.arrivals.unconfirmed()
    }

    /// Notes that the server has answered the event with this number.
    pub(crate) fn confirm(&self, number: u64) {
        self.arrivals.confirm(number);
    }

    /// The session is restored: events from now on are the program's.
    pub(crate) fn count_from_now(&self) {
        self.arrivals.count_from_now();
    }

    /// Ends the connection, even before a thread reads it.
    pub(crate) fn cancel_token(&self) -> &CancelToken {
        &self.cancel_token
    }

    /// Ends the connection in the same way as the network, before a reader notices the end.
    #[cfg(test)]
    pub(crate) fn end_unnoticed(&self) {
        self.link().set_end(Disconnect::new(
            crate::socket::disconnect::reason::TRANSPORT_CLOSE,
            "as the test wishes",
        ));
    }

    pub(crate) fn is_polling(&self) -> bool {
        self.polling.is_some()
    }

    /// Ends the connection at once. Blocked reads and writes return.
    pub(crate) fn cut(&self) {
        self.cancel_token.cancel();
    }

    /// The socket, for a poller. With long-polling, this is the socket of the first poll.
    #[cfg(feature = "agents")]
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

/// The time limit for writes; see [`WRITE_TIMEOUT`].
fn write_timeout(handshake: &Handshake) -> Duration {
    WRITE_TIMEOUT.min(handshake.ping_timeout.max(Duration::from_secs(1)))
}

fn broken_early(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Connect, "the connection broke while it was set up").with_source(error)
}

#[cfg(test)]
mod tests;
