//! The traffic log: requests with their status, and events in both directions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use crate::bounded::Bounded;
use crate::clock;

const KEPT: usize = 2_000;
const KEPT_BYTES: usize = 4 * 1024 * 1024;
/// The largest payload of an entry, in bytes. An entry shows only the beginning of a longer payload.
const MAX_PAYLOAD: usize = 32 * 1024;
/// The keys whose values the log masks.
const SECRET_KEYS: [&str; 8] =
    ["token", "agentToken", "agent_token", "password", "secret", "apiKey", "api_key", "authorization"];
/// The prefixes of tokens.
const TOKEN_PREFIXES: [&str; 3] = ["sk_", "cru_claim_", "cru_"];
/// A prefix followed by at least this many hexadecimal digits counts as a token.
const TOKEN_DIGITS: usize = 16;

/// A numbered entry, as JSON text.
pub(crate) type Entry = (u64, Arc<str>);

#[derive(Debug)]
struct Log {
    entries: Bounded<Entry>,
    last: u64,
}

#[derive(Debug)]
pub(crate) struct Wire {
    on: AtomicBool,
    log: Mutex<Log>,
    news: Notify,
}

impl Wire {
    pub(crate) fn new(on: bool) -> Self {
        let log = Log { entries: Bounded::new(KEPT, KEPT_BYTES), last: 0 };
        Wire { on: AtomicBool::new(on), log: Mutex::new(log), news: Notify::new() }
    }

    /// Whether the log is on: from the start with the option `log`, otherwise from its first use on.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    pub(crate) fn turn_on(&self) {
        self.on.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry of this kind, if the log is in use.
    pub(crate) fn note(&self, kind: &str, fields: impl FnOnce() -> Value) {
        if !self.is_on() {
            return;
        }
        let Value::Object(mut entry) = fields() else { return };
        if let Some(payload) = entry.get_mut("payload") {
            mask(payload);
            let text = payload.to_string();
            if text.len() > MAX_PAYLOAD {
                let beginning: String = text.chars().take(1_000).collect();
                *payload = json!({ "bytes": text.len(), "beginning": beginning });
            }
        }
        let mut all = Map::new();
        let mut log = self.lock();
        log.last += 1;
        all.insert("n".to_owned(), log.last.into());
        all.insert("at".to_owned(), clock::iso(clock::now_ms()).into());
        all.insert("kind".to_owned(), kind.into());
        all.extend(entry);
        let text: Arc<str> = Value::Object(all).to_string().into();
        let (number, size) = (log.last, text.len());
        log.entries.push((number, text), size);
        drop(log);
        self.news.notify_waiters();
    }

    /// The entries after a number.
    pub(crate) fn since(&self, number: u64) -> Vec<Entry> {
        self.lock().entries.iter().filter(|entry| entry.0 > number).cloned().collect()
    }

    pub(crate) fn last(&self) -> u64 {
        self.lock().last
    }

    /// Waits until there is an entry after `number`.
    pub(crate) async fn wait(&self, number: u64) {
        let news = self.news.notified();
        tokio::pin!(news);
        // Register before the check, so that this task misses no notification.
        news.as_mut().enable();
        if self.last() <= number {
            news.await;
        }
    }

    pub(crate) fn clear(&self) {
        self.lock().entries = Bounded::new(KEPT, KEPT_BYTES);
    }
}

/// Masks secrets in a payload.
pub(crate) fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if SECRET_KEYS.contains(&key.as_str()) && value.is_string() {
                    *value = "…".into();
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::String(text) => {
            if let Some(masked) = masked(text) {
                *text = masked;
            }
        }
        _ => {}
    }
}

/// The text with its tokens masked. `None` if it has none.
fn masked(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let found = TOKEN_PREFIXES.iter().filter_map(|prefix| Some((rest.find(prefix)?, prefix.len())));
        // Take the first prefix, and the longer one if two begin at the same place.
        let Some((place, length)) = found.min_by_key(|(place, length)| (*place, usize::MAX - length)) else {
            break;
        };
        let (head, tail) = rest.split_at_checked(place + length)?;
        let digits = tail.bytes().take_while(u8::is_ascii_hexdigit).count();
        out.push_str(head);
        rest = tail;
        if digits >= TOKEN_DIGITS {
            out.push('…');
            rest = tail.get(digits..)?;
        }
    }
    out.push_str(rest);
    (out != text).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let token = "0123456789abcdef0123456789abcdef";
        let mut payload = json!({
            "token": token,
            "content": format!("use sk_{token}, cru_{token} and cru_claim_{token}; not sk_1 or crush"),
            "deep": [{ "password": "hush" }],
        });
        mask(&mut payload);
        let text = payload.to_string();
        assert!(!text.contains(token) && !text.contains("hush"), "{text}");
        assert!(text.contains("use sk_…, cru_… and cru_claim_…; not sk_1 or crush"), "{text}");
    }
}
