//! The listeners of an agent's events, and their queues.
//!
//! With only one kind of loop, the loop takes events directly from the [delivery](crate::agent::history): no event is
//! copied, and this module costs a few atomic reads. With several kinds, or with subscriptions, the thread that takes an
//! event from the delivery puts the event into all queues. The thread holds one lock, so all queues have the same
//! order.
//!
//! A full queue drops its oldest events ([`backlog`]). For loops, a thread reads the dropped messages again from the
//! rooms' histories ([`read_again`]).

mod backlog;
mod read_again;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::agent::event::Event;
use crate::error::Error;
use crate::model::AgencyId;
use crate::sync::lock::Mutex;
pub(crate) use backlog::Lost;
use backlog::{Backlog, Bounds, Next};
pub(crate) use read_again::DroppedMessageReader;

/// The kind of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListenerKind {
    /// All loops over `events()` share one queue.
    Events,
    /// All loops over `mentions()` share one queue.
    Mentions,
    /// Each subscription has its own queue.
    Subscription(u64),
    /// Each loop over commands has its own queue.
    Commands(u64),
}

impl ListenerKind {
    /// Whether this listener gets the events that were taken while no loop existed.
    fn is_loop(self) -> bool {
        matches!(self, ListenerKind::Events | ListenerKind::Mentions)
    }

    /// Whether a thread reads the messages again that this listener's queue drops.
    fn reads_again(self) -> bool {
        !matches!(self, ListenerKind::Subscription(_))
    }
}

/// All listeners of one agent.
pub(crate) struct Listeners {
    /// Whether there is more than one queue to fill.
    shared: AtomicBool,
    state: Mutex<ListenersState>,
    /// The prefixes of the loops over commands.
    prefixes: Mutex<Vec<Arc<str>>>,
    bounds: Bounds,
    dropped: AtomicU64,
    not_filled: AtomicU64,
}

#[derive(Debug, Default)]
struct ListenersState {
    /// The queues, in no particular order. All handles of one kind share one queue.
    queues: Vec<ListenerQueue>,
    /// Events that a subscription took while no loop existed. The first loop gets these events.
    unclaimed: Backlog,
    next_id: u64,
}

#[derive(Debug)]
struct ListenerQueue {
    kind: ListenerKind,
    /// The prefix of the commands, for a loop over commands.
    prefix: Option<Arc<str>>,
    handles: usize,
    backlog: Backlog,
    signal: Arc<Signal>,
}

/// The state of a queue that other threads can read without the lock.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    length: AtomicUsize,
    /// Whether a thread must read dropped messages before the listener gets newer events.
    held: AtomicBool,
    waiting: AtomicUsize,
}

impl Signal {
    pub(crate) fn has_some(&self) -> bool {
        self.length.load(Ordering::SeqCst) > 0
    }

    /// Counts a waiting thread until the returned guard is dropped.
    pub(crate) fn wait(self: &Arc<Self>) -> WaitingGuard {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        WaitingGuard(Arc::clone(self))
    }
}

/// Counts a thread that waits for an event of a queue, or a set of agents that waits for all its agents.
#[derive(Debug)]
pub(crate) struct WaitingGuard(Arc<Signal>);

impl Drop for WaitingGuard {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ListenerQueue {
    fn publish_length(&self) {
        self.signal.held.store(self.backlog.is_held(), Ordering::SeqCst);
        self.signal.length.store(self.backlog.ready(), Ordering::SeqCst);
    }
}

impl ListenersState {
    fn find(&mut self, kind: ListenerKind) -> Option<&mut ListenerQueue> {
        self.queues.iter_mut().find(|queue| queue.kind == kind)
    }

