//! JSON without any knowledge of who speaks it: how objects are written, and how a few values are taken out of one.
//!
//! One way to declare what goes over the wire, and no code generator at build time: what the crate reads is an
//! `api_struct!` or picked out with [`pick`], what it writes is a [`payload!`].

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde_json::value::RawValue;

/// The entries of an object, which may be a part of a larger one.
pub(crate) trait Fields {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

impl<T: Fields> Fields for &T {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        (**self).write(map)
    }
}

/// Declares a struct that is only written. A field names its JSON key:
///
/// - `always("key")`: as it is, `None` as `null`.
/// - `optional("key")`: the type is an `Option`, and `None` is left out.
macro_rules! payload {
    (
        $(#[$meta:meta])* $vis:vis struct $name:ident $(<$life:lifetime>)? {
            $($(#[$doc:meta])* $field_vis:vis $field:ident: $ty:ty = $mode:ident($key:literal),)*
        }
    ) => {
        $(#[$meta])*
        $vis struct $name $(<$life>)? {
            $($(#[$doc])* $field_vis $field: $ty,)*
        }

        impl $(<$life>)? $crate::json::Fields for $name $(<$life>)? {
            fn write<M: serde::ser::SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                $(payload!(@entry $mode map (&self.$field) $key);)*
                Ok(())
            }
        }

        impl $(<$life>)? serde::Serialize for $name $(<$life>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(None)?;
                $crate::json::Fields::write(self, &mut map)?;
                map.end()
            }
        }
    };

    (@entry always $map:ident ($value:expr) $key:literal) => {
        $map.serialize_entry($key, $value)?
    };
    (@entry optional $map:ident ($value:expr) $key:literal) => {
        if let Some(value) = $value {
            $map.serialize_entry($key, value)?;
        }
    };
}

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
    serde_json::from_str(value?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    payload! {
        #[derive(Debug, Clone)]
        struct Sample<'a> {
            /// A borrowed one.
            name: &'a str = always("theName"),
            nothing: Option<u8> = always("nothing"),
            absent: Option<u8> = optional("absent"),
            present: Option<Vec<u8>> = optional("present"),
        }
    }

    payload! {
        struct Empty {
            absent: Option<u8> = optional("absent"),
        }
    }

    #[test]
    fn writes_the_fields_in_their_order() {
        let sample = Sample { name: "a\"b", nothing: None, absent: None, present: Some(vec![1, 2]) };
        assert_eq!(
            serde_json::to_string(&sample).unwrap(),
            r#"{"theName":"a\"b","nothing":null,"present":[1,2]}"#
        );
        assert_eq!(serde_json::to_string(&Empty { absent: None }).unwrap(), "{}");
        assert_eq!(
            serde_json::to_value(&Empty { absent: Some(1) }).unwrap(),
            serde_json::json!({"absent": 1})
        );
    }

    #[test]
    fn picks_values_out_of_an_object() {
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        let json = format!(r#"{{"a":1,"x":{deep},"\udfff":"\ud800","b":{{"a":2}},"a":"three"}}"#);
        let [a, b, c] = pick(&json, ["a", "b", "c"]).unwrap();
        assert_eq!(
            (text(a).as_deref(), b.unwrap().get(), c.map(RawValue::get)),
            (Some("three"), "{\"a\":2}", None)
        );
        assert_eq!((text(b), text(c)), (None, None));
        for json in ["", "[]", "7", "{\"a\":1", "{\"a\":1}x", "null"] {
            assert!(pick(json, ["a"]).is_err(), "{json}");
        }
    }
}
