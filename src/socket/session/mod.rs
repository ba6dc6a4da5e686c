//! A session lasts across reconnects. It uses one connection at a time.
//!
//! # Who reads
//!
//! *A waiting thread reads.* At most one thread at a time holds the **reader role** (`SessionState::reading`). A thread
//! that waits for something (an event, an ack, a confirmed join) takes the role if the role is free. The thread then
//! blocks in `read` on the socket **without the locks that other threads need**. It decodes the data, stores the result
//! in the state, releases the role, and checks whether its own condition is fulfilled. If another thread has the role, the
//! thread sleeps on a condition variable. A thread that leaves [`SessionCore::wait`] hands the role over: it wakes one
//! waiting thread, or the background thread if no thread waits.
//!
//! The **background thread** (one per session, [`background`]) sleeps while another thread reads or waits. When no
//! thread has done so for a moment (a handler is busy), the background thread reads, so that the session answers pings.
//! It also reconnects after the connection is lost, and sends scheduled events.
//!
//! Some waiting threads must not block in `read`, because no other thread can wake them there: with long-polling, and
//! in a session that can be stopped. With long-polling, the background thread always reads for them. In a session that
//! can be stopped, a waiting thread reads while data comes; when nothing has come for a moment, the thread leaves the
//! socket to the background thread and sleeps on its condition variable, where a stop wakes it.
//!
//! A sender locks the connection, encodes, and writes on its own thread. So the caller of a send gets the error of the
//! send.
//!
//! A thread that blocks in `read` sees only socket traffic. Any other state change that this thread waits for must
//! close the connection, or make the server answer ([`SessionCore::nudge_reader`] sends a ping).
//!
//! # The locks, in the order in which they may be taken
//!
//! | lock | guards | held while |
//! |---|---|---|
//! | `SessionCore::event_order` | the order of scheduled events | an event is sent |
//! | `SessionCore::state` | [`SessionState`] | short operations; a wait on a condition variable releases the lock |
//! | `ReadyItems` | the next items for consumers | short operations; taken alone or after the state's lock |
//! | `Connection::reader` | the read half, for the thread with the role | a read, also a blocked one |
//! | `Connection::link` | TLS, WebSocket, decoder; the write half | a write, which has a time limit |
//! | `PollSender` | long-polling: the right to send | a request and its response |
//! | the queue of `crate::logging` | log records | short operations; taken under any lock |
//!
//! No thread holds the state's lock and a lock of a connection at the same time. User code (loggers, `Serialize`,
//! [`Host`]) runs without any of these locks.
//!
//! Many sessions can share one thread that never blocks, instead of one background thread each: see `attend`.
//!
//! A model checker runs this scheme in many thread schedules: `model` contains the scenarios.
//!
//! # Which thread wakes which
//!
//! | thread | sleeps on | woken by |
//! |---|---|---|
//! | waits for events | `consumers` | a stored event; the release of the role; the end of a connection; `nudge` |
//! | waits for something else | `others` | a stored answer or event; the release of the role; a new or ended connection |
//! | the background thread | `background` | the release of the role if no thread waits, or if the background thread must read for them; an ended connection; a schedule |
//! | a sender after the computer slept | `Connection::alive` | the reader, when a sign of life came |

#[cfg(any(feature = "agents", crustocean_model))]
pub(crate) mod attend;
mod background;
pub(crate) mod backoff;
mod closing;
mod connector;
pub(crate) mod core;
mod ended;
pub(crate) mod keeper;
#[cfg(crustocean_model)]
mod model;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod reader;
mod schedule;
pub(crate) mod scheduled;
pub(crate) mod sender;
pub(crate) mod session_log;
mod state;
mod stats;
pub(crate) mod subscriber;
pub(crate) mod subscription;
pub(crate) mod waker;

#[cfg(not(crustocean_model))]
pub(crate) use crate::socket::connection;
/// A scripted connection that replaces the network.
#[cfg(crustocean_model)]
pub(crate) use model::connection;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::error::Result;
use crate::net::CancelToken;
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::session::connection::connect::{ConnectFailure, Opened};
use crate::socket::session::core::SessionCore;
use crate::socket::session::policy::Policy;
use crate::socket::session::queue::ReadyItems;
use crate::socket::session::reader::Waiter;
use crate::socket::session::sender::ConnectionHandle;
use crate::socket::session::session_log::SessionLog;
use crate::socket::session::state::{Phase, SessionState};
use crate::socket::session::subscriber::Filter;
use crate::socket::session::subscription::EventSubscription;
use crate::socket::target::Target;
use crate::sync::{AtomicBool, JoinHandle, Mutex};

/// The callbacks of the layer above: the credentials, and the state to restore on a new connection. They run on the
/// thread that dials, without any lock.
pub(crate) trait Host: Send + Sync {
    /// The payload of CONNECT, a JSON object. `refused`: the server refused the last payload.
    ///
    /// # Errors
    /// An error about the credentials ([`Error::is_auth`]) ends the session. After any other error the session tries
    /// again later.
    fn credentials(&self, refused: bool) -> Result<String>;

