//! A session lasts across reconnects. It uses one connection at a time.
//!
//! # Who reads
//!
//! *A waiting thread reads.* At most one thread at a time holds the **reader role** (`SessionState::reading`). A thread
//! that waits for something (an event, an ack, a confirmed join) takes the role if the role is free. The thread then
//! blocks in `read` on the socket **without the locks that other threads need**. It decodes the data, stores the result
//! in the state, releases the role, and checks whether its own condition is fulfilled. If another thread has the role,
//! the thread sleeps on a condition variable. A thread that leaves [`SessionCore::wait`] hands the role over: it wakes
//! one waiting thread, or the background thread if no thread waits.
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
//! close the connection, or make the server answer ([`SessionCore::wake_reader`] sends a ping).
//!
//! # The locks, in the order in which they may be taken
//!
//! | lock | guards | held while |
//! |---|---|---|
//! | [`BackgroundThread`] | the handle of the background thread | short operations; taken alone, and released before a join |
//! | `SessionCore::event_order` | the order of scheduled events | an event is sent |
//! | `SessionCore::state` | [`SessionState`] | short operations; a wait on a condition variable releases the lock |
//! | `ReadyItems` | the next items for consumers | short operations; taken alone or after the state's lock |
//! | the locks of a [driver](driver::Driver) | its tasks, the sessions that may have items | short operations; taken alone or after the state's lock |
//! | `Connection::reader` | the read half, for the thread with the role | a read, also a blocked one; with long-polling also a dial and the pong |
//! | `PollSender` | long-polling: the right to send | a request and its response |
//! | `ConnectionCore::link` | TLS, WebSocket, decoder; the write half | a write, which has a time limit |
//! | `Outbox` | long-polling: the frames of `try_send` | short operations; taken alone, or after `PollSender` or the link |
//! | `PollRequests::jar` | long-polling: the cookies | short operations; taken alone, or after `PollSender` or the link |
//! | the locks of `net::lookup` and `net::dial` | a look-up, a connect | a wait; with long-polling, taken after `Connection::reader` or `PollSender` |
//! | the read queue of `net::wire` | bytes that are read and not decoded | short operations; taken after `Connection::reader` or the link |
//! | the state of a `CancelToken` | what a cancel ends | short operations; taken alone or after any lock above |
//! | the secrets in `net::secrets` | the texts to remove | a search of a text; taken alone, or after `PollSender` or the link |
//! | the queue of `crate::logging` | log records | short operations; taken under any lock |
//!
//! Threads take other locks only under five of these: `event_order`, the state, `Connection::reader`, `PollSender` and
//! the link. No thread holds the state's lock together with one of the last three. User code (loggers, `Serialize`,
//! [`Host`]) runs without any of these locks.
//!
//! Many sessions can share one thread that never blocks, instead of one background thread each. This thread is the
//! [driver](driver::Driver) of the sessions, and `due_work` is what it does for one session.
//!
//! A model checker runs this scheme in many thread schedules: `model` contains the scenarios.
//!
//! # Which thread wakes which
//!
//! | thread | sleeps on | woken by |
//! |---|---|---|
//! | waits for events | `consumers` | a stored event; the release of the role; the end of a connection; `wake`; a stop |
//! | waits for something else | `others` | a stored answer or event; the release of the role; a new or ended connection; a stop |
//! | the background thread | `background` | the release of the role if no thread waits, or if the background thread must read for them; an ended connection; a schedule |
//! | a sender after the computer slept | `ConnectionCore::alive` | the reader, when a sign of life came or the connection has ended; another sender that gave up |
//! | a sender with long-polling | the lock of `PollSender` | the sender before it, when its response came |
//! | `close` | `others` | a confirmed event, the end of the connection, the end of the background thread |

mod background;
pub(crate) mod backoff;
mod closing;
mod connection_handle;
pub(crate) mod connector;
pub(crate) mod core;
pub(crate) mod driver;
#[cfg(any(feature = "agents", crustocean_model))]
pub(crate) mod due_work;
mod ended;
mod host;
#[cfg(crustocean_model)]
mod model;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod reader;
mod schedule;
pub(crate) mod scheduled;
mod sender;
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

