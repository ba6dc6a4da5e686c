//! Tracks the elements of a history that cannot be decoded, and which of them the agent has reported.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;

use crate::model::{List, Message, MessageId};

/// The most elements to remember.
const MAX_ELEMENTS: usize = 2048;

/// The most elements of a page to examine. The crate requests pages of at most 100 elements, but a hostile server may
/// send more.
const MAX_ON_PAGE: usize = 256;

/// The most messages to examine on each side of an element.
const NEAREST: usize = 32;

/// An element of a page that cannot be decoded.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) id: Option<MessageId>,
    /// The number of messages on the page that are newer than the element.
    pub(crate) place: usize,
    /// The hash of the id, or of the text if the element has no id.
    key: u64,
    /// The hashes of the ids of the messages around an element without an id, the nearest first. Other elements can
    /// have the same text, so the place in the history identifies the element.
    newer: Vec<u64>,
    older: Vec<u64>,
}

/// Returns the elements of a page, newest first, that cannot be decoded. `above`: the message directly before the
/// page (newer than the page).
pub(super) fn on_page(
    page: &List<Message>,
    above: Option<&MessageId>,
    hasher: &impl BuildHasher,
) -> Vec<Unreadable> {
    let hash = |id: &MessageId| hasher.hash_one(id);
    let mut found: Vec<Unreadable> = Vec::new();
    for element in page.skipped_elements().iter().take(MAX_ON_PAGE) {
        let place = element.place;
        let id = element.id.as_deref().map(MessageId::from);
        if id.is_some() && found.iter().any(|other| other.id == id) {
            continue;
        }
        let (key, newer, older) = match &id {
            Some(id) => (hash(id), Vec::new(), Vec::new()),
            None => {
                let ids = || page.iter().map(|message| &message.id);
                let newer = ids().take(place).rev().chain(above).take(NEAREST).map(hash).collect();
                let older = ids().skip(place).take(NEAREST).map(hash).collect();
                (hasher.hash_one(element.digest), newer, older)
            }
        };
        found.push(Unreadable { id, place, key, newer, older });
    }
    found
}

/// The unreadable elements that the agent has reported, or that are older than the join.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    /// Oldest first.
    elements: VecDeque<KnownElement>,
}

/// An element in `Reported`.
#[derive(Debug)]
struct KnownElement {
    key: u64,
    /// The hashes of the ids of the element's two neighbours, the next newer and the next older message, on the page
    /// that contained the element last. `None` if the neighbour was on another page.
    newer: Option<u64>,
    older: Option<u64>,
}

impl KnownElement {
    /// If `seen` can be this element, returns the distance between `seen` and a former neighbour of the element, in
    /// messages. In a history that is sorted by several clocks, messages can be inserted on both sides of an element.
    fn distance(&self, seen: &Unreadable) -> Option<usize> {
        if self.key != seen.key {
            return None;
        }
        if seen.newer.is_empty() && seen.older.is_empty() {
            // The page does not show the element's neighbours: for example, a page that was requested by time from a
            // history that is out of order.
            return Some(NEAREST);
        }
        let newer = seen.newer.iter().position(|id| Some(*id) == self.newer);
        let older = seen.older.iter().position(|id| Some(*id) == self.older);
        newer.into_iter().chain(older).min()
    }
}

impl From<&Unreadable> for KnownElement {
    fn from(seen: &Unreadable) -> Self {
        KnownElement { key: seen.key, newer: seen.newer.first().copied(), older: seen.older.first().copied() }
    }
}

impl From<&[Unreadable]> for Reported {
    fn from(elements: &[Unreadable]) -> Self {
        Reported { elements: elements.iter().map(KnownElement::from).collect() }
    }
}

impl Reported {
    /// Returns the elements of a page that are not known. Updates the known ones, so that later pages with their
    /// present neighbours match them. A known element matches one element of the page, the nearest one.
    pub(crate) fn find_new(&mut self, page: Vec<Unreadable>) -> Vec<Unreadable> {
        let mut pairs = Vec::new();
        for (at, seen) in page.iter().enumerate() {
            let known = self.elements.iter().enumerate();
            pairs.extend(known.filter_map(|(number, known)| Some((known.distance(seen)?, at, number))));
        }
        pairs.sort_unstable();
        let mut page: Vec<_> = page.into_iter().map(Some).collect();
        let mut matched = HashSet::new();
        for (_, at, number) in pairs {
            if matched.contains(&number) {
                continue;
            }
            let Some(seen) = page.get_mut(at).and_then(Option::take) else { continue };
            matched.insert(number);
            if let Some(known) = self.elements.get_mut(number) {
                let now = KnownElement::from(&seen);
                (known.newer, known.older) = (now.newer.or(known.newer), now.older.or(known.older));
            }
        }
        page.into_iter().flatten().collect()
    }

    /// Adds the elements that are new. Returns their number.
    pub(crate) fn insert(&mut self, elements: Vec<Unreadable>) -> usize {
        let new = self.find_new(elements);
        self.append(Reported::from(&*new));
        new.len()
    }