    /// Whether a loop exists that gets the unclaimed events.
    fn has_loop(&self) -> bool {
        self.queues.iter().any(|queue| queue.kind.is_loop())
    }
}

/// A handle of a queue.
pub(crate) struct Listener {
    listeners: Arc<Listeners>,
    pub(crate) kind: ListenerKind,
    pub(crate) signal: Arc<Signal>,
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").finish_non_exhaustive()
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Listeners {
    /// Each queue has these limits.
    pub(crate) fn new(max_events: usize, max_bytes: usize) -> Self {
        Listeners {
            shared: AtomicBool::new(false),
            state: Mutex::default(),
            prefixes: Mutex::default(),
            bounds: Bounds { events: max_events, bytes: max_bytes },
            dropped: AtomicU64::new(0),
            not_filled: AtomicU64::new(0),
        }
    }

    fn update(&self, state: &ListenersState) {
        self.shared.store(state.queues.len() > 1 || !state.has_loop(), Ordering::SeqCst);
    }

    /// Returns the number of events that full queues have dropped, and how often reading dropped messages again
    /// failed.
    pub(crate) fn losses(&self) -> (u64, u64) {
        (self.dropped.load(Ordering::Relaxed), self.not_filled.load(Ordering::Relaxed))
    }

    /// The number of events that wait for a loop, and their bytes. If there are several loops, the numbers are those of
    /// the loop with the most waiting events. Without a loop, they are those of the events for the first loop.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.state.lock();
        let loops = state.queues.iter().filter(|queue| queue.kind.is_loop()).map(|queue| &queue.backlog);
        loops.chain([&state.unclaimed]).map(Backlog::size).max().unwrap_or_default()
    }

    fn count_not_filled(&self) {
        self.not_filled.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether `wanted` is true for the prefix of any loop over commands.
    pub(crate) fn has_prefix(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.prefixes.lock().iter().any(|prefix| wanted(prefix))
    }

    fn next_id(&self) -> u64 {
        let mut state = self.state.lock();
        state.next_id += 1;
        state.next_id
    }

    pub(crate) fn listen_to_events(self: &Arc<Self>) -> Listener {
        self.open(ListenerKind::Events, None)
    }

    pub(crate) fn subscribe(self: &Arc<Self>) -> Listener {
        let id = self.next_id();
        self.open(ListenerKind::Subscription(id), None)
    }

    /// Listens to messages with this prefix.
    pub(crate) fn listen_to_commands(self: &Arc<Self>, prefix: &Arc<str>) -> Listener {
        self.prefixes.lock().push(Arc::clone(prefix));
        let id = self.next_id();
        self.open(ListenerKind::Commands(id), Some(Arc::clone(prefix)))
    }

    pub(crate) fn listen_to_mentions(self: &Arc<Self>) -> Listener {
        self.open(ListenerKind::Mentions, None)
    }

    fn open(self: &Arc<Self>, kind: ListenerKind, prefix: Option<Arc<str>>) -> Listener {
        let mut state = self.state.lock();
        if let Some(queue) = state.find(kind) {
            queue.handles += 1;
            let signal = Arc::clone(&queue.signal);
            return Listener { listeners: Arc::clone(self), kind, signal };
        }
        let mut queue =
            ListenerQueue { kind, prefix, handles: 1, backlog: Backlog::default(), signal: Arc::default() };
        if kind.is_loop() && !state.has_loop() {
            queue.backlog = std::mem::take(&mut state.unclaimed);
            queue.publish_length();
        }
        let signal = Arc::clone(&queue.signal);
        state.queues.push(queue);
        self.update(&state);
        Listener { listeners: Arc::clone(self), kind, signal }
    }

    /// Notes that the reading thread with this number has ended.
    fn end_reading(&self, number: u64, found: Vec<Event>, later: HashMap<AgencyId, Lost>) {
        let mut state = self.state.lock();
        let ListenersState { queues, unclaimed, .. } = &mut *state;
        match queues.iter_mut().find(|queue| queue.backlog.has_reader(number)) {
            Some(queue) => {
                queue.backlog.end_reading(found, later);
                queue.publish_length();
            }
            None if unclaimed.has_reader(number) => unclaimed.end_reading(found, later),
            // The listener was dropped, so nobody needs the messages.
            None => {}
        }
    }
}

/// The parts of the agent that [`Listener::take`] uses.
pub(crate) trait ListenerSource {
    /// Takes the next event from the delivery.
    fn pull(&self) -> Option<Event>;
    /// Whether another `pull` may return an event after a `pull` that returned `None`, because the received events
    /// become ready in portions.
    fn has_items(&self) -> bool;
    /// Notes that a loop has received the event, or that no loop over `events()` exists that will receive it.
    fn acknowledge(&self, event: &Event);
    /// Whether the event is for loops over mentions. `is_command`: a loop over commands also gets the event.
    fn is_mention(&self, event: &Event, is_command: bool) -> bool;
    /// Whether the event is for loops over commands with this prefix.
    fn is_command(&self, event: &Event, prefix: &str) -> bool;
    /// The approximate memory of the event.
    fn size(&self, event: &Event) -> usize;
    /// Reads dropped messages again. The reading thread calls [`Listeners::end_reading`] with this number at the end.
    fn read_again(&self, number: u64, lost: HashMap<AgencyId, Lost>);
}

impl Listener {
    /// Takes the next event of this queue, if any. Also returns whether other waiting listeners have received an
    /// event meanwhile. `ended`: the agent has ended.
    pub(crate) fn take(&self, source: &impl ListenerSource, ended: bool) -> (Option<Event>, bool) {
        let is_alone =
            !self.is_shared() && !self.signal.has_some() && !self.signal.held.load(Ordering::SeqCst);
        if !is_alone {
            return self.take_shared(source, ended);
        }
        let event = source.pull();
        event.iter().for_each(|event| source.acknowledge(event));
        (event, false)
    }

