//! What walks through JSON that comes from serde, whatever type it is for.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde_json::value::RawValue;

use super::read::{Elements, How, Json, Key, Keys, Kind, Members, Mistake, Place, Read};

/// Reads a value from any source that says itself what comes.
pub(crate) fn read<'de, T: Read, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    read_with(|place| place.deserialize(deserializer).map(drop))
}

/// Reads a value from its text: the way everything inside the crate is read.
pub(crate) fn from_str<T: Read>(text: &str) -> serde_json::Result<T> {
    read_with(|place| read_into(text, place))
}

/// Reads a value with something that fills a place, or leaves it as it is for `null`.
#[inline]
pub(crate) fn read_with<T: Read, E: Error>(
    fill: impl FnOnce(&mut Place<'_>) -> Result<(), E>,
) -> Result<T, E> {
    let mut slot = None;
    fill(&mut Place::new(&mut slot))?;
    match slot {
        Some(value) => Ok(value),
        None => T::null().map_err(|mistake| mistake.told(Unexpected::Unit)),
    }
}

pub(crate) fn read_into(text: &str, place: &mut Place<'_>) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_str(text);
    place.deserialize(&mut json)?;
    json.end()
}

/// The answer is whether there was a value: `null` leaves the place as it is.
impl<'de> DeserializeSeed<'de> for &mut Place<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        match self.how() {
            How::Parts => deserializer.deserialize_any(self),
            How::Raw => {
                let raw = Box::<RawValue>::deserialize(deserializer)?;
                if raw.get() == "null" {
                    return Ok(false);
                }
                let found = Unexpected::Other(name_of(raw.get()));
                self.put(Json::Raw(&mut Some(raw)), found)
            }
        }
    }
}

impl<'de> Visitor<'de> for &mut Place<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    #[inline]
    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_none<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }

    #[inline]
    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        self.put(Json::Bool(value), Unexpected::Other("a boolean"))
    }

    #[inline]
    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        self.put(Json::Unsigned(value), NUMBER)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
        let json = u64::try_from(value).map_or(Json::Signed(value), Json::Unsigned);
        self.put(json, NUMBER)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<bool, E> {
        self.put(Json::Float(value), NUMBER)
    }

    #[inline]
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<bool, E> {
        self.visit_str(text)
    }

    #[inline]
    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        self.put(Json::Text(text), Unexpected::Other("a string"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<bool, A::Error> {
        let mut source = Source { parts: seq, error: None };
        match self.take(Json::List(&mut source)) {
            Ok(()) => Ok(true),
            Err(mistake) => Err(source.error.unwrap_or_else(|| mistake.told(Unexpected::Other("a list")))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        let mut source = Source { parts: map, error: None };
        match self.take(Json::Object(&mut source)) {
            Ok(()) => Ok(true),
            Err(mistake) => Err(source.error.unwrap_or_else(|| mistake.told(Unexpected::Other("an object")))),
        }
    }
}

const NUMBER: Unexpected<'static> = Unexpected::Other("a number");

fn name_of(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b't' | b'f') => "a boolean",
        Some(b'"') => "a string",
        Some(b'[') => "a list",
        Some(b'{') => "an object",
        _ => "a number",
    }
}

/// Hides what the parts come from. Its error is kept here while a type that does not know it is on the way.
struct Source<A, E> {
    parts: A,
    error: Option<E>,
}

impl<'de, A: SeqAccess<'de>> Elements for Source<A, A::Error> {
    fn next(&mut self, place: &mut Place<'_>) -> Result<Option<bool>, Mistake> {
        self.parts.next_element_seed(place).map_err(|error| {
            self.error = Some(error);
            Mistake::inside()
        })
    }
}

fn next<'de, A: MapAccess<'de>>(
    map: &mut A,
    key: &mut String,
    place: &mut Place<'_>,
) -> Result<bool, A::Error> {
    let Some(next) = map.next_key()? else { return Ok(false) };
    *key = next;
    map.next_value_seed(place)?;
    Ok(true)
}

impl<'de, A: MapAccess<'de>> Members for Source<A, A::Error> {
    fn next(&mut self, key: &mut String, place: &mut Place<'_>) -> Result<bool, Mistake> {
        next(&mut self.parts, key, place).map_err(|error| {
            self.error = Some(error);
            Mistake::inside()
        })
    }

    fn fill(&mut self, keys: Keys, places: &mut [Place<'_>]) -> Result<(), Mistake> {
        fill(&mut self.parts, keys, places).map_err(|error| {
            self.error = Some(error);
            Mistake::inside()
        })
    }
}

fn fill<'de, A: MapAccess<'de>>(map: &mut A, keys: Keys, places: &mut [Place<'_>]) -> Result<(), A::Error> {
    while let Some(key) = map.next_key_seed(KeySeed(keys))? {
        match places.get_mut(key.field()) {
            Some(place) if place.takes(key) => {
                let there = map.next_value_seed(&mut *place)?;
                place.taken(key, there);
            }
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }
    Ok(())
}

struct KeySeed(Keys);

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    #[inline]
    fn visit_borrowed_str<E: Error>(self, key: &str) -> Result<Key, E> {
        self.visit_str(key)
    }

    #[inline]
    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(self.0(key))
    }
}

impl Place<'_> {
    #[inline]
    fn put<E: Error>(&mut self, json: Json<'_>, found: Unexpected<'_>) -> Result<bool, E> {
        match self.take(json) {
            Ok(()) => Ok(true),
            Err(mistake) => Err(mistake.told(found)),
        }
    }
}

impl Mistake {
    #[cold]
    fn told<E: Error>(self, found: Unexpected<'_>) -> E {
        match *self.0 {
            Kind::Expected(what) => E::invalid_type(found, &what),
            Kind::Null => E::invalid_type(Unexpected::Other("null"), &"a value"),
            Kind::Missing(key) => E::missing_field(key),
            Kind::Wrong(how) => E::custom(how),
            Kind::Inside => E::custom("an element cannot be read"),
        }
    }
}
