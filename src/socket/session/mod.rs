//! A session outlives its connections: they are lost and made again, the session stays.
//!
//! # Who reads
//!
//! *Whoever waits, reads.* At most one thread at a time holds the **reader role** (`SessionState::reading`). A thread
//! that waits for something (an event, an ack, a confirmed join) takes the role if it is free. It then blocks in `read`
//! on the socket **without any lock**, decodes what came, files it in the state, gives the role up, and looks whether
//! its own wish came true. If the role is taken, the thread sleeps on a condition variable. Whoever leaves
//! [`SessionCore::wait`] hands the role over: it wakes one thread that waits, or the background thread if none does.
//!
//! The **background thread** (one per session, [`background`]) sleeps as long as somebody reads or waits. When nobody has
//! done so for a moment (a handler is busy), it reads in their place, so that pings are answered. It also connects again
//! when the connection is lost, and sends what is scheduled.
//!
//! A sender takes the connection's lock, encodes and writes on its own thread. An error belongs to the caller.
//!
//! A thread that is blocked in `read` sees only what comes from the socket. Any other change that it waits for must close
//! the connection, or make the server answer ([`SessionCore::nudge_reader`] sends a ping).
//!
//! # The locks, in the order in which they may be taken
//!
//! | lock | guards | held while |
//! |---|---|---|
//! | `SessionCore::orders` | the order of scheduled events | an event is sent |
//! | `SessionCore::state` | [`SessionState`] | never while blocked; the condition variables let it go |
//! | `ReadyItems` | the next items for consumers | moments; alone or under the state's |
//! | `Connection::reader` | the read half; only the holder of the role takes it | a read: the one lock that is held while blocked |
//! | `Connection::channel` | TLS, WebSocket, decoder; the write half | a write, which has a time limit |
//! | `PollSender` | long-polling: the turn to send | a request and its answer |
//! | `LogQueue` | records for the log | moments; under any lock |
//!
//! No thread holds the state's lock together with one of a connection's. Code of the user's (loggers, `Serialize`,
//! [`Host`]) runs without any of these.
//!
//! Instead of a background thread each, many sessions may have one thread that never blocks: `attend`.
//!
//! The scheme is checked by machine, in many schedules: `model` has the scenarios.
//!
//! # Who waits for whom
//!
//! | who | sleeps on | woken by |
//! |---|---|---|
//! | a thread that waits for events | `consumers` | whoever files an event; whoever leaves the role; the end of a connection; `nudge` |
//! | a thread that waits for something else | `others` | whoever files an answer or an event it subscribed to; whoever leaves the role; a new connection; the end |
//! | the background thread | `background` | whoever leaves the role when nobody waits; the end of a connection; a schedule |
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
pub(crate) mod scheduled;
pub(crate) mod sender;
mod state;
mod stats;
pub(crate) mod subscription;

#[cfg(not(crustocean_model))]
pub(crate) use crate::socket::connection;
/// A scripted peer in the place of the network.
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
use crate::socket::session::subscription::{Filter, Subscription};
use crate::socket::target::Target;
use crate::sync::{AtomicBool, JoinHandle, Mutex};

/// What the layer above brings: who we are, and what has to be set right on a new connection.
/// Runs on the thread that dials, never under a lock.
pub(crate) trait Host: Send + Sync {
    /// The payload of CONNECT, a JSON object. `refused`: the last one was not taken.
    ///
    /// # Errors
    /// An error about credentials ends the session; any other is tried again later.
    fn credentials(&self, refused: bool) -> Result<String>;

