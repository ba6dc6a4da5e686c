//! One live connection.
//!
//! Reading and writing are separate. The thread with the reader role blocks in `read` on a clone of the TCP socket,
//! *without the decoder's lock*. It then takes this lock for a short time, passes the bytes to TLS and WebSocket, and
//! decodes them. A sender takes the same lock, encodes, and writes on its own thread. The lock is held during a write,
//! so writes have a time limit.

pub(crate) mod arrivals;
pub(crate) mod connect;
pub(crate) mod decoder;
pub(crate) mod liveness;
mod outbox;
mod polling;
mod reader;
#[cfg(any(feature = "agents", crustocean_model))]
pub(crate) mod step;
mod writer;

use std::io::ErrorKind as IoKind;
use std::net::TcpStream;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tungstenite::WebSocket;

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::net::{CancelToken, ReadBuffer, Stream};
use crate::socket::connection::arrivals::Arrivals;
use crate::socket::connection::decoder::PacketDecoder;
use crate::socket::connection::liveness::SleepDetector;
use crate::socket::connection::outbox::Outbox;
use crate::socket::connection::reader::Reader;
use crate::socket::disconnect::Disconnect;
use crate::socket::protocol::engine_io::Handshake;
use crate::socket::transport::packet_stream::PacketStream;
use crate::socket::transport::polling::{OpenedPoll, PollSender};
use crate::socket::transport::websocket::frame_scanner::FrameScanner;
use crate::socket::transport::websocket::packets::WebSocketPackets;

/// The longest that a write may block. Far less than the usual pingTimeout, because no pong is sent meanwhile.
const WRITE_TIMEOUT: Duration = Duration::from_secs(8);

/// One live connection: the read half, the write half, and how it ended.
#[derive(Debug)]
pub(crate) struct Connection {
    /// For the thread with the reader role.
    reader: Mutex<Reader>,
    /// The reader's socket, for the poller of a set. The poller must not wait for a thread that is blocked in a read.
    #[cfg(feature = "agents")]
    socket: Arc<TcpStream>,
    decoder: Mutex<PacketDecoder>,
    /// Notified when the sign of life that senders wait for came, or when it will not come.
    alive: Condvar,
    /// Stops a blocked read or write from any thread.
    cancel_token: CancelToken,
    /// With long-polling, the sending half.
    poll_sender: Option<PollSender>,
    /// With long-polling, the frames that [`try_send`](Connection::try_send) has accepted.
    outbox: Outbox,
    write_timeout: Duration,
    arrivals: Arc<Arrivals>,
    pub(crate) handshake: Handshake,
}

impl Connection {
    /// Takes a WebSocket whose open packet has been read. Does not wait: the CONNECT exchange is ordinary traffic.
    /// The first [`drain`](Connection::drain) decodes bytes that came with the handshake.
    pub(crate) fn new(ws: WebSocket<FrameScanner<Stream>>, handshake: Handshake) -> Result<Self> {
        Self::with_skew(ws, handshake, Arc::default())
    }

    /// `skew` is for [`SleepDetector`].
    fn with_skew(
        mut ws: WebSocket<FrameScanner<Stream>>,
        handshake: Handshake,
        skew: Arc<AtomicU64>,
    ) -> Result<Self> {
        let cancel_token = CancelToken::default();
        let gone = || broken_early(IoKind::NotConnected.into());
        let stream = ws.get_mut().get_mut().ok_or_else(gone)?;
        cancel_token.register(stream.wire());
        let write_timeout = write_timeout(&handshake);
        let socket = start_feeding(stream, write_timeout).map_err(broken_early)?;
        let largest = handshake.max_payload;
        ws.set_config(|config| *config = crate::socket::transport::websocket::handshake::config(largest));
        let packets = PacketStream::WebSocket(Box::new(WebSocketPackets::new(ws)));
        Ok(Self::with_packets(packets, None, socket, cancel_token, handshake, SleepDetector::new(skew)))
    }

    /// Takes a long-polling session.
    pub(crate) fn polling(opened: OpenedPoll) -> Result<Self> {
        let OpenedPoll { mut poll, mut stream, proven, poll_sender, handshake } = opened;
        let socket = start_feeding(&mut stream, write_timeout(&handshake)).map_err(broken_early)?;
        poll.resume(stream, proven);
        let cancel_token = poll.requests().cancel_token.clone();
        let packets = PacketStream::Polling(Box::new(poll));
        Ok(Self::with_packets(
            packets,
            Some(poll_sender),
            socket,
            cancel_token,
            handshake,
            SleepDetector::new(Arc::default()),
        ))
    }

    fn with_packets(
        packets: PacketStream,
        poll_sender: Option<PollSender>,
        socket: TcpStream,
        cancel_token: CancelToken,
        handshake: Handshake,
        clock: SleepDetector,
    ) -> Self {
        let silence = handshake.silence();
        let arrivals = Arc::<Arrivals>::default();
        let socket = Arc::new(socket);
        Connection {
            #[cfg(feature = "agents")]
            socket: Arc::clone(&socket),
            reader: Mutex::new(Reader {
                socket,
                buffer: ReadBuffer::new(),
                timeout: None,
                due: deadline::after(silence),
            }),
            decoder: Mutex::new(PacketDecoder::new(packets, silence, clock, Arc::clone(&arrivals))),
            alive: Condvar::new(),
            cancel_token,
            poll_sender,
            outbox: Outbox::default(),
            write_timeout: write_timeout(&handshake),
            arrivals,
            handshake,
        }
    }

    fn decoder(&self) -> MutexGuard<'_, PacketDecoder> {
        self.decoder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_deadline(&self) -> Instant {
        deadline::after(self.write_timeout)
    }

    /// How many events the server may not have received.
    pub(crate) fn unconfirmed(&self) -> u64 {
        self.arrivals.unconfirmed()
    }

    /// The server has answered the event with this number.
    pub(crate) fn confirm(&self, number: u64) {
        self.arrivals.confirm(number);
    }

    /// Ends the connection, even before a thread reads it.
    pub(crate) fn cancel_token(&self) -> &CancelToken {
        &self.cancel_token
    }

    /// Ends the connection as if the network had ended it and no reader had noticed yet.
    #[cfg(test)]
    pub(crate) fn end_unnoticed(&self) {
        self.decoder().set_end(Disconnect::new(
            crate::socket::disconnect::reason::TRANSPORT_CLOSE,
            "as the test wishes",
        ));
    }

    fn give_up(&self, end: Disconnect) -> Disconnect {
        let end = self.decoder().set_end(end);
        self.cut();
        end
    }

    pub(crate) fn is_polling(&self) -> bool {
        self.poll_sender.is_some()
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

/// Makes the stream read from memory. The caller must pass the bytes of the returned socket to the stream.
fn start_feeding(stream: &mut Stream, write_timeout: Duration) -> std::io::Result<TcpStream> {
    let wire = stream.wire_mut();
    let socket = wire.socket()?;
    wire.start_feeding()?;
    wire.set_write_timeout(write_timeout)?;
    Ok(socket)
}

fn broken_early(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Connect, "the connection broke while it was set up").with_source(error)
}

#[cfg(test)]
mod tests;
