//! Decodes the usual form of an object, in one pass.

use std::fmt;

use serde::de::value::U64Deserializer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor};

use super::keys::field_of;
use super::read_error::ReadError;
use super::structs::{ReadStruct, StructDeserializer};
use crate::json;

/// Decodes the usual form of an object in one pass: each field under one key, each value of the field's type. Any
/// deviation is an error, and [`object`](super::object) decodes the object then.
pub(crate) fn fast<T>(
    json: &str,
    build: impl Fn(StructDeserializer<FastObject<'_>>) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    build(StructDeserializer(FastObject { json }))
}

/// The text of an object in the usual form, for the derived `Deserialize` of a struct.
pub(crate) struct FastObject<'t> {
    json: &'t str,
}

impl<'de> ReadStruct<'de> for FastObject<'de> {
    fn read<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let mut json = serde_json::Deserializer::from_str(self.json);
        let value = json.deserialize_map(FastVisitor { fields, visitor })?;
        json.end()?;
        Ok(value)
    }
}

struct FastVisitor<V> {
    fields: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for FastVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(FastFields { fields: self.fields, next: 0, map })
    }
}

struct FastFields<A> {
    fields: &'static [&'static str],
    /// The field that is expected next.
    next: usize,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for FastFields<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(json::Key(key)) = self.map.next_key()? {
            // serde reports two keys of one field as an error.
            if let Some(field) = field_of(self.fields, self.next, &key).map(|(field, _)| field) {
                self.next = field + 1;
                let number: U64Deserializer<A::Error> = (field as u64).into_deserializer();
                return seed.deserialize(number).map(Some);
            }
            self.map.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}
