//! Reading out of JSON that is a tree already.

use serde_json::{Map, Value, map};

use super::read::{Elements, How, Json, Keys, Members, Mistake, Place, Read};

/// Reads a value from the entries of an object.
#[inline]
pub(crate) fn from_map<T: Read>(map: &Map<String, Value>) -> Result<T, Mistake> {
    T::read(Json::Object(&mut Entries::of(map)))
}

struct Entries<'t> {
    map: &'t Map<String, Value>,
    /// For one by one.
    rest: map::Iter<'t>,
}

impl<'t> Entries<'t> {
    #[inline]
    fn of(map: &'t Map<String, Value>) -> Self {
        Entries { map, rest: map.iter() }
    }
}

impl Members for Entries<'_> {
    #[inline]
    fn next(&mut self, key: &mut String, place: &mut Place<'_>) -> Result<bool, Mistake> {
        let Some((next, value)) = self.rest.next() else { return Ok(false) };
        key.clone_from(next);
        put(place, value)?;
        Ok(true)
    }

    #[inline]
    fn fill(&mut self, keys: Keys, places: &mut [Place<'_>]) -> Result<(), Mistake> {
        for (key, value) in self.map {
            let key = keys(key);
            if let Some(place) = places.get_mut(key.field()).filter(|place| place.takes(key)) {
                let there = put(place, value)?;
                place.taken(key, there);
            }
        }
        Ok(())
    }
}

struct Items<'t>(std::slice::Iter<'t, Value>);

impl Elements for Items<'_> {
    #[inline]
    fn next(&mut self, place: &mut Place<'_>) -> Result<Option<bool>, Mistake> {
        self.0.next().map(|value| put(place, value)).transpose()
    }
}

#[inline]
fn put(place: &mut Place<'_>, value: &Value) -> Result<bool, Mistake> {
    match (place.how(), value) {
        (_, Value::Null) => return Ok(false),
        (How::Raw, value) => place.take(Json::Raw(&mut serde_json::value::to_raw_value(value).ok())),
        (How::Parts, Value::Bool(value)) => place.take(Json::Bool(*value)),
        (How::Parts, Value::String(text)) => place.take(Json::Text(text)),
        (How::Parts, Value::Array(list)) => place.take(Json::List(&mut Items(list.iter()))),
        (How::Parts, Value::Object(map)) => place.take(Json::Object(&mut Entries::of(map))),
        (How::Parts, Value::Number(number)) => place.take(match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Json::Unsigned(number),
            (_, Some(number)) => Json::Signed(number),
            _ => Json::Float(number.as_f64().unwrap_or(f64::NAN)),
        }),
    }?;
    Ok(true)
}
