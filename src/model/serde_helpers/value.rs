//! Decodes one value from its JSON text.

use std::borrow::Cow;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Number, Value};

use super::read_error::ReadError;
use crate::json;

/// Reads a value by the rules of `serde_helpers`.
pub(crate) fn read<T: DeserializeOwned>(json: &str) -> Result<T, ReadError> {
    T::deserialize(Lenient::of(json))
}

/// Decodes one value from its text.
#[derive(Clone, Copy)]
pub(crate) struct Lenient<'t> {
    /// The JSON text, trimmed.
    pub(super) json: &'t str,
}

impl<'t> Lenient<'t> {
    /// `json` is a valid value, or an object or a list that may be invalid. The decoder detects an invalid one later.
    pub(crate) fn of(json: &'t str) -> Self {
        Lenient { json: json.trim() }
    }

    fn first(self) -> u8 {
        self.json.as_bytes().first().copied().unwrap_or_default()
    }

    /// A text, or the digits of a number.
    fn text(self) -> Result<Cow<'t, str>, ReadError> {
        json::text_or_digits(self.json).ok_or_else(|| ReadError::new("expected a string"))
    }

    /// A number, or a number in a text: PostgreSQL's `COUNT(*)` becomes a text in JSON.
    fn number(self) -> Result<Number, ReadError> {
        let text = json::text_or_digits(self.json).ok_or_else(|| ReadError::new("expected a number"))?;
        serde_json::from_str(text.trim()).map_err(|_| ReadError::new("expected a number"))
    }

    fn boolean(self) -> Result<bool, ReadError> {
        Ok(match &*json::string(self.json).unwrap_or(self.json.into()) {
            "true" | "t" | "1" => true,
            "false" | "f" | "0" | "" => false,
            _ => self.json.parse::<u64>().map_err(|_| ReadError::new("expected a boolean"))? != 0,
        })
    }

    /// Any value.
    fn tree(self) -> Result<Value, ReadError> {
        Ok(json::from_str(self.json)?)
    }
}

macro_rules! numbers {
    ($($method:ident)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            Ok(self.number()?.$method(visitor)?)
        }
    )+};
}

impl<'de> Deserializer<'de> for Lenient<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.first() {
            b'n' => visitor.visit_unit(),
            b'"' => self.deserialize_str(visitor),
            _ => Ok(self.tree()?.deserialize_any(visitor)?),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_bool(self.boolean()?)
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.text()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    /// A plain text. `null` is an empty text.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.first() {
            b'n' => visitor.visit_borrowed_str(""),
            _ => self.deserialize_str(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.first() {
            b'n' => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match name {
            json::TEXT_OF_VALUE => visitor.visit_map(TextMapAccess { json: Some(self.json) }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Returns a text in the same way as serde_json.
struct TextMapAccess<'t> {
    json: Option<&'t str>,
}

impl<'de> MapAccess<'de> for TextMapAccess<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let key = self.json.map(|_| BorrowedStrDeserializer::new(json::TEXT_OF_VALUE));
        key.map(|key| seed.deserialize(key)).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        seed.deserialize(BorrowedStrDeserializer::new(self.json.take().unwrap_or_default()))
    }
}