use serde::Serialize;

use crate::deadline;
use crate::error::{Error, Result};
use crate::net::CancelToken;
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::protocol::event::{AckArgs, RawEvent};
use crate::socket::session::background::BackgroundThread;
use crate::socket::session::closing::CutGuard;
use crate::socket::session::connection::connect::{ConnectFailure, Opened};
pub(crate) use crate::socket::session::connection_handle::ConnectionHandle;
use crate::socket::session::connector::Connector;
use crate::socket::session::core::SessionCore;
#[cfg(any(feature = "agents", crustocean_model))]
use crate::socket::session::driver::Driver;
pub(crate) use crate::socket::session::host::Host;
use crate::socket::session::policy::Policy;
use crate::socket::session::queue::{Limits, ReadyItems};
use crate::socket::session::reader::Waited;
use crate::socket::session::scheduled::Repeating;
use crate::socket::session::session_log::SessionLog;
use crate::socket::session::state::{Phase, SessionState, Waiter};
use crate::socket::session::stats::SessionStats;
use crate::socket::session::subscriber::Filter;
use crate::socket::session::subscription::EventSubscription;
use crate::socket::session::waker::Waker;
use crate::socket::transport::target::Target;

/// A session. Dropping this value closes the connection. The methods that do more than a few lines of work are those of
/// [`SessionCore`], which the modules of this folder add.
pub(crate) struct Session {
    id: SessionId,
    core: Arc<SessionCore>,
    /// For the thread of a set, which may do the work of the background thread.
    #[cfg(any(feature = "agents", crustocean_model))]
    connector: Arc<Connector>,
    background: BackgroundThread,
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
        let core = Arc::new(SessionCore::new(name, target, limits, policy, stop.is_some()));
        // `stop` cancels only the dial, because a connected session must make the closing handshake.
        let dialling = stop.map(CancelToken::child);
        if let Some(dialling) = &dialling {
            dialling.adopt(&core.cancel);
        }
        let opened = match opened {
            // The opened connection is too old, because fetching the credentials took too long.
            Some(Ok(opened)) if !opened.is_fresh() => {
                opened.discard();
                None
            }
            other => other,
        };
        let connector = Arc::new(Connector::new(Arc::clone(&core), host));
        let connected = match connector.dial(false, opened) {
            Err(ConnectFailure::Refused(_)) => connector.dial(true, None),
            other => other,
        };
        connector.install(connected.map_err(ConnectFailure::into_error)?, &|_| Ok(()));
        drop(dialling);
        let background = BackgroundThread::new(background::start(Arc::clone(&connector))?);
        Ok(Session {
            id: SessionId::next(),
            core,
            #[cfg(any(feature = "agents", crustocean_model))]
            connector,
            background,
        })
    }

    /// The id of this session, unique in the process.
    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// The part of the session that a driver needs.
    #[cfg(any(feature = "agents", crustocean_model))]
    pub(crate) fn connector(&self) -> &Arc<Connector> {
        &self.connector
    }

    /// # Errors
    /// `Closed`.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.core.check_process()?;
        let state = self.core.lock();
        if state.is_closed() { Err(state.closed_error()) } else { Ok(()) }
    }

    /// Whether the session belongs to the parent of this process. This process must not touch the locks of such a
    /// session.
    pub(crate) fn is_foreign(&self) -> bool {
        self.core.is_foreign()
    }

    /// The queue for log records. The caller may hold any lock.
    pub(crate) fn log(&self) -> &SessionLog {
        &self.core.log
    }

    /// The session's statistics at this moment.
    pub(crate) fn stats(&self) -> SessionStats {
        self.core.stats()
    }
}

