//! A bounded set of the most recent ids.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

use crate::model::MessageId;

/// A set of ids that forgets the oldest id when it has more than `MAX`.
#[derive(Debug, Default)]
pub(crate) struct RecentIds<const MAX: usize, Id = MessageId> {
    ids: HashSet<Id>,
    order: VecDeque<Id>,
}

impl<const MAX: usize, Id: Clone + Eq + Hash> RecentIds<MAX, Id> {
    /// Adds an id. Returns whether the id is new.
    pub(crate) fn add(&mut self, id: &Id) -> bool {
        if !self.ids.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id.clone());
        if self.order.len() > MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }

    pub(crate) fn contains(&self, id: &Id) -> bool {
        self.ids.contains(id)
    }

    pub(crate) fn remove(&mut self, id: &Id) {
        if self.ids.remove(id) {
            self.order.retain(|other| other != id);
        }
    }
}
