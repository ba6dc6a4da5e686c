//! Values that servers spell in several ways.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A boolean, also as a number or as text.
pub(crate) struct Flag(bool);

impl From<Flag> for bool {
    fn from(flag: Flag) -> Self {
        flag.0
    }
}

impl From<Flag> for Option<bool> {
    fn from(flag: Flag) -> Self {
        Some(flag.0)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlagVisitor;

        impl Visitor<'_> for FlagVisitor {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a boolean")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Flag, E> {
                Ok(Flag(value != 0))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Flag, E> {
                match text {
                    "true" | "t" | "1" => Ok(Flag(true)),
                    "false" | "f" | "0" | "" => Ok(Flag(false)),
                    _ => Err(E::custom("text that is no boolean")),
                }
            }
        }

        deserializer.deserialize_any(FlagVisitor)
    }
}

/// A count, also as text: PostgreSQL's `COUNT(*)` reaches JSON that way.
pub(crate) struct Count(u64);

impl From<Count> for Option<u64> {
    fn from(count: Count) -> Self {
        Some(count.0)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;

        impl Visitor<'_> for CountVisitor {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a count")
            }

            fn visit_u64<E>(self, value: u64) -> Result<Count, E> {
                Ok(Count(value))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Count, E> {
                text.trim().parse().map(Count).map_err(|_| E::custom("text that is no count"))
            }
        }

        deserializer.deserialize_any(CountVisitor)
    }
}

/// A list of strings, also as one string.
pub(crate) struct Strings(Vec<String>);

impl From<Strings> for Vec<String> {
    fn from(strings: Strings) -> Self {
        strings.0
    }
}

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringsVisitor;

        impl<'de> Visitor<'de> for StringsVisitor {
            type Value = Vec<String>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of strings or one")
            }

            fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
                Ok(vec![text.to_owned()])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<String>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq))
            }
        }

        deserializer.deserialize_any(StringsVisitor).map(Strings)
    }
}

/// Text, also as a number.
pub(crate) struct Text(String);

impl From<Text> for Option<String> {
    fn from(text: Text) -> Self {
        Some(text.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl Visitor<'_> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a number")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            /// As JSON writes it.
            fn visit_f64<E>(self, number: f64) -> Result<Text, E> {
                Ok(Text(Value::from(number).to_string()))
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

/// A value, also as JSON in a string. What cannot be read counts as absent: the answer must not fail because of it.
pub(crate) struct MaybeText<T>(Option<T>);

impl<T> From<MaybeText<T>> for Option<T> {
    fn from(value: MaybeText<T>) -> Self {
        value.0
    }
}

impl<T> From<MaybeText<Vec<T>>> for Vec<T> {
    fn from(value: MaybeText<Vec<T>>) -> Self {
        value.0.unwrap_or_default()
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for MaybeText<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let inner = match raw.get().starts_with('"') {
            true => serde_json::from_str::<String>(raw.get())
                .ok()
                .and_then(|text| serde_json::from_str(&text).ok()),
            false => None,
        };
        Ok(MaybeText(inner.or_else(|| serde_json::from_str(raw.get()).ok())))
    }
}

/// A value that counts as absent if it cannot be read.
pub(crate) struct Maybe<T>(Option<T>);

impl<T> From<Maybe<T>> for Option<T> {
    fn from(value: Maybe<T>) -> Self {
        value.0
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Maybe(serde_json::from_str(raw.get()).ok()))
    }
}

/// Those elements of a list that can be read. For lists whose elements are not documented, inside an answer that must
/// not fail because of them.
pub(crate) struct Readable<T>(Vec<T>);

impl<T> From<Readable<T>> for Vec<T> {
    fn from(list: Readable<T>) -> Self {
        list.0
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Readable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let elements: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
        Ok(Readable(elements.iter().filter_map(|element| serde_json::from_str(element.get()).ok()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_booleans_and_counts_in_any_dress() {
        for (json, expected) in [
            ("true", Some(true)),
            ("1", Some(true)),
            ("\"false\"", Some(false)),
            ("\"maybe\"", None),
            ("[]", None),
        ] {
            assert_eq!(serde_json::from_str::<Flag>(json).ok().map(bool::from), expected, "{json}");
        }
        for (json, expected) in [("12", Some(12)), ("\"12\"", Some(12)), ("-1", None), ("\"many\"", None)] {
            let count = serde_json::from_str::<Count>(json).ok().and_then(Option::<u64>::from);
            assert_eq!(count, expected, "{json}");
        }
    }

    #[test]
    fn reads_values_and_values_in_text() {
        for (json, expected) in [
            ("[1,2]", Some(vec![1, 2])),
            ("\"[1,2]\"", Some(vec![1, 2])),
            ("\"[1,\"", None),
            ("\"\"", None),
            ("{}", None),
        ] {
            let value: MaybeText<Vec<u8>> = serde_json::from_str(json).unwrap();
            assert_eq!(Option::<Vec<u8>>::from(value), expected, "{json}");
        }
        for (json, expected) in
            [("\"1.5s\"", "1.5s"), ("1500", "1500"), ("-3", "-3"), ("2.50", "2.5"), ("1e300", "1e+300")]
        {
            let text: Option<String> = serde_json::from_str::<Text>(json).unwrap().into();
            assert_eq!(text.as_deref(), Some(expected));
        }
    }

    #[test]
    fn reads_one_string_as_a_list() {
        for (json, expected) in [
            ("\"a\"", Some(vec!["a".to_owned()])),
            ("[\"a\",\"b\"]", Some(vec!["a".to_owned(), "b".to_owned()])),
            ("[]", Some(vec![])),
            ("[1]", None),
            ("{}", None),
        ] {
            let strings = serde_json::from_str::<Strings>(json).ok();
            assert_eq!(strings.map(Vec::<String>::from), expected, "{json}");
        }
    }

    #[test]
    fn keeps_the_elements_it_can_read() {
        for (json, expected) in [("[1,\"x\",3]", vec![1, 3]), ("{\"a\":1}", vec![]), ("7", vec![])] {
            assert_eq!(
                Vec::<u8>::from(serde_json::from_str::<Readable<u8>>(json).unwrap()),
                expected,
                "{json}"
            );
        }
    }
}
