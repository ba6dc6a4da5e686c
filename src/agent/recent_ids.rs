//! A bounded set of the most recent ids.

use std::collections::{HashSet, VecDeque};

use crate::model::MessageId;

/// A set of ids that forgets the oldest id when it has more than `MOST`.
#[derive(Debug, Default)]
pub(crate) struct RecentIds<const MOST: usize> {
    ids: HashSet<MessageId>,
    order: VecDeque<MessageId>,
}

impl<const MOST: usize> RecentIds<MOST> {
    /// Adds an id. Returns whether the id is new.
    pub(crate) fn add(&mut self, id: &MessageId) -> bool {
        if !self.ids.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id.clone());
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }

    pub(crate) fn contains(&self, id: &MessageId) -> bool {
        self.ids.contains(id)
    }
}