    fn take_shared(&self, source: &impl ListenerSource, ended: bool) -> (Option<Event>, bool) {
        let listeners = &self.listeners;
        let mut state = listeners.state.lock();
        if ended {
            self.give_up(&mut state);
        }
        let mut others = false;
        loop {
            let number = state.next_id + 1;
            let Some(queue) = state.find(self.kind) else { return (None, others) };
            let next = queue.backlog.pop(number);
            queue.publish_length();
            match next {
                Next::Event(event) => {
                    if self.kind.is_loop() {
                        source.acknowledge(&event);
                    }
                    return (Some(event), others);
                }
                Next::Read(lost) => {
                    state.next_id = number;
                    drop(state);
                    source.read_again(number, lost);
                    state = listeners.state.lock();
                    continue;
                }
                Next::Nothing => {}
            }
            let Some(event) = source.pull() else { return (None, others) };
            others |= self.distribute(&mut state, event, source);
        }
    }

    /// Reports dropped messages that no thread has read again as missing.
    fn give_up(&self, state: &mut ListenersState) {
        let Some(queue) = state.find(self.kind) else { return };
        let gap = |room| Event::GapNotFilled { agency_id: room, error: Arc::new(Error::closed()) };
        let gaps: Vec<Event> = queue.backlog.give_up().into_iter().map(gap).collect();
        queue.backlog.end_reading(gaps, HashMap::new());
        queue.publish_length();
    }

    /// Distributes the events that have already arrived to the other queues: this new queue starts with later events.
    /// Returns whether a waiting listener got an event.
    pub(crate) fn begin_now(&self, source: &impl ListenerSource) -> bool {
        let mut state = self.listeners.state.lock();
        let Some(at) = state.queues.iter().position(|queue| queue.kind == self.kind) else { return false };
        let own = state.queues.swap_remove(at);
        let mut others = false;
        // The number of events is limited, so that this loop ends even if events keep arriving.
        for _ in 0..self.listeners.bounds.events.max(1) {
            match source.pull() {
                Some(event) => others |= self.distribute(&mut state, event, source),
                None if source.has_items() => {}
                None => break,
            }
        }
        state.queues.push(own);
        others
    }

