//! The counter that stops two agents from answering each other forever.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::serde_helpers::{self, ReadError};
use crate::json;

/// The state of a chain of replies between agents, in `metadata.loop_guard`.
///
/// The first reply is hop 1, and each reply to a reply adds 1. At [`limit`](LoopGuard::limit) hops the agents stop. The
/// agents update the state; the server only transmits it.
///
/// The rules are the same as in the JavaScript SDK (`shouldRespondWithGuard`).
///
/// ```
/// use crustocean::model::LoopGuard;
///
/// let guard = LoopGuard::first();
/// assert_eq!(guard.next().hop, 2);
/// assert!(!guard.is_exhausted());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoopGuard {
    /// The id of the chain. Empty if the sender set none.
    pub interaction_id: String,
    /// The number of replies in the chain so far.
    pub hop: u32,
    /// The most replies in the chain. If the sender set no limit, this is `None`, and [`LoopGuard::DEFAULT_MAX_HOPS`]
    /// applies.
    pub max_hops: Option<u32>,
    /// `active` while agents may reply.
    pub status: String,
}

impl LoopGuard {
    /// The limit of a chain that sets no limit.
    pub const DEFAULT_MAX_HOPS: u32 = 20;

    /// The guard of a first reply: a new chain with hop 1.
    ///
    /// ```
    /// use crustocean::model::LoopGuard;
    ///
    /// assert_eq!(LoopGuard::first().hop, 1);
    /// ```
    pub fn first() -> Self {
        LoopGuard {
            interaction_id: new_interaction_id(),
            hop: 1,
            max_hops: Some(Self::DEFAULT_MAX_HOPS),
            status: ACTIVE.to_owned(),
        }
    }

    /// The guard of a reply to the message with this guard: the same chain, one hop further.
    ///
    /// ```
    /// use crustocean::model::LoopGuard;
    ///
    /// assert_eq!(LoopGuard::first().next().hop, 2);
    /// ```
    pub fn next(&self) -> Self {
        LoopGuard {
            interaction_id: match self.interaction_id.as_str() {
                "" => new_interaction_id(),
                id => id.to_owned(),
            },
            hop: self.hop.saturating_add(1),
            max_hops: Some(self.limit()),
            status: ACTIVE.to_owned(),
        }
    }

    /// The most hops that the chain may have.
    ///
    /// ```
    /// use crustocean::model::LoopGuard;
    ///
    /// assert_eq!(LoopGuard::first().limit(), LoopGuard::DEFAULT_MAX_HOPS);
    /// ```
    pub fn limit(&self) -> u32 {
        self.max_hops.unwrap_or(Self::DEFAULT_MAX_HOPS)
    }

    /// Whether the chain has reached its limit.
    ///
    /// ```
    /// use crustocean::model::LoopGuard;
    ///
    /// assert!(!LoopGuard::first().is_exhausted());
    /// ```
    pub fn is_exhausted(&self) -> bool {
        self.hop >= self.limit()
    }

    /// Whether the agents may continue the chain: its status is `active`.
    ///
    /// ```
    /// use crustocean::model::LoopGuard;
    ///
    /// assert!(LoopGuard::first().is_active());
    /// ```
    pub fn is_active(&self) -> bool {
        self.status == ACTIVE
    }

    /// Reads a guard as tolerantly as the JavaScript SDK: an invalid hop counts as 0, an invalid limit as absent.
    pub(crate) fn read(guard: &RawValue) -> Option<Self> {
        let [id, hop, max_hops, status] =
            json::pick(guard.get(), ["interaction_id", "hop", "max_hops", "status"]).ok()?;
        Some(LoopGuard {
            interaction_id: json::text(id).unwrap_or_default(),
            status: json::text(status).filter(|text| !text.is_empty()).unwrap_or_else(|| ACTIVE.to_owned()),
            hop: whole(hop).unwrap_or(0),
            max_hops: whole(max_hops).filter(|hops| *hops > 0),
        })
    }
}

const ACTIVE: &str = "active";

impl Serialize for LoopGuard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("interaction_id", &self.interaction_id)?;
        map.serialize_entry("hop", &self.hop)?;
        map.serialize_entry("max_hops", &self.limit())?;
        map.serialize_entry("status", &self.status)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for LoopGuard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_helpers::text_of(deserializer, |json| {
            let json: &RawValue = serde_json::from_str(json)?;
            LoopGuard::read(json).ok_or_else(|| ReadError::new("expected an object"))
        })
    }
}

