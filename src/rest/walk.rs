//! Finds the pages of a history.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::error::Result;
use crate::model::{List, Message, MessageId, Timestamp};

/// The page size without a limit (docs.crustocean.chat, page "Agency messages").
const DEFAULT_LIMIT: usize = 50;
/// The crate expects that no server limits pages to fewer messages. A shorter page is the last page.
pub(crate) const MIN_PAGE: usize = 10;

/// Finds the next page of a history, backwards in time.
///
/// Some servers sort a history by the messages' times, others by when they stored each message. In the second case the
/// times are out of order, because several clocks made them, and a page that is requested by time can miss messages.
/// Then the walk requests pages by id, if the server accepts ids.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    cursor: PageCursor,
    before: Option<Timestamp>,
    /// The time of the oldest message so far, and the last message that was received.
    oldest: Option<Timestamp>,
    last: Option<MessageId>,
    /// The messages that the next page may contain again. The walk does not keep all messages, because a history can be
    /// long.
    seen: HashMap<MessageId, Timestamp>,
    /// The size of the longest page so far.
    longest: usize,
    /// How many messages could not be decoded.
    skipped: usize,
    /// The newest message. If it is on a later page, the server has ignored the request's cursor.
    first: Option<MessageId>,
    /// The times were out of order.
    unsorted: bool,
    /// The server does not accept ids.
    no_ids: bool,
    /// The last page was not full, so no older messages exist.
    ended: bool,
    /// The last page was full, but none of its messages could be decoded.
    unreadable: bool,
}

/// How many messages the walk keeps in `seen` if a history is out of order.
const SEEN: usize = 4096;

/// How the walk requests the next page.
///
/// `before` excludes all messages of exactly that time, but the last page may contain only some of these messages. So
/// the walk requests a moment later and skips repeated messages. If all messages of a page have the same time, the walk
/// requests by the id of the last message (the API description has this parameter, the JavaScript SDK does not use it).
/// If the request by id fails, the walk uses the exact time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum PageCursor {
    #[default]
    JustAfter,
    Id,
    Time,
}

impl Walk {
    /// The cursor for the next page.
    pub(crate) fn before(&self) -> Option<&Timestamp> {
        self.before.as_ref()
    }

    /// The last message before the next page, if the walk requests the next page by id.
    pub(crate) fn directly_before_page(&self) -> Option<&MessageId> {
        self.last.as_ref().filter(|_| self.cursor == PageCursor::Id)
    }

    /// How many messages could not be decoded so far.
    pub(crate) fn skipped(&self) -> usize {
        self.skipped
    }

    /// Replaces an error by an empty page if the page was requested by id, because some servers do not accept an id.
    pub(crate) fn empty_if_id_refused(&self, page: Result<List<Message>>) -> Result<List<Message>> {
        page.or_else(|error| match error.status() {
            Some(400 | 404 | 422 | 500) if self.cursor == PageCursor::Id => Ok(List::default()),
            _ => Err(error),
        })
    }

    /// A walk that starts before this time.
    pub(crate) fn starting_at(before: Option<Timestamp>) -> Self {
        Walk { before, ..Walk::default() }
    }

    /// Notes that the page size changes. The length of the earlier pages then says nothing about the next pages.
    pub(crate) fn resized(&mut self) {
        self.longest = 0;
    }

    /// Notes that a page of at most `asked` messages had `count` messages. A short page is the last page, so no further
    /// request is necessary. A server may limit pages to fewer messages than asked, so a page counts as short only if
    /// it is shorter than `MIN_PAGE`, or shorter than both an earlier page and `DEFAULT_LIMIT`.
    pub(crate) fn note_size(&mut self, count: usize, asked: u32) {
        let full = self.longest.clamp(MIN_PAGE, DEFAULT_LIMIT).min(asked as usize);
        self.ended |= count < full;
    }

    /// Whether the walk has reached the start of the history.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether the walk ended at a page of which no message could be decoded. Older messages may exist, but nothing
    /// tells how to request them.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.unreadable
    }

    /// The messages of a page that were not on earlier pages. `None` at the start of the history, or if the walk is
    /// [cut off](Self::is_cut_off).
    pub(crate) fn take(&mut self, page: List<Message>) -> Option<Vec<Message>> {
        let count = page.len() + page.skipped();
        self.skipped += page.skipped();
        self.unreadable = page.is_empty() && count >= self.longest.max(MIN_PAGE);
        let again =
            self.first.as_ref().and_then(|first| page.iter().position(|message| message.id == *first));
        self.first = self.first.take().or_else(|| page.first().map(|message| message.id.clone()));
        self.unsorted |= !page.is_sorted_by_key(|message| Reverse(message.created_at.rank()));
        let ids: Vec<_> =
            page.iter().map(|message| (message.id.clone(), message.created_at.clone())).collect();
        let bound = self.upper_bound();
        let bound = bound.as_ref().map(Timestamp::rank);
        let mut new = page.into_vec();
        let mut places = 0..new.len();
        new.retain(|message| {
            let place = places.next();
            // If a message is newer than the cursor, the server has ignored the cursor, and the caller has the message
            // already.
            let is_older = match &bound {
                Some(_) if self.unsorted => place > again,
                Some(bound) => message.created_at.rank() <= *bound,
                None => true,
            };
            is_older && !self.seen.contains_key(&message.id)
        });
        let times = new.iter().map(|message| &message.created_at).chain(&self.oldest);
        self.oldest = times.min_by_key(|time| time.rank()).cloned();
        self.last = new.last().map(|message| message.id.clone()).or(self.last.take());
        let bound = self.upper_bound();
        if !self.unsorted || self.seen.len() > SEEN {
            let bound = bound.as_ref().map(Timestamp::rank);
            self.seen.retain(|_, time| bound.as_ref().is_some_and(|bound| time.rank() <= *bound));
        }
        self.seen.extend(ids);
        self.cursor = match self.cursor {
            // The server accepts ids, which are the most exact cursor.
            PageCursor::Id if !new.is_empty() => PageCursor::Id,
            _ if !new.is_empty() && self.unsorted && !self.no_ids => PageCursor::Id,
            _ if !new.is_empty() => PageCursor::JustAfter,
            // The page was not full.
            _ if count < self.longest && self.cursor != PageCursor::Id => return None,
            PageCursor::JustAfter => PageCursor::Id,
            PageCursor::Id => {
                self.no_ids = true;
                PageCursor::Time
            }
            PageCursor::Time => return None,
        };
        self.longest = self.longest.max(count);
        self.before = match self.cursor {
            PageCursor::JustAfter => bound,
            PageCursor::Id => self.last.as_ref().map(|id| id.as_str().into()),
            PageCursor::Time => self.oldest.clone(),
        };
        // An empty page is the start of the history.
        self.before.is_some().then_some(new)
    }

    /// The time from which the next page may contain known messages.
    fn upper_bound(&self) -> Option<Timestamp> {
        self.oldest.as_ref().map(|oldest| oldest.just_after().unwrap_or_else(|| oldest.clone()))
    }
}
