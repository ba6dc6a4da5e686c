//! Lists from the API that skip elements that cannot be decoded.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::slice;
use std::vec;

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde::{Serialize, Serializer};

use super::serde_helpers::{self, ReadError};
use crate::json;

/// A list from the server. Use it like a slice or in a `for` loop.
///
/// An element that cannot be decoded does not affect the others: the list skips it, counts it in
/// [`skipped`](List::skipped), and logs a warning.
///
/// ```
/// use crustocean::rest::Client;
///
/// # fn demo(client: Client) -> crustocean::Result<()> {
/// let agencies = client.agencies().list()?;
/// if agencies.skipped() > 0 {
///     println!("{} agencies cannot be shown", agencies.skipped());
/// }
/// for agency in &agencies {
///     println!("{}", agency.name);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T> {
    items: Vec<T>,
    skipped: Vec<Skipped>,
}

/// A skipped element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// How many decoded elements come before the skipped element.
    pub(crate) place: usize,
    /// The `id` of the skipped element, if it has one.
    pub(crate) id: Option<String>,
    /// A hash of the text of the skipped element.
    pub(crate) digest: u64,
}

impl Skipped {
    fn new(element: &str, place: usize) -> Self {
        let id = json::pick(element, ["id"]).ok().and_then(|[id]| id);
        let id = id.and_then(|id| serde_helpers::string_in(id.get())).filter(|id| !id.is_empty());
        let mut hasher = DefaultHasher::new();
        element.hash(&mut hasher);
        Skipped { place, id, digest: hasher.finish() }
    }
}

impl<T> List<T> {
    /// How many elements the list has skipped because it could not decode them.
    pub fn skipped(&self) -> usize {
        self.skipped.len()
    }

    /// The skipped elements, in their order.
    pub(crate) fn skipped_elements(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Reverses the list, and adapts the places of the skipped elements.
    pub(crate) fn reverse(&mut self) {
        self.items.reverse();
        self.skipped.reverse();
        for skipped in &mut self.skipped {
            skipped.place = self.items.len().saturating_sub(skipped.place);
        }
    }

    /// The decoded elements.
    pub fn into_vec(self) -> Vec<T> {
        self.items
    }

    /// The decoded elements.
    pub fn as_slice(&self) -> &[T] {
        &self.items
    }
}

impl<T: DeserializeOwned> List<T> {
    /// Fails if the value is not a list.
    pub(crate) fn read(json: &str) -> Result<Self, ReadError> {
        let mut items = Vec::new();
        let skipped = read_elements(json, &mut |element| {
            items.push(serde_helpers::read(element)?);
            Ok(())
        })?;
        Ok(List { items, skipped })
    }
}

/// Passes each element to `read`. Returns the elements for which `read` fails.
fn read_elements(
    json: &str,
    read: &mut dyn FnMut(&str) -> Result<(), ReadError>,
) -> Result<Vec<Skipped>, ReadError> {
    let (mut skipped, mut count, mut first) = (Vec::new(), 0, None);
    let list = serde_helpers::elements(json, &mut |element| match read(element) {
        Ok(()) => count += 1,
        Err(error) => {
            skipped.push(Skipped::new(element, count));
            first.get_or_insert(error);
        }
    });
    list.ok_or_else(|| ReadError::new("expected a list"))?;
    if let Some(error) = first {
        crate::logging::warn!(
            "{} of {} elements of a list cannot be read and are left out: {error}",
            skipped.len(),
            count + skipped.len()
        );
    }
    Ok(skipped)
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List::from(Vec::new())
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        List { items, skipped: Vec::new() }
    }
}

impl<T> From<List<T>> for Vec<T> {
    fn from(list: List<T>) -> Self {
        list.items
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

impl<T> IntoIterator for List<T> {
    type Item = T;
    type IntoIter = vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl<T: PartialEq<U>, U> PartialEq<[U]> for List<T> {
    fn eq(&self, other: &[U]) -> bool {
        self.items == other
    }
}

impl<T: PartialEq<U>, U, const N: usize> PartialEq<[U; N]> for List<T> {
    fn eq(&self, other: &[U; N]) -> bool {
        self.items == other
    }
}

impl<T: PartialEq<U>, U> PartialEq<Vec<U>> for List<T> {
    fn eq(&self, other: &Vec<U>) -> bool {
        self.items == *other
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.items.serialize(serializer)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_helpers::text_of(deserializer, List::read)
    }
}