    /// Called on a connection that came back, before anybody else may send on it.
    ///
    /// # Errors
    /// An error gives the connection up.
    fn restore(&self, line: &ConnectionHandle<'_>) -> Result<()>;
}

/// How large the queue to the consumer may grow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

/// The session's owner; dropping it closes the connection.
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

/// Tells sessions apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionId(u64);

impl SessionId {
    fn next() -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        SessionId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Ends the first dial.
struct Dialling(CancelToken);

impl Cancel for Dialling {
    fn cancel(&self) {
        self.0.cancel();
    }
}

/// A watch that outlives connections.
pub(crate) type SessionSubscription = Subscription<Arc<SessionCore>>;

/// How long the peer may take to answer the goodbye when everything sent is known to have arrived.
const CLOSE_HANDSHAKE: Duration = Duration::from_secs(1);
/// What dropping the session may take in all.
const DROP_TIMEOUT: Duration = Duration::from_millis(500);

impl Session {
    /// Connects, on this thread. Returns when the server has said yes.
    ///
    /// `opened`: the connection to do it on, or why there is none, if somebody has tried already.
    ///
    /// # Errors
    /// Why it cannot; a refusal is tried once more with renewed credentials.
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
        // Only until it is connected: after that the goodbye has to be said first.
        let dialling: Arc<dyn Cancel> = Arc::new(Dialling(shared.cancel.clone()));
        if let Some(stop) = stop {
            stop.add(Arc::downgrade(&dialling));
        }
        let opened = match opened {
            // Fetching the credentials took long.
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

    /// Sends an event if that is possible at once: waits neither for a connection nor for the peer to read. (With long-polling
    /// it waits for the answer to the request that carries it.)
    ///
    /// # Errors
    /// As [`emit`](Session::emit).
    pub(crate) fn try_emit(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        self.shared.check_process()?;
        self.shared.try_send(socket_io::encode_event(name, None, payload)?.into())
    }

    /// As [`emit`](Session::emit); tells which connection it went out on.
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

    /// Whether it belongs to the parent of this process, and none of its locks may be touched.
    pub(crate) fn is_foreign(&self) -> bool {
        self.shared.check_process().is_err()
    }

    pub(crate) fn shared(&self) -> &Arc<SessionCore> {
        &self.shared
    }

    /// Sends an event and waits for its ack.
    ///
    /// # Errors
    /// As [`emit`](Session::emit); `Timeout` when the ack does not come, `MaybeSent` when the connection ends first, `Closed`
    /// when the agent is closed first.
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
                // Lost is an answer with the connection that the question went over, and with no other.
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
            // Gives the memory of many calls back.
            state.acks.shrink_to(8);
        }
        drop(state);
        outcome
    }

    /// Answers an event that asked for it, over the connection that it came by.
    ///
    /// # Errors
    /// `Invalid` when no answer is wanted (any more), `NotSent` when that connection is gone, `MaybeSent`.
    pub(crate) fn answer(&self, event: &RawEvent, payload: &impl Serialize) -> Result<()> {
        self.shared.check_process()?;
        // First, because a payload that cannot be encoded must not use the answer up.
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

    /// A way to send and watch, on the connection that is up now or comes up until `until`.
    ///
    /// # Errors
    /// `NotSent` when there is none in time, `Closed`.
    pub(crate) fn connection(&self, until: Instant) -> Result<ConnectionHandle<'_>> {
        self.shared.check_process()?;
        let (connection, generation) = self.shared.link_when_up(until)?;
        Ok(ConnectionHandle::new(&self.shared, connection, generation))
    }

    /// Tells this session from all others of the process.
    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// From when on the server's session of that connection is certainly over, so that nothing that was sent over it can
    /// arrive any more; `None` while the connection is there.
    pub(crate) fn over_at(&self, generation: u64) -> Option<Instant> {
        let state = self.shared.lock();
        let is_there = state.generation == generation && state.connection().is_some();
        (!is_there).then(|| state.ended.over_at(generation))
    }

    /// Collects events from now on, across reconnects, until the returned guard is dropped.
    pub(crate) fn subscribe(&self, filter: Filter) -> SessionSubscription {
        Subscription::new(Arc::clone(&self.shared), None, None, filter)
    }

    /// The next item for the consumers, if one has been laid ready by [`wait_for_items`](Session::wait_for_items).
    pub(crate) fn take(&self) -> Option<Item> {
        self.shared.ready.take()
    }

    /// Waits until there is something to [`take`](Session::take), but not longer than `until`.
    /// `has_some`: whether the consumer has got something elsewhere, which is [`Waited::Nothing`].
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
            // What is kept outside goes before the end.
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

    /// For records about the agent, under any lock.
    pub(crate) fn log(&self) -> &LogQueue {
        &self.shared.log
    }