    pub(crate) fn append(&mut self, other: Reported) {
        self.elements.extend(other.elements);
        let surplus = self.elements.len().saturating_sub(MAX_ELEMENTS);
        self.elements.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::*;

    /// Builds a page. In `names`, `m…` and `x…` are messages, `id:…` is an element with only an id, and anything else is raw
    /// JSON.
    fn page(names: &[&str]) -> List<Message> {
        let elements = names.iter().map(|name| match name.strip_prefix("id:") {
            Some(id) => format!(r#"{{"id":"{id}"}}"#),
            None if name.starts_with(['m', 'x']) => {
                format!(r#"{{"id":"{name}","agency_id":"a","content":"","created_at":"x"}}"#)
            }
            None => (*name).to_owned(),
        });
        List::read(&format!("[{}]", elements.collect::<Vec<_>>().join(","))).unwrap()
    }

    #[test]
    fn an_element_is_recognized_on_other_pages() {
        for (first, then, new) in [
            (&["null", "m1"][..], &["null", "m1"][..], 0),
            // Newer messages or elements arrived.
            (&["null", "m1"], &["m2", "null", "m1"], 0),
            (&["null", "m1"], &["null", "null", "m1"], 1),
            (&["{}", "null", "m1"], &["7", "{}", "null", "m1"], 1),
            (&["null", "m1"], &["null", "m2", "null", "m1"], 1),
            // Messages of a slower clock were inserted on both sides.
            (&["m2", "null", "m1"], &["m2", "m4", "null", "m3", "m1"], 0),
            (&["m2", "null", "m1"], &["m2", "m4", "null", "m3", "null", "m1"], 1),
            (&["m2", "null", "m1"], &["null", "m5", "m2", "m4", "null", "m3", "m1"], 1),
            (&["m3", "null", "m2", "null", "m1"], &["m3", "x4", "null", "x5", "m2", "null", "m1"], 0),
            // Elements of another text do not count.
            (&["m2", "null", "m1"], &["m2", "m4", "{}", "m3", "m1"], 1),
            // The element is at the end or at the start of a page.
            (&["m2", "null", "m1"], &["m2", "null"], 0),
            (&["m2", "null", "m1"], &["null", "m1", "m0"], 0),
            // The page has no other element.
            (&["null"], &["null"], 0),
            (&["null", "null"], &["null", "null", "null"], 1),
            (&["m2", "null", "m1", "null"], &["null"], 0),
            (&["m2", "null", "m1"], &["null", "null"], 1),
            // The id identifies the element at any place.
            (&["id:x", "m1"], &["m3", "id:x", "m2"], 0),
            (&["id:x", "m1"], &["id:y", "m1"], 1),
            (&["id:x"], &["id:x", "m1", "id:x"], 0),
        ] {
            let hasher = RandomState::new();
            let mut reported = Reported::default();
            let count = on_page(&page(first), None, &hasher).len();
            assert_eq!(reported.insert(on_page(&page(first), None, &hasher)), count, "{first:?}");
            assert_eq!(reported.insert(on_page(&page(then), None, &hasher)), new, "{first:?}, then {then:?}");
            assert_eq!(reported.insert(on_page(&page(then), None, &hasher)), 0, "{first:?}, twice {then:?}");
        }
    }

    #[test]
    fn an_element_is_recognized_behind_the_end_of_a_page() {
        let hasher = RandomState::new();
        let mut reported = Reported::default();
        // The request for the next page contains the id of the last message.
        let above = MessageId::from("m2");
        let (first, next) = (page(&["m3", "m2", "null"]), page(&["null", "m1"]));
        assert_eq!(reported.insert(on_page(&first, None, &hasher)), 1);
        assert_eq!(reported.insert(on_page(&next, Some(&above), &hasher)), 0);
        // The older neighbour was noted, although the element was known.
        assert_eq!(reported.insert(on_page(&next, None, &hasher)), 0);
    }

    #[test]
    fn a_page_that_was_turned_around_is_the_same_page() {
        let mut turned = page(&["m0", "{}", "null", "m1", "7"]);
        turned.reverse();
        let places = |page: &List<Message>| -> Vec<_> {
            page.skipped_elements().iter().map(|element| (element.place, element.digest)).collect()
        };
        assert_eq!(places(&turned), places(&page(&["7", "m1", "null", "{}", "m0"])));
    }

    #[test]
    fn what_is_looked_at_is_bounded() {
        let hasher = RandomState::new();
        let mut reported = Reported::default();
        let many = page(&["null"; 100_000]);
        for _ in 0..2 {
            reported.insert(on_page(&many, None, &hasher));
            assert_eq!(reported.elements.len(), MAX_ON_PAGE);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let hasher = RandomState::new();
        let mut reported = Reported::default();
        for n in 0..3 * MAX_ELEMENTS {
            assert_eq!(reported.insert(on_page(&page(&[&format!("id:{n}")]), None, &hasher)), 1);
        }
        assert_eq!(reported.elements.len(), MAX_ELEMENTS);
    }
}
