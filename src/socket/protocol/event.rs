//! An event whose arguments are not decoded yet: its name and the JSON text of its arguments.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tungstenite::{Bytes, Utf8Bytes};

use crate::error::{Error, Result};
use crate::json;
use crate::socket::protocol::socket_io;

/// An event from the server: a name and arguments in JSON. The event owns its frame, and copies no text until the
/// program decodes an argument.
///
/// ```no_run
/// use crustocean::{Event, Value};
///
/// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
/// for event in agent.events() {
///     if let Event::Other(raw) = event? {
///         match raw.first::<Value>() {
///             Ok(payload) => println!("{}: {payload}", raw.name()),
///             Err(_) => println!("{} has no argument", raw.name()),
///         }
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct RawEvent {
    frame: Utf8Bytes,
    parts: FrameParts,
    /// The arguments without lone surrogates, created on the first use.
    repaired: OnceLock<Box<Option<Box<str>>>>,
    rare: Option<Box<Rare>>,
    /// The generation of the event's connection, because the ack id is valid only there. 0 until the event is stored.
    pub(crate) generation: u64,
}

/// Rarely used fields. They have their own allocation, because the crate moves every event several times.
#[derive(Debug, Clone, Default)]
struct Rare {
    /// The event's name, if the frame contains the name in an escaped form.
    name: Option<Box<str>>,
    ack: Option<Arc<AckRequest>>,
    attachments: Vec<Bytes>,
}

/// The server's wish for an answer to the event. Clones of the event share it, so that the program sends at most one
/// answer.
#[derive(Debug)]
struct AckRequest {
    id: u64,
    answered: AtomicBool,
}

/// The positions of all parts in a frame.
#[derive(Debug, Clone, Copy)]
struct FrameParts {
    name: FrameRange,
    /// The whole array, and the part after the name.
    data: FrameRange,
    args: FrameRange,
}

impl FrameParts {
    fn of(frame: &str, name: &str, data: &str, args: &str) -> Self {
        FrameParts {
            name: FrameRange::of(frame, name),
            data: FrameRange::of(frame, data),
            args: FrameRange::of(frame, args),
        }
    }
}

/// A part of a frame. Frames are far smaller than 4 GiB.
#[derive(Debug, Clone, Copy)]
struct FrameRange {
    start: u32,
    end: u32,
}

impl FrameRange {
    /// The position of `part`, which is a slice of `whole`. Offsets instead of references let the event own its
    /// frame.
    fn of(whole: &str, part: &str) -> Self {
        let Range { start, end } = range_in(whole, part);
        let short = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        FrameRange { start: short(start), end: short(end) }
    }

