//! Lists from the API that skip elements that cannot be decoded.

use std::ops::{Deref, DerefMut};
use std::slice;
use std::vec;

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde::{Serialize, Serializer};

use super::serde_helpers::{self, Lenient, ReadError};

/// A list from the server. Use it like a slice or in a `for` loop.
///
/// An element that cannot be decoded does not affect the others: it is skipped, counted in [`skipped`](List::skipped)
/// and logged as a warning.
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
    skipped: usize,
}

impl<T> List<T> {
    /// How many elements were skipped because they could not be decoded.
    pub fn skipped(&self) -> usize {
        self.skipped
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
        let mut first = None;
        let read = serde_helpers::elements(json, |element| {
            T::deserialize(Lenient::of(element)).map_err(|error| first.get_or_insert(error)).ok()
        });
        let read = read.ok_or_else(|| ReadError::new("expected a list"))?;
        let all = read.len();
        let items: Vec<T> = read.into_iter().flatten().collect();
        let skipped = all - items.len();
        if let Some(error) = first {
            crate::logging::warn!(
                "{skipped} of {all} elements of a list cannot be read and are left out: {error}"
            );
        }
        Ok(List { items, skipped })
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List::from(Vec::new())
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        List { items, skipped: 0 }
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
