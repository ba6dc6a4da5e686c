//! A session lasts across reconnects. It uses one connection at a time.
//!
//! # Who reads
//!
//! *A waiting thread reads.* At most one thread at a time holds the **reader role** (`SessionState::reading`). A thread
//! that waits for something (an event, an ack, a confirmed join) takes the role if the role is free. The thread then
//! blocks in `read` on the socket **without the locks that other threads need**. It decodes the data, stores the result
//! in the state, releases the role, and checks whether its own wish is fulfilled. If another thread has the role, the
//! thread sleeps on a condition variable. A thread that leaves [`SessionCore::wait`] hands the role over: it wakes one
//! waiting thread, or the background thread if no thread waits.
//!
//! The **background thread** (one per session, [`background`]) sleeps while another thread reads or waits. When no thread
//! has done so for a moment (a handler is busy), the background thread reads, so that pings are answered. It also
//! reconnects after the connection is lost, and sends scheduled events.
//!
//! Some waiting threads must not block in `read`, because nothing wakes them there: with long-polling, and in a session
//! that can be stopped. With long-polling, the background thread always reads for them. In a session that can be
//! stopped, a waiting thread reads while data comes; when nothing has come for a moment, the thread leaves the socket to
//! the background thread and sleeps on its condition variable, where a stop wakes it.
//!
//! A sender locks the connection, encodes, and writes on its own thread. Its caller gets any error.
//!
//! A thread that is blocked in `read` sees only socket traffic. Any other state change that this thread waits for must
//! close the connection, or make the server answer ([`SessionCore::nudge_reader`] sends a ping).
//!
//! # The locks, in the order in which they may be taken
//!
//! | lock | guards | held while |
//! |---|---|---|
//! | `SessionCore::orders` | the order of scheduled events | an event is sent |
//! | `SessionCore::state` | [`SessionState`] | short operations; a wait on a condition variable releases the lock |
//! | `ReadyItems` | the next items for consumers | short operations; taken alone or after the state's lock |
//! | `Connection::reader` | the read half, for the thread with the role | a read, also a blocked one |
//! | `Connection::decoder` | TLS, WebSocket, decoder; the write half | a write, which has a time limit |
//! | `PollSender` | long-polling: the right to send | a request and its response |
//! | `LogQueue` | log records | short operations; taken under any lock |
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
mod ended;
pub(crate) mod keeper;
pub(crate) mod log_queue;
#[cfg(crustocean_model)]
mod model;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod reader;
mod schedule;
pub(crate) mod scheduled;
pub(crate) mod sender;
mod state;
mod stats;
pub(crate) mod subscriber;
pub(crate) mod subscription;

#[cfg(not(crustocean_model))]
pub(crate) use crate::socket::connection;
/// A scripted connection that replaces the network.
#[cfg(crustocean_model)]
pub(crate) use model::connection;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Serialize;
use tungstenite::Utf8Bytes;

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::net::{Cancel, CancelToken};
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::protocol::event::{AckArgs, RawEvent};
use crate::socket::protocol::socket_io;
use crate::socket::session::connection::Connection;
use crate::socket::session::connection::connect::{ConnectFailure, Opened};
use crate::socket::session::log_queue::{LogQueue, note};
use crate::socket::session::policy::Policy;
use crate::socket::session::queue::Item;
use crate::socket::session::reader::{SessionCore, Waiter};
use crate::socket::session::sender::{ConnectionHandle, Unsent};
use crate::socket::session::state::{Changes, Phase, SessionState};
use crate::socket::session::subscriber::Filter;
use crate::socket::session::subscription::Subscription;
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

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("state", &*self.shared.lock()).finish_non_exhaustive()
    }
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

/// Cancels the first dial.
struct Dialling(CancelToken);

impl Cancel for Dialling {
    fn cancel(&self) {
        self.0.cancel();
    }
}

/// A subscription that continues across reconnects.
pub(crate) type SessionSubscription = Subscription<Arc<SessionCore>>;