    fn within(self, frame: &str) -> &str {
        frame.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl RawEvent {
    /// `data` is the array, a part of `frame`.
    ///
    /// # Errors
    /// `Protocol` if the array does not start with a name.
    pub(crate) fn new(
        frame: &Utf8Bytes,
        data: &str,
        ack: Option<u64>,
        attachments: Vec<Bytes>,
    ) -> Result<Self> {
        let split = socket_io::split_event(data)?;
        let (name, own_name) = match split.name {
            Cow::Borrowed(name) => (name, None),
            Cow::Owned(name) => ("", Some(name.into())),
        };
        let rare = (own_name.is_some() || ack.is_some() || !attachments.is_empty()).then(|| {
            let ack = ack.map(|id| Arc::new(AckRequest { id, answered: AtomicBool::new(false) }));
            Box::new(Rare { name: own_name, ack, attachments })
        });
        let parts = FrameParts::of(frame, name, data, split.args);
        Ok(RawEvent { frame: frame.clone(), parts, repaired: OnceLock::new(), rare, generation: 0 })
    }

    /// The event's name.
    pub fn name(&self) -> &str {
        let own = self.rare.as_ref().and_then(|rare| rare.name.as_deref());
        own.unwrap_or_else(|| self.parts.name.within(&self.frame))
    }

    /// The arguments as JSON text, separated by commas. Empty if there are none.
    pub fn args(&self) -> &str {
        self.parts.args.within(&self.frame)
    }

    fn ack(&self) -> Option<&AckRequest> {
        self.rare.as_ref()?.ack.as_deref()
    }

    /// Copies the event into its own memory. A frame shares memory with other frames of the same read, and a stored
    /// event must not keep all of them.
    pub(crate) fn on_its_own(mut self) -> Self {
        self.detach();
        self
    }

    /// Like [`on_its_own`](RawEvent::on_its_own), in place.
    pub(crate) fn detach(&mut self) {
        self.frame = Utf8Bytes::from(self.frame.as_str());
    }

    /// Returns a copy with changed arguments. `None` if `change` changes nothing.
    pub(crate) fn reworded(&self, change: impl Fn(&str) -> String) -> Option<Self> {
        let args = change(self.args());
        if args == self.args() {
            return None;
        }
        let args = if is_json(&format!("[{args}]")) { args } else { "\"…\"".to_owned() };
        let name = serde_json::to_string(self.name()).ok()?;
        let frame = Utf8Bytes::from(format!("[{name},{args}]"));
        let event = RawEvent::new(&frame, frame.as_str(), None, Vec::new()).ok()?;
        Some(RawEvent { rare: self.rare.clone().or(event.rare), generation: self.generation, ..event })
    }

    pub(crate) fn frame_len(&self) -> usize {
        self.frame.len()
    }

    /// Whether the server waits for an answer. [`Raw::answer`](crate::agent::Raw::answer) sends the answer.
    pub fn wants_answer(&self) -> bool {
        self.ack().is_some_and(|ack| !ack.answered.load(Ordering::Acquire))
    }

    /// Takes the ack id and the connection for the answer. Works once.
    ///
    /// # Errors
    /// `Invalid` if the server wants no answer, or if the program has answered already.
    pub(crate) fn take_ack(&self) -> Result<(u64, u64)> {
        let ack = self.ack().ok_or_else(|| Error::invalid("the server requests no answer to this event"))?;
        if ack.answered.swap(true, Ordering::AcqRel) {
            return Err(Error::invalid("this event has been answered"));
        }
        Ok((ack.id, self.generation))
    }

    /// The approximate memory that the event keeps.
    pub(crate) fn size(&self) -> usize {
        let rare = |rare: &Rare| size_of::<Rare>() + rare.attachments.iter().map(Bytes::len).sum::<usize>();
        size_of::<Self>() + self.frame.len() + self.rare.as_deref().map_or(0, rare)
    }

    /// The binary attachments, in order. The arguments refer to them as `{"_placeholder":true,"num":0}`.
    pub fn attachments(&self) -> impl Iterator<Item = &[u8]> {
        self.rare.iter().flat_map(|rare| &rare.attachments).map(|bytes| &**bytes)
    }

    /// Decodes the first argument as `T`. A missing argument counts as `null`. Half a character (such as an emoji that
    /// JavaScript cut in two) becomes U+FFFD.
    ///
    /// # Errors
    /// The error of the JSON decoder, if the argument is not a valid `T`.
    pub fn first<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        let args = self.args();
        first_of(args).or_else(|error| self.repaired().map_or(Err(error), first_of))
    }

    /// The arguments with U+FFFD for every half of a character, if there are any.
    #[cold]
    fn repaired(&self) -> Option<&str> {
        self.repaired.get_or_init(|| Box::new(json::repair(self.args()).map(Into::into))).as_deref()
    }

    /// Whether the arguments are JSON, at any depth and with any strings. If so, an event that cannot be decoded does
    /// not mean that the server is broken.
    pub(crate) fn is_json(&self) -> bool {
        is_json(self.parts.data.within(&self.frame))
    }

    /// The offset of this event in the server's record of the session, for
    /// [`Recovery`](crate::socket::protocol::socket_io::Recovery): the last argument if it is a string and the event
    /// wants no ack. Decodes only this string.
    pub(crate) fn offset(&self) -> Option<String> {
        if self.ack().is_some() {
            return None;
        }
        let args = self.args().trim_end();
        let inside = args.strip_suffix('"')?;
        // Inside a string, every quote has an odd number of backslashes before it.
        let opening = inside.rmatch_indices('"').map(|(at, _)| at).find(|at| {
            let before = inside.get(..*at).unwrap_or_default();
            (before.len() - before.trim_end_matches('\\').len()) % 2 == 0
        })?;
        json::from_str(args.get(opening..)?).ok()
    }
}

/// The first of several values separated by commas. `null` if there is none.
fn first_of<'a, T: Deserialize<'a>>(values: &'a str) -> serde_json::Result<T> {
    // The usual case is one object: decode it without a search for its end. `events` in `benches/agent.rs` measures
    // this.
    if values.ends_with('}')
        && let Ok(only) = serde_json::from_str(values)
    {
        return Ok(only);
    }
    serde_json::from_str(text_of_first(values)?)
}

/// This function is separate from the generic function, so that the compiler compiles it only once.
fn text_of_first(values: &str) -> serde_json::Result<&str> {
    let mut stream = serde_json::Deserializer::from_str(values).into_iter::<IgnoredAny>();
    let Some(first) = stream.next() else { return Ok("null") };
    first?;
    let (first, rest) = values.split_at_checked(stream.byte_offset()).unwrap_or((values, ""));
    let rest = rest.trim_start();
    match rest.is_empty() || rest.starts_with(',') {
        true => Ok(first),
        false => Err(serde::de::Error::custom("trailing characters after the event's first argument")),
    }
}

/// Whether the text is JSON. Stores no values, and has no limit for length or depth.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The position of `part`, which is a slice of `whole`.
fn range_in(whole: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}

/// The header of a packet whose attachments have not arrived yet.
#[derive(Debug)]
pub(crate) struct BinaryPacket {
    frame: Utf8Bytes,
    ack: Option<u64>,
    is_ack: bool,
    /// Whether the packet is for a namespace that the client has not joined. The decoder reads and drops such a packet.
    foreign: bool,
    data: Range<usize>,
    wanted: usize,
    got: Vec<Bytes>,
    bytes: usize,
}

/// The limit for all attachments of one packet together.
const MAX_ATTACHMENT_BYTES: usize = 16 << 20;

impl BinaryPacket {
    pub(crate) fn new(frame: &Utf8Bytes, packet: &socket_io::Packet<'_>, foreign: bool) -> Self {
        BinaryPacket {
            foreign,
            ack: packet.id,
            is_ack: packet.kind == socket_io::PacketKind::BinaryAck,
            data: range_in(frame, packet.data),
            // Copy the frame, because the packet may wait for its attachments.
            frame: Utf8Bytes::from(frame.as_str()),
            wanted: packet.attachments,
            got: Vec::new(),
            bytes: 0,
        }
    }

