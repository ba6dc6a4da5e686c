//! The listeners of an agent's events, and their queues.
//!
//! While there is only one kind of loop, events go to it directly from the [delivery](crate::agent::history): nothing is
//! copied, and this file costs one atomic read. With several kinds, or with subscriptions, a thread that takes an event
//! from the delivery puts it into all queues, under one lock, so that all have the same order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::agent::event::Event;

/// The kind of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All loops over `events()` share one queue.
    Events,
    /// All loops over `mentions()` share one queue.
    Mentions,
    /// Each subscription has its own.
    Subscription(u64),
}

/// All listeners of one agent.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// Whether there is more than one queue to fill.
    shared: AtomicBool,
    state: Mutex<State>,
    max_events: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    /// In no particular order; those of events and mentions are shared by their handles.
    queues: Vec<Queue>,
    /// Events that were taken for a subscription while there was no loop. The first loop gets them.
    unclaimed: VecDeque<(Event, usize)>,
    unclaimed_bytes: usize,
    unclaimed_missed: u64,
    next_id: u64,
}

#[derive(Debug)]
struct Queue {
    kind: Kind,
    handles: usize,
    events: VecDeque<(Event, usize)>,
    bytes: usize,
    /// The number of events that were dropped before the first one.
    missed: u64,
    signal: Arc<Signal>,
}

/// The state of a queue that is readable without its lock.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    length: AtomicUsize,
    waiting: AtomicUsize,
}

impl Signal {
    pub(crate) fn has_some(&self) -> bool {
        self.length.load(Ordering::SeqCst) > 0
    }

    /// A thread waits until the returned guard is dropped.
    pub(crate) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(self)
    }
}

/// Somebody who waits for events without a thread.
#[cfg(feature = "agents")]
#[derive(Debug)]
pub(crate) struct AlwaysWaits(Arc<Signal>);

#[cfg(feature = "agents")]
impl AlwaysWaits {
    pub(crate) fn new(signal: &Arc<Signal>) -> Self {
        signal.waiting.fetch_add(1, Ordering::SeqCst);
        AlwaysWaits(Arc::clone(signal))
    }
}

#[cfg(feature = "agents")]
impl Drop for AlwaysWaits {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A thread waits for an event of a queue.
pub(crate) struct Waiting<'a>(&'a Signal);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Queue {
    fn push(&mut self, event: Event, size: usize, max_events: usize, max_bytes: usize) {
        self.bytes += size;
        self.events.push_back((event, size));
        while self.events.len() > max_events || self.bytes > max_bytes && self.events.len() > 1 {
            if let Some((_, size)) = self.events.pop_front() {
                self.bytes -= size;
                self.missed += 1;
            }
        }
        self.tell_length();
    }

    fn pop(&mut self) -> Option<Event> {
        let event = match std::mem::take(&mut self.missed) {
            0 => self.events.pop_front().map(|(event, size)| {
                self.bytes -= size;
                event
            }),
            missed => Some(Event::Lagged { missed }),
        };
        self.tell_length();
        event
    }

    fn tell_length(&self) {
        self.signal.length.store(self.events.len() + usize::from(self.missed > 0), Ordering::SeqCst);
    }
}

impl State {
    fn find(&mut self, kind: Kind) -> Option<&mut Queue> {
        self.queues.iter_mut().find(|queue| queue.kind == kind)
    }

    /// Whether a loop listens that takes up what others leave.
    fn has_loop(&self) -> bool {
        self.queues.iter().any(|queue| !matches!(queue.kind, Kind::Subscription(_)))
    }
}

/// A handle of a queue.
#[derive(Debug)]
pub(crate) struct Listener {
    listeners: Arc<Listeners>,
    pub(crate) kind: Kind,
    pub(crate) signal: Arc<Signal>,
}

