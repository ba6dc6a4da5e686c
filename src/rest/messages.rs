//! A room's history, page by page.

use std::collections::HashMap;
use std::vec;

use super::Client;
use crate::error::{Error, Result};
use crate::model::{List, Message, MessageId, Timestamp};

/// The server's documented maximum is not known; the JavaScript SDK sends no more.
const MAX_LIMIT: u32 = 100;

/// How many messages a page has when no limit is asked for (docs.crustocean.chat, page "Agency messages").
const DEFAULT_LIMIT: u32 = 50;

/// What was said in a room: [`Agencies::messages`](crate::rest::Agencies::messages),
/// [`Dms::messages`](crate::rest::Dms::messages). [`send`](Messages::send) fetches one page, [`iter`](Messages::iter) walks
/// back to the first message; both newest first.
///
/// docs.crustocean.chat, page "Agency messages".
///
/// ```no_run
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// let lobby = client.agencies().lookup("lobby")?;
/// for message in client.agencies().messages(&lobby.id).mentions("mybot").iter().take(200) {
///     let message = message?;
///     println!("{} {}: {}", message.created_at, message.sender_username, message.content);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is fetched before send() or iter()"]
pub struct Messages<'a> {
    client: &'a Client,
    path: [String; 3],
    limit: Option<u32>,
    before: Option<String>,
    mentions: Option<String>,
}

impl<'a> Messages<'a> {
    pub(super) fn new(client: &'a Client, path: [&str; 3]) -> Self {
        Messages { client, path: path.map(str::to_owned), limit: None, before: None, mentions: None }
    }

    /// How many messages a page has, 1 to 100; more or less is taken for the nearest of these. Defaults to what the server takes (50).
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit.clamp(1, MAX_LIMIT));
        self
    }

    /// Only messages older than this: the `created_at` of the oldest message at hand.
    ///
    /// To page through a history use [`iter`](Messages::iter), which loses none: asked like this, the server leaves out
    /// what was said in the very millisecond of the oldest message and did not fit on the page.
    pub fn before(mut self, time: &Timestamp) -> Self {
        self.before = Some(time.as_str().to_owned());
        self
    }

    /// Only messages that mention this user. A leading `@` is left out.
    pub fn mentions(mut self, username: &str) -> Self {
        self.mentions = Some(username.strip_prefix('@').unwrap_or(username).to_owned());
        self
    }

    /// Fetches one page, newest first.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not in a private agency,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency; else as [every call](crate::rest#errors).
    pub fn send(self) -> Result<List<Message>> {
        self.fetch()
    }

    /// All messages from here back to the first one, newest first, a page at a time.
    pub fn iter(self) -> History<'a> {
        History { query: self, page: Vec::new().into_iter(), walk: Walk::default(), ended: false }
    }

    fn fetch(&self) -> Result<List<Message>> {
        let [group, id, messages] = &self.path;
        let call = self.client.get([group, id, messages])?.query_if("limit", self.limit);
        let call = call.query_if("before", self.before.as_ref()).query_if("mentions", self.mentions.as_ref());
        call.list("messages")
    }
}

/// Walks a room's history back in time: [`Messages::iter`]. No message is left out or comes twice, also where many
/// were said at the same moment.
///
/// An error ends it. A message that cannot be read is left out and counted in [`skipped`](History::skipped).
#[derive(Debug)]
pub struct History<'a> {
    query: Messages<'a>,
    page: vec::IntoIter<Message>,
    walk: Walk,
    ended: bool,
}

impl History<'_> {
    /// How many messages were left out so far because they could not be read. One that two pages share counts twice.
    pub fn skipped(&self) -> usize {
        self.walk.skipped()
    }

    /// The next page with something new on it; an empty one at the beginning of the history.
    fn next_page(&mut self) -> Result<Vec<Message>> {
        while !self.walk.has_ended() {
            let page = match self.query.fetch() {
                Err(error) if self.walk.forgives(&error) => List::default(),
                other => other?,
            };
            let count = page.len() + page.skipped();
            let Some(new) = self.walk.take(page) else { break };
            if let Some(asked) = self.query.limit {
                self.walk.note_size(count, asked);
            }
            self.query.before = self.walk.before().map(|time| time.as_str().to_owned());
            if !new.is_empty() {
                return Ok(new);
            }
        }
        Ok(Vec::new())
    }
}

impl Iterator for History<'_> {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(message) = self.page.next() {
            return Some(Ok(message));
        }
        if self.ended {
            return None;
        }
        let page = self.next_page();
        self.ended = page.as_ref().map_or(true, Vec::is_empty);
        match page {
            Ok(page) => self.page = page.into_iter(),
            Err(error) => return Some(Err(error)),
        }
        self.page.next().map(Ok)
    }
}

impl std::iter::FusedIterator for History<'_> {}

