//! The history of a room, page by page.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::vec;

use super::{Client, Walk};
use crate::error::{Error, Result};
use crate::model::{List, Message, Timestamp};
use crate::net::CancelToken;
use crate::threads;

/// The platform does not document the maximum. The JavaScript SDK sends no higher limit.
const MAX_LIMIT: u32 = 100;

/// If a page arrives within this time, the iterator does not fetch the next page ahead, because starting a thread takes
/// nearly as long.
const NEARBY: Duration = Duration::from_millis(1);

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

    /// Sets the page size. A value below 1 counts as 1, a value above 100 as 100. Defaults to the server's default
    /// (50).
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit.clamp(1, MAX_LIMIT));
        self
    }

    /// Returns only messages older than this time. Pass the `created_at` of the oldest message that you have. Defaults
    /// to the newest messages.
    ///
    /// To read a whole history, use [`iter`](Messages::iter), which skips no message. With `before`, the server omits
    /// further messages of the same millisecond that did not fit on the previous page.
    pub fn before(mut self, time: &Timestamp) -> Self {
        self.before = Some(time.as_str().to_owned());
        self
    }

    /// Returns only messages that mention this user. Ignores a leading `@`. Defaults to all messages.
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
            ahead: None,
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
/// The iterator ends after an error. It skips a message that it cannot decode, and counts the message in
/// [`skipped`](History::skipped). If it can decode no message of a whole page, it cannot request older messages, and
/// ends with a [`Protocol`](crate::ErrorKind::Protocol) error.
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
    ahead: Option<PageAhead>,
}

/// A thread that fetches the next page. Dropping a `PageAhead` cancels the request.
#[derive(Debug)]
struct PageAhead {
    thread: Option<JoinHandle<Fetched>>,
    cancel: CancelToken,
}

impl PageAhead {
    /// Starts the thread. Returns `None` if the system cannot start a thread.
    fn start(query: &Messages<'_>) -> Option<PageAhead> {
        let Messages { client, path, limit, before, mentions } = query.clone();
        let (client, cancel) = client.cancellable();
        let fetch = move || Messages { client: &client, path, limit, before, mentions }.fetch_timed();
        let thread = threads::short_lived("crustocean-page").spawn(fetch).ok()?;
        Some(PageAhead { thread: Some(thread), cancel })
    }

    /// Waits for the page. Returns `None` if the thread panicked.
    fn finish(mut self) -> Option<Fetched> {
        self.thread.take()?.join().ok()
    }
}

impl Drop for PageAhead {
    fn drop(&mut self) {
        // After `finish` there is no request to cancel.
        if let Some(thread) = self.thread.take() {
            self.cancel.cancel();
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
        if self.reads_ahead && is_due && !self.is_nearby && !self.walk.has_ended() && self.ahead.is_none() {
            self.ahead = PageAhead::start(&self.query);
            self.reads_ahead = self.ahead.is_some();
        }
    }

    /// How many messages the iterator has skipped so far because it could not decode them. A message on two pages
    /// counts twice.
    pub fn skipped(&self) -> usize {
        self.walk.skipped()
    }

    /// Returns the next page with new messages, or an empty page at the start of the history.
    fn next_page(&mut self) -> Result<Vec<Message>> {
        while !self.walk.has_ended() {
            let ahead = self.ahead.take().and_then(PageAhead::finish);
            let Fetched { page, took } = ahead.unwrap_or_else(|| self.query.fetch_timed());
            // The first request may have to connect first, so it says nothing about the next ones.
            self.is_nearby = self.pages > 0 && took < NEARBY;
            let mut page = self.walk.empty_if_id_refused(page)?;
            // A page without a readable message does not tell where the next page starts. A larger page may.
            let is_widened = is_unreadable(&page) && self.query.limit != Some(MAX_LIMIT);
            if is_widened {
                page = self.walk.empty_if_id_refused(self.query.clone().limit(MAX_LIMIT).fetch())?;
            }
            let count = page.len() + page.skipped();
            let Some(new) = self.walk.take(page) else {
                if self.walk.is_cut_off() {
                    let text =
                        format!("{count} messages in a row cannot be read: older messages may be missing");
                    return Err(Error::protocol(text));
                }
                break;
            };
            if is_widened {
                self.walk.resized();
            } else if let Some(asked) = self.query.limit {
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

fn is_unreadable(page: &List<Message>) -> bool {
    page.is_empty() && page.skipped() > 0
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
