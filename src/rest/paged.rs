//! Lists that come in pages, by `limit` and `offset`.

use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::vec;

use serde::de::DeserializeOwned;

use super::Client;
use crate::error::Result;
use crate::model::List;

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
    items: PhantomData<fn() -> T>,
}

impl<'a, T> Paged<'a, T> {
    pub(super) fn new(client: &'a Client, path: &[&str], key: &'static str, matching: Option<String>) -> Self
    where
        T: DeserializeOwned,
    {
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Paged { client, path, key, matching, limit: None, offset: 0, items: PhantomData }
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
    pub fn send(self) -> Result<List<T>>
    where
        T: DeserializeOwned,
    {
        self.fetch()
    }

    /// All items from here to the end, a page at a time.
    pub fn iter(self) -> Pages<'a, T>
    where
        T: PartialEq + Clone,
    {
        Pages { list: self, page: Vec::new().into_iter(), first: None, skipped: 0, ended: false }
    }

    fn fetch(&self) -> Result<List<T>>
    where
        T: DeserializeOwned,
    {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let call = self.client.get_at(&path)?.query_if("q", self.matching.as_ref());
        let offset = (self.offset > 0).then_some(self.offset);
        let call = call.query_if("limit", self.limit).query_if("offset", offset);
        call.list(self.key)
    }
}

/// Walks through all pages of a list: [`Paged::iter`].
///
/// An error ends it. An item that cannot be read is left out and counted in [`skipped`](Pages::skipped). The API tells no totals, so the end is known by an empty page.
#[derive(Debug)]
pub struct Pages<'a, T> {
    list: Paged<'a, T>,
    page: vec::IntoIter<T>,
    /// What the page before began with: a server that ignores `offset` sends the same page for ever.
    first: Option<Option<T>>,
    skipped: usize,
    ended: bool,
}

impl<T> Pages<'_, T> {
    /// How many items were left out so far because they could not be read.
    pub fn skipped(&self) -> usize {
        self.skipped
    }
}

impl<T: DeserializeOwned + PartialEq + Clone> Iterator for Pages<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(item) = self.page.next() {
            return Some(Ok(item));
        }
        // Once, unless nothing on a page can be read.
        while !self.ended {
            match self.list.fetch() {
                Ok(page) => {
                    let count = page.len() + page.skipped();
                    let first = Some(page.first().cloned());
                    if count == 0 || first == self.first {
                        self.ended = true;
                        break;
                    }
                    self.list.offset += count;
                    self.skipped += page.skipped();
                    self.first = first;
                    self.page = page.into_iter();
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
            if let Some(item) = self.page.next() {
                return Some(Ok(item));
            }
        }
        None
    }
}

impl<T: DeserializeOwned + PartialEq + Clone> FusedIterator for Pages<'_, T> {}
