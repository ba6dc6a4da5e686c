//! How the model is decoded: fields that servers write in several ways, omit, or fill with wrong values.
//!
//! The types of the model are plain structs with `#[derive(Deserialize, Serialize)]` and one more line, [`lenient!`].
//! The macro applies these rules, also when a program calls `serde_json::from_str`:
//!
//! - Keys match in snake case and camel case: `agency_id` is also `agencyId`.
//! - `#[serde(rename(deserialize = "name|title"))]` lists alternative keys. If an object has several of these keys, the
//!   first key in the list counts; the order in the object has no effect. The declared spelling of a key has priority
//!   over the other spelling.
//! - `null` counts as absent. For a required text, `null` is an empty text.
//! - A value of the wrong type counts as absent: an optional field (`Option`, or `#[serde(default)]`) has no value
//!   then, and the other fields are not affected.
//! - A number in a text field becomes its digits. A text in a number or boolean field is parsed, and so is JSON in a
//!   string.
//! - A lone surrogate becomes U+FFFD.
//! - Errors name the field and never contain a value, because a value may be a secret.
//!
//! The deserializer [`Lenient`] works on JSON text: it first finds the text of every field and then decodes each
//! field. This takes twice as long as normal decoding, so an object is first decoded [`Strictly`], and leniently only
//! if that fails.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Serialize;
use serde::de::value::{BorrowedStrDeserializer, U64Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::json;

/// Makes a struct with `#[serde(remote = "Self")]` readable by the rules of this file, and writable as derived.
///
/// `lenient!(read T)` is for types that are only read: responses with a credential. A closure after the type sets
/// fields that depend on other fields. `or_text` converts a string that is in the place of an object.
macro_rules! lenient {
    ($name:ident $(, |$value:ident| $then:expr)? $(, or_text $text:expr)?) => {
        lenient!(read $name $(, |$value| $then)? $(, or_text $text)?);

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $name::serialize(self, serializer)
            }
        }
    };
    (read $name:ident $(, |$value:ident| $then:expr)? $(, or_text $text:expr)?) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::model::serde_helpers::text_of(deserializer, |json| {
                    $(if let Some(text) = $crate::model::serde_helpers::string_in(json) {
                        let from_text: fn(String) -> $name = $text;
                        return Ok(from_text(text));
                    })?
                    #[allow(unused_mut)]
                    let mut read =
                        $crate::model::serde_helpers::object(json, |object| $name::deserialize(object))?;
                    $({
                        let $value = &mut read;
                        $then;
                    })?
                    Ok(read)
                })
            }
        }
    };
}

/// Declares a public enum for a string of the API. The enum keeps unknown values, in the variant `Unknown` or the
/// variant named after `else`.
macro_rules! open_enum {
    (
        $(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }
    ) => {
        open_enum! {
            $(#[$meta])* pub enum $name { $($(#[$doc])* $variant = $text,)+ }
            /// A value that this version of the crate does not know, as the server wrote it.
            else Unknown
        }
    };
    (
        $(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }
        $(#[$other_doc:meta])* else $other:ident
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)+
            $(#[$other_doc])*
            $other(String),
        }

        impl $name {
            /// The value as the API writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $($name::$variant => $text,)+
                    $name::$other(text) => text,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => $name::$variant,)+
                    _ => $name::$other(text.to_owned()),
                }
            }
        }

        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                text.as_str().into()
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => $name::$variant,)+
                    _ => $name::$other(text),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::json::read_text(deserializer, "text", |text| Ok(text.into()))
            }
        }
    };
}

/// Replaces an empty display name by `with`.
pub(crate) fn fill(empty: &mut String, with: &str) {
    if empty.is_empty() {
        with.clone_into(empty);
    }
}

/// The name that makes serde_json return the JSON text of a value (its `RawValue` uses it). Other deserializers do not
/// know this name and return the value itself. The value is then written as text.
const TEXT_OF_VALUE: &str = "$serde_json::private::RawValue";

