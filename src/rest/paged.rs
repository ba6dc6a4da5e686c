//! Lists that come in pages, by `limit` and `offset`.

use std::collections::HashSet;
use std::iter::FusedIterator;
use std::vec;

use serde::de::DeserializeOwned;

use super::Client;
use crate::error::{Error, Result};
use crate::model::List;

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
        T: DeserializeOwned,
    {
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Paged { client, path, key, matching, limit: None, offset: 0, identity }
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
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency; else as [every call](crate::rest#errors).
    pub fn send(self) -> Result<List<T>>
    where
        T: DeserializeOwned,
    {
        self.fetch()
    }

    /// All items from here to the end, a page at a time.
    ///
    /// The list may grow meanwhile: every item that was there at the start comes, and comes once. One that is added
    /// while the list is walked through comes once or not at all.
    pub fn iter(self) -> Pages<'a, T> {
        let start = self.offset;
        let (page, seen) = (Vec::new().into_iter(), HashSet::new());
        Pages { list: self, page, seen, start, skipped: 0, ended: false }
    }

    fn fetch(&self) -> Result<List<T>>
    where
        T: DeserializeOwned,
    {
        self.fetch_at(self.offset)
    }

    fn fetch_at(&self, offset: usize) -> Result<List<T>>
    where
        T: DeserializeOwned,
    {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let call = self.client.get_at(&path)?.query_if("q", self.matching.as_ref());
        let offset = (offset > 0).then_some(offset);
        let call = call.query_if("limit", self.limit).query_if("offset", offset);
        call.list(self.key)
    }
}

/// Walks through all pages of a list: [`Paged::iter`].
///
/// An error ends it. An item that cannot be read is left out and counted in [`skipped`](Pages::skipped). The API tells
/// no totals, so the end is known by an empty page, or by pages that bring nothing but what came before.
#[derive(Debug)]
pub struct Pages<'a, T> {
    list: Paged<'a, T>,
    page: vec::IntoIter<T>,
    /// The items that came. When something is put in at the front, the next page begins with some of them.
    seen: HashSet<String>,
    /// Where the walk began.
    start: usize,
    skipped: usize,
    ended: bool,
}

impl<T> Pages<'_, T> {
    /// How many items were left out so far because they could not be read.
    pub fn skipped(&self) -> usize {
        self.skipped
    }
}

impl<T: DeserializeOwned> Pages<'_, T> {
    /// The next page with something new on it; an empty one at the end.
    fn next_page(&mut self) -> Result<Vec<T>> {
        for _ in 0..MOST_REPEATED {
            let page = self.list.fetch()?;
            let (count, skipped) = (page.len(), page.skipped());
            if count + skipped == 0 {
                return Ok(Vec::new());
            }
            self.list.offset += count + skipped;
            let new: Vec<T> =
                page.into_iter().filter(|item| self.seen.insert((self.list.identity)(item))).collect();
            if new.is_empty() && count > 0 && !self.has_grown()? {
                return Ok(new);
            }
            // Of a page that repeats others, they have been counted.
            if count == 0 || !new.is_empty() {
                self.skipped += skipped;
            }
            if !new.is_empty() {
                return Ok(new);
            }
        }
        Err(Error::protocol("page after page of the list brings nothing new"))
    }

    /// Whether something was put in at the front, which moves what has been read onto later pages. A server that does
    /// not know `offset`, or goes round in circles, shows nothing new there either.
    fn has_grown(&self) -> Result<bool> {
        let front = self.list.fetch_at(self.start)?;
        Ok(front.iter().any(|item| !self.seen.contains(&(self.list.identity)(item))))
    }
}

impl<T: DeserializeOwned> Iterator for Pages<'_, T> {
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

impl<T: DeserializeOwned> FusedIterator for Pages<'_, T> {}
