//! Decodes the model, although servers write fields in several ways, omit them, or fill them with wrong values.
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
//! - A number in a text field becomes its digits. The decoder parses a text in a number or boolean field, and JSON in a
//!   string.
//! - A lone surrogate becomes U+FFFD.
//! - Errors name the field and never contain a value, because a value may be a secret.
//!
//! The decoder reads everything from its JSON text: [`object`](object()) finds the text of each field, and the
//! deserializer [`Lenient`] decodes it. So the compiler compiles the code of each type once, not once for each
//! deserializer of the program, and all types share the code that does not depend on the type. Finding the text of each
//! field takes time, so [`fast`](fast()) first tries to decode frequent types in one pass.

mod collections;
mod fast;
mod keys;
mod object;
mod read_error;
mod structs;
mod text;
mod value;

pub(crate) use collections::{elements, map, map_in};
pub(crate) use fast::fast;
pub(crate) use keys::is_same;
pub(crate) use object::object;
pub(crate) use read_error::ReadError;
pub(crate) use text::{string_in, text_of};
pub(crate) use value::{Lenient, read};

/// Makes a struct with `#[serde(remote = "Self")]` readable by the rules of this file, and writable as derived.
///
/// `lenient!(read T)` is for types that the crate only reads: responses with a credential. `lenient!(fast T)` is for
/// frequent types; it needs more code. A closure after the type sets fields that depend on other fields. `or_text`
/// converts a string that is in the place of an object.
macro_rules! lenient {
    (read $name:ident $($more:tt)*) => {
        lenient!(@read [] $name $($more)*);
    };
    (fast $name:ident $($more:tt)*) => {
        lenient!(@read [fast] $name $($more)*);
        lenient!(@write $name);
    };
    ($name:ident $($more:tt)*) => {
        lenient!(@read [] $name $($more)*);
        lenient!(@write $name);
    };
    (@read [$($fast:ident)?] $name:ident $(, |$value:ident| $then:expr)? $(, or_text $text:expr)?) => {
        impl $name {
            fn read_json(json: &str) -> Result<Self, $crate::model::serde_helpers::ReadError> {
                $(if let Some(text) = $crate::model::serde_helpers::string_in(json) {
                    let from_text: fn(String) -> $name = $text;
                    return Ok(from_text(text));
                })?
                let read = Err(());
                $(let read = read.or_else(|()| {
                    $crate::model::serde_helpers::$fast(json, |object| $name::deserialize(object))
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

/// Replaces an empty display name by `with`.
pub(crate) fn fill(empty: &mut String, with: &str) {
    if empty.is_empty() {
        with.clone_into(empty);
    }
}

#[cfg(test)]
mod tests;
