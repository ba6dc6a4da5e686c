//! The history of a room, page by page.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::vec;

use super::Client;
use crate::error::{Error, Result};
use crate::model::{List, Message, MessageId, Timestamp};
use crate::net::CancelToken;
use crate::stack;

/// The server's maximum is not documented. The JavaScript SDK sends no higher limit.
const MAX_LIMIT: u32 = 100;

/// A page that arrives within this time is not fetched ahead: waking the thread takes a good part of it.
const NEARBY: Duration = Duration::from_millis(1);

/// The page size without a limit (docs.crustocean.chat, page "Agency messages").
const DEFAULT_LIMIT: u32 = 50;

/// The messages of a room. Returned by [`Agencies::messages`](crate::rest::Agencies::messages) and
/// [`Dms::messages`](crate::rest::Dms::messages). [`send`](Messages::send) fetches one page. [`iter`](Messages::iter)
/// reads back to the first message. Both return the newest message first.
///
/// Source: docs.crustocean.chat, page "Agency messages".
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

    /// Sets the page size, from 1 to 100. Other values are moved into this range. Defaults to the server's default
    /// (50).
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit.clamp(1, MAX_LIMIT));
        self
    }

    /// Returns only messages older than this time. Pass the `created_at` of the oldest message that you have.
    ///
    /// To read a whole history, use [`iter`](Messages::iter), which skips no message. With `before`, the server omits
    /// further messages of the same millisecond that did not fit on the previous page.
    pub fn before(mut self, time: &Timestamp) -> Self {
        self.before = Some(time.as_str().to_owned());
        self
    }

    /// Returns only messages that mention this user. A leading `@` is ignored.
    pub fn mentions(mut self, username: &str) -> Self {
        self.mentions = Some(username.strip_prefix('@').unwrap_or(username).to_owned());
        self
    }

    /// Fetches one page, newest first.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if the agency is private and you are not a member,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn send(self) -> Result<List<Message>> {
        self.fetch()
    }

    /// Reads all messages back to the first one, newest first, one page at a time.
    ///
    /// While you work on a page, a thread fetches the next page, unless pages arrive within a millisecond. The thread
    /// ends when you drop the iterator.
    pub fn iter(self) -> History<'a> {
        History {
            query: self,
            page: Vec::new().into_iter(),
            walk: Walk::default(),
            ended: false,
            reads_ahead: true,
            pages: 0,
            length: 0,
            is_nearby: false,
            reader: None,
        }
    }

    fn fetch(&self) -> Result<List<Message>> {
        let [group, id, messages] = &self.path;
        let call = self.client.get([group, id, messages])?.query_if("limit", self.limit);
        let call = call.query_if("before", self.before.as_ref()).query_if("mentions", self.mentions.as_ref());
        call.list("messages")
    }

    fn fetch_timed(&self) -> Fetched {
        let start = Instant::now();
        Fetched { page: self.fetch(), took: start.elapsed() }
    }
}

/// A page, and how long the request took.
#[derive(Debug)]
struct Fetched {
    page: Result<List<Message>>,
    took: Duration,
}

/// Reads a room's history backwards. Returned by [`Messages::iter`]. The iterator yields every message exactly once,
/// even if many messages have the same time.
///
/// The iterator ends after an error. A message that cannot be decoded is skipped and counted in
/// [`skipped`](History::skipped).
#[derive(Debug)]
pub struct History<'a> {
    query: Messages<'a>,
    page: vec::IntoIter<Message>,
    walk: Walk,
    ended: bool,
    reads_ahead: bool,
    /// The number of pages so far, and the length of the last page.
    pages: usize,
    length: usize,
    /// The last page arrived quickly.
    is_nearby: bool,
    reader: Option<PageReader>,
}

/// A thread that fetches pages ahead, one page at a time. The thread ends with the iterator. One thread fetches all
/// pages: with a nearby server, a new thread for each page would cost more time than it saves.
#[derive(Debug)]
struct PageReader {
    /// The `before` of each page to fetch. `None` once the thread has to end.
    requests: Option<Sender<Option<String>>>,
    pages: Receiver<Fetched>,
    thread: Option<JoinHandle<()>>,
    cancel: CancelToken,
    is_reading: bool,
}

