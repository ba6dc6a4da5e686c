//! Waits for certain events, beside the loop that consumes all events.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::socket::protocol::event::RawEvent;
use crate::socket::session::core::SessionCore;
use crate::socket::session::state::{Phase, SessionState, Waiter};
use crate::socket::session::subscriber::{Filter, Needle, Subscriber};

/// Collects events until it is dropped.
pub(crate) struct EventSubscription<S: Deref<Target = SessionCore>> {
    core: S,
    id: u64,
    /// The generation of the connection that must deliver the events, if only one connection counts.
    generation: Option<u64>,
    /// The current or last connection when the subscription began.
    first_generation: u64,
}

impl<S: Deref<Target = SessionCore>> EventSubscription<S> {
    pub(crate) fn new(core: S, generation: Option<u64>, needle: Option<Needle>, filter: Filter) -> Self {
        let mut state = core.lock();
        let id = state.fresh_id();
        state.subscribers.push(Subscriber::new(id, needle, filter));
        let first_generation = state.generation;
        drop(state);
        EventSubscription { core, id, generation, first_generation }
    }

    /// From now on the subscription ends with the connection of this generation, or with the connection that it began
    /// on.
    pub(crate) fn bind(&mut self, generation: Option<u64>) {
        self.generation = generation.or(Some(self.first_generation));
    }

    /// The next event that the filter accepts. `None` if `until` passes first.
    ///
    /// # Errors
    /// `Connect` if the only connection that counts broke, `Closed`. The awaited event may have happened.
    pub(crate) fn next(&self, until: Instant) -> Result<Option<RawEvent>> {
        let lost = |state: &SessionState| {
            let gone = |generation| state.generation != generation || state.connection().is_none();
            let text = "the connection broke before the answer came";
            self.generation.is_some_and(gone).then(|| Err(Error::new(ErrorKind::Connect, text)))
        };
        self.wait(until, Ok, lost).transpose()
    }

    /// Waits for an event, or until `otherwise` returns a value.
    fn wait<T>(
        &self,
        until: Instant,
        caught: impl Fn(RawEvent) -> Result<T>,
        otherwise: impl Fn(&SessionState) -> Option<Result<T>>,
    ) -> Option<Result<T>> {
        let condition = |state: &mut SessionState| {
            let subscriber = state.subscribers.iter_mut().find(|subscriber| subscriber.id == self.id)?;
            if let Some(event) = subscriber.take() {
                return Some(caught(event));
            }
            // While the agent closes, the answer may still arrive.
            if state.has_ended() {
                return Some(Err(state.interrupted("the agent ended before the answer came")));
            }
            otherwise(state)
        };
        self.core.wait(Waiter::Other, Some(until), condition)
    }
}

/// The result of [`EventSubscription::next_or_new_connection`].
pub(crate) enum NextEvent {
    Event(RawEvent),
    /// A connection with another generation is up.
    NewConnection,
    Nothing,
}

impl EventSubscription<Arc<SessionCore>> {
    /// Like [`next`](EventSubscription::next), but also returns when another connection than `generation` is up.
    ///
    /// # Errors
    /// `Closed`.
    pub(crate) fn next_or_new_connection(&self, generation: u64, until: Instant) -> Result<NextEvent> {
        let replaced = |state: &SessionState| {
            let is_new = matches!(state.phase, Phase::Up(_)) && state.generation != generation;
            is_new.then_some(Ok(NextEvent::NewConnection))
        };
        self.wait(until, |event| Ok(NextEvent::Event(event)), replaced).unwrap_or(Ok(NextEvent::Nothing))
    }
}

impl<S: Deref<Target = SessionCore>> Drop for EventSubscription<S> {
    fn drop(&mut self) {
        // In a forked child, a thread that does not exist there may hold the lock.
        if self.core.check_process().is_err() {
            return;
        }
        self.core.lock().subscribers.retain(|subscriber| subscriber.id != self.id);
    }
}
