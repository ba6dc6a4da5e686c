//! Types that are read from JSON, with one reader for all of them.
//!
//! serde's own way is a reader for every type and every source, compiled for each pair of them; this crate has sixty
//! types, and the code for them was most of what it weighed. Here a type only says what it makes of a value
//! ([`Read`]), an object where its fields go ([`Place`]), and what walks through the JSON knows no type: it is compiled
//! once a source.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A value that is not `null`, as it comes out of the JSON.
pub(crate) enum Json<'v> {
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'v str),
    List(&'v mut dyn Elements),
    Object(&'v mut dyn Members),
    /// For [`How::Raw`], and [`raw`](Json::raw) takes it. Not owned here: then a value has no destructor, which every
    /// type would have to run.
    Raw(&'v mut Option<Box<RawValue>>),
}

/// Why a value is not what it should be. Never holds a part of it: that may be a secret.
///
/// A pointer wide: it is handed back by everything that reads, and next to never there.
#[derive(Debug)]
pub(crate) struct Mistake(pub(super) Box<Kind>);

#[derive(Debug)]
pub(super) enum Kind {
    /// It is something else than this.
    Expected(&'static str),
    /// It is `null`.
    Null,
    /// An object lacks this key.
    Missing(&'static str),
    /// This is wrong with it.
    Wrong(&'static str),
    /// What is inside it is wrong; the source knows more.
    Inside,
}

impl Mistake {
    #[cold]
    pub(crate) fn expected(what: &'static str) -> Self {
        Mistake(Box::new(Kind::Expected(what)))
    }

    #[cold]
    pub(crate) fn null() -> Self {
        Mistake(Box::new(Kind::Null))
    }

    #[cold]
    pub(crate) fn missing(key: &'static str) -> Self {
        Mistake(Box::new(Kind::Missing(key)))
    }

    #[cold]
    pub(crate) fn wrong(how: &'static str) -> Self {
        Mistake(Box::new(Kind::Wrong(how)))
    }

    #[cold]
    pub(crate) fn inside() -> Self {
        Mistake(Box::new(Kind::Inside))
    }
}

/// In which form a type wants its JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    /// Scalars as they are, lists and objects part by part.
    Parts,
    /// As text that nobody has looked into: what is broken in it breaks nothing else. Only serde_json has that.
    Raw,
}

/// A type that can be read.
pub(crate) trait Read: Sized {
    const HOW: How = How::Parts;

    fn read(json: Json<'_>) -> Result<Self, Mistake>;

    /// What `null` is where there has to be a value.
    fn null() -> Result<Self, Mistake> {
        Err(Mistake::null())
    }
}

/// The rest of an object.
pub(crate) trait Members {
    /// Puts every value whose key is known into the place of that number. Of several for one place, the one with the
    /// lowest rank stays; of those, the last.
    fn fill(&mut self, keys: Keys, places: &mut [Place<'_>]) -> Result<(), Mistake>;

    /// One by one, whatever they are. False when there is none left.
    fn next(&mut self, key: &mut String, place: &mut Place<'_>) -> Result<bool, Mistake>;
}

/// The rest of a list.
pub(crate) trait Elements {
    /// Whether the next one is more than `null`; `None` when there is none left.
    fn next(&mut self, place: &mut Place<'_>) -> Result<Option<bool>, Mistake>;
}

/// Where a value of some type goes.
pub(crate) struct Place<'p> {
    sink: &'p mut dyn Sink,
    how: How,
    /// Of the key that its value came under.
    rank: u8,
}

trait Sink {
    fn take(&mut self, json: Json<'_>) -> Result<(), Mistake>;
}

impl<T: Read> Sink for Option<T> {
    fn take(&mut self, json: Json<'_>) -> Result<(), Mistake> {
        *self = Some(T::read(json)?);
        Ok(())
    }
}

impl<'p> Place<'p> {
    #[inline]
    pub(crate) fn new<T: Read>(slot: &'p mut Option<T>) -> Self {
        Place { sink: slot, how: T::HOW, rank: u8::MAX }
    }

    #[inline]
    pub(super) fn how(&self) -> How {
        self.how
    }

    /// Whether a value is wanted that comes under a key of this rank.
    #[inline]
    pub(super) fn takes(&self, key: Key) -> bool {
        key.rank() <= self.rank
    }

    #[inline]
    pub(super) fn taken(&mut self, key: Key, there: bool) {
        if there {
            self.rank = key.rank();
        }
    }

    #[inline]
    pub(super) fn take(&mut self, json: Json<'_>) -> Result<(), Mistake> {
        self.sink.take(json)
    }
}

/// What a key means to a type.
pub(crate) type Keys = fn(&str) -> Key;

/// The number of a field, and the rank of one of its spellings.
#[derive(Clone, Copy)]
pub(crate) struct Key(u16);

impl Key {
    pub(crate) const UNKNOWN: Key = Key(u16::MAX);

    #[inline]
    pub(crate) const fn new(field: u8, rank: u8) -> Self {
        Key((field as u16) << 8 | rank as u16)
    }

    #[inline]
    pub(super) fn field(self) -> usize {
        usize::from(self.0 >> 8)
    }

    #[inline]
    fn rank(self) -> u8 {
        self.0 as u8
    }
}

impl Read for bool {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        match json {
            Json::Bool(value) => Ok(value),
            _ => Err(Mistake::expected("a boolean")),
        }
    }
}

impl Read for u64 {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        match json {
            Json::Unsigned(number) => Ok(number),
            _ => Err(Mistake::expected("a count")),
        }
    }
}

impl Read for String {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        json.text().map(str::to_owned)
    }
}

impl<T: Read> Read for Vec<T> {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        let Json::List(elements) = json else { return Err(Mistake::expected("a list")) };
        let mut list = Vec::new();
        let mut slot = None;
        while let Some(there) = elements.next(&mut Place::new(&mut slot))? {
            list.push(match slot.take() {
                Some(value) if there => value,
                _ => T::null()?,
            });
        }
        Ok(list)
    }
}

/// Part by part, too: programs that need no tree do not contain what builds one.
impl Read for Value {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        Ok(match json {
            Json::Bool(value) => value.into(),
            Json::Unsigned(number) => number.into(),
            Json::Signed(number) => number.into(),
            Json::Float(number) => number.into(),
            Json::Text(text) => text.into(),
            Json::List(_) => Value::Array(Vec::read(json)?),
            Json::Object(_) => tree(Map::read(json)?),
            Json::Raw(_) => return Err(Mistake::expected("a value")),
        })
    }

    fn null() -> Result<Self, Mistake> {
        Ok(Value::Null)
    }
}

/// With the feature `arbitrary_precision`, which any crate may turn on, serde_json hands out numbers as objects like
/// this.
#[inline]
fn tree(map: Map<String, Value>) -> Value {
    match map.get("$serde_json::private::Number") {
        Some(Value::String(number)) if map.len() == 1 => number.parse().map_or(Value::Null, Value::Number),
        _ => Value::Object(map),
    }
}

impl Read for Map<String, Value> {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        let Json::Object(members) = json else { return Err(Mistake::expected("an object")) };
        let mut map = Map::new();
        let (mut key, mut slot) = (String::new(), None);
        while members.next(&mut key, &mut Place::new(&mut slot))? {
            map.insert(std::mem::take(&mut key), slot.take().unwrap_or(Value::Null));
        }
        Ok(map)
    }
}

/// The type in an `Option`.
pub(crate) trait Optional {
    type Inner;
}

impl<T> Optional for Option<T> {
    type Inner = T;
}

impl<'v> Json<'v> {
    /// The text of a string.
    #[inline]
    pub(crate) fn text(self) -> Result<&'v str, Mistake> {
        match self {
            Json::Text(text) => Ok(text),
            _ => Err(Mistake::expected("a string")),
        }
    }

    #[inline]
    pub(crate) fn raw(self) -> Option<Box<RawValue>> {
        match self {
            Json::Raw(raw) => raw.take(),
            _ => None,
        }
    }

    /// The fields of an object, into the places of their numbers.
    #[inline]
    pub(crate) fn fields(
        self,
        what: &'static str,
        keys: Keys,
        places: &mut [Place<'_>],
    ) -> Result<(), Mistake> {
        match self {
            Json::Object(members) => members.fill(keys, places),
            _ => Err(Mistake::expected(what)),
        }
    }
}