/// Where the next page of a history is, going back in time.
///
/// Servers sort a history by its times, or by when they stored each message. Then the times are out of order, because
/// several clocks made them, and a page that is asked for by a time can miss some. So where they are out of order the
/// walk goes by ids, if the server takes them.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    cursor: Cursor,
    before: Option<Timestamp>,
    /// Of the oldest message so far, and of the last one that came.
    oldest: Option<Timestamp>,
    last: Option<MessageId>,
    /// What the next page may bring again. Not all that was seen: a history can be long.
    seen: HashMap<MessageId, Timestamp>,
    /// The longest page so far.
    longest: usize,
    /// How many messages could not be read.
    skipped: usize,
    /// The newest message of all: where it stands on a later page, the server has not understood the question.
    first: Option<MessageId>,
    /// Times were out of order.
    unsorted: bool,
    /// The server makes nothing of an id.
    no_ids: bool,
    /// The last page had room for more: nothing is before it.
    ended: bool,
}

/// How many messages of a history that is out of order are known again.
const SEEN: usize = 4096;

/// How the next page is asked for.
///
/// `before` leaves out messages of that very time, of which a page may hold only some. So ask for a moment later and
/// pass over what comes twice. Where a whole page has one time, ask by the id of the last message (which the API
/// description names, and the SDK does not use); and where that leads nowhere, by the time after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Cursor {
    #[default]
    JustAfter,
    Id,
    Time,
}

impl Walk {
    /// What the next page has to be asked for.
    pub(crate) fn before(&self) -> Option<&Timestamp> {
        self.before.as_ref()
    }

    /// How many messages could not be read so far.
    pub(crate) fn skipped(&self) -> usize {
        self.skipped
    }

    /// Whether this refusal of the next page counts as an empty one: not every server takes an id.
    pub(crate) fn forgives(&self, error: &Error) -> bool {
        let refused = matches!(error.status(), Some(400 | 404 | 422 | 500));
        self.cursor == Cursor::Id && refused
    }

    /// A walk whose first page is asked for by this.
    pub(crate) fn starting_at(before: Option<Timestamp>) -> Self {
        Walk { before, ..Walk::default() }
    }

    /// The pages have another size from now on: how long one is says less.
    pub(crate) fn resized(&mut self) {
        self.longest = 0;
    }

    /// Notes that a page for which `asked` messages were asked had `count`. A short page is the last one, which saves the
    /// request that would find nothing. It is short only below what a server sends unasked: it may cap pages there.
    pub(crate) fn note_size(&mut self, count: usize, asked: u32) {
        self.ended |= count < asked.min(DEFAULT_LIMIT) as usize;
    }

    /// Whether the beginning of the history has been seen.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The messages of a page that were not on earlier ones; `None` if it is the beginning of the history.
    pub(crate) fn take(&mut self, page: List<Message>) -> Option<Vec<Message>> {
        let count = page.len() + page.skipped();
        self.skipped += page.skipped();
        let again =
            self.first.as_ref().and_then(|first| page.iter().position(|message| message.id == *first));
        self.first = self.first.take().or_else(|| page.first().map(|message| message.id.clone()));
        self.unsorted |= !page.is_sorted_by(|one, next| one.created_at >= next.created_at);
        let recent = self.recent();
        let (mut ids, mut new) = (Vec::new(), Vec::new());
        for message in page {
            ids.push((message.id.clone(), message.created_at.clone()));
            // What is younger cannot be new: the server has not understood the question.
            let is_older = match &recent {
                Some(_) if self.unsorted => again.is_none(),
                Some(recent) => message.created_at <= *recent,
                None => true,
            };
            if !is_older || self.seen.contains_key(&message.id) {
                continue;
            }
            if self.oldest.as_ref().is_none_or(|oldest| message.created_at < *oldest) {
                self.oldest = Some(message.created_at.clone());
            }
            self.last = Some(message.id.clone());
            new.push(message);
        }
        let recent = self.recent();
        if !self.unsorted || self.seen.len() > SEEN {
            self.seen.retain(|_, time| recent.as_ref().is_some_and(|recent| *time <= *recent));
        }
        for (id, time) in ids {
            self.seen.insert(id, time);
        }
        self.cursor = match self.cursor {
            // It takes ids, and no way is as exact.
            Cursor::Id if !new.is_empty() => Cursor::Id,
            _ if !new.is_empty() && self.unsorted && !self.no_ids => Cursor::Id,
            _ if !new.is_empty() => Cursor::JustAfter,
            // There was room for more.
            _ if count < self.longest && self.cursor != Cursor::Id => return None,
            Cursor::JustAfter => Cursor::Id,
            Cursor::Id => {
                self.no_ids = true;
                Cursor::Time
            }
            Cursor::Time => return None,
        };
        self.longest = self.longest.max(count);
        self.before = match self.cursor {
            Cursor::JustAfter => recent,
            Cursor::Id => self.last.as_ref().map(|id| id.as_str().into()),
            Cursor::Time => self.oldest.clone(),
        };
        // An empty page: the beginning.
        self.before.is_some().then_some(new)
    }

    /// The time from which on the next page may bring what is known.
    fn recent(&self) -> Option<Timestamp> {
        self.oldest.as_ref().map(|oldest| oldest.just_after().unwrap_or_else(|| oldest.clone()))
    }
}
