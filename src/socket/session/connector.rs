//! How a session gets a connection: dials, restores the host's state, and lets the threads send.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tungstenite::Utf8Bytes;

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::session::backoff::Cause;
use crate::socket::session::connection::Connection;
use crate::socket::session::connection::connect::{ConnectFailure, Connected, Opened, connect};
use crate::socket::session::connection_handle::ConnectionHandle;
use crate::socket::session::core::SessionCore;
use crate::socket::session::host::Host;
use crate::socket::session::queue::Item;
use crate::socket::session::session_log::note;
use crate::socket::session::state::Phase;
use crate::socket::transport::choice::TransportMemory;

/// Gets the connections of one session.
pub(crate) struct Connector {
    pub(crate) core: Arc<SessionCore>,
    host: Arc<dyn Host>,
    /// The transport that worked last.
    memory: TransportMemory,
}

impl Connector {
    pub(crate) fn new(core: Arc<SessionCore>, host: Arc<dyn Host>) -> Self {
        Connector { core, host, memory: TransportMemory::default() }
    }

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
        let recovery = self.core.lock().recovery();
        let outcome = match opened {
            Some(Ok(opened)) => {
                opened.cancel_with(&self.core.cancel);
                if opened.is_polling() {
                    self.memory.polling_works();
                }
                opened.join(&self.core.target, &auth, recovery.as_ref())
            }
            Some(Err(error)) => Err(error.into()),
            None => connect(&self.core.target, &auth, recovery.as_ref(), &self.memory, &self.core.cancel),
        };
        if let Err(failure) = &outcome
            && !failure.is_of_the_network()
        {
            // The server has refused: the next attempt does not ask for recovery.
            self.core.lock().pid = None;
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
        self.core.mask_errors(&mut early);
        let generation = {
            let mut state = self.core.lock();
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
            self.core.push(&mut state, Item::Connected { attempt, recovered, again });
            state.pid = reply.pid;
            if !recovered {
                state.offset = None;
            }
            self.core.store(&mut state, &mut early);
            state.generation
        };
        let handle = ConnectionHandle::new(&self.core, Arc::clone(&connection), generation);
        let restored = restore(&handle);
        connection.count_from_now();
        let mut state = loop {
            let mut state = self.core.lock();
            if state.generation != generation || !matches!(state.phase, Phase::Restoring(_)) {
                return;
            }
            // Send pending events before newer events.
            let waiting = if restored.is_ok() { state.scheduled.take_pending() } else { None };
            let Some(frame) = waiting else { break state };
            drop(state);
            self.send_pending(&connection, generation, frame);
        };
        match restored {
            Ok(()) => {
                state.phase = Phase::Up(connection);
                if !state.is_ending {
                    state.lost_events = 0;
                }
                state.refused = false;
                match state.down_since.take() {
                    None => note!(self.core.log, Info, "connected"),
                    Some(since) => note!(
                        self.core.log,
                        Info,
                        "connected again after {:.1?} (tries: {})",
                        deadline::since(since),
                        state.tries
                    ),
                }
                state.scheduled.all_due();
                if generation > 1 {
                    self.core.push(&mut state, Item::Restored);
                }
                self.core.others.notify_all();
                self.core.hand_over(&mut state);
            }
            Err(error) => {
                let end =
                    Disconnect::new(reason::TRANSPORT_ERROR, format!("cannot restore the session: {error}"));
                self.core.lose(&mut state, generation, end);
            }
        }
    }

    fn send_pending(&self, connection: &Connection, generation: u64, frame: Utf8Bytes) {
        match self.core.send_on(connection, generation, &frame) {
            Ok(_) => {}
            // No connection accepts this frame.
            Err(error) if error.kind() == ErrorKind::Invalid => {
                note!(self.core.log, Warn, "an event that waited for the connection cannot be sent: {error}");
            }
            Err(_) => self.core.lock().scheduled.put_back(frame),
        }
    }

    /// Connects again after a loss, if the connection is still down. Notes a failure for the next attempt.
    pub(crate) fn reconnect(&self) {
        let refused = {
            let state = self.core.lock();
            if !matches!(state.phase, Phase::Down) {
                return;
            }
            state.refused
        };
        match self.dial(refused, None) {
            Ok(connected) => self.install(connected, &|connection| self.restore(connection)),
            Err(failure) => {
                let mut state = self.core.lock();
                if state.is_closed() {
                    return;
                }
                match failure {
                    ConnectFailure::Refused(_) if !refused => {
                        // The session token has probably expired: try once more, at once, with a new token.
                        state.refused = true;
                        state.retry_at = deadline::now();
                    }
                    ConnectFailure::Refused(error) => state.connect_failed(error, Cause::Refused),
                    ConnectFailure::ServerProblem(error) => state.connect_failed(error, Cause::ServerProblem),
                    ConnectFailure::Failed(error) if error.is_auth() => state.fail(error),
                    ConnectFailure::Failed(error) => state.connect_failed(error, Cause::Lost),
                }
                self.core.notify_all(&mut state);
            }
        }
    }

    /// A panic in the host (for example in a logger) ends the new connection, not the session.
    fn restore(&self, connection: &ConnectionHandle<'_>) -> Result<()> {
        catch_unwind(AssertUnwindSafe(|| self.host.restore(connection)))
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Connect, "restoring the session panicked")))
    }
}