    /// Adds an attachment.
    ///
    /// # Errors
    /// `Protocol` if the attachments are too large together.
    pub(crate) fn push(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes += bytes.len();
        if self.bytes > MAX_ATTACHMENT_BYTES {
            return Err(Error::protocol("the attachments of one packet exceed 16 MiB"));
        }
        // For a dropped packet only the number of attachments matters.
        self.got.push(if self.foreign { Bytes::new() } else { bytes });
        Ok(())
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.got.len() >= self.wanted
    }

    /// # Errors
    /// `Protocol` if the header was not an event or an ack, or if a placeholder is out of range.
    pub(crate) fn finish(self) -> Result<Complete> {
        if self.foreign {
            return Ok(Complete::Foreign);
        }
        let data = self.frame.get(self.data.clone()).unwrap_or_default();
        check_placeholders(data, self.got.len())?;
        match self.ack {
            Some(id) if self.is_ack => AckArgs::new(data).map(|args| Complete::Ack(id, args)),
            _ => RawEvent::new(&self.frame, data, self.ack, self.got).map(Complete::Event),
        }
    }
}

/// Every `{"_placeholder":true,"num":n}` must refer to an attachment that came.
///
/// Does not check arguments that cannot be decoded (too deep, or with a lone surrogate); decoding them fails later.
fn check_placeholders(data: &str, count: usize) -> Result<()> {
    let illegal = Cell::new(false);
    let mut json = serde_json::Deserializer::from_str(data);
    let _ = Placeholders { count: count as u64, illegal: &illegal }.deserialize(&mut json);
    if illegal.get() {
        return Err(Error::protocol("illegal attachments: a placeholder names none of them"));
    }
    Ok(())
}

/// Reads JSON without storing it. serde_json limits the depth.
#[derive(Clone, Copy)]
struct Placeholders<'a> {
    count: u64,
    illegal: &'a Cell<bool>,
}

/// The parts of a value that matter here.
enum JsonValue {
    True,
    Number(u64),
    Other,
}

