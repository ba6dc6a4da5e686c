//! Decodes an object whose fields may be written in several ways, and whose values may not fit.

use std::borrow::Cow;
use std::cell::Cell;

use serde::de::value::U64Deserializer;
use serde::de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor};

use super::keys::{field_of, first_of};
use super::read_error::{ReadError, ReadErrorReason};
use super::structs::{ReadStruct, StructDeserializer};
use super::text::string_in;
use super::value::Lenient;
use crate::json;

/// The most fields of a type. Every type of the model has fewer fields.
const MAX_FIELDS: usize = 32;

/// Reads an object. `build` is the derived function of the type. If a value does not fit its field, calls `build` again
/// without this value.
pub(crate) fn object<T>(
    json: &str,
    build: impl Fn(StructDeserializer<Object<'_, '_>>) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let json = object_in(json)?;
    let mut unusable = Unusable::default();
    loop {
        match build(StructDeserializer(Object { json: &json, unusable: &unusable })) {
            Ok(value) => return Ok(value),
            Err(error) => unusable.add(error)?,
        }
    }
}

/// The text of an object, which may be in a string. A string within the string is not accepted.
fn object_in(json: &str) -> Result<Cow<'_, str>, ReadError> {
    if !json.trim_start().starts_with('"') {
        return Ok(json.into());
    }
    let object = string_in(json).filter(|inner| inner.trim_start().starts_with('{'));
    object.map(Cow::Owned).ok_or_else(|| ReadError::new("expected an object"))
}

/// The values of an object that do not fit their fields. The decoder ignores them.
#[derive(Default)]
struct Unusable {
    values: Vec<(Place, ReadError)>,
    /// The value that is being decoded.
    reading: Cell<Option<Place>>,
}

impl Unusable {
    /// Notes that the value that was being decoded does not fit.
    ///
    /// # Errors
    /// Fails if the error has another cause. If a required field is missing because its value does not fit, the error
    /// says why.
    #[cold]
    fn add(&mut self, error: ReadError) -> Result<(), ReadError> {
        if let Some(place) = self.reading.take() {
            self.values.push((place, error));
            return Ok(());
        }
        let ReadErrorReason::Missing(missing) = *error.0 else { return Err(error) };
        let found = self.values.iter().find(|(place, _)| place.names == missing);
        Err(found.map_or(error, |(_, why)| ReadError::custom(format!("`{}`: {why}", first_of(missing)))))
    }

    fn contains(&self, place: Place) -> bool {
        self.values.iter().any(|(other, _)| other.names == place.names && other.rank == place.rank)
    }
}

/// The position of a value: its field, and the position of its key in the field's list of names; 0 is the best.
#[derive(Clone, Copy)]
struct Place {
    names: &'static str,
    rank: u8,
}

/// The best value of a field.
#[derive(Clone, Copy)]
struct FoundValue<'t> {
    rank: u8,
    json: &'t str,
}

/// The text of an object, for the derived `Deserialize` of a struct.
pub(crate) struct Object<'t, 'o> {
    json: &'t str,
    unusable: &'o Unusable,
}

impl<'t> Object<'t, '_> {
    /// Finds the text of each field's best value.
    fn find(
        &self,
        fields: &[&'static str],
        found: &mut [Option<FoundValue<'t>>; MAX_FIELDS],
    ) -> Result<(), ReadError> {
        let mut next = 0;
        json::members(self.json, &mut |key, value| {
            let Some((field, mut rank)) = field_of(fields, next, key) else { return };
            next = field + 1;
            if value.get() == "null" {
                rank = u8::MAX;
            }
            let (Some(place), Some(names)) = (found.get_mut(field), fields.get(field)) else { return };
            let is_better = place.is_none_or(|other| rank <= other.rank);
            if is_better && !self.unusable.contains(Place { names, rank }) {
                *place = Some(FoundValue { rank, json: value.get() });
            }
        })
        .map_err(|error| match self.json.trim_start().starts_with('{') {
            true => error.into(),
            false => ReadError::new("expected an object"),
        })
    }
}

impl<'de> ReadStruct<'de> for Object<'de, '_> {
    fn read<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        debug_assert!(fields.len() <= MAX_FIELDS);
        let mut found = [None; MAX_FIELDS];
        self.find(fields, &mut found)?;
        visitor.visit_map(FoundFields { fields, found: &found, next: 0, unusable: self.unusable })
    }
}

/// The found fields, by number.
struct FoundFields<'t, 'f> {
    fields: &'static [&'static str],
    found: &'f [Option<FoundValue<'t>>],
    next: usize,
    unusable: &'f Unusable,
}

impl<'t> FoundFields<'t, '_> {
    fn next_found(&mut self) -> Option<usize> {
        let steps = self.found.get(self.next..)?.iter().position(Option::is_some)?;
        self.next += steps + 1;
        Some(self.next - 1)
    }

    /// The value of the field that was found last.
    fn value(&self) -> Option<Lenient<'t>> {
        let at = self.next.checked_sub(1)?;
        let FoundValue { rank, json } = (*self.found.get(at)?)?;
        self.unusable.reading.set(Some(Place { names: self.fields.get(at)?, rank }));
        Some(Lenient { json })
    }
}

impl<'de> MapAccess<'de> for FoundFields<'de, '_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let Some(field) = self.next_found() else { return Ok(None) };
        let number: U64Deserializer<ReadError> = (field as u64).into_deserializer();
        seed.deserialize(number).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let value = seed.deserialize(self.value().unwrap_or(Lenient { json: "null" }))?;
        self.unusable.reading.set(None);
        Ok(value)
    }
}
