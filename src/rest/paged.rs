//! Paged lists with `limit` and `offset`.

use std::collections::HashSet;
use std::fmt::Debug;
use std::iter::FusedIterator;
use std::vec;

use serde::de::DeserializeOwned;

use super::Client;
use crate::error::{Error, Result};
use crate::model::List;

/// The most pages in a row without a new item, while the list grows.
const MAX_REPEATED: usize = 100;

/// Returns the text that identifies an item of a list: its key, such as an id. If the key is empty, the text is the
/// item's content, so that only an exact repetition counts as the same item.
pub(super) fn identity(key: &str, item: &impl Debug) -> String {
    if key.is_empty() { format!("{item:?}") } else { key.to_owned() }
}

/// A paged list. Returned by [`Runs::in_agency`](crate::rest::Runs::in_agency) and the lists of
/// [`Explore`](crate::rest::Explore). [`send`](Paged::send) fetches one page. [`iter`](Paged::iter) reads all pages,
/// one at a time.
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
    /// Returns the key that identifies an item.
    identity: fn(&T) -> String,
}

impl<'a, T: DeserializeOwned> Paged<'a, T> {
    pub(super) fn new(
        client: &'a Client,
        path: &[&str],
        key: &'static str,
        matching: Option<String>,
        identity: fn(&T) -> String,
    ) -> Self {
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Paged { client, path, key, matching, limit: None, offset: 0, identity }
    }

    /// Fetches one page.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn send(self) -> Result<List<T>> {
        self.fetch_at(self.offset)
    }

    fn fetch_at(&self, offset: usize) -> Result<List<T>> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let call = self.client.get_at(&path)?.query_if("q", self.matching.as_ref());
        let offset = (offset > 0).then_some(offset);
        let call = call.query_if("limit", self.limit).query_if("offset", offset);
        call.list(self.key)
    }
}

impl<'a, T> Paged<'a, T> {
    /// Sets the page size. Defaults to the server's default.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit.max(1));
        self
    }

    /// Sets how many items at the start to skip. Defaults to 0.
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// Reads all items from the offset to the end, one page at a time.
    ///
    /// The list may grow meanwhile. The iterator yields every item that was in the list at the start exactly once, and
    /// a new item once or not at all.
    pub fn iter(self) -> Pages<'a, T> {
        let start = self.offset;
        let (page, seen) = (Vec::new().into_iter(), HashSet::new());
        Pages { list: self, page, seen, start, skipped: 0, ended: false }
    }
}

/// Reads all pages of a list. Returned by [`Paged::iter`].
///
/// The iterator ends after an error. It skips an item that it cannot decode, and counts the item in
/// [`skipped`](Pages::skipped). The API sends no totals, so an empty page or pages without new items are the end.
#[derive(Debug)]
pub struct Pages<'a, T> {
    list: Paged<'a, T>,
    page: vec::IntoIter<T>,
    /// The items that the iterator has yielded. If the server inserts items at the front of the list, the next page
    /// starts with some of these items.
    seen: HashSet<String>,
    /// The offset of the first page.
    start: usize,
    skipped: usize,
    ended: bool,
}

impl<T> Pages<'_, T> {
    /// How many items the iterator has skipped so far because it could not decode them.
    pub fn skipped(&self) -> usize {
        self.skipped
    }
}

impl<T: DeserializeOwned> Pages<'_, T> {
    /// Returns the next page with new items, or an empty page at the end of the list.
    fn next_page(&mut self) -> Result<Vec<T>> {
        for _ in 0..MAX_REPEATED {
            let page = self.list.fetch_at(self.list.offset)?;
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
            // Skipped items of a repeated page are counted already.
            if count == 0 || !new.is_empty() {
                self.skipped += skipped;
            }
            if !new.is_empty() {
                return Ok(new);
            }
        }
        Err(Error::protocol("several pages of the list contain no new items"))
    }

    /// Whether the server has inserted items at the front, which moves known items to later pages. If the server
    /// ignores `offset`, the first page contains no new items either.
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
