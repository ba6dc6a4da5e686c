//! How a session ends: by a stop, by `close`, or because it is dropped.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::net::CancelToken;
use crate::socket::connection::arrivals::last_events;
use crate::socket::session::background::BackgroundThread;
use crate::socket::session::connection::Connection;
use crate::socket::session::core::SessionCore;
use crate::socket::session::session_log::note;
use crate::socket::session::state::{Phase, SessionState, Waiter};
use crate::threads;

/// How long `close` waits for the end of the closing handshake after all events are confirmed.
const CLOSE_HANDSHAKE: Duration = Duration::from_secs(1);
/// The time limit for closing a session that is dropped.
const DROP_TIMEOUT: Duration = Duration::from_millis(500);

/// Keeps [`SessionCore::cut_at`] from cutting the connection when it is dropped.
#[must_use]
pub(crate) struct CutGuard(CancelToken);

impl Drop for CutGuard {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl SessionCore {
    /// Ends all waits for events, answers and connections, now and in the future. Threads that sleep return at once; a
    /// thread that reads returns after 50 ms at most. Data that can be sent at once is still sent, until the session is
    /// [closed](SessionCore::close).
    pub(crate) fn stop_waits(&self) {
        if self.is_foreign() {
            return;
        }
        let mut state = self.lock();
        state.stopped = true;
        self.notify_all(&mut state);
    }

    /// Whether the session is over, closing or stopped.
    pub(crate) fn is_over(&self) -> bool {
        if self.is_foreign() {
            return true;
        }
        let state = self.lock();
        state.is_closed() || state.stopped
    }

    /// Waits until the session [is over, closing or stopped](SessionCore::is_over), at most until `until`. Returns
    /// whether this happened.
    pub(crate) fn wait_end(&self, until: Instant) -> bool {
        let ends = |state: &mut SessionState| (state.is_closed() || state.stopped).then_some(());
        self.is_foreign() || self.wait(Waiter::Other, Some(until), ends).is_some()
    }

    /// Waits until the session is over, including the closing handshake, at most until `until`. Returns whether this
    /// happened.
    pub(crate) fn wait_over(&self, until: Instant) -> bool {
        let over = |state: &mut SessionState| matches!(state.phase, Phase::Closed).then_some(());
        self.is_foreign() || self.wait(Waiter::Other, Some(until), over).is_some()
    }

    /// Returns the error that has ended the session, once. `None` if [`close`](SessionCore::close) has ended the
    /// session.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        if let Err(error) = self.check_process() {
            let was_closed = self.closed.swap(true, Ordering::AcqRel);
            return (!was_closed).then_some(error);
        }
        self.lock().failure.take()
    }

    /// Cuts the connection at this time, unless the returned guard is dropped before. This ends a write that waits for
    /// the server. [`close`](SessionCore::close) reports events that are lost from now on.
    pub(crate) fn cut_at(self: &Arc<Self>, deadline: Instant) -> Option<CutGuard> {
        self.check_process().ok()?;
        self.lock().is_ending = true;
        let guard = CutGuard(CancelToken::default());
        let (core, dropped) = (Arc::clone(self), guard.0.clone());
        let wait = move || {
            let left = deadline.saturating_duration_since(Instant::now());
            if !dropped.wait(left)
                && let Some(connection) = core.lock().connection()
            {
                connection.cut();
            }
        };
        // Without a thread, a write has its own time limit.
        threads::start("crustocean-cut", wait).ok()?;
        Some(guard)
    }

    /// Makes the closing handshake and ends the session, within `timeout`. The server's answer to the handshake shows
    /// that the server has received everything that was sent before.
    ///
    /// # Errors
    /// `MaybeSent` with the number of events that may not have arrived. If an error had ended the session before and no
    /// consumer has taken that error, `close` returns that error instead.
    pub(crate) fn close(&self, timeout: Duration, background: &BackgroundThread) -> Result<()> {
        self.check_process()?;
        let deadline = deadline::after(timeout);
        let already = self.closed.swap(true, Ordering::AcqRel);
        let connection = {
            let mut state = self.lock();
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
                note!(self.log, Warn, "{pending} events that waited for the connection are dropped");
            }
            self.notify_all(&mut state);
            connection
        };
        let mut unconfirmed = 0;
        if let Some(connection) = &connection {
            connection.send_close(deadline);
            self.wait_for_close_handshake(connection, deadline);
            connection.cut();
            unconfirmed = connection.unconfirmed();
        }
        unconfirmed += std::mem::take(&mut self.lock().lost_events);
        if !already || connection.is_some() {
            let mut state = self.lock();
            state.phase = Phase::Closed;
            self.notify_all(&mut state);
        }
        drop(connection);
        self.cancel.cancel();
        self.join_background(background, deadline);
        if let Some(error) = self.lock().failure.take() {
            return Err(error);
        }
        if unconfirmed > 0 {
            return Err(Error::new(
                ErrorKind::MaybeSent,
                format!(
                    "the agent was closed, but the server has not confirmed {}, which may or may not have \
                     arrived",
                    last_events(unconfirmed)
                ),
            ));
        }
        if !already {
            note!(self.log, Info, "closed");
        }
        Ok(())
    }

    /// Waits for the server to answer the closing handshake and to end the connection.
    fn wait_for_close_handshake(&self, connection: &Connection, deadline: Instant) {
        let over = |state: &mut SessionState| matches!(state.phase, Phase::Closed).then_some(());
        let over_or_confirmed = |state: &mut SessionState| match connection.unconfirmed() {
            0 => Some(()),
            _ => over(state),
        };
        self.wait(Waiter::Other, Some(deadline), over_or_confirmed);
        // All events are confirmed, or the deadline has passed. The closing handshake gets only a little more time.
        let handshake_deadline = deadline.min(deadline::after(CLOSE_HANDSHAKE));
        self.wait(Waiter::Other, Some(handshake_deadline), over);
    }

    /// Waits for the background thread until `deadline`. A thread that hangs in a dial ends at the deadline of the
    /// dial.
    fn join_background(&self, background: &BackgroundThread, deadline: Instant) {
        let gone = |state: &mut SessionState| state.background_gone.then_some(());
        if self.wait(Waiter::Other, Some(deadline), gone).is_some() {
            background.join();
        }
    }

    /// Ends the session like a drop, with a short time limit for the closing handshake. Further calls do nothing.
    pub(crate) fn end(&self, background: &BackgroundThread) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.is_foreign() {
            // The connection belongs to the parent process: closing it here would end the parent's connection. This
            // process does not touch the locks, because a thread that exists only in the parent may hold them.
            return;
        }
        if std::thread::panicking() {
            // Does not wait during a panic: cuts the connection.
            let mut state = self.lock();
            if let Some(connection) = state.connection() {
                connection.cut();
            }
            state.phase = Phase::Closed;
            self.notify_all(&mut state);
            drop(state);
            self.cancel.cancel();
        } else {
            if let Err(error) = self.close(DROP_TIMEOUT, background) {
                note!(self.log, Warn, "{error}");
            }
            // Without this call, a program that ends would not wait for the log thread.
            logging::flush();
        }
    }
}
