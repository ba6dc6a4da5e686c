//! How a session uses a connection: connects, installs, sends and subscribes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde::Serialize;
use tungstenite::Utf8Bytes;

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::socket::disconnect::SendFailure;
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::protocol::socket_io;
use crate::socket::session::connection::Connection;
use crate::socket::session::connection::connect::{ConnectFailure, Connected, Opened, connect};
use crate::socket::session::log_queue::note;
use crate::socket::session::queue::Item;
use crate::socket::session::reader::{SessionCore, Waiter};
use crate::socket::session::state::{Changes, Phase};
use crate::socket::session::subscriber::{Filter, Needle};
use crate::socket::session::subscription::Subscription;
use crate::sync::AtomicU64;

/// A handle bound to one connection, to send and to subscribe. Operations fail after a reconnect.
#[derive(Debug)]
pub(crate) struct ConnectionHandle<'a> {
    pub(crate) shared: &'a SessionCore,
    connection: Arc<Connection>,
    pub(crate) generation: u64,
    /// The number of the last event that this handle has sent.
    last: AtomicU64,
}

impl<'a> ConnectionHandle<'a> {
    pub(crate) fn new(shared: &'a SessionCore, connection: Arc<Connection>, generation: u64) -> Self {
        ConnectionHandle { shared, connection, generation, last: AtomicU64::new(0) }
    }

    /// # Errors
    /// `MaybeSent` or `NotSent` when the connection is over, `Invalid` when the payload cannot be sent.
    pub(crate) fn emit(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        let frame = Utf8Bytes::from(socket_io::encode_event(name, None, payload)?);
        let number =
            self.shared.send_on(&self.connection, self.generation, &frame).map_err(Unsent::into_error)?;
        self.last.fetch_max(number, Ordering::Relaxed);
        Ok(())
    }

    /// Confirms the events of this handle, because the server has sent something that proves their arrival.
    pub(crate) fn confirm(&self) {
        self.connection.confirm(self.last.load(Ordering::Relaxed));
    }

    /// Collects events from now on, until the returned guard is dropped.
    pub(crate) fn subscribe(&self, filter: Filter) -> Subscription<&'a SessionCore> {
        Subscription::new(self.shared, Some(self.generation), None, filter)
    }

    /// Like [`subscribe`](ConnectionHandle::subscribe), for events that contain a text.
    pub(crate) fn subscribe_to(&self, needle: Needle, filter: Filter) -> Subscription<&'a SessionCore> {
        Subscription::new(self.shared, Some(self.generation), Some(needle), filter)
    }

    /// Whether this is still the session's last connection. It may be lost nevertheless.
    pub(crate) fn is_current(&self) -> bool {
        self.shared.lock().generation == self.generation
    }

    /// Adds an item to the queue of the consumers.
    pub(crate) fn push(&self, item: Item) {
        let mut state = self.shared.lock();
        state.queue.push(item);
        self.shared.tell(&mut state, Changes { events: 1, ..Changes::default() });
    }
}

/// Why a send failed.
pub(crate) enum Unsent {
    /// The connection had ended before the write: the next connection may carry the frame.
    NotSent,
    Error(Error),
}

impl Unsent {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Unsent::NotSent => {
                Error::new(ErrorKind::NotSent, "the connection is down: the message was not sent")
            }
            Unsent::Error(error) => error,
        }
    }
}

