//! How types of JSON are declared: both spellings, unknown keys and values tolerated.

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
        impl $crate::json::Read for $name {
            #[inline]
            fn read(json: $crate::json::Json<'_>) -> Result<Self, $crate::json::Mistake> {
                // A `local()` field has no key.
                #[allow(non_camel_case_types, dead_code)]
                enum Field {
                    $($field,)*
                }

                #[inline]
                fn key(text: &str) -> $crate::json::Key {
                    // The usual spelling of every field first: servers rarely use another.
                    $(api_struct!(@match_first text $field, $($key)*);)*
                    $(api_struct!(@match_rest text $field, $($key)*);)*
                    $crate::json::Key::UNKNOWN
                }

                $(let mut $field: Option<api_struct!(@type $mode $ty $(, $via)?)> = None;)*
                json.fields(
                    concat!("an object (", stringify!($name), ")"),
                    key,
                    &mut [$($crate::json::Place::new(&mut $field)),*],
                )?;
                #[allow(unused_mut)]
                let mut value = $name {
                    $($field: api_struct!(@finish $mode [$($via)?] $field $($key)*),)*
                };
                $({
                    let then: fn(&mut $name) -> Result<(), &'static str> = $then;
                    then(&mut value).map_err($crate::json::Mistake::missing)?;
                })?
                Ok(value)
            }
        }

        deserialize!($name);
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

    (@match_first $text:ident $field:ident,) => {};
    (@match_first $text:ident $field:ident, $key:literal $($more:literal)*) => {
        if $text == $key {
            return $crate::json::Key::new(Field::$field as u8, 0);
        }
    };
    (@match_rest $text:ident $field:ident, $($key:literal)?) => {};
    (@match_rest $text:ident $field:ident, $first:literal $($key:literal)+) => {
        let mut rank = 0;
        $(
            rank += 1;
            if $text == $key {
                return $crate::json::Key::new(Field::$field as u8, rank);
            }
        )+
    };

    (@type optional $ty:ty) => { <$ty as $crate::json::Optional>::Inner };
    (@type $mode:ident $ty:ty) => { $ty };
    (@type $mode:ident $ty:ty, $via:ty) => { $via };

    (@finish required [$($via:ty)?] $field:ident $key:literal $($more:literal)*) => {
        match $field {
            Some(value) => api_struct!(@convert [$($via)?] value),
            None => return Err($crate::json::Mistake::missing($key)),
        }
    };
    (@finish optional [] $field:ident $($key:literal)*) => { $field };
    (@finish $mode:ident [$($via:ty)?] $field:ident $($key:literal)*) => {
        match $field {
            Some(value) => api_struct!(@convert [$($via)?] value),
            None => Default::default(),
        }
    };

    (@convert [] $value:ident) => { $value };
    (@convert [$via:ty] $value:ident) => { $value.into() };

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
            #[inline]
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl From<&str> for $name {
            #[inline]
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
            #[inline]
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

        impl $crate::json::Read for $name {
            #[inline]
            fn read(json: $crate::json::Json<'_>) -> Result<Self, $crate::json::Mistake> {
                json.text().map(Into::into)
            }
        }

        deserialize!($name);
    };
}

/// Makes what is `Read` inside the crate readable with serde, too.
macro_rules! deserialize {
    ($($name:ident),+) => {$(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::json::read(deserializer)
            }
        }
    )+};
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
