//! A connection as the rest of the session uses it: coming up, being sent on, being watched.

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
use crate::socket::session::subscription::{Filter, Needle, Subscription};
use crate::sync::AtomicU64;

/// One connection, to send and watch on. What is done on it never continues on another.
#[derive(Debug)]
pub(crate) struct ConnectionHandle<'a> {
    pub(crate) shared: &'a SessionCore,
    connection: Arc<Connection>,
    pub(crate) generation: u64,
    /// The number of the last event that was sent here.
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

    /// Something came that shows that the server has taken what was sent here.
    pub(crate) fn confirm(&self) {
        self.connection.confirm(self.last.load(Ordering::Relaxed));
    }

    /// Collects events from now on, until the returned guard is dropped.
    pub(crate) fn subscribe(&self, filter: Filter) -> Subscription<&'a SessionCore> {
        Subscription::new(self.shared, Some(self.generation), None, filter)
    }

    /// The same for events that contain a text.
    pub(crate) fn subscribe_to(&self, needle: Needle, filter: Filter) -> Subscription<&'a SessionCore> {
        Subscription::new(self.shared, Some(self.generation), Some(needle), filter)
    }

    /// Whether no other connection has taken its place. It may be lost all the same.
    pub(crate) fn is_current(&self) -> bool {
        self.shared.lock().generation == self.generation
    }

    /// Tells the consumer something.
    pub(crate) fn push(&self, item: Item) {
        let mut state = self.shared.lock();
        state.queue.push(item);
        self.shared.tell(&mut state, Changes { events: 1, ..Changes::default() });
    }
}

/// Why a frame did not go out.
pub(crate) enum Unsent {
    /// The connection was over before: another connection may be tried.
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
    /// One try to connect with the host's credentials, on the connection that is there already if one is given.
    pub(crate) fn dial(
        &self,
        refused: bool,
        opened: Option<Result<Opened>>,
    ) -> Result<Connected, ConnectFailure> {
        // A panic there (of a logger, say) is one failed try.
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
            // Whatever the server did not like, it need not be asked for it again.
            self.lock().pid = None;
        }
        outcome
    }

    /// Puts a fresh connection in place, has it restored, and lets everybody send.
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
            // What has waited for this connection goes before anything newer.
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
            // No connection takes it.
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

    /// Returns the connection it went out on, its generation, and the number of the event on it.
    pub(crate) fn send_when_up(
        &self,
        frame: &Utf8Bytes,
        until: Instant,
    ) -> Result<(Arc<Connection>, u64, u64)> {
        loop {
            let (connection, generation) = self.link_when_up(until)?;
            match self.send_on(&connection, generation, frame) {
                Ok(number) => return Ok((connection, generation, number)),
                // Certainly not sent: the next connection may take it.
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

    /// Sends if that is possible without waiting for anything.
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
        // After a goodbye the connection stays until the server has read what came before it.
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
