//! The deserializer for the derived `Deserialize` of a struct.

use serde::de::{Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::read_error::ReadError;

/// A way to decode a struct from its text.
pub(crate) trait ReadStruct<'de> {
    /// Passes the values of `fields` to the struct's visitor.
    fn read<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError>;
}

/// Decodes structs, and nothing else.
pub(crate) struct StructDeserializer<R>(pub(super) R);

impl<'de, R: ReadStruct<'de>> Deserializer<'de> for StructDeserializer<R> {
    type Error = ReadError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.0.read(name, fields, visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ReadError> {
        Err(ReadError::new("only structs are read this way"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
