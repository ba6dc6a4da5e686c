//! Waiting for certain events, in addition to the loop that consumes all.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::socket::protocol::event::RawEvent;
use crate::socket::session::reader::{SessionCore, Waiter};
use crate::socket::session::state::{Phase, SessionState};
use crate::socket::session::subscriber::{Filter, Needle, Subscriber};

/// Collects events until it is dropped.
pub(crate) struct Subscription<S: Deref<Target = SessionCore>> {
    shared: S,
    id: u64,
    /// The connection that the events must come over, if it matters.
    generation: Option<u64>,
    /// The current or last connection when the subscription began.
    born: u64,
}

impl<S: Deref<Target = SessionCore>> std::fmt::Debug for Subscription<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<S: Deref<Target = SessionCore>> Subscription<S> {
    pub(crate) fn new(shared: S, generation: Option<u64>, needle: Option<Needle>, filter: Filter) -> Self {
        let mut state = shared.lock();
        let id = state.fresh_id();
        state.watches.push(Subscriber::new(id, needle, filter));
        let born = state.generation;
        drop(state);
        Subscription { shared, id, generation, born }
    }

    /// From now on the subscription ends with the connection of this generation, or with the connection that it began
    /// on.
    pub(crate) fn bind(&mut self, generation: Option<u64>) {
        self.generation = generation.or(Some(self.born));
    }

    /// The next event that the filter accepts. `None` if `until` passes first.
    ///
    /// # Errors
    /// `Connect` if the connection that matters broke, `Closed`. The awaited event may have happened.
    pub(crate) fn next(&self, until: Instant) -> Result<Option<RawEvent>> {
        let wish = |state: &mut SessionState| {
            let watch = state.watches.iter_mut().find(|watch| watch.id == self.id)?;
            if let Some(event) = watch.take() {
                return Some(Ok(event));
            }
            // While the agent closes, the answer may still arrive.
            if matches!(state.phase, Phase::Closed) || state.stopped {
                return Some(Err(state.interrupted("the agent ended before the answer came")));
            }
            let gone = |generation| state.generation != generation || state.connection().is_none();
            self.generation.is_some_and(gone).then(|| Err(connection_lost()))
        };
        self.shared.wait(Waiter::Other, Some(until), wish).transpose()
    }
}

fn connection_lost() -> Error {
    Error::new(ErrorKind::Connect, "the connection broke before the answer came")
}

/// The result of [`Subscription::next_or_new_connection`].
pub(crate) enum Heard {
    Event(RawEvent),
    /// A connection with another generation is up.
    NewConnection,
    Nothing,
}

impl Subscription<Arc<SessionCore>> {
    /// Like [`next`](Subscription::next), but also returns when another connection than `generation` is up.
    ///
    /// # Errors
    /// `Closed`.
    pub(crate) fn next_or_new_connection(&self, generation: u64, until: Instant) -> Result<Heard> {
        let wish = |state: &mut SessionState| {
            let watch = state.watches.iter_mut().find(|watch| watch.id == self.id)?;
            if let Some(event) = watch.take() {
                return Some(Ok(Heard::Event(event)));
            }
            match state.phase {
                _ if matches!(state.phase, Phase::Closed) || state.stopped => {
                    Some(Err(state.interrupted("the agent ended before the answer came")))
                }
                Phase::Up(_) if state.generation != generation => Some(Ok(Heard::NewConnection)),
                _ => None,
            }
        };
        self.shared.wait(Waiter::Other, Some(until), wish).unwrap_or(Ok(Heard::Nothing))
    }
}

impl<S: Deref<Target = SessionCore>> Drop for Subscription<S> {
    fn drop(&mut self) {
        // In a forked child, a thread that does not exist there may hold the lock.
        if self.shared.check_process().is_err() {
            return;
        }
        self.shared.lock().watches.retain(|watch| watch.id != self.id);
    }
}
