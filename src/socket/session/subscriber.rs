//! The events that a [subscription](crate::socket::session::subscription) collects, as data under the session's lock.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::socket::protocol::event::RawEvent;

/// Selects the events of a [`Subscriber`]. Consumers get these events, too. The filter runs under the lock, so it must
/// be fast.
pub(crate) type Filter = Box<dyn FnMut(&RawEvent) -> bool + Send>;

/// A text that an event must contain, otherwise the session does not call the filter. Many subscriptions that wait for
/// the same text search an event only once.
#[derive(Debug, Clone)]
pub(crate) struct Needle {
    pub(crate) event: &'static str,
    pub(crate) text: Arc<str>,
}

/// Searches one event for several texts.
#[derive(Debug, Default)]
pub(crate) struct EventSearch {
    /// The last text and its result: most subscriptions share one text.
    last: Option<(Arc<str>, bool)>,
}

impl EventSearch {
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

/// Bounds the memory of a subscription that no thread reads.
const MAX_CAUGHT: usize = 1024;
const MAX_BYTES: usize = 8 << 20;

/// A thread that waits for certain events.
pub(crate) struct Subscriber {
    pub(super) id: u64,
    needle: Option<Needle>,
    filter: Filter,
    caught: VecDeque<RawEvent>,
    bytes: usize,
}

impl Subscriber {
    pub(super) fn new(id: u64, needle: Option<Needle>, filter: Filter) -> Self {
        Subscriber { id, needle, filter, caught: VecDeque::new(), bytes: 0 }
    }

    /// Stores the event if the filter accepts it.
    pub(crate) fn offer(&mut self, event: &RawEvent, search: &mut EventSearch) -> bool {
        if self.needle.as_ref().is_some_and(|needle| !search.finds(needle, event)) || !(self.filter)(event) {
            return false;
        }
        self.bytes += event.size();
        self.caught.push_back(event.clone().on_its_own());
        while self.caught.len() > MAX_CAUGHT || (self.bytes > MAX_BYTES && self.caught.len() > 1) {
            self.take();
        }
        true
    }

    pub(super) fn take(&mut self) -> Option<RawEvent> {
        let event = self.caught.pop_front()?;
        self.bytes = self.bytes.saturating_sub(event.size());
        Some(event)
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
        let mut subscriber = Subscriber::new(1, None, filter);
        (0..2000).for_each(|_| assert!(subscriber.offer(&event(1), &mut EventSearch::default())));
        assert_eq!(subscriber.caught.len(), MAX_CAUGHT);
        (0..20).for_each(|_| assert!(subscriber.offer(&event(1 << 20), &mut EventSearch::default())));
        assert!(subscriber.caught.len() < 8 && subscriber.bytes <= MAX_BYTES);
        assert!(subscriber.offer(&event(2 * MAX_BYTES), &mut EventSearch::default()));
        assert_eq!(subscriber.caught.len(), 1, "one is kept, however large");
        while subscriber.take().is_some() {}
        assert_eq!(subscriber.bytes, 0);
    }

    #[test]
    fn many_watches_for_one_thing_look_for_it_once() {
        let event = |text: &str| {
            let frame: tungstenite::Utf8Bytes = format!(r#"42["message",{{"sender_id":"{text}"}}]"#).into();
            RawEvent::new(&frame, frame.strip_prefix("42").unwrap(), None, Vec::new()).unwrap()
        };
        let looked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut subscribers: Vec<Subscriber> = (0..1000)
            .map(|id| {
                let looked = Arc::clone(&looked);
                let filter: Filter = Box::new(move |_| {
                    looked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    true
                });
                let needle = Some(Needle { event: "message", text: "u-1".into() });
                Subscriber::new(id, needle, filter)
            })
            .collect();
        let mut offer = |event: &RawEvent| {
            let mut search = EventSearch::default();
            subscribers.iter_mut().filter(|subscriber| subscriber.caught.is_empty()).for_each(|subscriber| {
                subscriber.offer(event, &mut search);
            });
            looked.load(std::sync::atomic::Ordering::Relaxed)
        };
        (0..100).for_each(|_| assert_eq!(offer(&event("u-2")), 0, "no filter decodes it"));
        assert_eq!(offer(&event("u-1")), 1000);
    }
}