/// Reads a value from its JSON text, which is valid but may contain lone surrogates.
pub(crate) fn text_of<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    read: impl FnOnce(&str) -> Result<T, ReadError>,
) -> Result<T, D::Error> {
    deserializer.deserialize_newtype_struct(TEXT_OF_VALUE, TextOf(read))
}

struct TextOf<F>(F);

impl<T, F: FnOnce(&str) -> Result<T, ReadError>> TextOf<F> {
    fn read<E: Error>(self, json: &str) -> Result<T, E> {
        (self.0)(json).map_err(E::custom)
    }

    fn read_value<E: Error>(self, value: &impl Serialize) -> Result<T, E> {
        self.read(&serde_json::to_string(value).map_err(E::custom)?)
    }
}

impl<'de, T, F: FnOnce(&str) -> Result<T, ReadError>> Visitor<'de> for TextOf<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut tree = Map::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == TEXT_OF_VALUE {
                return map.next_value_seed(self);
            }
            tree.insert(key.into_owned(), map.next_value()?);
        }
        self.read_value(&tree)
    }

    /// A string from another deserializer.
    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        self.read_value(&text)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, other: D) -> Result<T, D::Error> {
        let value: Value = serde::Deserialize::deserialize(other)?;
        self.read_value(&value)
    }

    fn visit_some<D: Deserializer<'de>>(self, other: D) -> Result<T, D::Error> {
        self.visit_newtype_struct(other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element::<Value>()? {
            list.push(value);
        }
        self.read_value(&list)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        self.read_value(&value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        self.read_value(&value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        self.read_value(&value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        self.read_value(&value)
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        self.read("null")
    }

    fn visit_none<E: Error>(self) -> Result<T, E> {
        self.read("null")
    }
}

/// Reads the JSON text that follows the key `TEXT_OF_VALUE`.
impl<'de, T, F: FnOnce(&str) -> Result<T, ReadError>> DeserializeSeed<'de> for TextOf<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(Found(self))
    }
}

struct Found<F>(TextOf<F>);

impl<T, F: FnOnce(&str) -> Result<T, ReadError>> Visitor<'_> for Found<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text of a value")
    }

    fn visit_str<E: Error>(self, json: &str) -> Result<T, E> {
        self.0.read(json)
    }
}

/// The text of a string value.
pub(crate) fn string_in(json: &str) -> Option<String> {
    json.trim_start().starts_with('"').then(|| json::from_str(json).ok())?
}

/// The elements of a list. `None` for other values. The list may be in a string; any other string is a list of one
/// element.
pub(crate) fn elements<T>(json: &str, mut each: impl FnMut(&str) -> T) -> Option<Vec<T>> {
    if let Some(inner) = string_in(json) {
        return match inner.trim_start().as_bytes().first() {
            Some(b'[') => elements(&inner, each),
            Some(_) => Some(vec![each(json)]),
            None => Some(Vec::new()),
        };
    }
    let raw: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    Some(raw.into_iter().map(|element| each(element.get())).collect())
}

/// The members of an object, which may be in a string. Members that cannot be decoded are skipped. `None` for other
/// values.
pub(crate) fn map_in(json: &str) -> Option<Map<String, Value>> {
    if let Some(inner) = string_in(json) {
        return if inner.trim_start().starts_with('{') { map_in(&inner) } else { None };
    }
    let mut map = Map::new();
    let json = json::repaired(json);
    let key = |key: &[u8]| std::str::from_utf8(key).ok().map(str::to_owned);
    json::members(&json, key, |key, value| {
        if let Ok(value) = serde_json::from_str(value.get()) {
            map.insert(key, value);
        }
    })
    .ok()?;
    Some(map)
}

/// Reads a field that accepts any object.
pub(crate) fn map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    text_of(deserializer, |json| map_in(json).ok_or_else(|| ReadError::new("expected an object")))
}

