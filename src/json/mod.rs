//! JSON without any knowledge of who speaks it.
//!
//! One way to declare what goes over the wire, without a code generator at build time: what is read is an
//! [`api_struct!`](macros), what is only written a [`payload!`](macros), and a few values are [picked](pick()) out where
//! nobody needs more.

#[macro_use]
mod macros;
mod pick;
mod read;
mod source;
#[cfg(test)]
mod tests;
mod tree;

use serde::ser::SerializeMap;

pub(crate) use pick::{pick, pick_into, text};
pub(crate) use read::{How, Json, Key, Mistake, Optional, Place, Read};
pub(crate) use source::{from_str, read, read_into, read_with};
pub(crate) use tree::from_map;

/// The entries of an object, which may be a part of a larger one.
pub(crate) trait Fields {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

impl<T: Fields> Fields for &T {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        (**self).write(map)
    }
}
