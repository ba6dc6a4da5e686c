//! The parts of a connection that reading, writing and long-polling share.

#[cfg(any(feature = "agents", crustocean_model))]
use std::sync::TryLockError;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::deadline;
use crate::error::{Error, ErrorKind};
use crate::net::CancelToken;
use crate::net::wire::WireReader;
use crate::socket::connection::arrivals::Arrivals;
use crate::socket::connection::link::Link;
use crate::socket::connection::liveness::SleepDetector;
use crate::socket::protocol::engine_io::Handshake;
use crate::socket::transport::packet_stream::PacketStream;
use crate::threads;

/// How long a write may block: far shorter than the usual pingTimeout, because the connection cannot send a pong
/// meanwhile.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(8);

/// Why the connection refuses a send that does not wait.
pub(super) const SERVER_IS_SLOW: &str = "the server does not read as fast as messages are sent";

/// The parts that reading, writing and long-polling share.
#[derive(Debug)]
pub(super) struct ConnectionCore {
    link: Mutex<Link>,
    /// Notified when the sign of life that senders wait for came, or when it will not come.
    pub(super) alive: Condvar,
    /// Stops a blocked read or write from any thread.
    pub(super) cancel_token: CancelToken,
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) handshake: Handshake,
}

/// An open transport: the parts of a new connection.
pub(super) struct OpenTransport {
    pub(super) packets: Box<dyn PacketStream>,
    /// The half of the socket for the thread with the reader role.
    pub(super) wire: WireReader,
    pub(super) cancel_token: CancelToken,
    pub(super) handshake: Handshake,
}

/// The socket for the next read. Long-polling opens a new socket when the server has closed the last one.
#[cfg_attr(not(feature = "polling"), expect(dead_code, reason = "only long-polling opens another socket"))]
pub(super) enum NextSocket {
    Same,
    Opened(WireReader),
    /// There is none yet.
    NotYet,
}

impl ConnectionCore {
    pub(super) fn new(
        packets: Box<dyn PacketStream>,
        cancel_token: CancelToken,
        handshake: Handshake,
        clock: SleepDetector,
    ) -> Self {
        let arrivals = Arc::<Arrivals>::default();
        ConnectionCore {
            link: Mutex::new(Link::new(packets, handshake.silence(), clock, Arc::clone(&arrivals))),
            alive: Condvar::new(),
            cancel_token,
            arrivals,
            handshake,
        }
    }

    pub(super) fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Like [`link`](ConnectionCore::link). `None` if the lock is not free until the deadline.
    pub(super) fn link_until(&self, deadline: Instant) -> Option<MutexGuard<'_, Link>> {
        deadline::lock(&self.link, deadline)
    }

    /// Like [`link`](ConnectionCore::link). `None` if another thread has the lock.
    #[cfg(any(feature = "agents", crustocean_model))]
    pub(super) fn link_if_free(&self) -> Option<MutexGuard<'_, Link>> {
        match self.link.try_lock() {
            Ok(link) => Some(link),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Waits for a notification of [`alive`](ConnectionCore::alive), for `limit` at most. Releases the lock meanwhile.
    pub(super) fn wait_alive<'a>(&self, link: MutexGuard<'a, Link>, limit: Duration) -> MutexGuard<'a, Link> {
        self.alive.wait_timeout(link, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Ends the connection at once. Blocked reads and writes return.
    pub(super) fn cut(&self) {
        self.cancel_token.cancel();
    }

    /// Runs the work on a short-lived thread. If the system cannot start a thread, ends the connection, because the
    /// caller has already reported the data as sent.
    pub(super) fn start_flush(&self, work: impl FnOnce() + Send + 'static) {
        if threads::start("crustocean-flush", work).is_err() {
            self.cut();
        }
    }
}

/// The time limit for writes: [`WRITE_TIMEOUT`], or less if the server's ping timeout is shorter.
pub(super) fn write_timeout(handshake: &Handshake) -> Duration {
    WRITE_TIMEOUT.min(handshake.ping_timeout.max(Duration::from_secs(1)))
}

pub(super) fn broken_early(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Connect, "the connection broke while it was set up").with_source(error)
}