/// Why a value cannot be decoded. The error never contains a part of the value.
#[derive(Debug)]
pub(crate) struct ReadError(Box<Why>);

#[derive(Debug)]
enum Why {
    /// An object has no such key.
    Missing(&'static str),
    Other(String),
}

impl ReadError {
    pub(crate) fn new(text: &str) -> Self {
        ReadError(Box::new(Why::Other(text.to_owned())))
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Why::Missing(field) => write!(f, "missing field `{}`", first_of(field)),
            Why::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for ReadError {}

impl Error for ReadError {
    #[cold]
    fn custom<T: fmt::Display>(text: T) -> Self {
        ReadError(Box::new(Why::Other(text.to_string())))
    }

    #[cold]
    fn missing_field(field: &'static str) -> Self {
        ReadError(Box::new(Why::Missing(field)))
    }

    #[cold]
    fn invalid_type(_: Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        ReadError(Box::new(Why::Other(format!("expected {expected}"))))
    }

    #[cold]
    fn invalid_value(_: Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        ReadError(Box::new(Why::Other(format!("expected {expected}"))))
    }
}

/// serde_json's error text may contain a value, so only its position is used.
impl From<serde_json::Error> for ReadError {
    #[cold]
    fn from(error: serde_json::Error) -> Self {
        let what =
            if error.is_data() { "a value that does not fit" } else { "broken or too deeply nested JSON" };
        ReadError(Box::new(Why::Other(format!("{what} at line {} column {}", error.line(), error.column()))))
    }
}

fn first_of(names: &'static str) -> &'static str {
    names.split('|').next().unwrap_or(names)
}

/// The most fields of a type. Every type of the model has fewer fields.
const MOST_FIELDS: usize = 32;

/// Reads an object. `build` is the derived function of the type.
pub(crate) fn object<T>(
    json: &str,
    build: impl Fn(Object<'_, '_>) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let (odd, reading) = (Vec::new(), Cell::new(None));
    let strictly = build(Object { json, strictly: true, without: &odd, reading: &reading });
    strictly.or_else(|_| leniently(json, build))
}

/// Reads an object field by field. If a value does not fit its field, calls `build` again without this value.
fn leniently<T>(json: &str, build: impl Fn(Object<'_, '_>) -> Result<T, ReadError>) -> Result<T, ReadError> {
    if json.trim_start().starts_with('"') {
        let inner = string_in(json).ok_or_else(|| ReadError::new("expected an object"))?;
        // A string within the string is not accepted: the string must contain an object.
        return match inner.trim_start().starts_with('{') {
            true => leniently(&inner, build),
            false => Err(ReadError::new("expected an object")),
        };
    }
    let reading = Cell::new(None);
    let mut odd: Vec<(Place, ReadError)> = Vec::new();
    loop {
        let error = match build(Object { json, strictly: false, without: &odd, reading: &reading }) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match reading.take() {
            Some(place) => odd.push((place, error)),
            None => return Err(explained(error, odd)),
        }
    }
}

/// The error of a required field whose value does not fit.
#[cold]
fn explained(error: ReadError, odd: Vec<(Place, ReadError)>) -> ReadError {
    let Why::Missing(missing) = *error.0 else { return error };
    let found = odd.into_iter().find(|(place, _)| place.names == missing);
    found.map_or(error, |(_, why)| ReadError::custom(format!("`{}`: {why}", first_of(missing))))
}

/// The position of a value.
#[derive(Debug, Clone, Copy)]
struct Place {
    field: usize,
    names: &'static str,
    /// The position of the value's key in the field's list of names; 0 is the best.
    rank: u8,
}

/// The text of an object, for the derived `Deserialize` of a struct.
pub(crate) struct Object<'t, 'r> {
    json: &'t str,
    /// Whether any deviation is an error.
    strictly: bool,
    /// Values that do not fit, and are ignored.
    without: &'r [(Place, ReadError)],
    /// The value that is being decoded.
    reading: &'r Cell<Option<Place>>,
}

impl<'de> Deserializer<'de> for Object<'de, '_> {
    type Error = ReadError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        debug_assert!(fields.len() <= MOST_FIELDS);
        if self.strictly {
            let mut json = serde_json::Deserializer::from_str(self.json);
            let value = json.deserialize_map(Strictly { fields, visitor })?;
            json.end()?;
            return Ok(value);
        }
        let mut found = [None; MOST_FIELDS];
        self.find(fields, &mut found).map_err(|error| match self.json.trim_start().starts_with('{') {
            true => error.into(),
            false => ReadError::custom(format!("expected an object ({name})")),
        })?;
        visitor.visit_map(Fields { found: found.iter().flatten(), value: "", reading: self.reading })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ReadError> {
        Err(ReadError::new("only structs are read this way"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'t> Object<'t, '_> {
    /// Finds the text of each field's best value.
    fn find(
        &self,
        fields: &[&'static str],
        found: &mut [Option<(Place, &'t str)>],
    ) -> serde_json::Result<()> {
        let mut next = 0;
        let place = |key: &[u8]| {
            let (field, rank) = match first_named(fields, next, key) {
                Some(field) => (field, 0),
                None => fields.iter().enumerate().find_map(|(at, names)| Some((at, rank(names, key)?)))?,
            };
            next = field + 1;
            Some(Place { field, rank, names: fields.get(field)? })
        };
        json::members(self.json, place, |mut place, value| {
            let Some(slot) = found.get_mut(place.field) else { return };
            if value.get() == "null" {
                place.rank = u8::MAX;
            }
            let is_better = slot.as_ref().is_none_or(|(other, _)| place.rank <= other.rank);
            if is_better && !self.is_odd(place) {
                *slot = Some((place, value.get()));
            }
        })
        .map(drop)
    }

    fn is_odd(&self, place: Place) -> bool {
        self.without.iter().any(|(odd, _)| odd.field == place.field && odd.rank == place.rank)
    }
}

/// Decodes the usual form of an object directly: each field under one key, each value of the field's type. Any
/// deviation is an error.
struct Strictly<V> {
    fields: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strictly<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(StrictFields { fields: self.fields, next: 0, map })
    }
}

struct StrictFields<A> {
    fields: &'static [&'static str],
    /// The field that is expected next.
    next: usize,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for StrictFields<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(field) = self.map.next_key_seed(StrictKey { fields: self.fields, next: self.next })? {
            if let Some(field) = field {
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

/// The number of a key's field; `None` if no field has this key.
struct StrictKey {
    fields: &'static [&'static str],
    next: usize,
}

impl<'de> DeserializeSeed<'de> for StrictKey {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for StrictKey {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<Option<usize>, E> {
        // serde reports two keys of one field as an error.
        let field = first_named(self.fields, self.next, key);
        Ok(field.or_else(|| self.fields.iter().position(|names| rank(names, key).is_some())))
    }
}

/// Returns the field whose first name is `key`. Servers write most fields under their first name, and in the order of
/// the struct.
fn first_named(fields: &[&str], next: usize, key: &[u8]) -> Option<usize> {
    let (before, behind) = fields.split_at_checked(next)?;
    let steps = behind.iter().chain(before).position(|names| is_first(names, key))?;
    Some((next + steps) % fields.len())
}

fn is_first(names: &str, key: &[u8]) -> bool {
    names.as_bytes().strip_prefix(key).is_some_and(|rest| matches!(rest.first(), None | Some(b'|')))
}

/// The rank of a key in a field's list of names; 0 is the best.
fn rank(names: &str, key: &[u8]) -> Option<u8> {
    let mut rank = 0;
    for name in names.split('|') {
        if name.as_bytes() == key {
            return Some(rank);
        }
        if is_same(name, key) {
            return Some(rank + 1);
        }
        rank += 2;
    }
    None
}

/// Whether two keys differ only in case and `_`.
pub(crate) fn is_same(name: &str, key: impl AsRef<[u8]>) -> bool {
    // Most keys differ in their first letter.
    let first = |key: &[u8]| key.first().map(u8::to_ascii_lowercase);
    first(name.as_bytes()) == first(key.as_ref()) && letters(name.as_bytes()).eq(letters(key.as_ref()))
}

fn letters(key: &[u8]) -> impl Iterator<Item = u8> {
    key.iter().filter(|byte| **byte != b'_').map(u8::to_ascii_lowercase)
}

/// The found fields, by number.
struct Fields<'t, I> {
    found: I,
    value: &'t str,
    reading: &'t Cell<Option<Place>>,
}

impl<'de, 't, I: Iterator<Item = &'t (Place, &'t str)>> MapAccess<'de> for Fields<'t, I> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let Some((place, json)) = self.found.next() else { return Ok(None) };
        self.value = json;
        self.reading.set(Some(*place));
        let number: U64Deserializer<ReadError> = (place.field as u64).into_deserializer();
        seed.deserialize(number).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let value = seed.deserialize(Lenient { json: self.value })?;
        self.reading.set(None);
        Ok(value)
    }
}

/// Decodes one value from its text. No type borrows from it, so the text may be a repaired copy.
#[derive(Clone, Copy)]
pub(crate) struct Lenient<'t> {
    /// The JSON text, trimmed.
    json: &'t str,
}

impl<'t> Lenient<'t> {
    /// `json` is a valid value, or an object or a list that may be invalid. The decoder detects an invalid one later.
    pub(crate) fn of(json: &'t str) -> Self {
        Lenient { json: json.trim() }
    }

    fn first(self) -> u8 {
        self.json.as_bytes().first().copied().unwrap_or_default()
    }

    fn is_number(self) -> bool {
        matches!(self.first(), b'-' | b'0'..=b'9')
    }

    /// The text of a string.
    fn text(&self) -> Result<Cow<'_, str>, ReadError> {
        let inside = self.json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match inside {
            Some(inside) if !inside.contains('\\') => Ok(inside.into()),
            Some(_) => Ok(json::from_str::<String>(self.json)?.into()),
            None => Err(ReadError::new("expected a string")),
        }
    }

    /// A list or an object, for types that accept any value.
    fn tree<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let json = json::repaired(self.json);
        // Uses a reader, because the text does not live as long as the data that a visitor may borrow.
        let mut json = serde_json::Deserializer::from_reader(json.as_bytes());
        let value = json.deserialize_any(visitor)?;
        json.end()?;
        Ok(value)
    }
}

macro_rules! numbers {
    ($($method:ident)+) => {$(
        /// Reads a number, or a number in a text: PostgreSQL's `COUNT(*)` becomes a text in JSON.
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            let text = if self.first() == b'"' { self.text()? } else { self.json.into() };
            let text = text.trim();
            match (Lenient { json: text }).is_number() {
                true => Ok(serde_json::Deserializer::from_reader(text.as_bytes()).$method(visitor)?),
                false => Err(ReadError::new("expected a number")),
            }
        }
    )+};
}

impl<'de> Deserializer<'de> for Lenient<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.first() {
            b'n' => visitor.visit_unit(),
            b't' => visitor.visit_bool(true),
            b'f' => visitor.visit_bool(false),
            b'"' => visitor.visit_str(&self.text()?),
            _ => self.tree(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let text = if self.first() == b'"' { self.text()? } else { self.json.into() };
        visitor.visit_bool(match &*text {
            "true" | "t" | "1" => true,
            "false" | "f" | "0" | "" => false,
            _ => self.json.parse::<u64>().map_err(|_| ReadError::new("expected a boolean"))? != 0,
        })
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.is_number() {
            true => visitor.visit_str(self.json),
            false => visitor.visit_str(&self.text()?),
        }
    }

    /// A plain text. `null` is an empty text.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.first() {
            b'n' => visitor.visit_str(""),
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
            TEXT_OF_VALUE => visitor.visit_map(Text { json: Some(self.json) }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    /// Reads an object, or an object in a text.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.first() {
            b'"' => Lenient { json: self.text()?.trim() }.tree(visitor),
            _ => self.tree(visitor),
        }
    }

    forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct seq tuple tuple_struct struct enum identifier ignored_any
    }
}

/// Returns a text in the same way as serde_json.
struct Text<'t> {
    json: Option<&'t str>,
}