impl PageReader {
    /// Starts the thread. Returns `None` if the system cannot start a thread.
    fn start(query: &Messages<'_>) -> Option<PageReader> {
        let Messages { client, path, limit, mentions, .. } = query.clone();
        let (client, cancel) = client.cancellable();
        let (requests, wanted) = mpsc::channel();
        let (fetched, pages) = mpsc::channel();
        let read = move || {
            let mut query = Messages { client: &client, path, limit, before: None, mentions };
            for before in wanted {
                query.before = before;
                if fetched.send(query.fetch_timed()).is_err() {
                    break;
                }
            }
        };
        let builder =
            thread::Builder::new().name("crustocean-page".to_owned()).stack_size(stack::SHORT_LIVED);
        let thread = Some(builder.spawn(read).ok()?);
        Some(PageReader { requests: Some(requests), pages, thread, cancel, is_reading: false })
    }

    /// Requests the page with this `before`, unless the thread is already fetching a page.
    fn request(&mut self, before: Option<&String>) {
        if let Some(requests) = self.requests.as_ref().filter(|_| !self.is_reading) {
            self.is_reading = requests.send(before.cloned()).is_ok();
        }
    }

    /// Waits for the requested page. Returns `None` if no page was requested, or if the thread panicked.
    fn finish(&mut self) -> Option<Fetched> {
        let is_reading = std::mem::take(&mut self.is_reading);
        if is_reading { self.pages.recv().ok() } else { None }
    }
}

