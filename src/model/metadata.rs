//! The metadata of a message.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::loop_guard::LoopGuard;
use super::serde_helpers::{self, Lenient};
use super::{List, RunId, Span, Style, TraceStep, label};
use crate::error::{Error, Result};
use crate::json;

/// The metadata of a message: traces, styles, the loop guard, and any data of bots.
///
/// The crate stores the metadata as JSON text and decodes it only on access. The server sends an object, or a string
/// that contains an object, or nothing; the crate handles all three in the same way. No method fails or panics: a value
/// that cannot be decoded is `None`.
///
/// ```
/// use crustocean::Message;
///
/// # fn demo(message: &Message) {
/// if message.metadata.is_heartbeat() {
///     println!("a scheduled prompt");
/// }
/// for step in message.metadata.trace() {
///     println!("{} took {:?}", step.step, step.duration);
/// }
/// let mood = message.metadata.get("mood"); // any other key
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Metadata(Option<Box<str>>);

impl Metadata {
    /// Creates metadata to send, from a value that serialises to a JSON object.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the value does not serialise to a JSON object.
    pub fn new(value: &impl Serialize) -> Result<Self> {
        let raw = serde_json::value::to_raw_value(value)
            .map_err(|error| Error::invalid("this metadata cannot be serialised").with_source(error))?;
        if !raw.get().starts_with('{') {
            return Err(Error::invalid("metadata must be a JSON object, but this value is not"));
        }
        Ok(Metadata(Some(raw.into())))
    }

    /// `raw` is a JSON value. Replaces lone surrogates by U+FFFD, so that no later code has to handle them.
    fn of(raw: &str) -> Self {
        Metadata(if is_nothing(raw) { None } else { Some(json::repaired(raw).into()) })
    }

    /// Whether the metadata is absent, empty or not an object.
    pub fn is_empty(&self) -> bool {
        let mut has_keys = false;
        let object =
            self.object().and_then(|object| json::members(&object, &mut |_, _| has_keys = true).ok());
        object.is_none() || !has_keys
    }

    /// The value of one key. Decodes only this value, so errors in other values have no effect.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.read(key)
    }

    /// The whole metadata as a JSON object.
    pub fn to_value(&self) -> Option<Value> {
        self.to_map().map(Value::Object)
    }

    /// The whole metadata as a map.
    pub fn to_map(&self) -> Option<Map<String, Value>> {
        serde_json::from_str(&self.object()?).ok()
    }

    /// The JSON text from the server: an object, or a string that contains an object. `null` if the server sent no
    /// metadata.
    pub fn raw(&self) -> &str {
        self.0.as_deref().unwrap_or("null")
    }

    /// The loop guard, if there is one.
    #[doc(alias = "getLoopGuardMetadata")]
    pub fn loop_guard(&self) -> Option<LoopGuard> {
        LoopGuard::read(&self.value("loop_guard")?)
    }

    /// The steps that led to the message, in order, except steps that cannot be decoded.
    pub fn trace(&self) -> Vec<TraceStep> {
        self.read::<List<_>>("trace").unwrap_or_default().into_vec()
    }

    /// The duration that the message shows.
    pub fn duration(&self) -> Option<Duration> {
        label::from_json(Lenient::of(self.value("duration")?.get())).ok()?
    }

    /// The skill that the message shows as a badge.
    pub fn skill(&self) -> Option<String> {
        self.read("skill")
    }

    /// The message's colours.
    pub fn style(&self) -> Option<Style> {
        self.read("style")
    }

    /// The pieces of the text with their own colours. The joined pieces are the whole text. Empty if the message has no
    /// such pieces.
    pub fn content_spans(&self) -> Vec<Span> {
        self.read::<List<_>>("content_spans").unwrap_or_default().into_vec()
    }

    /// The agent run that the message belongs to.
    pub fn run_id(&self) -> Option<RunId> {
        self.read("run_id")
    }

    /// Whether the message is a log of an agent's reasoning. Do not pass such a message to a language model.
    pub fn is_agent_log(&self) -> bool {
        self.says("agent_log")
    }

    /// Whether the message is a scheduled prompt.
    pub fn is_heartbeat(&self) -> bool {
        self.says("heartbeat")
    }

    /// Whether a hook sent the message.
    pub fn is_from_hook(&self) -> bool {
        self.says("webhook")
    }

    /// Whether a key has a value that JavaScript treats as true.
    fn says(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| match value.get() {
            "null" | "false" | "\"\"" => false,
            value => json::number(value) != Some(0.0),
        })
    }

    /// Reads the value of one key as another type. `None` if the value is absent or does not fit.
    pub(crate) fn read<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        T::deserialize(Lenient::of(self.value(key)?.get())).ok()
    }

    /// The JSON text of one key's value.
    fn value(&self, key: &str) -> Option<Cow<'_, RawValue>> {
        match self.object()? {
            Cow::Borrowed(object) => value_in(object, key).map(Cow::Borrowed),
            Cow::Owned(object) => value_in(&object, key).map(|value| Cow::Owned(value.to_owned())),
        }
    }

    /// The text of the JSON object, extracted from a string if necessary.
    fn object(&self) -> Option<Cow<'_, str>> {
        let text = self.0.as_deref()?;
        if !text.starts_with('"') {
            return Some(text.into());
        }
        json::from_str::<String>(text).ok().map(Cow::Owned)
    }
}