impl Listeners {
    /// The bounds are those of each queue.
    pub(crate) fn new(max_events: usize, max_bytes: usize) -> Self {
        Listeners { shared: AtomicBool::new(false), state: Mutex::default(), max_events, max_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, state: &State) {
        self.shared.store(state.queues.len() > 1 || !state.has_loop(), Ordering::SeqCst);
    }

    pub(crate) fn subscribe(self: &Arc<Self>) -> Listener {
        let id = {
            let mut state = self.lock();
            state.next_id += 1;
            state.next_id
        };
        self.listen(Kind::Subscription(id))
    }

    pub(crate) fn listen(self: &Arc<Self>, kind: Kind) -> Listener {
        let mut state = self.lock();
        if let Some(queue) = state.find(kind) {
            queue.handles += 1;
            let signal = Arc::clone(&queue.signal);
            return Listener { listeners: Arc::clone(self), kind, signal };
        }
        let mut queue =
            Queue { kind, handles: 1, events: VecDeque::new(), bytes: 0, missed: 0, signal: Arc::default() };
        if !matches!(kind, Kind::Subscription(_)) && !state.has_loop() {
            queue.events = std::mem::take(&mut state.unclaimed);
            queue.bytes = std::mem::take(&mut state.unclaimed_bytes);
            queue.missed = std::mem::take(&mut state.unclaimed_missed);
            queue.tell_length();
        }
        let signal = Arc::clone(&queue.signal);
        state.queues.push(queue);
        self.update(&state);
        Listener { listeners: Arc::clone(self), kind, signal }
    }
}

/// The parts of the agent that [`Listener::take`] uses.
pub(crate) trait Source {
    /// The next event for everybody.
    fn pull(&self) -> Option<Event>;
    /// A loop has got the event, or none is there to get it.
    fn settle(&self, event: &Event);
    /// Whether it is for who listens to mentions.
    fn is_mention(&self, event: &Event) -> bool;
    /// The approximate memory of the event.
    fn size(&self, event: &Event) -> usize;
}

impl Listener {
    /// The next event of this queue, if there is one, and whether others who wait have got something meanwhile.
    pub(crate) fn take(&self, source: &impl Source) -> (Option<Event>, bool) {
        let listeners = &self.listeners;
        if !listeners.shared.load(Ordering::SeqCst) && !self.signal.has_some() {
            let event = source.pull();
            event.iter().for_each(|event| source.settle(event));
            return (event, false);
        }
        let mut state = listeners.lock();
        let mut others = false;
        loop {
            let Some(queue) = state.find(self.kind) else { return (None, others) };
            if let Some(event) = queue.pop() {
                if !matches!(self.kind, Kind::Subscription(_)) {
                    source.settle(&event);
                }
                return (Some(event), others);
            }
            let Some(event) = source.pull() else { return (None, others) };
            let size = source.size(&event);
            let is_mention = source.is_mention(&event);
            if state.find(Kind::Events).is_none() && state.has_loop() {
                source.settle(&event);
            }
            if !state.has_loop() {
                state.unclaimed_bytes += size;
                state.unclaimed.push_back((event.clone(), size));
                while state.unclaimed.len() > listeners.max_events
                    || state.unclaimed_bytes > listeners.max_bytes && state.unclaimed.len() > 1
                {
                    if let Some((_, size)) = state.unclaimed.pop_front() {
                        state.unclaimed_bytes -= size;
                        state.unclaimed_missed += 1;
                    }
                }
            }
            for queue in &mut state.queues {
                if queue.kind == Kind::Mentions && !is_mention {
                    continue;
                }
                queue.push(event.clone(), size, listeners.max_events, listeners.max_bytes);
                others |= queue.kind != self.kind && queue.signal.waiting.load(Ordering::SeqCst) > 0;
            }
        }
    }

    /// Whether a loop over mentions listens, too.
    pub(crate) fn has_mentions(&self) -> bool {
        self.listeners.lock().find(Kind::Mentions).is_some()
    }

    /// Whether other queues are filled besides this one.
    pub(crate) fn is_shared(&self) -> bool {
        self.listeners.shared.load(Ordering::Relaxed)
    }
}

impl Clone for Listener {
    fn clone(&self) -> Self {
        self.listeners.listen(self.kind)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.listeners.lock();
        let Some(at) = state.queues.iter().position(|queue| queue.kind == self.kind) else { return };
        let Some(queue) = state.queues.get_mut(at) else { return };
        queue.handles -= 1;
        if queue.handles > 0 {
            return;
        }
        let queue = state.queues.swap_remove(at);
        if !matches!(queue.kind, Kind::Subscription(_)) && !state.has_loop() {
            // Nobody else takes them: they wait for the next loop.
            state.unclaimed = queue.events;
            state.unclaimed_bytes = queue.bytes;
            state.unclaimed_missed = queue.missed;
        }
        self.listeners.update(&state);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Numbers, as `JoinFailed` events would be too much to write.
    struct Numbers(RefCell<VecDeque<u64>>);

    impl Source for Numbers {
        fn pull(&self) -> Option<Event> {
            self.0.borrow_mut().pop_front().map(|missed| Event::Lagged { missed })
        }
        fn settle(&self, _event: &Event) {}
        fn is_mention(&self, event: &Event) -> bool {
            matches!(event, Event::Lagged { missed } if missed % 2 == 0)
        }
        fn size(&self, _event: &Event) -> usize {
            10
        }
    }

    fn all(listener: &Listener, source: &Numbers) -> Vec<u64> {
        let next = || match listener.take(source).0 {
            Some(Event::Lagged { missed }) => Some(missed),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn each_gets_what_it_is_for_and_nothing_is_stolen() {
        let listeners = Arc::new(Listeners::new(100, 10_000));
        let source = Numbers(RefCell::new((1..=4).collect()));
        let mentions = listeners.listen(Kind::Mentions);
        assert!(!mentions.is_shared());
        let events = listeners.listen(Kind::Events);
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
        let events = listeners.listen(Kind::Events);
        let again = events.clone();
        let first = events.take(&source).0;
        assert!(matches!(first, Some(Event::Lagged { missed: 1 })));
        drop(events);
        drop(again);
        assert_eq!(all(&listeners.listen(Kind::Events), &source), [2, 3, 4]);
    }

    #[test]
    fn each_queue_is_bounded_and_says_what_is_missing() {
        let listeners = Arc::new(Listeners::new(3, 10_000));
        let source = Numbers(RefCell::new((1..=10).collect()));
        let slow = listeners.subscribe();
        let quick = listeners.listen(Kind::Events);
        assert_eq!(all(&quick, &source).len(), 10);
        assert_eq!(all(&slow, &source), [7, 8, 9, 10], "seven are missing, and then the last three");
    }
}
