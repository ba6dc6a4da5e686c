//! A few values out of an object.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::from_str;

/// The values under `keys` in an object, as they stand there; of several under one key the last. All others are skipped
/// without a look at them: JSON nested hundreds of levels deep does no harm.
///
/// # Errors
/// If it is no object.
pub(crate) fn pick<'j, const N: usize>(
    json: &'j str,
    keys: [&str; N],
) -> serde_json::Result<[Option<&'j RawValue>; N]> {
    let mut found = [None; N];
    pick_into(json, &keys, &mut found)?;
    Ok(found)
}

/// The same for any number of keys. Returns how many the object has.
pub(crate) fn pick_into<'j>(
    json: &'j str,
    keys: &[&str],
    found: &mut [Option<&'j RawValue>],
) -> serde_json::Result<usize> {
    let mut object = serde_json::Deserializer::from_str(json);
    let count = object.deserialize_map(PickVisitor { keys, found })?;
    object.end()?;
    Ok(count)
}

struct PickVisitor<'k, 'j> {
    keys: &'k [&'k str],
    found: &'k mut [Option<&'j RawValue>],
}

impl<'j> Visitor<'j> for PickVisitor<'_, 'j> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'j>>(self, mut map: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while let Some(wanted) = map.next_key_seed(KeyAmong(self.keys))? {
            count += 1;
            match wanted.and_then(|at| self.found.get_mut(at)) {
                Some(place) => *place = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(count)
    }
}

/// Reads a key as bytes, which serde_json does not check for lone surrogates: any chat user can post them, and they
/// must not get in the way of the rest.
struct KeyAmong<'k>(&'k [&'k str]);

impl<'j> DeserializeSeed<'j> for KeyAmong<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'j>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for KeyAmong<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|wanted| wanted.as_bytes() == key))
    }
}

/// The text of a value that is a string.
pub(crate) fn text(value: Option<&RawValue>) -> Option<String> {
    // Errors are dear.
    let json = value?.get();
    if json.starts_with('"') { from_str(json).ok() } else { None }
}