    /// Restores the state on a new connection after a loss, before any other thread may send on that connection.
    ///
    /// # Errors
    /// An error ends the connection; the session then reconnects.
    fn restore(&self, line: &ConnectionHandle<'_>) -> Result<()>;
}

/// How large the queue to the consumer may grow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

/// A session. Dropping this value closes the connection.
pub(crate) struct Session {
    id: SessionId,
    shared: Arc<SessionCore>,
    closed: AtomicBool,
    /// See [`end`](Session::end).
    ended: AtomicBool,
    background: Mutex<Option<JoinHandle<()>>>,
}

/// Identifies a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionId(u64);

impl SessionId {
    fn next() -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        SessionId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A subscription that continues across reconnects.
pub(crate) type SessionSubscription = EventSubscription<Arc<SessionCore>>;

impl Session {
    /// Connects on this thread. Returns when the server has accepted CONNECT.
    ///
    /// `opened`: the result of an earlier attempt to open the connection. `None`: this function opens the connection.
    ///
    /// # Errors
    /// The reason of the failure. After a refusal, this function first tries once more with renewed credentials.
    pub(crate) fn open(
        name: &str,
        target: Target,
        host: Arc<dyn Host>,
        limits: Limits,
        policy: Policy,
        stop: Option<&CancelToken>,
        opened: Option<Result<Opened>>,
    ) -> Result<Self> {
        let shared = Arc::new(SessionCore::new(name, target, host, limits, policy, stop.is_some()));
        // `stop` cancels only the dial, because a connected session must make the closing handshake.
        let dialling = stop.map(CancelToken::child);
        if let Some(dialling) = &dialling {
            dialling.adopt(&shared.cancel);
        }
        let opened = match opened {
            // The opened connection is too old, because fetching the credentials took too long.
            Some(Ok(opened)) if !opened.is_fresh() => {
                opened.discard();
                None
            }
            other => other,
        };
        let connected = match shared.dial(false, opened) {
            Err(ConnectFailure::Refused(_)) => shared.dial(true, None),
            other => other,
        };
        shared.install(connected.map_err(ConnectFailure::into_error)?, &|_| Ok(()));
        drop(dialling);
        let background = background::start(Arc::clone(&shared))?;
        Ok(Session {
            id: SessionId::next(),
            shared,
            closed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            background: Mutex::new(Some(background)),
        })
    }

    /// # Errors
    /// `Closed`.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.shared.check_process()?;
        let state = self.shared.lock();
        if state.is_closed() { Err(state.closed_error()) } else { Ok(()) }
    }

    /// Whether the session belongs to the parent of this process. This process must not touch the locks of such a
    /// session.
    pub(crate) fn is_foreign(&self) -> bool {
        self.shared.check_process().is_err()
    }

    pub(crate) fn shared(&self) -> &Arc<SessionCore> {
        &self.shared
    }

    /// The items for the consumers that [`wait_for_items`](Session::wait_for_items) has made ready.
    pub(crate) fn ready(&self) -> Arc<ReadyItems> {
        Arc::clone(&self.shared.ready)
    }

    /// Returns a handle to the current connection. Waits for a connection until `until`.
    ///
    /// # Errors
    /// `NotSent` when no connection is up in time, `Closed`.
    pub(crate) fn connection(&self, until: Instant) -> Result<ConnectionHandle<'_>> {
        self.shared.check_process()?;
        let (connection, generation) = self.shared.link_when_up(until)?;
        Ok(ConnectionHandle::new(&self.shared, connection, generation))
    }

    /// The id of this session, unique in the process.
    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// The time when the server has certainly ended its session for this connection. After that time, no data of the
    /// connection can arrive. `None` while the connection exists.
    pub(crate) fn over_at(&self, generation: u64) -> Option<Instant> {
        let state = self.shared.lock();
        let is_there = state.generation == generation && state.connection().is_some();
        (!is_there).then(|| state.ended.over_at(generation))
    }

    /// Collects events from now on, across reconnects, until the returned guard is dropped.
    pub(crate) fn subscribe(&self, filter: Filter) -> SessionSubscription {
        EventSubscription::new(Arc::clone(&self.shared), None, None, filter)
    }

    /// The queue for log records. The caller may hold any lock.
    pub(crate) fn log(&self) -> &SessionLog {
        &self.shared.log
    }

    /// Ends the connection, because a consumer found an event that is not valid JSON.
    pub(crate) fn report_broken_event(&self, generation: u64) {
        let mut state = self.shared.lock();
        let end = Disconnect::new(reason::PARSE_ERROR, "an event is not valid JSON");
        self.shared.lose(&mut state, generation, end);
    }

    /// Dials again now, if the connection is down.
    pub(crate) fn reconnect_now(&self) {
        let mut state = self.shared.lock();
        if matches!(state.phase, Phase::Down) {
            state.retry_at = deadline::now();
            self.shared.notify_all(&mut state);
        }
    }

    /// Waits for this time. Returns early if the connection is lost or the session is stopped.
    pub(crate) fn pause(&self, time: Duration) {
        let lost =
            |state: &mut SessionState| (!matches!(state.phase, Phase::Up(_)) || state.stopped).then_some(());
        self.shared.wait(Waiter::Other, Some(deadline::after(time)), lost);
    }

    /// Whether a connection is up and any thread may send.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.shared.lock().phase, Phase::Up(_))
    }
}

#[cfg(not(crustocean_model))]
#[cfg(test)]
mod tests;
