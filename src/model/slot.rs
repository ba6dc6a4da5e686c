//! Reads a value into the place where it will stay.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Visitor};

/// A field that is being read, through another type where that is needed. `null` leaves it as it is; the answer is
/// whether there was a value.
///
/// Handed back as an `Option` in a `Result`, every value would be moved several times on its way: that made reading a
/// message a fifth slower.
pub(crate) struct Slot<'s, T, Via> {
    place: &'s mut Option<T>,
    via: PhantomData<fn() -> Via>,
}

impl<'s, T, Via> Slot<'s, T, Via> {
    pub(crate) fn new(place: &'s mut Option<T>) -> Self {
        Slot { place, via: PhantomData }
    }
}

impl<'de, T, Via: Deserialize<'de> + Into<T>> DeserializeSeed<'de> for Slot<'_, T, Via> {
    type Value = bool;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, T, Via: Deserialize<'de> + Into<T>> Visitor<'de> for Slot<'_, T, Via> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    #[inline]
    fn visit_none<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    #[inline]
    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        *self.place = Some(Via::deserialize(deserializer)?.into());
        Ok(true)
    }
}
