//! How the model reads the API: both spellings, unknown keys and values tolerated.

/// Declares a public struct of the API, its reader and its writer.
///
/// A field names the JSON keys it is read from, as `mode("first" | "second" as Via)`:
///
/// - `required`: its absence is an error that names the first key.
/// - `default`: absent means `Default::default()`.
/// - `optional`: the type is an `Option`; absent means `None`, and `None` is not written.
/// - `local()`: not part of the JSON.
///
/// `null` counts as absent. When an answer has several of a field's keys, the one listed first wins, in whatever order
/// they come (serde's `alias` would refuse the answer); unknown keys are skipped without looking at them. It is written
/// under the first key. `as Via` reads the value through another type that converts into the field's.
///
/// After the body, `then function` may fill in what depends on other fields: `fn(&mut T) -> Result<(), &'static str>`,
/// where the error is the name of the key that is missing after all.
///
/// `secret struct` has no writer: for answers that carry a credential.
macro_rules! api_struct {
    (
        $(#[$meta:meta])* $vis:vis secret struct $name:ident { $($body:tt)* } $(then $then:expr)?
    ) => {
        api_struct! { @define $(#[$meta])* $vis $name { $($body)* } }
        api_struct! { @read $name { $($body)* } $($then)? }
    };
    (
        $(#[$meta:meta])* $vis:vis struct $name:ident { $($body:tt)* } $(then $then:expr)?
    ) => {
        api_struct! { @define $(#[$meta])* $vis $name { $($body)* } }
        api_struct! { @read $name { $($body)* } $($then)? }
        api_struct! { @write $name { $($body)* } }
    };

    (@define $(#[$meta:meta])* $vis:vis $name:ident {
        $($(#[$doc:meta])* $field:ident: $ty:ty = $mode:ident($($key:literal)|* $(as $via:ty)?),)*
    }) => {
        $(#[$meta])*
        #[non_exhaustive]
        $vis struct $name {
            $($(#[$doc])* pub $field: $ty,)*
        }
    };

    (@read $name:ident {
        $($(#[$doc:meta])* $field:ident: $ty:ty = $mode:ident($($key:literal)|* $(as $via:ty)?),)*
    } $($then:expr)?) => {
        const _: () = {
            use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

            use $crate::model::slot::Slot;

            // A `local()` field has no key.
            #[allow(non_camel_case_types, dead_code)]
            enum Key {
                $($field,)*
                __Unknown,
            }

            struct KeyVisitor;

            impl Visitor<'_> for KeyVisitor {
                type Value = (Key, u8);

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a key")
                }

                fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
                    // The usual spelling of every field first: servers rarely use another.
                    $(api_struct!(@match_first key Key::$field, $($key)*);)*
                    $(api_struct!(@match_rest key Key::$field, $($key)*);)*
                    Ok((Key::__Unknown, 0))
                }
            }

            struct RankedKey((Key, u8));

            impl<'de> Deserialize<'de> for RankedKey {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    deserializer.deserialize_identifier(KeyVisitor).map(RankedKey)
                }
            }

            struct StructVisitor;

            impl<'de> Visitor<'de> for StructVisitor {
                type Value = $name;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str(concat!("an object (", stringify!($name), ")"))
                }

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                    $(let mut $field: (Option<$ty>, u8) = (None, u8::MAX);)*
                    while let Some(RankedKey((key, rank))) = map.next_key()? {
                        match key {
                            $(Key::$field => {
                                if rank > $field.1 {
                                    map.next_value::<IgnoredAny>()?;
                                } else if map.next_value_seed(
                                    Slot::<_, api_struct!(@type $ty $(, $via)?)>::new(&mut $field.0),
                                )? {
                                    $field.1 = rank;
                                }
                            })*
                            Key::__Unknown => {
                                map.next_value::<IgnoredAny>()?;
                            }
                        }
                    }
                    #[allow(unused_mut)]
                    let mut value = $name {
                        $($field: api_struct!(@finish $mode $field $($key)*),)*
                    };
                    $({
                        let then: fn(&mut $name) -> Result<(), &'static str> = $then;
                        then(&mut value).map_err(A::Error::missing_field)?;
                    })?
                    Ok(value)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    deserializer.deserialize_map(StructVisitor)
                }
            }
        };
    };

    (@write $name:ident {
        $($(#[$doc:meta])* $field:ident: $ty:ty = $mode:ident($($key:literal)|* $(as $via:ty)?),)*
    }) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(None)?;
                $(api_struct!(@entry $mode map (&self.$field) $($key)*);)*
                map.end()
            }
        }
    };

    (@match_first $text:ident $found:expr,) => {};
    (@match_first $text:ident $found:expr, $key:literal $($more:literal)*) => {
        if $text == $key {
            return Ok(($found, 0));
        }
    };
    (@match_rest $text:ident $found:expr, $($key:literal)?) => {};
    (@match_rest $text:ident $found:expr, $first:literal $($key:literal)+) => {
        let mut rank = 0;
        $(
            rank += 1;
            if $text == $key {
                return Ok(($found, rank));
            }
        )+
    };

    (@type $ty:ty) => { $ty };
    (@type $ty:ty, $via:ty) => { $via };

    (@finish required $field:ident $key:literal $($more:literal)*) => {
        match $field.0 {
            Some(value) => value,
            None => return Err(A::Error::missing_field($key)),
        }
    };
    (@finish $mode:ident $field:ident $($key:literal)*) => {
        $field.0.unwrap_or_default()
    };

    (@entry local $map:ident ($value:expr)) => {};
    (@entry optional $map:ident ($value:expr) $key:literal $($more:literal)*) => {
        if let Some(value) = $value {
            $map.serialize_entry($key, value)?;
        }
    };
    (@entry $mode:ident $map:ident ($value:expr) $key:literal $($more:literal)*) => {
        $map.serialize_entry($key, $value)?
    };
}

/// Declares a public enum over a string of the API that keeps values it does not know, in the variant `Unknown` or
/// the one named after `else`.
macro_rules! open_enum {
    (
        $(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }
    ) => {
        open_enum! {
            $(#[$meta])* pub enum $name { $($(#[$doc])* $variant = $text,)+ }
            /// A value this version of the crate does not know, as the server spelled it.
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
            /// The value as the API spells it.
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
                struct TextVisitor;

                impl serde::de::Visitor<'_> for TextVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a string")
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        Ok(text.into())
                    }
                }

                deserializer.deserialize_str(TextVisitor)
            }
        }
    };
}
