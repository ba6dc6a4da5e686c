//! Waiting for certain events, in addition to the loop that consumes all.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::socket::protocol::event::RawEvent;
use crate::socket::session::reader::{SessionCore, Waiter};
use crate::socket::session::state::{Phase, SessionState};

/// Selects the events of a [`Subscriber`]. Consumers get these events, too. It runs under the lock, so it must be
/// fast.
pub(crate) type Filter = Box<dyn FnMut(&RawEvent) -> bool + Send>;

/// A text that an event must contain before its filter is called: many subscriptions that wait for the same text cost
/// no more than one.
#[derive(Debug, Clone)]
pub(crate) struct Needle {
    pub(crate) event: &'static str,
    pub(crate) text: Arc<str>,
}

/// Searches one event for several texts.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// The last text and its result: most subscriptions share one text.
    last: Option<(Arc<str>, bool)>,
}

impl Search {
    fn finds(&mut self, needle: &Needle, event: &RawEvent) -> bool {
        if event.name() != needle.event {
            return true;
        }
        if let Some((last, found)) = &self.last
            && *last == needle.text
        {
            return *found;
        }
        let found = event.args().contains(&*needle.text);
        self.last = Some((Arc::clone(&needle.text), found));
        found
    }
}

/// Bounds the memory of a subscription that is not read.
const MOST_CAUGHT: usize = 1024;
const MOST_BYTES: usize = 8 << 20;

/// A thread that waits for certain events.
pub(crate) struct Subscriber {
    id: u64,
    needle: Option<Needle>,
    filter: Filter,
    caught: VecDeque<RawEvent>,
    bytes: usize,
}

impl Subscriber {
    /// Stores the event if it is wanted.
    pub(crate) fn offer(&mut self, event: &RawEvent, search: &mut Search) -> bool {
        if self.needle.as_ref().is_some_and(|needle| !search.finds(needle, event)) || !(self.filter)(event) {
            return false;
        }
        self.bytes += event.size();
        self.caught.push_back(event.clone().on_its_own());
        while self.caught.len() > MOST_CAUGHT || (self.bytes > MOST_BYTES && self.caught.len() > 1) {
            self.take();
        }
        true
    }

    fn take(&mut self) -> Option<RawEvent> {
        let event = self.caught.pop_front()?;
        self.bytes = self.bytes.saturating_sub(event.size());
        Some(event)
    }
}

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
        state.watches.push(Subscriber { id, needle, filter, caught: VecDeque::new(), bytes: 0 });
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
            self.generation.is_some_and(gone).then(|| Err(link_lost()))
        };
        self.shared.wait(Waiter::Other, Some(until), wish).transpose()
    }
}

fn link_lost() -> Error {
    Error::new(ErrorKind::Connect, "the connection broke before the answer came")
}

/// The result of [`Subscription::next_or_new_link`].
pub(crate) enum Heard {
    Event(RawEvent),
    /// A connection with another generation is up.
    NewLink,
    Nothing,
}

impl Subscription<Arc<SessionCore>> {
    /// Like [`next`](Subscription::next), but also returns when another connection than `generation` is up.
    ///
    /// # Errors
    /// `Closed`.
    pub(crate) fn next_or_new_link(&self, generation: u64, until: Instant) -> Result<Heard> {
        let wish = |state: &mut SessionState| {
            let watch = state.watches.iter_mut().find(|watch| watch.id == self.id)?;
            if let Some(event) = watch.take() {
                return Some(Ok(Heard::Event(event)));
            }
            match state.phase {
                _ if matches!(state.phase, Phase::Closed) || state.stopped => {
                    Some(Err(state.interrupted("the agent ended before the answer came")))
                }
                Phase::Up(_) if state.generation != generation => Some(Ok(Heard::NewLink)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_looks_at_is_bounded_in_number_and_bytes() {
        let event = |size: usize| {
            let frame: tungstenite::Utf8Bytes = format!(r#"42["error","{}"]"#, "x".repeat(size)).into();
            RawEvent::new(&frame, frame.strip_prefix("42").unwrap(), None, Vec::new()).unwrap()
        };
        let filter: Filter = Box::new(|_| true);
        let mut watch = Subscriber { id: 1, needle: None, filter, caught: VecDeque::new(), bytes: 0 };
        (0..2000).for_each(|_| assert!(watch.offer(&event(1), &mut Search::default())));
        assert_eq!(watch.caught.len(), MOST_CAUGHT);
        (0..20).for_each(|_| assert!(watch.offer(&event(1 << 20), &mut Search::default())));
        assert!(watch.caught.len() < 8 && watch.bytes <= MOST_BYTES);
        assert!(watch.offer(&event(2 * MOST_BYTES), &mut Search::default()));
        assert_eq!(watch.caught.len(), 1, "one is kept, however large");
        while watch.take().is_some() {}
        assert_eq!(watch.bytes, 0);
    }

    #[test]
    fn many_watches_for_one_thing_look_for_it_once() {
        let event = |text: &str| {
            let frame: tungstenite::Utf8Bytes = format!(r#"42["message",{{"sender_id":"{text}"}}]"#).into();
            RawEvent::new(&frame, frame.strip_prefix("42").unwrap(), None, Vec::new()).unwrap()
        };
        let looked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut watches: Vec<Subscriber> = (0..1000)
            .map(|id| {
                let looked = Arc::clone(&looked);
                let filter: Filter = Box::new(move |_| {
                    looked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    true
                });
                let needle = Some(Needle { event: "message", text: "u-1".into() });
                Subscriber { id, needle, filter, caught: VecDeque::new(), bytes: 0 }
            })
            .collect();
        let mut offer = |event: &RawEvent| {
            let mut search = Search::default();
            watches.iter_mut().filter(|watch| watch.caught.is_empty()).for_each(|watch| {
                watch.offer(event, &mut search);
            });
            looked.load(std::sync::atomic::Ordering::Relaxed)
        };
        (0..100).for_each(|_| assert_eq!(offer(&event("u-2")), 0, "no filter decodes it"));
        assert_eq!(offer(&event("u-1")), 1000);
    }
}
