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
//! Everything is decoded from its JSON text: [`object`] finds the text of each field, and the deserializer [`Lenient`]
//! decodes it. So the code of each type is compiled once, however many deserializers the program reads it from, and
//! what does not depend on the type is compiled once for all types. Finding the text of each field takes time, so types
//! that are decoded often are first decoded in one pass, by [`usual`].

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, U64Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use crate::json;

/// Makes a struct with `#[serde(remote = "Self")]` readable by the rules of this file, and writable as derived.
///
/// `lenient!(read T)` is for types that are only read: responses with a credential. `lenient!(fast T)` is for types that
/// are decoded often; it costs code. A closure after the type sets
/// fields that depend on other fields. `or_text` converts a string that is in the place of an object.
macro_rules! lenient {
    (read $name:ident $($more:tt)*) => {
        lenient!(@read [] $name $($more)*);
    };
    (fast $name:ident $($more:tt)*) => {
        lenient!(@read [usual] $name $($more)*);
        lenient!(@write $name);
    };
    ($name:ident $($more:tt)*) => {
        lenient!(@read [] $name $($more)*);
        lenient!(@write $name);
    };
    (@read [$($usual:ident)?] $name:ident $(, |$value:ident| $then:expr)? $(, or_text $text:expr)?) => {
        impl $name {
            fn read_json(json: &str) -> Result<Self, $crate::model::serde_helpers::ReadError> {
                $(if let Some(text) = $crate::model::serde_helpers::string_in(json) {
                    let from_text: fn(String) -> $name = $text;
                    return Ok(from_text(text));
                })?
                let read = Err(());
                $(let read = read.or_else(|()| {
                    $crate::model::serde_helpers::$usual(json, |object| $name::deserialize(object))
                });)?
                #[allow(unused_mut)]
                let mut read = read.or_else(|_| {
                    $crate::model::serde_helpers::object(json, |object| $name::deserialize(object))
                })?;
                $({
                    let $value = &mut read;
                    $then;
                })?
                Ok(read)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::model::serde_helpers::text_of(deserializer, $name::read_json)
            }
        }
    };
    (@write $name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $name::serialize(self, serializer)
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

/// Reads a value from its JSON text, which is valid but may contain lone surrogates.
pub(crate) fn text_of<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    read: impl FnOnce(&str) -> Result<T, ReadError>,
) -> Result<T, D::Error> {
    read(&json::text_of(deserializer)?).map_err(D::Error::custom)
}

/// The text of a string value.
pub(crate) fn string_in(json: &str) -> Option<String> {
    json.trim_start().starts_with('"').then(|| json::from_str(json).ok())?
}

/// Passes the elements of a list to `each`. `None` for other values. The list may be in a string; any other string is
/// a list of one element.
pub(crate) fn elements(json: &str, each: &mut dyn FnMut(&str)) -> Option<()> {
    if let Some(inner) = string_in(json) {
        match inner.trim_start().as_bytes().first() {
            Some(b'[') => return elements(&inner, each),
            Some(_) => each(json),
            None => {}
        }
        return Some(());
    }
    let raw: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    raw.into_iter().for_each(|element| each(element.get()));
    Some(())
}

/// The members of an object, which may be in a string. Members that cannot be decoded are skipped. `None` for other
/// values.
pub(crate) fn map_in(json: &str) -> Option<Map<String, Value>> {
    if let Some(inner) = string_in(json) {
        return if inner.trim_start().starts_with('{') { map_in(&inner) } else { None };
    }
    let mut map = Map::new();
    json::members(&json::repaired(json), &mut |key, value| {
        if let (Ok(key), Ok(value)) = (std::str::from_utf8(key), serde_json::from_str(value.get())) {
            map.insert(key.to_owned(), value);
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
        // A tree has no lines.
        ReadError(Box::new(Why::Other(match error.line() {
            0 => what.to_owned(),
            line => format!("{what} at line {line} column {}", error.column()),
        })))
    }
}

fn first_of(names: &'static str) -> &'static str {
    names.split('|').next().unwrap_or(names)
}

/// The most fields of a type. Every type of the model has fewer fields.
const MOST_FIELDS: usize = 32;

/// Reads an object. `build` is the derived function of the type. If a value does not fit its field, calls `build` again
/// without this value.
pub(crate) fn object<T>(
    json: &str,
    build: impl Fn(Object<'_, '_>) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let json = object_in(json)?;
    let mut odd = Odd::default();
    loop {
        match build(Object { json: &json, odd: &odd }) {
            Ok(value) => return Ok(value),
            Err(error) => odd.add(error)?,
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

/// The values of an object that do not fit their fields, and are ignored.
#[derive(Default)]
struct Odd {
    values: Vec<(Place, ReadError)>,
    /// The value that is being decoded.
    reading: Cell<Option<Place>>,
}

impl Odd {
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
        let Why::Missing(missing) = *error.0 else { return Err(error) };
        let found = self.values.iter().find(|(place, _)| place.names == missing);
        Err(found.map_or(error, |(_, why)| ReadError::custom(format!("`{}`: {why}", first_of(missing)))))
    }

    fn contains(&self, place: Place) -> bool {
        self.values.iter().any(|(odd, _)| odd.names == place.names && odd.rank == place.rank)
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
struct Found<'t> {
    rank: u8,
    json: &'t str,
}

/// The text of an object, for the derived `Deserialize` of a struct.
pub(crate) struct Object<'t, 'o> {
    json: &'t str,
    odd: &'o Odd,
}

impl<'t> Object<'t, '_> {
    /// Finds the text of each field's best value.
    fn find(
        &self,
        name: &str,
        fields: &[&'static str],
        found: &mut [Option<Found<'t>>; MOST_FIELDS],
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
            if is_better && !self.odd.contains(Place { names, rank }) {
                *place = Some(Found { rank, json: value.get() });
            }
        })
        .map_err(|error| match self.json.trim_start().starts_with('{') {
            true => error.into(),
            false => ReadError::custom(format_args!("expected an object ({name})")),
        })
    }
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
        let mut found = [None; MOST_FIELDS];
        self.find(name, fields, &mut found)?;
        visitor.visit_map(Fields { fields, found: &found, next: 0, odd: self.odd })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ReadError> {
        Err(ReadError::new("only structs are read this way"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Decodes the usual form of an object in one pass: each field under one key, each value of the field's type. Any
/// deviation is an error, and [`object`] decodes the object then.
pub(crate) fn usual<T>(
    json: &str,
    build: impl Fn(Usual<'_>) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    build(Usual { json })
}

/// The text of a usual object, for the derived `Deserialize` of a struct.
pub(crate) struct Usual<'t> {
    json: &'t str,
}

impl<'de> Deserializer<'de> for Usual<'de> {
    type Error = ReadError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let mut json = serde_json::Deserializer::from_str(self.json);
        let value = json.deserialize_map(UsualVisitor { fields, visitor })?;
        json.end()?;
        Ok(value)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ReadError> {
        Err(ReadError::new("only structs are read this way"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct UsualVisitor<V> {
    fields: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for UsualVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(UsualFields { fields: self.fields, next: 0, map })
    }
}

struct UsualFields<A> {
    fields: &'static [&'static str],
    /// The field that is expected next.
    next: usize,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for UsualFields<A> {
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

/// Returns the field that has this key, and the key's rank.
fn field_of(fields: &[&str], next: usize, key: &[u8]) -> Option<(usize, u8)> {
    let ranked = || fields.iter().enumerate().find_map(|(at, names)| Some((at, rank(names, key)?)));
    first_named(fields, next, key).map(|field| (field, 0)).or_else(ranked)
}

/// Returns the field whose first name is `key`. Servers write most fields under their first name, and in the order of
/// the struct.
fn first_named(fields: &[&str], next: usize, key: &[u8]) -> Option<usize> {
    let (before, behind) = fields.split_at_checked(next)?;
    let steps = behind.iter().chain(before).position(|names| is_first(names, key))?;
    Some((next + steps) % fields.len())
}

fn is_first(names: &str, key: &[u8]) -> bool {
    // Most keys differ in their length, which is compared faster than the letters.
    let names = names.as_bytes();
    matches!(names.get(key.len()), None | Some(b'|')) && names.starts_with(key)
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
struct Fields<'t, 'f> {
    fields: &'static [&'static str],
    found: &'f [Option<Found<'t>>],
    next: usize,
    odd: &'f Odd,
}

impl<'t> Fields<'t, '_> {
    fn next_found(&mut self) -> Option<usize> {
        let steps = self.found.get(self.next..)?.iter().position(Option::is_some)?;
        self.next += steps + 1;
        Some(self.next - 1)
    }

    /// The value of the field that was found last.
    fn value(&self) -> Option<Lenient<'t>> {
        let at = self.next.checked_sub(1)?;
        let Found { rank, json } = (*self.found.get(at)?)?;
        self.odd.reading.set(Some(Place { names: self.fields.get(at)?, rank }));
        Some(Lenient { json })
    }
}

impl<'de> MapAccess<'de> for Fields<'de, '_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let Some(field) = self.next_found() else { return Ok(None) };
        let number: U64Deserializer<ReadError> = (field as u64).into_deserializer();
        seed.deserialize(number).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let value = seed.deserialize(self.value().unwrap_or(Lenient { json: "null" }))?;
        self.odd.reading.set(None);
        Ok(value)
    }
}

/// Decodes one value from its text.
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
            json::TEXT_OF_VALUE => visitor.visit_map(Text { json: Some(self.json) }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Returns a text in the same way as serde_json.
struct Text<'t> {
    json: Option<&'t str>,
}

impl<'de> MapAccess<'de> for Text<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let key = self.json.map(|_| BorrowedStrDeserializer::new(json::TEXT_OF_VALUE));
        key.map(|key| seed.deserialize(key)).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        seed.deserialize(BorrowedStrDeserializer::new(self.json.take().unwrap_or_default()))
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

    lenient!(fast Sample);

    fn member() -> impl Strategy<Value = (&'static str, String)> {
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
        (0..keys.len(), 0..values.len()).prop_map(move |(key, value)| (keys[key], values[value].clone()))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4000, ..ProptestConfig::default() })]

        /// Both ways return the same value, for any order of members and any odd values.
        #[test]
        fn both_ways_read_alike(members in proptest::collection::vec(member(), 0..8), usual in any::<bool>()) {
            let usual = if usual { "\"id\":\"u\",\"text\":\"t\"" } else { "\"other\":1" };
            let members = members.iter().map(|(key, value)| format!("\"{key}\":{value}"));
            let json = format!("{{{}}}", std::iter::once(usual.to_owned()).chain(members).collect::<Vec<_>>().join(","));
            let shown = |read: Result<Sample, ReadError>| read.map(|read| format!("{read:?}")).map_err(|error| error.to_string());
            let leniently = object(&json, |object| Sample::deserialize(object));
            prop_assert_eq!(shown(Sample::read_json(&json)), shown(leniently), "{}", json);
        }

        /// The order of the members has no effect, and a tree is read like its text.
        #[test]
        fn all_ways_read_alike(
            members in proptest::collection::btree_map(0..9, member(), 0..8),
            usual in any::<bool>(),
        ) {
            let mut members: Vec<_> = members.into_values().collect();
            if usual {
                members.extend([("id", "\"u\"".to_owned()), ("text", "\"t\"".to_owned())]);
            }
            members.sort();
            members.dedup_by_key(|(key, _)| *key);
            let object = |members: &[(&str, String)]| {
                let members = members.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            };
            let json = object(&members);
            members.reverse();
            let shown = |read: Result<Sample, String>| read.map(|read| format!("{read:?}"));
            let read = |json: &str| shown(Sample::read_json(json).map_err(|error| error.to_string()));
            prop_assert_eq!(read(&json), read(&object(&members)), "{}", json);
            if let Ok(tree) = serde_json::from_str::<Value>(&json) {
                let from_tree = shown(serde_json::from_value(tree).map_err(|error| error.to_string()));
                prop_assert_eq!(read(&json), from_tree, "{}", json);
            }
        }
    }

    #[test]
    fn the_usual_object_is_read_straight_on() {
        let strictly = |json: &str| usual(json, |object| Sample::deserialize(object)).is_ok();
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

    #[test]
    fn a_deviation_does_not_cost_the_object() {
        for (json, name) in [
            (r#"{"text":"t","new":{},"id":"u","createdAt":null,"metadata":"{}","list":[],"flags":{}}"#, ""),
            (r#"{"id":"u","text":"t","Name":"x","title":"y"}"#, "x"),
            (r#"{"id":"v","id":"u","text":"t","name":[]}"#, ""),
            (r#"{"id":"u","text":null,"title":7,"name":null,"count":"7x","created_at":[]}"#, "7"),
        ] {
            let read: Sample = serde_json::from_str(json).unwrap();
            assert_eq!((read.id.as_str(), read.name.as_str()), ("u", name), "{json}");
            assert_eq!((read.count, read.created_at), (None, None), "{json}");
        }
    }
}