/// Whether the JSON contains no metadata. Most messages have no metadata, and `Metadata` allocates no memory for them.
fn is_nothing(raw: &str) -> bool {
    matches!(raw, "{}" | "\"{}\"" | "\"\"" | "null")
}

fn value_in<'t>(object: &'t str, key: &str) -> Option<&'t RawValue> {
    let [value] = json::pick(object, [key]).ok()?;
    value
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw())
    }
}

/// Compares the JSON text: the same metadata in two notations is not equal.
impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw()
    }
}

impl From<Map<String, Value>> for Metadata {
    fn from(map: Map<String, Value>) -> Self {
        Metadata::new(&map).unwrap_or_default()
    }
}

/// Serialises as an object, or as `null` if the metadata is not an object.
impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object = self.object();
        let raw: Option<&RawValue> = object.as_ref().and_then(|object| serde_json::from_str(object).ok());
        raw.filter(|raw| raw.get().starts_with('{')).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_helpers::text_of(deserializer, |json| Ok(Metadata::of(json)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(json: &str) -> Metadata {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn reads_an_object_and_a_string_alike() {
        for json in [r#"{"skill":"dice","trace":[1]}"#, r#""{\"skill\":\"dice\",\"trace\":[1]}""#] {
            let metadata = metadata(json);
            assert_eq!(metadata.get("skill"), Some("dice".into()), "{json}");
            assert_eq!(metadata.get("style"), None);
            assert!(!metadata.is_empty());
            assert_eq!(metadata.to_map().unwrap().len(), 2);
            assert_eq!(metadata.raw(), json);
            assert_eq!(serde_json::to_string(&metadata).unwrap(), r#"{"skill":"dice","trace":[1]}"#);
        }
    }

    #[test]
    fn is_nothing_when_it_is_nothing_or_no_object() {
        for json in [
            "null",
            "{}",
            " { } ",
            "\"\"",
            "\"{}\"",
            "\" { } \"",
            "\"hello\"",
            "\"{\\\"a\\\":\"",
            "[1]",
            "7",
            "\"null\"",
        ] {
            let metadata = metadata(json);
            assert!(metadata.is_empty(), "{json}");
            assert_eq!((metadata.get("a"), metadata.loop_guard()), (None, None), "{json}");
            assert!(metadata.to_map().is_none_or(|map| map.is_empty()), "{json}");
            assert!(
                matches!(serde_json::to_string(&metadata).unwrap().as_str(), "null" | "{}" | "{ }"),
                "{json}"
            );
        }
        assert_eq!(metadata("null").raw(), "null");
    }

    #[test]
    fn hostile_parts_do_not_spoil_the_rest() {
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        let object = format!(r#"{{"deep":{deep},"lone":"\ud800","\udfff":1,"skill":"dice"}}"#);
        let string = serde_json::to_string(&object).unwrap();
        for json in [object, string] {
            let metadata = metadata(&json);
            assert_eq!(metadata.get("skill"), Some("dice".into()));
            assert_eq!((metadata.get("deep"), metadata.get("lone")), (None, Some("\u{fffd}".into())));
            assert_eq!(metadata.to_value(), None);
            assert!(!metadata.is_empty());
        }
    }

    #[test]
    fn reads_what_bots_put_there() {
        let metadata = metadata(
            r#"{"trace":[{"step":"/notes","duration":12,"status":"ok","new":[1]},7,{"duration":"soon","status":null}],
            "duration":"1.5s","skill":"dice","style":{"senderColor":"theme-primary","content_color":[7]},
            "content_spans":[{"text":"a","color":"theme"},{"color":"x"},{"text":"b","color":null}],
            "run_id":"run-1","agent_log":"true","heartbeat":1,"webhook":{"slug":"dice","deep":[[]]}}"#,
        );
        let trace = metadata.trace();
        assert_eq!(trace.len(), 2, "what is no step is left out");
        assert_eq!(trace[0], TraceStep::new("/notes").duration(Duration::from_millis(12)).status("ok"));
        assert_eq!((trace[1].step.as_str(), trace[1].duration, &trace[1].status), ("", None, &None));
        assert_eq!(metadata.duration(), Some(Duration::from_millis(1500)));
        assert_eq!(metadata.style(), Some(Style::new().sender_color("theme-primary")));
        assert_eq!(metadata.content_spans(), [Span::colored("a", "theme"), Span::new("b")]);
        assert_eq!(metadata.run_id(), Some("run-1".into()));
        assert!(metadata.is_agent_log() && metadata.is_heartbeat() && metadata.is_from_hook());
    }

    #[test]
    fn reads_nonsense_as_nothing() {
        for value in ["null", "false", "0", "0.0", "\"\""] {
            let metadata = metadata(&format!(
                r#"{{"trace":{value},"duration":{value},"style":{value},"content_spans":{value},"run_id":{value},
                "webhook":{value},"heartbeat":{value},"agent_log":{value}}}"#
            ));
            assert_eq!((metadata.trace().len(), metadata.content_spans().len()), (0, 0));
            assert_eq!(metadata.style(), None);
            assert!(!metadata.is_from_hook() && !metadata.is_heartbeat() && !metadata.is_agent_log());
        }
        assert!(metadata("{}").trace().is_empty() && metadata("null").skill().is_none());
    }

    #[test]
    fn is_made_from_objects_only() {
        assert_eq!(Metadata::new(&serde_json::json!({"a": 1})).unwrap().raw(), r#"{"a":1}"#);
        assert_eq!(Metadata::new(&"text").unwrap_err().kind(), crate::ErrorKind::Invalid);
    }
}