/// How long `close` waits for the server's goodbye after all events are confirmed.
const CLOSE_HANDSHAKE: Duration = Duration::from_secs(1);
/// The time limit for closing a session that is dropped.
const DROP_TIMEOUT: Duration = Duration::from_millis(500);

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
        // `stop` cancels only the dial: a connected session must say goodbye before it closes.
        let dialling: Arc<dyn Cancel> = Arc::new(Dialling(shared.cancel.clone()));
        if let Some(stop) = stop {
            stop.add(Arc::downgrade(&dialling));
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

    /// Sends an event. Waits for the connection until `until`.
    ///
    /// # Errors
    /// `NotSent` when the connection did not come back in time, `MaybeSent` when it broke during the write, `Invalid` when
    /// the payload cannot be sent at all, `Closed`.
    pub(crate) fn emit(&self, name: &str, payload: &impl Serialize, until: Instant) -> Result<()> {
        self.emit_on_any(name, payload, until).map(drop)
    }

    /// Sends an event if this is possible at once. Does not wait for a connection, or for the server to read. With
    /// long-polling, a short-lived thread posts the event.
    ///
    /// # Errors
    /// As [`emit`](Session::emit).
    pub(crate) fn try_emit(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        self.shared.check_process()?;
        self.shared.try_send(socket_io::encode_event(name, None, payload)?.into())
    }

    /// Like [`emit`](Session::emit). Returns the generation of the connection that carried the event.
    ///
    /// # Errors
    /// As [`emit`](Session::emit).
    pub(crate) fn emit_on_any(&self, name: &str, payload: &impl Serialize, until: Instant) -> Result<u64> {
        self.shared.check_process()?;
        let frame = Utf8Bytes::from(socket_io::encode_event(name, None, payload)?);
        self.shared.send_when_up(&frame, until).map(|(_, generation, _)| generation)
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

    /// Sends an event and waits for its ack.
    ///
    /// # Errors
    /// As [`emit`](Session::emit); `Timeout` when the ack does not come, `MaybeSent` when the connection ends first,
    /// `Closed` when the agent is closed first.
    pub(crate) fn emit_with_ack(
        &self,
        name: &str,
        payload: &impl Serialize,
        until: Instant,
        timeout: Duration,
    ) -> Result<AckArgs> {
        self.shared.check_process()?;
        let id = self.shared.lock().fresh_id();
        let frame = Utf8Bytes::from(socket_io::encode_event(name, Some(id), payload)?);
        self.shared.lock().acks.insert(id, None);
        let outcome = self.shared.send_when_up(&frame, until).and_then(|(connection, generation, number)| {
            let deadline = deadline::after(timeout);
            let wish = |state: &mut SessionState| {
                if let Some(args) = state.acks.get_mut(&id).and_then(Option::take) {
                    connection.confirm(number);
                    return Some(Ok(args));
                }
                // Only the connection that carried the request can deliver the ack.
                let lost = state.generation != generation || state.connection().is_none() || state.stopped;
                lost.then(|| {
                    let text = format!("the connection broke before the answer to {name} came");
                    Err(state.interrupted(&text))
                })
            };
            self.shared
                .wait(Waiter::Other, Some(deadline), wish)
                .unwrap_or_else(|| Err(Error::timeout(format!("no answer to {name} within {timeout:?}"))))
        });
        let mut state = self.shared.lock();
        state.acks.remove(&id);
        if state.acks.is_empty() {
            // Frees memory after many calls.
            state.acks.shrink_to(8);
        }
        drop(state);
        outcome
    }

    /// Sends the answer that an event asks for, over the connection that delivered the event.
    ///
    /// # Errors
    /// `Invalid` when the event wants no answer, has been answered, or the payload is not JSON; `NotSent` when that
    /// connection is gone; `MaybeSent` when the connection broke during the write; `Closed`.
    pub(crate) fn answer(&self, event: &RawEvent, payload: &impl Serialize) -> Result<()> {
        self.shared.check_process()?;
        // Encodes first: an invalid payload must not use up the only answer.
        let payload = socket_io::encode_payload(payload)?;
        let (id, generation) = event.take_ack()?;
        let frame = Utf8Bytes::from(socket_io::ack_frame(id, &payload));
        let connection = {
            let state = self.shared.lock();
            if state.is_closed() {
                return Err(state.closed_error());
            }
            state.connection().filter(|_| state.generation == generation).cloned()
        };
        let connection = connection.ok_or_else(|| {
            Error::new(
                ErrorKind::NotSent,
                "the connection that the question came over is gone: nobody waits for the answer",
            )
        })?;
        self.shared.send_on(&connection, generation, &frame).map(drop).map_err(Unsent::into_error)
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

    /// The time when the server has certainly ended its session for this connection. After that time, nothing that was
    /// sent over the connection can arrive. `None` while the connection exists.
    pub(crate) fn over_at(&self, generation: u64) -> Option<Instant> {
        let state = self.shared.lock();
        let is_there = state.generation == generation && state.connection().is_some();
        (!is_there).then(|| state.ended.over_at(generation))
    }

    /// Collects events from now on, across reconnects, until the returned guard is dropped.
    pub(crate) fn subscribe(&self, filter: Filter) -> SessionSubscription {
        Subscription::new(Arc::clone(&self.shared), None, None, filter)
    }

    /// Takes the next item that [`wait_for_items`](Session::wait_for_items) has made ready.
    pub(crate) fn take(&self) -> Option<Item> {
        self.shared.ready.take()
    }

    /// Waits for an item to [`take`](Session::take), at most until `until`. If `has_some` returns true, another source has
    /// something for the consumer, and the result is [`Waited::Nothing`].
    pub(crate) fn wait_for_items(&self, until: Option<Instant>, has_some: &dyn Fn() -> bool) -> Waited {
        if !self.shared.ready.is_empty() {
            return Waited::Items;
        }
        if self.shared.check_process().is_err() {
            return Waited::Ended;
        }
        let wish = |state: &mut SessionState| {
            if self.shared.ready.refill(&mut state.queue) {
                return Some(Waited::Items);
            }
            // The items of other sources come before the end of the session.
            if has_some() || std::mem::take(&mut state.nudged) {
                return Some(Waited::Nothing);
            }
            (matches!(state.phase, Phase::Closed) || state.stopped).then_some(Waited::Ended)
        };
        self.shared.wait(Waiter::Consumer, until, wish).unwrap_or(Waited::Nothing)
    }

    /// Whether something is there to take at once.
    pub(crate) fn has_items(&self) -> bool {
        self.shared.check_process().is_ok() && self.shared.ready.refill(&mut self.shared.lock().queue)
    }

    /// Why the session has ended, if not by [`close`](Session::close). Comes once.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        if let Err(error) = self.shared.check_process() {
            let told = self.closed.swap(true, Ordering::AcqRel);
            return (!told).then_some(error);
        }
        self.shared.lock().failure.take()
    }

    /// The queue for log records. The caller may hold any lock.
    pub(crate) fn log(&self) -> &LogQueue {
        &self.shared.log
    }

    /// A handle that wakes the consumers from another thread.
    pub(crate) fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.shared))
    }

    /// Tells the consumers that another source has something for them: one waiting consumer returns early with
    /// [`Waited::Nothing`].
    pub(crate) fn nudge(&self) {
        self.shared.nudge();
    }

    /// Like [`nudge`](Session::nudge), but also reaches a consumer that is blocked in `read`.
    pub(crate) fn nudge_reader(&self) {
        self.shared.nudge_reader();
    }

    /// Wakes all consumers, so that they check their other sources: see [`wait_for_items`](Session::wait_for_items).
    pub(crate) fn nudge_all(&self) {
        self.shared.nudge_all();
    }

    /// Ends the connection, because a consumer found an event that is not valid JSON.
    pub(crate) fn report_broken_event(&self, generation: u64) {
        let mut state = self.shared.lock();
        if state.lose(generation, Disconnect::new(reason::PARSE_ERROR, "an event is not valid JSON")) {
            self.shared.tell(&mut state, Changes { link_over: true, ..Changes::default() });
        }
    }

    /// Dials again now, if the connection is down.
    pub(crate) fn reconnect_now(&self) {
        let mut state = self.shared.lock();
        if matches!(state.phase, Phase::Down) {
            state.retry_at = deadline::now();
            self.shared.tell_all(&mut state);
        }
    }

    /// Waits for this time. Returns early if the connection is lost or the session is stopped.
    pub(crate) fn pause(&self, time: Duration) {
        let lost =
            |state: &mut SessionState| (!matches!(state.phase, Phase::Up(_)) || state.stopped).then_some(());
        self.shared.wait(Waiter::Other, Some(deadline::after(time)), lost);
    }

    /// Ends all waits for events, answers and connections, now and in the future. Threads that sleep return at once, a
    /// thread that reads returns after 50 ms at most.
    /// Data that can be sent at once is still sent, until the session is [closed](Session::close).
    pub(crate) fn stop_waits(&self) {
        if self.shared.check_process().is_err() {
            return;
        }
        let mut state = self.shared.lock();
        state.stopped = true;
        self.shared.tell_all(&mut state);
    }

    /// Whether the session is over, closing or stopped.
    pub(crate) fn is_over(&self) -> bool {
        if self.is_foreign() {
            return true;
        }
        let state = self.shared.lock();
        state.is_closed() || state.stopped
    }

    /// Waits until the session [is over, closing or stopped](Session::is_over), at most until `until`. Returns
    /// whether this happened.
    pub(crate) fn wait_end(&self, until: Instant) -> bool {
        let ends = |state: &mut SessionState| (state.is_closed() || state.stopped).then_some(());
        self.is_foreign() || self.shared.wait(Waiter::Other, Some(until), ends).is_some()
    }

    /// Waits until the session is over, including the goodbye, at most until `until`. Returns whether this happened.
    pub(crate) fn wait_over(&self, until: Instant) -> bool {
        let over = |state: &mut SessionState| matches!(state.phase, Phase::Closed).then_some(());
        self.is_foreign() || self.shared.wait(Waiter::Other, Some(until), over).is_some()
    }

    /// Whether a connection is up and any thread may send.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.shared.lock().phase, Phase::Up(_))
    }

    /// Says goodbye and ends the session, within `timeout`. Waits for the server's answer, which shows that the server has
    /// received everything that was sent before.
    ///
    /// # Errors
    /// `MaybeSent` with the number of events that may not have arrived. Instead, the error that had ended the session
    /// before, if no consumer has taken that error.
    pub(crate) fn close(&self, timeout: Duration) -> Result<()> {
        self.shared.check_process()?;
        let deadline = deadline::after(timeout);
        let already = self.closed.swap(true, Ordering::AcqRel);
        let connection = {
            let mut state = self.shared.lock();
            let connection = match &state.phase {
                Phase::Up(connection) | Phase::Restoring(connection) => Some(Arc::clone(connection)),
                Phase::Closing(_) | Phase::Down | Phase::Closed => None,
            };
            match &connection {
                Some(connection) => state.phase = Phase::Closing(Arc::clone(connection)),
                None if matches!(state.phase, Phase::Down) => state.phase = Phase::Closed,
                None => {}
            }
            let pending = state.scheduled.pending();
            if pending > 0 {
                note!(self.shared.log, Warn, "{pending} events that waited for the connection are given up");
            }
            self.shared.tell_all(&mut state);
            connection
        };
        let mut unconfirmed = 0;
        if let Some(connection) = &connection {
            connection.say_goodbye(deadline);
            self.await_goodbye(connection, deadline);
            connection.cut();
            unconfirmed = connection.unconfirmed();
        }
        if !already || connection.is_some() {
            let mut state = self.shared.lock();
            state.phase = Phase::Closed;
            self.shared.tell_all(&mut state);
        }
        drop(connection);
        self.shared.cancel.cancel();
        self.join_background(deadline);
        if let Some(error) = self.shared.lock().failure.take() {
            return Err(error);
        }
        if unconfirmed > 0 {
            return Err(Error::new(
                ErrorKind::MaybeSent,
                format!(
                    "the agent was closed, but the server has not confirmed that it took the last {unconfirmed} \
                     messages sent: they may or may not have arrived"
                ),
            ));
        }
        if !already {
            note!(self.shared.log, Info, "closed");
        }
        Ok(())
    }

    /// Waits for the server to answer the goodbye and to end the connection.
    fn await_goodbye(&self, connection: &Connection, deadline: Instant) {
        let over = |state: &mut SessionState| matches!(state.phase, Phase::Closed).then_some(());
        let over_or_confirmed = |state: &mut SessionState| match connection.unconfirmed() {
            0 => Some(()),
            _ => over(state),
        };
        self.shared.wait(Waiter::Other, Some(deadline), over_or_confirmed);
        // All events are confirmed, or the deadline has passed. The closing handshake gets only a little more time.
        let patience = deadline.min(deadline::after(CLOSE_HANDSHAKE));
        self.shared.wait(Waiter::Other, Some(patience), over);
    }

    /// Waits for the background thread until `deadline`. A thread that hangs in a dial ends at the deadline of the
    /// dial.
    fn join_background(&self, deadline: Instant) {
        let gone = |state: &mut SessionState| state.background_gone.then_some(());
        if self.shared.wait(Waiter::Other, Some(deadline), gone).is_some() {
            let background = self.background.lock().take();
            if let Some(background) = background {
                let _ = background.join();
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

impl Session {
    /// Ends the session like a drop: says goodbye with a short time limit. Further calls do nothing.
    pub(crate) fn end(&self) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.shared.check_process().is_err() {
            // The connection belongs to the parent process: closing it here would end it there. The locks are not
            // touched, because a thread that exists only in the parent may hold them.
            return;
        }
        if std::thread::panicking() {
            // Does not wait during a panic: cuts the connection.
            let mut state = self.shared.lock();
            if let Some(connection) = state.connection() {
                connection.cut();
            }
            state.phase = Phase::Closed;
            self.shared.tell_all(&mut state);
            drop(state);
            self.shared.cancel.cancel();
        } else {
            if let Err(error) = self.close(DROP_TIMEOUT) {
                note!(self.shared.log, Warn, "{error}");
            }
            // A program that ends does not wait for the log thread, so this thread writes the records.
            self.shared.log.flush();
        }
    }
}

/// The result of [`Session::wait_for_items`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// There is an item to take.
    Items,
    /// No item came in time, or another source has something: see [`Session::nudge`].
    Nothing,
    /// The session is over, and all items are taken.
    Ended,
}

/// Wakes the consumers of a session from another thread, without keeping the session alive.
#[derive(Debug, Clone)]
pub(crate) struct Waker(Arc<SessionCore>);

impl Waker {
    /// As [`Session::nudge`].
    pub(crate) fn nudge(&self) {
        self.0.nudge();
    }

    /// As [`Session::nudge_all`].
    pub(crate) fn nudge_all(&self) {
        self.0.nudge_all();
    }

    /// Until the returned guard is dropped, a consumer that reads checks for a nudge at short intervals.
    pub(crate) fn announce(&self) -> Announced {
        self.0.lock().helpers += 1;
        Announced(Arc::clone(&self.0))
    }
}

/// A helper thread is preparing something for the consumers: see [`Waker::announce`].
#[derive(Debug)]
pub(crate) struct Announced(Arc<SessionCore>);

impl Drop for Announced {
    fn drop(&mut self) {
        self.0.lock().helpers -= 1;
    }
}

#[cfg(not(crustocean_model))]
#[cfg(test)]
mod tests;