impl SessionCore {
    /// Tries once to connect with the host's credentials. Uses the connection in `opened`, if there is one.
    pub(crate) fn dial(
        &self,
        refused: bool,
        opened: Option<Result<Opened>>,
    ) -> Result<Connected, ConnectFailure> {
        // A panic in the host (for example in a logger) counts as one failed attempt.
        let auth = catch_unwind(AssertUnwindSafe(|| self.host.credentials(refused)))
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Connect, "asking for a session token panicked")))
            .map_err(ConnectFailure::Failed)?;
        let recovery = self.lock().recovery();
        let outcome = match opened {
            Some(Ok(opened)) => {
                opened.hang_on(&self.cancel);
                if opened.is_polling() {
                    self.memory.polling_works();
                }
                opened.join(&self.target, &auth, recovery.as_ref())
            }
            Some(Err(error)) => Err(error.into()),
            None => connect(&self.target, &auth, recovery.as_ref(), &self.memory, &self.cancel),
        };
        if let Err(failure) = &outcome
            && !failure.is_of_the_network()
        {
            // The server has refused: the next attempt does not ask for recovery.
            self.lock().pid = None;
        }
        outcome
    }

    /// Makes a new connection the current one, calls `restore`, sends pending events, and then lets all threads send.
    pub(crate) fn install(
        &self,
        connected: Connected,
        restore: &dyn Fn(&ConnectionHandle<'_>) -> Result<()>,
    ) {
        let Connected { connection, mut early, reply, recovered } = connected;
        let connection = Arc::new(connection);
        self.mask_errors(&mut early);
        let generation = {
            let mut state = self.lock();
            if state.is_closed() {
                connection.cut();
                return;
            }
            state.generation += 1;
            state.phase = Phase::Restoring(Arc::clone(&connection));
            state.up_since = deadline::now();
            state.quiet = false;
            let attempt = state.tries;
            let again = state.generation > 1;
            state.queue.push(Item::Connected { attempt, recovered, again });
            state.pid = reply.pid;
            if !recovered {
                state.offset = None;
            }
            let mut filed = state.file(&mut early);
            filed.events += 1;
            self.tell(&mut state, filed);
            state.generation
        };
        let line = ConnectionHandle::new(self, Arc::clone(&connection), generation);
        let restored = restore(&line);
        let mut state = loop {
            let mut state = self.lock();
            if state.generation != generation || !matches!(state.phase, Phase::Restoring(_)) {
                return;
            }
            // Pending events are sent before newer events.
            let waiting = if restored.is_ok() { state.scheduled.take_pending() } else { None };
            let Some(frame) = waiting else { break state };
            drop(state);
            self.send_pending(&line, frame);
        };
        match restored {
            Ok(()) => {
                state.phase = Phase::Up(connection);
                state.refused = false;
                match state.down_since.take() {
                    None => note!(self.log, Info, "connected"),
                    Some(since) => note!(
                        self.log,
                        Info,
                        "connected again after {:.1?} (tries: {})",
                        deadline::since(since),
                        state.tries
                    ),
                }
                state.scheduled.all_due();
                if generation > 1 {
                    state.queue.push(Item::Restored);
                    self.tell(&mut state, Changes { events: 1, ..Changes::default() });
                }
                self.others.notify_all();
                self.hand_over(&mut state);
            }
            Err(error) => {
                let end =
                    Disconnect::new(reason::TRANSPORT_ERROR, format!("cannot restore the session: {error}"));
                state.lose(generation, end);
                self.tell(&mut state, Changes { link_over: true, ..Changes::default() });
            }
        }
    }

    fn send_pending(&self, line: &ConnectionHandle<'_>, frame: Utf8Bytes) {
        match self.send_on(&line.connection, line.generation, &frame) {
            Ok(_) => {}
            // No connection accepts this frame.
            Err(Unsent::Error(error)) if error.kind() == ErrorKind::Invalid => {
                note!(self.log, Warn, "what waited for the connection cannot be sent: {error}");
            }
            Err(_) => self.lock().scheduled.put_back(frame),
        }
    }

    pub(crate) fn link_when_up(&self, until: Instant) -> Result<(Arc<Connection>, u64)> {
        self.wait(Waiter::Other, Some(until), |state| match &state.phase {
            Phase::Up(connection) => Some(Ok((Arc::clone(connection), state.generation))),
            Phase::Closing(_) | Phase::Closed => Some(Err(state.closed_error())),
            Phase::Restoring(_) | Phase::Down => state.stopped.then(|| Err(state.closed_error())),
        })
        .unwrap_or_else(|| {
            Err(Error::new(ErrorKind::NotSent, "the connection is down: the message was not sent"))
        })
    }

    /// Sends a frame. Waits for a connection until `until`. Returns the connection, its generation, and the event's
    /// number on it.
    pub(crate) fn send_when_up(
        &self,
        frame: &Utf8Bytes,
        until: Instant,
    ) -> Result<(Arc<Connection>, u64, u64)> {
        loop {
            let (connection, generation) = self.link_when_up(until)?;
            match self.send_on(&connection, generation, frame) {
                Ok(number) => return Ok((connection, generation, number)),
                // The frame was certainly not sent: the next connection may carry it.
                Err(Unsent::NotSent) => {}
                Err(Unsent::Error(error)) => return Err(error),
            }
        }
    }

    /// Returns the number of the event on this connection.
    pub(crate) fn send_on(
        &self,
        connection: &Connection,
        generation: u64,
        frame: &Utf8Bytes,
    ) -> Result<u64, Unsent> {
        connection.send(frame.clone()).map_err(|failure| self.unsent(generation, failure))
    }

    /// Sends a frame if this is possible without waiting.
    pub(crate) fn try_send(&self, frame: Utf8Bytes) -> Result<()> {
        let (connection, generation) = self.link_when_up(deadline::now())?;
        let sent = connection.try_send(frame).map_err(|failure| self.unsent(generation, failure));
        sent.map(drop).map_err(Unsent::into_error)
    }

    fn unsent(&self, generation: u64, failure: SendFailure) -> Unsent {
        let (end, maybe) = match failure {
            SendFailure::Refused(error) => return Unsent::Error(error),
            SendFailure::Busy(end) => {
                let text = format!("the message was not sent: {}", end.detail);
                return Unsent::Error(Error::new(ErrorKind::NotSent, text));
            }
            SendFailure::NotSent(end) => (end, false),
            SendFailure::MaybeSent(end) => (end, true),
        };
        let end = end.without(&self.target.secrets);
        let text = format!("the connection broke while the message was being sent ({})", end.detail);
        let mut state = self.lock();
        // After a goodbye, the connection stays open until the server has read all earlier events.
        if end.reason != reason::CLIENT_DISCONNECT && state.lose(generation, end) {
            self.tell_all(&mut state);
        }
        match maybe {
            true => Unsent::Error(state.interrupted(&text)),
            false if state.is_closed() => Unsent::Error(state.closed_error()),
            false => Unsent::NotSent,
        }
    }
}
