//! How a session gets a connection: dials, restores the host's state, and lets the threads send.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tungstenite::Utf8Bytes;

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::session::backoff::Cause;
use crate::socket::session::connection::connect::{ConnectFailure, Connected, Opened, connect};
use crate::socket::session::core::SessionCore;
use crate::socket::session::queue::Item;
use crate::socket::session::sender::ConnectionHandle;
use crate::socket::session::session_log::note;
use crate::socket::session::state::Phase;

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
                opened.cancel_with(&self.cancel);
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
            self.push(&mut state, Item::Connected { attempt, recovered, again });
            state.pid = reply.pid;
            if !recovered {
                state.offset = None;
            }
            self.store(&mut state, &mut early);
            state.generation
        };
        let line = ConnectionHandle::new(self, Arc::clone(&connection), generation);
        let restored = restore(&line);
        connection.count_from_now();
        let mut state = loop {
            let mut state = self.lock();
            if state.generation != generation || !matches!(state.phase, Phase::Restoring(_)) {
                return;
            }
            // Send pending events before newer events.
            let waiting = if restored.is_ok() { state.scheduled.take_pending() } else { None };
            let Some(frame) = waiting else { break state };
            drop(state);
            self.send_pending(&line, frame);
        };
        match restored {
            Ok(()) => {
                state.phase = Phase::Up(connection);
                if !state.is_ending {
                    state.lost_events = 0;
                }
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
                    self.push(&mut state, Item::Restored);
                }
                self.others.notify_all();
                self.hand_over(&mut state);
            }
            Err(error) => {
                let end =
                    Disconnect::new(reason::TRANSPORT_ERROR, format!("cannot restore the session: {error}"));
                self.lose(&mut state, generation, end);
            }
        }
    }

    fn send_pending(&self, line: &ConnectionHandle<'_>, frame: Utf8Bytes) {
        match self.send_on(&line.connection, line.generation, &frame) {
            Ok(_) => {}
            // No connection accepts this frame.
            Err(error) if error.kind() == ErrorKind::Invalid => {
                note!(self.log, Warn, "an event that waited for the connection cannot be sent: {error}");
            }
            Err(_) => self.lock().scheduled.put_back(frame),
        }
    }
}

pub(crate) fn dial_again(shared: &SessionCore) {
    let refused = {
        let state = shared.lock();
        if !matches!(state.phase, Phase::Down) {
            return;
        }
        state.refused
    };
    match shared.dial(refused, None) {
        Ok(connected) => shared.install(connected, &|line| restore(shared, line)),
        Err(failure) => {
            let mut state = shared.lock();
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
                ConnectFailure::Trouble(error) => state.connect_failed(error, Cause::Trouble),
                ConnectFailure::Failed(error) if error.is_auth() => state.fail(error),
                ConnectFailure::Failed(error) => state.connect_failed(error, Cause::Lost),
            }
            shared.notify_all(&mut state);
        }
    }
}

/// A panic in the host (for example in a logger) ends the new connection, not the session.
fn restore(shared: &SessionCore, line: &ConnectionHandle<'_>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(|| shared.host.restore(line)))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Connect, "restoring the session panicked")))
}