/// Reads a number that is not negative, rounded down. The number may be in a string.
fn whole(value: Option<&RawValue>) -> Option<u32> {
    let text = json::text(value);
    let number = json::number(text.as_deref().unwrap_or(value?.get()))?;
    // The cast saturates, so the code refuses only negative numbers.
    (number >= 0.0).then_some(number as u32)
}

/// Returns `lg_<milliseconds in base 36>_<6 base-36 characters>`.
fn new_interaction_id() -> String {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Without a random source, the id contains only the time. The time is enough, because the id groups messages and
    // protects nothing.
    let random = getrandom::u32().unwrap_or(millis.subsec_nanos());
    format!("lg_{}_{}", base36(millis.as_millis() as u64, 1), base36(u64::from(random) % 36u64.pow(6), 6))
}

fn base36(mut number: u64, width: usize) -> String {
    let mut digits = Vec::new();
    while number > 0 || digits.len() < width {
        digits.push(char::from_digit((number % 36) as u32, 36).unwrap_or('0'));
        number /= 36;
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::super::Metadata;
    use super::*;

    fn guard(json: &str) -> Option<LoopGuard> {
        serde_json::from_str::<Metadata>(&format!(r#"{{"loop_guard":{json}}}"#)).unwrap().loop_guard()
    }

    #[test]
    fn reads_what_agents_send() {
        let guard = guard(r#"{"interaction_id":"lg_1_abc","hop":3,"max_hops":8,"status":"closed"}"#).unwrap();
        assert_eq!((guard.interaction_id.as_str(), guard.hop, guard.max_hops), ("lg_1_abc", 3, Some(8)));
        assert!(!guard.is_active() && !guard.is_exhausted());
    }

    #[test]
    fn reads_bad_numbers_leniently() {
        for (hop, expected) in [
            ("2", 2),
            ("\"4\"", 4),
            ("2.9", 2),
            ("-1", 0),
            ("null", 0),
            ("\"x\"", 0),
            ("[]", 0),
            ("1e300", u32::MAX),
            ("1e999", u32::MAX),
            ("\"12x\"", 0),
        ] {
            assert_eq!(guard(&format!(r#"{{"hop":{hop}}}"#)).unwrap().hop, expected, "{hop}");
        }
        for max in ["-5", "0", "null", "\"x\"", "{}"] {
            let guard = guard(&format!(r#"{{"hop":20,"max_hops":{max}}}"#)).unwrap();
            assert_eq!((guard.max_hops, guard.limit(), guard.is_exhausted()), (None, 20, true), "{max}");
        }
        for json in ["null", "true", "[]", "\"active\""] {
            assert_eq!(guard(json), None);
        }
        let deep = format!(r#"{{"hop":{}{}}}"#, "[".repeat(300), "]".repeat(300));
        assert_eq!(guard(&deep).unwrap().hop, 0);
    }

    #[test]
    fn goes_on_hop_by_hop() {
        let first = LoopGuard::first();
        let second = first.next();
        assert_eq!((first.hop, second.hop, second.limit()), (1, 2, 20));
        assert_eq!(first.interaction_id, second.interaction_id);
        let inherited = guard(r#"{"hop":2,"max_hops":3}"#).unwrap().next();
        assert_eq!((inherited.hop, inherited.max_hops, inherited.is_exhausted()), (3, Some(3), true));
        assert!(inherited.interaction_id.starts_with("lg_"));
        let sent = serde_json::to_value(&second).unwrap();
        assert_eq!(
            (&sent["hop"], &sent["max_hops"], &sent["status"]),
            (&2.into(), &20.into(), &"active".into())
        );
    }

    #[test]
    fn interaction_ids_have_the_usual_form() {
        let id = new_interaction_id();
        let parts: Vec<&str> = id.split('_').collect();
        assert!(matches!(parts[..], ["lg", time, random] if time.len() == 8 && random.len() == 6), "{id}");
        assert_ne!(id, new_interaction_id());
        assert_eq!(base36(35, 1), "z");
        assert_eq!(base36(36, 6), "000010");
    }
}
