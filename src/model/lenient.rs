//! Values that servers spell in several ways.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::{self, How, Json, Mistake, Read};

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

impl Read for Flag {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        match json {
            Json::Bool(value) => Ok(Flag(value)),
            Json::Unsigned(number) => Ok(Flag(number != 0)),
            Json::Text("true" | "t" | "1") => Ok(Flag(true)),
            Json::Text("false" | "f" | "0" | "") => Ok(Flag(false)),
            _ => Err(Mistake::expected("a boolean")),
        }
    }
}

/// A count, also as text: PostgreSQL's `COUNT(*)` reaches JSON that way.
pub(crate) struct Count(u64);

impl From<Count> for Option<u64> {
    fn from(count: Count) -> Self {
        Some(count.0)
    }
}

impl Read for Count {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        let count = match json {
            Json::Unsigned(count) => Some(count),
            Json::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        count.map(Count).ok_or_else(|| Mistake::expected("a count"))
    }
}

/// A list of strings, also as one string.
pub(crate) struct Strings(Vec<String>);

impl From<Strings> for Vec<String> {
    fn from(strings: Strings) -> Self {
        strings.0
    }
}

impl Read for Strings {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        match json {
            Json::Text(text) => Ok(Strings(vec![text.to_owned()])),
            list => Vec::read(list).map(Strings),
        }
    }
}

/// Text, also as a number.
pub(crate) struct Text(String);

impl From<Text> for Option<String> {
    fn from(text: Text) -> Self {
        Some(text.0)
    }
}

impl Read for Text {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        Ok(Text(match json {
            Json::Text(text) => text.to_owned(),
            Json::Unsigned(number) => number.to_string(),
            Json::Signed(number) => number.to_string(),
            // As JSON writes it.
            Json::Float(number) => Value::from(number).to_string(),
            _ => return Err(Mistake::expected("text or a number")),
        }))
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

impl<T: Read> Read for MaybeText<T> {
    const HOW: How = How::Raw;

    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        let Some(raw) = json.raw() else { return Ok(MaybeText(None)) };
        let inner = json::text(Some(&raw)).and_then(|text| json::from_str(&text).ok());
        Ok(MaybeText(inner.or_else(|| json::from_str(raw.get()).ok())))
    }
}

/// A value that counts as absent if it cannot be read.
pub(crate) struct Maybe<T>(Option<T>);

impl<T> From<Maybe<T>> for Option<T> {
    fn from(value: Maybe<T>) -> Self {
        value.0
    }
}

impl<T: Read> Read for Maybe<T> {
    const HOW: How = How::Raw;

    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        let Some(raw) = json.raw() else { return Ok(Maybe(None)) };
        Ok(Maybe(json::from_str(raw.get()).ok()))
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

impl<T: Read> Read for Readable<T> {
    const HOW: How = How::Raw;

    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        let Some(raw) = json.raw() else { return Ok(Readable(Vec::new())) };
        let mut list = Vec::new();
        for element in elements(&raw) {
            list.extend(json::from_str(element.get()).ok());
        }
        Ok(Readable(list))
    }
}

/// Nothing if it is no list.
fn elements(raw: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(raw.get()).unwrap_or_default()
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
            assert_eq!(json::from_str::<Flag>(json).ok().map(bool::from), expected, "{json}");
        }
        for (json, expected) in [("12", Some(12)), ("\"12\"", Some(12)), ("-1", None), ("\"many\"", None)] {
            let count = json::from_str::<Count>(json).ok().and_then(Option::<u64>::from);
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
            let value: MaybeText<Vec<u64>> = json::from_str(json).unwrap();
            assert_eq!(Option::<Vec<u64>>::from(value), expected, "{json}");
        }
        for (json, expected) in
            [("\"1.5s\"", "1.5s"), ("1500", "1500"), ("-3", "-3"), ("2.50", "2.5"), ("1e300", "1e+300")]
        {
            let text: Option<String> = json::from_str::<Text>(json).unwrap().into();
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
            let strings = json::from_str::<Strings>(json).ok();
            assert_eq!(strings.map(Vec::<String>::from), expected, "{json}");
        }
    }

    #[test]
    fn keeps_the_elements_it_can_read() {
        for (json, expected) in [("[1,\"x\",3]", vec![1, 3]), ("{\"a\":1}", vec![]), ("7", vec![])] {
            assert_eq!(Vec::<u64>::from(json::from_str::<Readable<u64>>(json).unwrap()), expected, "{json}");
        }
    }
}