impl<'de> MapAccess<'de> for Text<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let key = self.json.map(|_| BorrowedStrDeserializer::new(TEXT_OF_VALUE));
        key.map(|key| seed.deserialize(key)).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        seed.deserialize(self.json.take().unwrap_or_default().into_deserializer())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::model::{List, Metadata, SenderType, Timestamp, UserId};

    /// A struct with one field of each kind.
    #[derive(Debug, Clone, Deserialize, Serialize)]
    #[serde(remote = "Self")]
    struct Sample {
        id: UserId,
        #[serde(rename(deserialize = "name|title"), default)]
        name: String,
        text: String,
        #[serde(default)]
        on: bool,
        count: Option<u64>,
        created_at: Option<Timestamp>,
        #[serde(default)]
        kind: SenderType,
        #[serde(default)]
        metadata: Metadata,
        #[serde(default)]
        list: List<String>,
        tree: Option<Value>,
        #[serde(default, deserialize_with = "map")]
        flags: Map<String, Value>,
    }

    lenient!(Sample);

    fn member() -> impl Strategy<Value = String> {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let keys = [
            "id",
            "name",
            "Name",
            "title",
            "text",
            "on",
            "count",
            "created_at",
            "createdAt",
            "kind",
            "metadata",
            "list",
            "tree",
            "flags",
            "other",
            "\\ud83d",
        ];
        let values = [
            "null",
            "true",
            "1",
            "-2.5",
            "\"\"",
            "\"x\"",
            "\"7\"",
            "\"a\\nb\"",
            "\"\\ud83d\"",
            "[]",
            "[\"a\",null,{}]",
            "{\"a\":1}",
            "\"{\\\"a\\\":1}\"",
            "\"[1]\"",
            deep.as_str(),
        ];
        let values = values.map(str::to_owned);
        (0..keys.len(), 0..values.len())
            .prop_map(move |(key, value)| format!("\"{}\":{}", keys[key], values[value]))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4000, ..ProptestConfig::default() })]

        /// Both decoders return the same value, for any order of members and any odd values.
        #[test]
        fn both_ways_read_alike(members in proptest::collection::vec(member(), 0..8), usual in any::<bool>()) {
            let usual = if usual { "\"id\":\"u\",\"text\":\"t\"" } else { "\"other\":1" };
            let json = format!("{{{}}}", std::iter::once(usual.to_owned()).chain(members).collect::<Vec<_>>().join(","));
            let build = |object: Object<'_, '_>| Sample::deserialize(object);
            let shown = |read: Result<Sample, ReadError>| read.map(|read| format!("{read:?}")).map_err(|error| error.to_string());
            prop_assert_eq!(shown(object(&json, build)), shown(leniently(&json, build)), "{}", json);
        }
    }

    #[test]
    fn the_usual_object_is_read_straight_on() {
        let strictly = |json: &str| {
            let (odd, reading) = (Vec::new(), Cell::new(None));
            Sample::deserialize(Object { json, strictly: true, without: &odd, reading: &reading }).is_ok()
        };
        assert!(strictly(
            r#"{"text":"t","new":{},"id":"u","createdAt":null,"metadata":"{}","list":[],"flags":{}}"#
        ));
        for odd in [
            r#"{"id":"u","text":"t","Name":"x","title":"y"}"#,
            r#"{"id":"u","id":"v","text":"t"}"#,
            r#"{"id":"u","text":null}"#,
        ] {
            assert!(!strictly(odd) && object(odd, |object| Sample::deserialize(object)).is_ok(), "{odd}");
        }
    }
}
