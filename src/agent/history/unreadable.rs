//! Tracks the elements of a history that cannot be decoded, and which of them were reported.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use crate::model::{List, Message, MessageId};

/// The number of marks that are remembered. An element has one or two marks.
const MOST: usize = 4096;

/// An element of a page that cannot be decoded.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) id: Option<MessageId>,
    /// The number of messages on the page that are newer than the element.
    pub(crate) place: usize,
    /// Hashes that identify the element on other pages. With an id: the hash of the id. Without an id: one hash of
    /// the text with the next newer message, and one of the text with the next older message. One of these messages
    /// can be on another page.
    marks: Vec<u64>,
}

/// Returns the elements of a page, newest first, that cannot be decoded. `above`: the message directly before the
/// page (newer than the page).
pub(super) fn on_page(
    page: &List<Message>,
    above: Option<&MessageId>,
    hasher: &impl BuildHasher,
) -> Vec<Unreadable> {
    let skipped = page.skipped_elements();
    let mark = |at: usize| {
        let Some(element) = skipped.get(at) else { return Vec::new() };
        if let Some(id) = &element.id {
            return vec![hasher.hash_one(id)];
        }
        // Elements with the same text in one place are numbered, so that each has its own mark.
        let alike = |others: &[_]| others.iter().filter(|other| *other == element).count();
        let newer = match element.place.checked_sub(1) {
            Some(place) => page.get(place).map(|newer| &newer.id),
            None => above,
        };
        let newer = newer.map(|newer| ("newer", newer, alike(skipped.get(..at).unwrap_or_default())));
        let older = page.get(element.place);
        let older = older.map(|older| ("older", &older.id, alike(skipped.get(at + 1..).unwrap_or_default())));
        let marks: Vec<u64> = [newer, older]
            .into_iter()
            .flatten()
            .map(|neighbour| hasher.hash_one((neighbour, element.digest)))
            .collect();
        if marks.is_empty() { vec![hasher.hash_one(element.digest)] } else { marks }
    };
    let unreadable = skipped.iter().enumerate().map(|(at, element)| Unreadable {
        id: element.id.as_deref().map(MessageId::from),
        place: element.place,
        marks: mark(at),
    });
    unreadable.collect()
}

/// The unreadable elements that were reported, or that are older than the join.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    /// Oldest first.
    marks: VecDeque<u64>,
}

impl Reported {
    /// Notes an element. Returns whether the element is new.
    pub(crate) fn insert(&mut self, unreadable: &Unreadable) -> bool {
        let is_new = !self.contains(unreadable);
        for mark in &unreadable.marks {
            if !self.marks.contains(mark) {
                self.marks.push_back(*mark);
            }
        }
        while self.marks.len() > MOST {
            self.marks.pop_front();
        }
        is_new
    }

    pub(crate) fn contains(&self, unreadable: &Unreadable) -> bool {
        unreadable.marks.iter().any(|mark| self.marks.contains(mark))
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::*;

    /// Builds a page. In `names`, `m…` is a message, `id:…` is an element with only an id, and anything else is raw
    /// JSON.
    fn page(names: &[&str]) -> List<Message> {
        let elements = names.iter().map(|name| match name.strip_prefix("id:") {
            Some(id) => format!(r#"{{"id":"{id}"}}"#),
            None if name.starts_with('m') => {
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
            // The element is at the end or at the start of a page.
            (&["m2", "null", "m1"], &["m2", "null"], 0),
            (&["m2", "null", "m1"], &["null", "m1", "m0"], 0),
            // The page has no other element.
            (&["null"], &["null"], 0),
            // The id identifies the element at any place.
            (&["id:x", "m1"], &["m3", "id:x", "m2"], 0),
            (&["id:x", "m1"], &["id:y", "m1"], 1),
        ] {
            let hasher = RandomState::new();
            let mut reported = Reported::default();
            for element in on_page(&page(first), None, &hasher) {
                assert!(reported.insert(&element), "{first:?}");
            }
            let again = on_page(&page(then), None, &hasher);
            let count = again.iter().filter(|element| reported.insert(element)).count();
            assert_eq!(count, new, "{first:?}, then {then:?}");
            assert!(again.iter().all(|element| reported.contains(element)));
        }
    }

    #[test]
    fn an_element_is_recognized_behind_the_end_of_a_page() {
        let hasher = RandomState::new();
        let mut reported = Reported::default();
        // The request for the next page contains the id of the last message.
        let above = MessageId::from("m2");
        let (first, next) = (page(&["m3", "m2", "null"]), page(&["null", "m1"]));
        assert!(reported.insert(&on_page(&first, None, &hasher)[0]));
        assert!(!reported.insert(&on_page(&next, Some(&above), &hasher)[0]));
        // `insert` adds all marks of the element, also if the element is known.
        assert!(!reported.insert(&on_page(&next, None, &hasher)[0]));
    }

    #[test]
    fn a_page_that_was_turned_around_is_the_same_page() {
        let mut turned = page(&["m0", "{}", "null", "m1", "7"]);
        turned.turn_around();
        let places = |page: &List<Message>| -> Vec<_> {
            page.skipped_elements().iter().map(|element| (element.place, element.digest)).collect()
        };
        assert_eq!(places(&turned), places(&page(&["7", "m1", "null", "{}", "m0"])));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let hasher = RandomState::new();
        let mut reported = Reported::default();
        for n in 0..3 * MOST {
            let element = on_page(&page(&[&format!("id:{n}")]), None, &hasher);
            assert!(reported.insert(&element[0]));
        }
        assert_eq!(reported.marks.len(), MOST);
    }
}