impl<'de> DeserializeSeed<'de> for Placeholders<'_> {
    type Value = JsonValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<JsonValue, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Placeholders<'_> {
    type Value = JsonValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<JsonValue, E> {
        Ok(if value { JsonValue::True } else { JsonValue::Other })
    }

    fn visit_u64<E>(self, value: u64) -> Result<JsonValue, E> {
        Ok(JsonValue::Number(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<JsonValue, E> {
        Ok(JsonValue::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<JsonValue, E> {
        Ok(JsonValue::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<JsonValue, E> {
        Ok(JsonValue::Other)
    }

    fn visit_unit<E>(self) -> Result<JsonValue, E> {
        Ok(JsonValue::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<JsonValue, A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(JsonValue::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonValue, A::Error> {
        let (mut is_placeholder, mut num) = (false, None);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let value = map.next_value_seed(self)?;
            match &*key {
                "_placeholder" => is_placeholder = matches!(value, JsonValue::True),
                "num" => num = if let JsonValue::Number(num) = value { Some(num) } else { None },
                _ => {}
            }
        }
        if is_placeholder && num.is_none_or(|num| num >= self.count) {
            self.illegal.set(true);
        }
        Ok(JsonValue::Other)
    }
}

/// The result of a [`BinaryPacket`].
#[derive(Debug)]
pub(crate) enum Complete {
    Event(RawEvent),
    Ack(u64, AckArgs),
    /// A packet of another namespace.
    Foreign,
}

/// The arguments of an ack.
#[derive(Debug, Clone)]
pub(crate) struct AckArgs {
    /// A JSON array, or empty.
    json: Box<str>,
}

impl AckArgs {
    /// `json` is an array, or empty.
    ///
    /// # Errors
    /// `Protocol` if it is not JSON.
    pub(crate) fn new(json: &str) -> Result<Self> {
        if !json.is_empty() && !is_json(json) {
            return Err(Error::protocol("an ack is not valid JSON"));
        }
        Ok(AckArgs { json: json.into() })
    }

    /// Changes the arguments, like [`RawEvent::reworded`].
    pub(crate) fn reword(&mut self, change: impl Fn(&str) -> String) {
        let json = change(&self.json);
        if *json != *self.json {
            self.json = if is_json(&json) { json.into() } else { "[\"…\"]".into() };
        }
    }

    /// Whether the arguments may contain an error text of the server.
    pub(crate) fn mentions_error(&self) -> bool {
        self.json.contains("error")
    }

    /// Decodes the first argument as `T`. A missing argument counts as `null`, and half a character becomes U+FFFD.
    pub(crate) fn first<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        let read = |json: &str| {
            let json = json.trim();
            let args = json.strip_prefix('[').and_then(|json| json.strip_suffix(']'));
            first_of(args.unwrap_or_default())
        };
        read(&self.json).or_else(|error| json::repair(&self.json).map_or(Err(error), |json| read(&json)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> RawEvent {
        let frame = Utf8Bytes::from(format!("42{data}"));
        let data = frame.as_str().split_at(2).1.to_owned();
        let part = frame.as_str().get(2..).unwrap();
        assert_eq!(part, data);
        RawEvent::new(&frame, part, None, Vec::new()).unwrap()
    }

    #[test]
    fn decodes_the_first_argument_only() {
        let e = event(r#"["message",{"a":1},"offset"]"#);
        assert_eq!((e.name(), e.args()), ("message", r#"{"a":1},"offset""#));
        assert_eq!(e.first::<serde_json::Value>().unwrap(), serde_json::json!({"a": 1}));
        assert_eq!(event(r#"["m"]"#).first::<Option<u8>>().unwrap(), None);
        assert_eq!(event(r#"["m",7]"#).first::<u8>().unwrap(), 7);
        assert!(event(r#"["m",{} {}]"#).first::<serde_json::Value>().is_err());
    }

    #[test]
    fn other_words_keep_the_event_what_it_is() {
        let hide = |text: &str| text.replace("secret", "…");
        assert!(event(r#"["error","no"]"#).reworded(hide).is_none());
        let changed = event(r#"["error",{"message":"no secret"},1]"#).reworded(hide).unwrap();
        assert_eq!((changed.name(), changed.args()), ("error", r#"{"message":"no …"},1"#));
        let broken = event(r#"["error",12]"#).reworded(|text| text.replace('2', "…")).unwrap();
        assert_eq!(broken.args(), r#""…""#, "what is no JSON any more is left out");
        let frame = Utf8Bytes::from(r#"["error","secret"]"#);
        let asks = RawEvent::new(&frame, frame.as_str(), Some(7), Vec::new()).unwrap();
        let (changed, none) = (asks.reworded(hide).unwrap(), asks.reworded(str::to_owned));
        assert!(changed.wants_answer() && none.is_none());
        let mut ack = AckArgs::new(r#"[{"error":"the secret"}]"#).unwrap();
        assert!(ack.mentions_error() && !AckArgs::new("[1]").unwrap().mentions_error());
        ack.reword(hide);
        assert_eq!(ack.first::<serde_json::Value>().unwrap(), serde_json::json!({"error": "the …"}));
    }

    #[test]
    fn tells_broken_json_from_json_that_cannot_be_decoded() {
        let deep = format!("[\"m\",{}{}]", "[".repeat(300), "]".repeat(300));
        for data in [deep.as_str(), r#"["m",1e999]"#] {
            let e = event(data);
            assert!(e.first::<serde_json::Value>().is_err(), "{data}");
            assert!(e.is_json(), "{data}");
        }
        for data in [r#"["m",{]"#, r#"["m",NaN]"#, "[\"m\",\"\u{1}\"]", r#"["m",tru]"#] {
            assert!(!event(data).is_json(), "{data}");
        }
    }

    #[test]
    fn b43_half_a_character_is_replaced() {
        let e = event(r#"["m",{"a":"x\ud83d","\udfff":"\ud83e\udd80"},"offset"]"#);
        let value: serde_json::Value = e.first().unwrap();
        assert_eq!(value, serde_json::json!({"a": "x\u{fffd}", "\u{fffd}": "\u{1F980}"}));
        assert_eq!(e.clone().first::<serde_json::Value>().unwrap(), value);
        assert!(e.is_json());
    }

    #[test]
    fn the_offset_is_the_last_argument_if_it_is_a_string() {
        for (data, offset) in [
            (r#"["m",{"a":"b"},"Q89TMlB"]"#, Some("Q89TMlB")),
            (r#"["m","x" , "a\"b\\" ]"#, Some("a\"b\\")),
            (r#"["m",""]"#, Some("")),
            (r#"["m"]"#, None),
            (r#"["m",{"a":"b"}]"#, None),
            (r#"["m","x",1]"#, None),
            (r#"["m",["x"]]"#, None),
        ] {
            assert_eq!(event(data).offset().as_deref(), offset, "{data}");
        }
        let frame = Utf8Bytes::from(r#"427["m","offset"]"#);
        let data = frame.get(3..).unwrap();
        assert_eq!(RawEvent::new(&frame, data, Some(7), Vec::new()).unwrap().offset(), None);
    }

    #[test]
    fn t29_binary_acks() {
        let frame = Utf8Bytes::from(r#"461-15[{"_placeholder":true,"num":0}]"#);
        let packet = socket_io::decode(frame.get(1..).unwrap()).unwrap();
        let mut partial = BinaryPacket::new(&frame, &packet, false);
        partial.push(Bytes::from_static(b"x")).unwrap();
        assert!(partial.is_complete());
        assert!(matches!(partial.finish().unwrap(), Complete::Ack(15, _)));
        for (json, first) in
            [("", "null"), ("[]", "null"), ("[1,2]", "1"), (r#"[" \ud83d",1e999]"#, "\" \u{fffd}\"")]
        {
            let args = AckArgs::new(json).unwrap();
            assert_eq!(args.first::<serde_json::Value>().unwrap().to_string(), first, "{json}");
        }
        assert!(AckArgs::new("[1").is_err());
    }

    #[test]
    fn checks_placeholders() {
        for (data, good) in [
            (r#"["b",{"_placeholder":true,"num":0}]"#, true),
            (r#"["b",[{"x":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0}]]"#, true),
            (r#"["b",{"_placeholder":true,"num":2}]"#, false),
            (r#"["b",{"_placeholder":true,"num":"0"}]"#, false),
            (r#"["b",{"_placeholder":true,"num":-1}]"#, false),
            (r#"["b",{"_placeholder":true}]"#, false),
            (r#"["b",{"_placeholder":false}]"#, true),
        ] {
            assert_eq!(check_placeholders(data, 2).is_ok(), good, "{data}");
        }
    }
}
