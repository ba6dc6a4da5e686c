//! Lists that come in pages, by `limit` and `offset`.

use std::collections::HashSet;
use std::iter::FusedIterator;
use std::vec;

use super::Client;
use crate::error::{Error, Result};
use crate::json::Read;
use crate::model::answer;

/// Pages in a row that bring nothing new because the list grows meanwhile.
const MOST_REPEATED: usize = 100;

/// A list that comes in pages: [`Runs::in_agency`](crate::rest::Runs::in_agency) and the lists of
/// [`Explore`](crate::rest::Explore). [`send`](Paged::send) fetches one page, [`iter`](Paged::iter) all of them, one after
/// the other as they are needed.
///
/// ```no_run
/// # fn main() -> crustocean::Result<()> {
/// let client = crustocean::Client::anonymous()?;
/// for hook in client.explore().matching("dice").webhooks().iter().take(100) {
///     let hook = hook?;
///     println!("{:?} by {:?}", hook.slug, hook.creator);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is fetched before send() or iter()"]
pub struct Paged<'a, T> {
    client: &'a Client,
    path: Vec<String>,
    key: &'static str,
    matching: Option<String>,
    limit: Option<u32>,
    offset: usize,
    read: fn(&str, &'static str) -> serde_json::Result<Vec<T>>,
    /// What an item is known by.
    identity: fn(&T) -> String,
}

impl<'a, T> Paged<'a, T> {
    pub(super) fn new(
        client: &'a Client,
        path: &[&str],
        key: &'static str,
        matching: Option<String>,
        identity: fn(&T) -> String,
    ) -> Self
    where
        T: Read,
    {
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Paged { client, path, key, matching, limit: None, offset: 0, read: answer::list, identity }
    }

    /// How many items a page has. Defaults to what the server takes.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit.max(1));
        self
    }

    /// How many items are left out at the beginning. Defaults to 0.
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// Fetches one page.
    ///
    /// # Errors
    /// What the server says.
    #[inline]
    pub fn send(self) -> Result<Vec<T>> {
        self.fetch()
    }

    /// All items from here to the end, a page at a time.
    ///
    /// The list may grow meanwhile: every item that was there at the start comes, and comes once. One that is added
    /// while the list is walked through comes once or not at all.
    pub fn iter(self) -> Pages<'a, T> {
        let start = self.offset;
        Pages { list: self, page: Vec::new().into_iter(), seen: HashSet::new(), start, ended: false }
    }

    #[inline]
    fn fetch(&self) -> Result<Vec<T>> {
        self.fetch_at(self.offset)
    }

    fn fetch_at(&self, offset: usize) -> Result<Vec<T>> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let call = self.client.get_at(&path)?.query_if("q", self.matching.as_ref());
        let offset = (offset > 0).then_some(offset);
        let call = call.query_if("limit", self.limit).query_if("offset", offset);
        call.read(|json| (self.read)(json, self.key))
    }
}

/// Walks through all pages of a list: [`Paged::iter`].
///
/// An error ends it. The API tells no totals, so the end is known by an empty page, or by pages that bring nothing but
/// what came before.
#[derive(Debug)]
pub struct Pages<'a, T> {
    list: Paged<'a, T>,
    page: vec::IntoIter<T>,
    /// The items that came. When something is put in at the front, the next page begins with some of them.
    seen: HashSet<String>,
    /// Where the walk began.
    start: usize,
    ended: bool,
}

impl<T> Pages<'_, T> {
    /// The next page with something new on it; an empty one at the end.
    fn next_page(&mut self) -> Result<Vec<T>> {
        for _ in 0..MOST_REPEATED {
            let page = self.list.fetch()?;
            if page.is_empty() {
                return Ok(page);
            }
            self.list.offset += page.len();
            let new: Vec<T> =
                page.into_iter().filter(|item| self.seen.insert((self.list.identity)(item))).collect();
            if !new.is_empty() || !self.has_grown()? {
                return Ok(new);
            }
        }
        Err(Error::protocol("the list grows faster than it can be read"))
    }

    /// Whether something was put in at the front, which moves what has been read onto later pages. A server that does
    /// not know `offset`, or goes round in circles, shows nothing new there either.
    fn has_grown(&self) -> Result<bool> {
        let front = self.list.fetch_at(self.start)?;
        Ok(front.iter().any(|item| !self.seen.contains(&(self.list.identity)(item))))
    }
}

impl<T> Iterator for Pages<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(item) = self.page.next() {
            return Some(Ok(item));
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

impl<T> FusedIterator for Pages<'_, T> {}
