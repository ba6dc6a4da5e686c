//! A room's history, page by page.

use std::collections::HashSet;
use std::vec;

use super::Client;
use crate::error::Result;
use crate::model::{Message, MessageId, Timestamp};

/// The server's documented maximum is not known; the JavaScript SDK sends no more.
const MAX_LIMIT: u32 = 100;

/// What was said in a room: [`Agencies::messages`](crate::Agencies::messages),
/// [`Dms::messages`](crate::Dms::messages). [`send`](Messages::send) fetches one page, [`iter`](Messages::iter) walks
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

    /// How many messages a page has, 1 to 100. Defaults to what the server takes (50).
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit.clamp(1, MAX_LIMIT));
        self
    }

    /// Only messages older than this: the `created_at` of the oldest message at hand.
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
    /// What the server says.
    pub fn send(self) -> Result<Vec<Message>> {
        self.fetch()
    }

    /// All messages from here back to the first one, newest first, a page at a time.
    pub fn iter(self) -> History<'a> {
        History { query: self, page: Vec::new().into_iter(), last_page: HashSet::new(), ended: false }
    }

    fn fetch(&self) -> Result<Vec<Message>> {
        let [group, id, messages] = &self.path;
        let call = self.client.get([group, id, messages])?.query_if("limit", self.limit);
        let call = call.query_if("before", self.before.as_ref()).query_if("mentions", self.mentions.as_ref());
        call.list("messages")
    }
}

/// Walks a room's history back in time: [`Messages::iter`].
///
/// An error ends it.
#[derive(Debug)]
pub struct History<'a> {
    query: Messages<'a>,
    page: vec::IntoIter<Message>,
    /// What the page before had: a server that takes `before` as "not after" sends its last message again.
    last_page: HashSet<MessageId>,
    ended: bool,
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
        match self.query.fetch() {
            Ok(page) => {
                let ids = page.iter().map(|message| message.id.clone()).collect();
                let oldest = page.iter().map(|message| &message.created_at).min();
                self.query.before = oldest.map(|time| time.as_str().to_owned());
                let new = page.into_iter().filter(|message| !self.last_page.contains(&message.id));
                self.page = new.collect::<Vec<_>>().into_iter();
                self.last_page = ids;
                // A short page is not the end: the server may have a smaller maximum than was asked for.
                self.ended = self.page.len() == 0;
            }
            Err(error) => {
                self.ended = true;
                return Some(Err(error));
            }
        }
        self.page.next().map(Ok)
    }
}

impl std::iter::FusedIterator for History<'_> {}