impl Drop for PageReader {
    fn drop(&mut self) {
        self.requests = None;
        // Only a running request is cancelled: otherwise the cancel would close a pooled connection that other requests
        // can use.
        if self.is_reading {
            self.cancel.cancel();
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl History<'_> {
    /// Fetches no page ahead, for a caller that needs a known number of messages.
    pub(crate) fn without_reading_ahead(mut self) -> Self {
        self.reads_ahead = false;
        self
    }

    /// Fetches the next page while the caller works on the current page. On the first page, the fetch starts only after
    /// the caller has taken half of the page, because many callers need only a few messages.
    fn read_ahead(&mut self) {
        let taken = self.length - self.page.len();
        let is_due = self.pages > 1 || taken > self.length / 2;
        if !self.reads_ahead || !is_due || self.is_nearby || self.walk.has_ended() {
            return;
        }
        if self.reader.is_none() {
            self.reader = PageReader::start(&self.query);
        }
        match &mut self.reader {
            Some(reader) => reader.request(self.query.before.as_ref()),
            None => self.reads_ahead = false,
        }
    }

    /// How many messages were skipped so far because they could not be decoded. A message on two pages counts twice.
    pub fn skipped(&self) -> usize {
        self.walk.skipped()
    }

    /// Returns the next page with new messages, or an empty page at the start of the history.
    fn next_page(&mut self) -> Result<Vec<Message>> {
        while !self.walk.has_ended() {
            let ahead = self.reader.as_mut().and_then(PageReader::finish);
            let Fetched { page, took } = ahead.unwrap_or_else(|| self.query.fetch_timed());
            // The first request may have to connect first, so it says nothing about the next ones.
            self.is_nearby = self.pages > 0 && took < NEARBY;
            let page = match page {
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
            self.read_ahead();
            return Some(Ok(message));
        }
        if self.ended {
            return None;
        }
        let page = self.next_page();
        self.ended = page.as_ref().map_or(true, Vec::is_empty);
        match page {
            Ok(page) => {
                self.pages += 1;
                self.length = page.len();
                self.page = page.into_iter();
            }
            Err(error) => return Some(Err(error)),
        }
        let first = self.page.next()?;
        self.read_ahead();
        Some(Ok(first))
    }
}

impl std::iter::FusedIterator for History<'_> {}

/// Finds the next page of a history, backwards in time.
///
/// Some servers sort a history by the messages' times, others by when they stored each message. In the second case
/// the times are out of order, because several clocks made them, and a page that is requested by time can miss
/// messages. Then the pages are requested by id, if the server accepts ids.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    cursor: Cursor,
    before: Option<Timestamp>,
    /// The time of the oldest message so far, and the last message that was received.
    oldest: Option<Timestamp>,
    last: Option<MessageId>,
    /// The messages that the next page may contain again. Not all messages, because a history can be long.
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
}

/// How many messages are remembered if a history is out of order.
const SEEN: usize = 4096;

/// How the next page is requested.
///
/// `before` excludes all messages of exactly that time, but the last page may contain only some of these messages. So
/// the walk requests a moment later and skips repeated messages. If all messages of a page have the same time, the walk
/// requests by the id of the last message (the API description has this parameter, the JavaScript SDK does not use it).
/// If the request by id fails, the walk uses the exact time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Cursor {
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

    /// The last message before the next page, if the next page is requested by id.
    pub(crate) fn directly_before_page(&self) -> Option<&MessageId> {
        self.last.as_ref().filter(|_| self.cursor == Cursor::Id)
    }

    /// How many messages could not be decoded so far.
    pub(crate) fn skipped(&self) -> usize {
        self.skipped
    }

    /// Whether an error for the next page counts as an empty page, because some servers do not accept an id.
    pub(crate) fn forgives(&self, error: &Error) -> bool {
        let refused = matches!(error.status(), Some(400 | 404 | 422 | 500));
        self.cursor == Cursor::Id && refused
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
    /// request is necessary. A page counts as short only if it is also shorter than the server's default page size,
    /// because a server may limit pages to this size.
    pub(crate) fn note_size(&mut self, count: usize, asked: u32) {
        self.ended |= count < asked.min(DEFAULT_LIMIT) as usize;
    }

    /// Whether the start of the history was reached.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The messages of a page that were not on earlier pages. `None` at the start of the history.
    pub(crate) fn take(&mut self, page: List<Message>) -> Option<Vec<Message>> {
        let count = page.len() + page.skipped();
        self.skipped += page.skipped();
        let again =
            self.first.as_ref().and_then(|first| page.iter().position(|message| message.id == *first));
        self.first = self.first.take().or_else(|| page.first().map(|message| message.id.clone()));
        self.unsorted |= !page.is_sorted_by_key(|message| Reverse(message.created_at.rank()));
        let ids: Vec<_> =
            page.iter().map(|message| (message.id.clone(), message.created_at.clone())).collect();
        let recent = self.recent();
        let recent = recent.as_ref().map(Timestamp::rank);
        let mut new = page.into_vec();
        let mut places = 0..new.len();
        new.retain(|message| {
            let place = places.next();
            // A message newer than the cursor is not new to the caller: the server has ignored the cursor.
            let is_older = match &recent {
                Some(_) if self.unsorted => place > again,
                Some(recent) => message.created_at.rank() <= *recent,
                None => true,
            };
            is_older && !self.seen.contains_key(&message.id)
        });
        let times = new.iter().map(|message| &message.created_at).chain(&self.oldest);
        self.oldest = times.min_by_key(|time| time.rank()).cloned();
        self.last = new.last().map(|message| message.id.clone()).or(self.last.take());
        let recent = self.recent();
        if !self.unsorted || self.seen.len() > SEEN {
            let recent = recent.as_ref().map(Timestamp::rank);
            self.seen.retain(|_, time| recent.as_ref().is_some_and(|recent| time.rank() <= *recent));
        }
        self.seen.extend(ids);
        self.cursor = match self.cursor {
            // The server accepts ids, which are the most exact cursor.
            Cursor::Id if !new.is_empty() => Cursor::Id,
            _ if !new.is_empty() && self.unsorted && !self.no_ids => Cursor::Id,
            _ if !new.is_empty() => Cursor::JustAfter,
            // The page was not full.
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
        // An empty page is the start of the history.
        self.before.is_some().then_some(new)
    }

    /// The time from which the next page may contain known messages.
    fn recent(&self) -> Option<Timestamp> {
        self.oldest.as_ref().map(|oldest| oldest.just_after().unwrap_or_else(|| oldest.clone()))
    }
}