    /// To reach the consumers from another thread.
    pub(crate) fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.shared))
    }

    /// Something is ready for consumers that the session does not know of: one more of those who wait for events gets
    /// [`Waited::Nothing`] before its time.
    pub(crate) fn nudge(&self) {
        self.shared.nudge();
    }

    /// As [`nudge`](Session::nudge), also if all who wait are blocked in a read.
    pub(crate) fn nudge_reader(&self) {
        self.shared.nudge_reader();
    }

    /// Several consumers are to look elsewhere: see [`wait_for_items`](Session::wait_for_items).
    pub(crate) fn nudge_all(&self) {
        self.shared.nudge_all();
    }

    /// The consumer found that an event is not even JSON: the server is broken, and the connection with it.
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

    /// Waits, unless the connection is lost first.
    pub(crate) fn pause(&self, time: Duration) {
        let lost =
            |state: &mut SessionState| (!matches!(state.phase, Phase::Up(_)) || state.stopped).then_some(());
        self.shared.wait(Waiter::Other, Some(deadline::after(time)), lost);
    }

    /// Ends all waits, now and from now on, in a moment: for events, for answers, for a connection. What can be sent at
    /// once is still sent, until the session is [closed](Session::close).
    pub(crate) fn stop_waits(&self) {
        if self.shared.check_process().is_err() {
            return;
        }
        let mut state = self.shared.lock();
        state.stopped = true;
        self.shared.tell_all(&mut state);
    }

    /// Whether it is over, or about to be.
    pub(crate) fn is_over(&self) -> bool {
        if self.is_foreign() {
            return true;
        }
        let state = self.shared.lock();
        state.is_closed() || state.stopped
    }

    /// Waits until the session is over or [about to be](Session::is_over), or until `until`. Returns whether it is.
    pub(crate) fn wait_end(&self, until: Instant) -> bool {
        let ends = |state: &mut SessionState| (state.is_closed() || state.stopped).then_some(());
        self.is_foreign() || self.shared.wait(Waiter::Other, Some(until), ends).is_some()
    }

    /// Waits until the session is over and the goodbye said, or until `until`. Returns whether it is.
    pub(crate) fn wait_over(&self, until: Instant) -> bool {
        let over = |state: &mut SessionState| matches!(state.phase, Phase::Closed).then_some(());
        self.is_foreign() || self.shared.wait(Waiter::Other, Some(until), over).is_some()
    }

    /// Whether somebody may send right now.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.shared.lock().phase, Phase::Up(_))
    }

    /// Says goodbye and ends the session, in `timeout` at most: waits until the peer has answered, which shows that it
    /// has taken all that was sent before.
    ///
    /// # Errors
    /// `MaybeSent` with the number of events that are not known to have arrived; what had ended the session before, if
    /// nobody was told yet.
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

    /// Waits for the peer to answer the goodbye and to end the connection.
    fn await_goodbye(&self, connection: &Connection, deadline: Instant) {
        let over = |state: &mut SessionState| matches!(state.phase, Phase::Closed).then_some(());
        let over_or_confirmed = |state: &mut SessionState| match connection.unconfirmed() {
            0 => Some(()),
            _ => over(state),
        };
        self.shared.wait(Waiter::Other, Some(deadline), over_or_confirmed);
        // The rest is politeness.
        let patience = deadline.min(deadline::after(CLOSE_HANDSHAKE));
        self.shared.wait(Waiter::Other, Some(patience), over);
    }

    /// Waits for the background thread as long as allowed. One that hangs in a dial ends by itself at the dial's deadline.
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
    /// Ends the session as dropping it does: says goodbye, in little time. Once is enough.
    pub(crate) fn end(&self) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.shared.check_process().is_err() {
            // The connection is the parent's: closing it here would end it there. The locks are not touched, because
            // a thread that does not exist on this side may hold them.
            return;
        }
        if std::thread::panicking() {
            // No waiting while unwinding: just let go.
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
            // A program that ends waits for no thread.
            self.shared.log.flush();
        }
    }
}

/// What [`Session::wait_for_items`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// There is something to take.
    Items,
    /// Nothing in time, or [nudged](Session::nudge).
    Nothing,
    /// The session is over, and everything is taken.
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

    /// Until the returned guard is dropped, a consumer that waits looks up now and then.
    pub(crate) fn announce(&self) -> Announced {
        self.0.lock().helpers += 1;
        Announced(Arc::clone(&self.0))
    }
}

/// A helper is at work that will have something for the consumers: see [`Waker::announce`].
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