/// The connection.
impl Session {
    /// Whether a connection is up and any thread may send.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.core.lock().phase, Phase::Up(_))
    }

    /// Returns a handle to the current connection. Waits for a connection until `until`.
    ///
    /// # Errors
    /// `NotSent` when no connection is up in time, `Closed`.
    pub(crate) fn connection(&self, until: Instant) -> Result<ConnectionHandle<'_>> {
        self.core.check_process()?;
        let (connection, generation) = self.core.connection_when_up(until)?;
        Ok(ConnectionHandle::new(&self.core, connection, generation))
    }

    /// The time when the server has certainly ended its session for this connection. After that time, no data of the
    /// connection can arrive. `None` while the connection exists.
    pub(crate) fn over_at(&self, generation: u64) -> Option<Instant> {
        let state = self.core.lock();
        let is_there = state.generation == generation && state.connection().is_some();
        (!is_there).then(|| state.ended.over_at(generation))
    }

    /// Dials again now, if the connection is down.
    pub(crate) fn reconnect_now(&self) {
        let mut state = self.core.lock();
        if matches!(state.phase, Phase::Down) {
            state.retry_at = deadline::now();
            self.core.notify_all(&mut state);
        }
    }

    /// Waits for this time. Returns early if the connection is lost or the session is stopped.
    pub(crate) fn pause(&self, time: Duration) {
        let lost =
            |state: &mut SessionState| (!matches!(state.phase, Phase::Up(_)) || state.stopped).then_some(());
        self.core.wait(Waiter::Other, Some(deadline::after(time)), lost);
    }
}

/// Receiving.
impl Session {
    /// The items for the consumers that [`wait_for_items`](Session::wait_for_items) has made ready.
    pub(crate) fn ready(&self) -> Arc<ReadyItems> {
        Arc::clone(&self.core.ready)
    }

    /// Waits for an item to take: see [`SessionCore::wait_for_items`].
    pub(crate) fn wait_for_items(&self, until: Option<Instant>, has_some: &dyn Fn() -> bool) -> Waited {
        self.core.wait_for_items(until, has_some)
    }

    /// Whether something is there to take at once.
    pub(crate) fn has_items(&self) -> bool {
        self.core.has_items()
    }

    /// Collects events from now on, across reconnects, until the returned guard is dropped.
    pub(crate) fn subscribe(&self, filter: Filter) -> SessionSubscription {
        EventSubscription::new(Arc::clone(&self.core), None, None, filter)
    }

    /// Ends the connection, because a consumer found an event that is not valid JSON.
    pub(crate) fn report_broken_event(&self, generation: u64) {
        let mut state = self.core.lock();
        let end = Disconnect::new(reason::PARSE_ERROR, "an event is not valid JSON");
        self.core.lose(&mut state, generation, end);
    }

    /// A handle that wakes the consumers from another thread.
    pub(crate) fn waker(&self) -> Waker {
        Waker::new(Arc::clone(&self.core))
    }

    /// Wakes one waiting consumer, because another source has something for it.
    pub(crate) fn wake(&self) {
        self.core.wake();
    }

    /// Like [`wake`](Session::wake), but also reaches a consumer that is blocked in `read`.
    pub(crate) fn wake_reader(&self) {
        self.core.wake_reader();
    }

    /// Wakes all consumers, so that they check their other sources.
    pub(crate) fn wake_all(&self) {
        self.core.wake_all();
    }
}

/// Sending.
impl Session {
    /// Sends an event. Waits for the connection until `until`.
    ///
    /// # Errors
    /// The errors of [`SessionCore::emit`].
    pub(crate) fn emit(&self, name: &str, payload: &impl Serialize, until: Instant) -> Result<()> {
        self.core.emit(name, payload, until)
    }

    /// Sends an event if this is possible at once.
    ///
    /// # Errors
    /// The errors of [`SessionCore::emit`].
    pub(crate) fn try_emit(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        self.core.try_emit(name, payload)
    }

    /// Like [`emit`](Session::emit). Returns the generation of the connection that carried the event.
    ///
    /// # Errors
    /// The errors of [`SessionCore::emit`].
    pub(crate) fn emit_on_any(&self, name: &str, payload: &impl Serialize, until: Instant) -> Result<u64> {
        self.core.emit_on_any(name, payload, until)
    }