    /// Puts an event into all queues. Returns whether a waiting listener of another kind got the event.
    fn distribute(&self, state: &mut ListenersState, event: Event, source: &impl ListenerSource) -> bool {
        let listeners = &self.listeners;
        let bounds = listeners.bounds;
        let (mut others, mut dropped) = (false, 0);
        let size = source.size(&event);
        let mut prefixes = state.queues.iter().filter_map(|queue| queue.prefix.as_deref());
        let is_command = prefixes.any(|prefix| source.is_command(&event, prefix));
        let is_mention = source.is_mention(&event, is_command);
        if state.find(ListenerKind::Events).is_none() && state.has_loop() {
            source.acknowledge(&event);
        }
        if !state.has_loop() {
            dropped += state.unclaimed.push(event.clone(), size, bounds, true);
        }
        for queue in &mut state.queues {
            let is_for_it = match &queue.prefix {
                Some(prefix) => source.is_command(&event, prefix),
                None => queue.kind != ListenerKind::Mentions || is_mention,
            };
            if !is_for_it {
                continue;
            }
            dropped += queue.backlog.push(event.clone(), size, bounds, queue.kind.reads_again());
            queue.publish_length();
            others |= queue.kind != self.kind && queue.signal.waiting.load(Ordering::SeqCst) > 0;
        }
        if dropped > 0 {
            listeners.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
        others
    }

    /// Whether a loop over mentions also exists.
    pub(crate) fn has_mentions(&self) -> bool {
        self.listeners.state.lock().find(ListenerKind::Mentions).is_some()
    }

    /// Whether events are distributed to queues, because this listener is not the only one.
    pub(crate) fn is_shared(&self) -> bool {
        self.listeners.shared.load(Ordering::SeqCst)
    }
}

impl Clone for Listener {
    fn clone(&self) -> Self {
        // This handle's queue exists, so `open` only counts the new handle.
        self.listeners.open(self.kind, None)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.listeners.state.lock();
        let Some(at) = state.queues.iter().position(|queue| queue.kind == self.kind) else { return };
        let Some(queue) = state.queues.get_mut(at) else { return };
        queue.handles -= 1;
        if queue.handles > 0 {
            return;
        }
        let queue = state.queues.swap_remove(at);
        if queue.kind.is_loop() && !state.has_loop() {
            // No other loop takes these events. The next loop gets them.
            state.unclaimed = queue.backlog;
        }
        if let Some(prefix) = &queue.prefix {
            let mut prefixes = self.listeners.prefixes.lock();
            if let Some(at) = prefixes.iter().position(|one| Arc::ptr_eq(one, prefix)) {
                prefixes.swap_remove(at);
            }
        }
        self.listeners.update(&state);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use super::*;

    /// A source of numbered events. `Lagged` carries the number, because it is the shortest event to write.
    struct Numbers(RefCell<VecDeque<u64>>);

    impl ListenerSource for Numbers {
        fn pull(&self) -> Option<Event> {
            self.0.borrow_mut().pop_front().map(|missed| Event::Lagged { missed })
        }
        fn has_items(&self) -> bool {
            false
        }
        fn acknowledge(&self, _event: &Event) {}
        fn is_mention(&self, event: &Event, _is_command: bool) -> bool {
            matches!(event, Event::Lagged { missed } if missed % 2 == 0)
        }
        fn is_command(&self, event: &Event, _prefix: &str) -> bool {
            matches!(event, Event::Lagged { missed } if missed % 3 == 0)
        }
        fn size(&self, _event: &Event) -> usize {
            10
        }
        fn read_again(&self, _number: u64, _lost: HashMap<AgencyId, Lost>) {}
    }

    fn all(listener: &Listener, source: &Numbers) -> Vec<u64> {
        let next = || match listener.take(source, false).0 {
            Some(Event::Lagged { missed }) => Some(missed),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn each_gets_what_it_is_for_and_nothing_is_stolen() {
        let listeners = Arc::new(Listeners::new(100, 10_000));
        let source = Numbers(RefCell::new((1..=4).collect()));
        let mentions = listeners.listen_to_mentions();
        assert!(!mentions.is_shared());
        let events = listeners.listen_to_events();
        let subscription = listeners.subscribe();
        assert_eq!(all(&mentions, &source), [2, 4]);
        assert_eq!(all(&subscription, &source), [1, 2, 3, 4]);
        assert_eq!(all(&events, &source), [1, 2, 3, 4]);
        drop((events, subscription));
        source.0.borrow_mut().extend([5, 6]);
        assert!(!mentions.is_shared());
        assert_eq!(all(&mentions, &source), [5, 6], "alone it gets everything, uncopied");
    }

    #[test]
    fn what_a_subscription_takes_waits_for_the_first_loop_and_the_next() {
        let listeners = Arc::new(Listeners::new(100, 10_000));
        let source = Numbers(RefCell::new((1..=4).collect()));
        let subscription = listeners.subscribe();
        assert_eq!(all(&subscription, &source), [1, 2, 3, 4]);
        let events = listeners.listen_to_events();
        let again = events.clone();
        let first = events.take(&source, false).0;
        assert!(matches!(first, Some(Event::Lagged { missed: 1 })));
        drop(events);
        drop(again);
        assert_eq!(all(&listeners.listen_to_events(), &source), [2, 3, 4]);
    }

    #[test]
    fn each_queue_is_bounded_and_says_what_is_missing() {
        let listeners = Arc::new(Listeners::new(3, 10_000));
        let source = Numbers(RefCell::new((1..=10).collect()));
        let slow = listeners.subscribe();
        let quick = listeners.listen_to_events();
        assert_eq!(all(&quick, &source).len(), 10);
        assert_eq!(all(&slow, &source), [7, 8, 9, 10], "seven are missing, and then the last three");
    }
}