    /// Sends an event and waits for its ack.
    ///
    /// # Errors
    /// The errors of [`SessionCore::emit_with_ack`].
    pub(crate) fn emit_with_ack(
        &self,
        name: &str,
        payload: &impl Serialize,
        until: Instant,
        timeout: Duration,
    ) -> Result<AckArgs> {
        self.core.emit_with_ack(name, payload, until, timeout)
    }

    /// Answers an event, over the connection that delivered the event.
    ///
    /// # Errors
    /// The errors of [`SessionCore::answer`].
    pub(crate) fn answer(&self, event: &RawEvent, payload: &impl Serialize) -> Result<()> {
        self.core.answer(event, payload)
    }

    /// Sends an event now, again after each `every`, and after each reconnect, until the returned guard is dropped: see
    /// [`SessionCore::repeat`].
    ///
    /// # Errors
    /// `Invalid`, `Closed`.
    pub(crate) fn repeat(
        &self,
        name: &str,
        payload: &impl Serialize,
        last: &impl Serialize,
        every: Duration,
    ) -> Result<Repeating> {
        self.core.repeat(name, payload, last, every)
    }

    /// Sends an event now, or as soon as the connection is back: see [`SessionCore::deliver`].
    ///
    /// # Errors
    /// `Invalid`, `Closed`.
    pub(crate) fn deliver(&self, name: &str, payload: &impl Serialize) -> Result<bool> {
        self.core.deliver(name, payload)
    }
}

/// The work of the background thread, on the thread of a set.
#[cfg(any(feature = "agents", crustocean_model))]
impl Session {
    /// Gives the work of the background thread to a driver, until the session is over or
    /// [`drive_itself`](Session::drive_itself) is called.
    ///
    /// # Errors
    /// `Invalid` if the session already has a driver, `Closed`.
    pub(crate) fn give_to(&self, driver: Arc<dyn Driver>) -> Result<()> {
        self.core.give_to(driver, &self.background)
    }

    /// Takes the session back from its driver, and starts its own background thread again.
    ///
    /// # Errors
    /// `Config` if no thread can be started. Then the session is over. `Closed` in a forked child.
    pub(crate) fn drive_itself(&self) -> Result<()> {
        due_work::drive_itself(&self.connector, &self.background)
    }

    /// Whether there are more items, or the session is over. The consumer of a driver's session calls this after it
    /// took an item.
    pub(crate) fn has_more(&self) -> bool {
        self.core.has_more()
    }
}

/// Closing.
impl Session {
    /// Ends all waits for events, answers and connections, now and in the future: see [`SessionCore::stop_waits`].
    pub(crate) fn stop_waits(&self) {
        self.core.stop_waits();
    }

    /// Whether the session is over, closing or stopped.
    pub(crate) fn is_over(&self) -> bool {
        self.core.is_over()
    }

    /// Waits until the session [is over, closing or stopped](Session::is_over), at most until `until`. Returns
    /// whether this happened.
    pub(crate) fn wait_end(&self, until: Instant) -> bool {
        self.core.wait_end(until)
    }

    /// Waits until the session is over, including the closing handshake, at most until `until`. Returns whether this
    /// happened.
    pub(crate) fn wait_over(&self, until: Instant) -> bool {
        self.core.wait_over(until)
    }

    /// Returns the error that has ended the session, once. `None` if [`close`](Session::close) has ended the session.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.core.take_failure()
    }

    /// Cuts the connection at this time, unless the returned guard is dropped before: see [`SessionCore::cut_at`].
    pub(crate) fn cut_at(&self, deadline: Instant) -> Option<CutGuard> {
        self.core.cut_at(deadline)
    }

    /// Makes the closing handshake and ends the session, within `timeout`.
    ///
    /// # Errors
    /// The errors of [`SessionCore::close`].
    pub(crate) fn close(&self, timeout: Duration) -> Result<()> {
        self.core.close(timeout, &self.background)
    }

    /// Ends the session like a drop, with a short time limit for the closing handshake. Further calls do nothing.
    pub(crate) fn end(&self) {
        self.core.end(&self.background);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(not(crustocean_model))]
#[cfg(test)]
mod tests;
