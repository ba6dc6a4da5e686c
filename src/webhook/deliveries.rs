//! Detects repeated webhook deliveries.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use hmac_sha256::Hash;

use crate::model::{Timestamp, WebhookDelivery};
use crate::sync::lock::Mutex;

const DEFAULT_WINDOW: Duration = Duration::from_secs(300);
const DEFAULT_CAPACITY: usize = 65_536;

/// Whether a delivery is new. Returned by [`Deliveries::check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arrival {
    /// The delivery is new: handle it.
    New,
    /// The same bytes arrived before: answer 200 and do nothing.
    Again,
    /// The delivery's `timestamp` is too far from the current time: refuse the delivery.
    Stale,
}

/// Detects repeated deliveries. Anybody who has seen a signed delivery can send the same bytes again with a valid
/// signature.
///
/// A delivery whose `timestamp` differs by more than the [window](Deliveries::window) from this machine's clock is
/// [`Stale`](Arrival::Stale). So only deliveries within the window are stored, at most 65,536 by default. Each stored
/// delivery is a hash and uses about 100 bytes of memory. If more deliveries arrive within the window, the oldest are
/// forgotten, and deliveries as old as the forgotten ones are `Stale`. So memory is bounded, and a repeated delivery is
/// never `New`. A delivery without a `timestamp` gets the time of its arrival.
///
/// All threads may use a `Deliveries` at once. A [`Receiver`](crate::webhook::Receiver) contains a `Deliveries`.
///
/// ```
/// use crustocean::webhook::{Arrival, Deliveries, WebhookDelivery, WebhookSecret};
///
/// fn delivered(seen: &Deliveries, body: &[u8], signature: &str, secret: &WebhookSecret) -> crustocean::Result<()> {
///     let delivery = WebhookDelivery::from_signed(body, signature, secret)?;
///     match seen.check(body, &delivery) {
///         Arrival::New => println!("{}", delivery.event),
///         _ => {} // it was handled before, or is a very old one
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Deliveries {
    window: Duration,
    capacity: usize,
    seen: Mutex<Seen>,
}

type Digest = [u8; 32];

#[derive(Debug)]
struct Known {
    time: SystemTime,
    /// The handler is still running and may fail.
    pending: bool,
}

/// An [`Arrival`], with one more case for a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    New,
    /// The same bytes arrived before, and the handler is still running.
    Pending,
    Again,
    Stale,
}

#[derive(Debug, Default)]
struct Seen {
    known: HashMap<Digest, Known>,
    /// The same deliveries, the oldest first.
    order: BTreeSet<(SystemTime, Digest)>,
    /// The time of the newest delivery that was forgotten early.
    floor: Option<SystemTime>,
}

impl Default for Deliveries {
    fn default() -> Self {
        Deliveries { window: DEFAULT_WINDOW, capacity: DEFAULT_CAPACITY, seen: Mutex::default() }
    }
}

impl Deliveries {
    /// Creates an empty store with the default window and capacity.
    pub fn new() -> Self {
        Deliveries::default()
    }

    /// How far a delivery's `timestamp` may be from the current time, in both directions. Defaults to 5 minutes.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How many deliveries are stored. Defaults to 65,536.
    #[must_use]
    pub fn capacity(mut self, count: usize) -> Self {
        self.capacity = count.max(1);
        self
    }

    /// Stores a delivery and returns whether it is new. `body` is the exact request body. Check the signature first.
    pub fn check(&self, body: &[u8], delivery: &WebhookDelivery) -> Arrival {
        let parts = [body];
        match self.begin(&parts, delivery.timestamp.as_ref(), SystemTime::now()) {
            Begun::New => {
                self.finish(&parts);
                Arrival::New
            }
            Begun::Pending | Begun::Again => Arrival::Again,
            Begun::Stale => Arrival::Stale,
        }
    }

    /// Forgets a delivery that could not be handled. If the platform sends the delivery again, it is new.
    pub fn forget(&self, body: &[u8]) {
        self.forget_parts(&[body]);
    }

    /// Stores a delivery that is being handled. Call [`finish`](Self::finish) or [`forget_parts`](Self::forget_parts)
    /// afterwards.
    pub(super) fn begin(&self, parts: &[&[u8]], sent: Option<&Timestamp>, now: SystemTime) -> Begun {
        let sent = sent.filter(|sent| !sent.as_str().is_empty());
        // A timestamp that cannot be read counts as too far away.
        let Some(time) = sent.map_or(Some(now), Timestamp::to_system_time) else { return Begun::Stale };
        let distance = now.duration_since(time).unwrap_or_else(|ahead| ahead.duration());
        let digest = digest(parts);
        let mut seen = self.seen.lock();
        // A delivery without a timestamp is stored with the time of its arrival.
        if let Some(known) = seen.known.get(&digest) {
            return if known.pending { Begun::Pending } else { Begun::Again };
        }
        if distance > self.window || seen.floor.is_some_and(|floor| time <= floor) {
            return Begun::Stale;
        }
        seen.drop_before(now, self.window);
        seen.known.insert(digest, Known { time, pending: true });
        seen.order.insert((time, digest));
        while seen.known.len() > self.capacity {
            seen.drop_oldest();
        }
        Begun::New
    }

    pub(super) fn finish(&self, parts: &[&[u8]]) {
        if let Some(known) = self.seen.lock().known.get_mut(&digest(parts)) {
            known.pending = false;
        }
    }

    pub(super) fn forget_parts(&self, parts: &[&[u8]]) {
        let digest = digest(parts);
        let mut seen = self.seen.lock();
        if let Some(known) = seen.known.remove(&digest) {
            seen.order.remove(&(known.time, digest));
        }
    }
}

impl Seen {
    /// Drops deliveries that are older than the window. `begin` refuses such deliveries because of their time.
    fn drop_before(&mut self, now: SystemTime, window: Duration) {
        while let Some((time, digest)) = self.order.first().copied() {
            if now.duration_since(time).is_ok_and(|age| age > window) {
                self.order.remove(&(time, digest));
                self.known.remove(&digest);
            } else {
                break;
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((time, digest)) = self.order.pop_first() {
            self.known.remove(&digest);
            self.floor = self.floor.max(Some(time));
        }
    }
}

/// Hashes each part with its length, so that two different lists of parts never have the same input.
fn digest(parts: &[&[u8]]) -> Digest {
    let mut hash = Hash::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Duration = Duration::from_secs(1_772_712_000);

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + NOON + Duration::from_secs(second)
    }

    /// 2026-03-05T12:00:00Z plus this many seconds.
    fn time(second: u64) -> Timestamp {
        Timestamp::from(format!("2026-03-05T12:{:02}:{:02}Z", second / 60, second % 60))
    }

    fn check(seen: &Deliveries, parts: &[&[u8]], sent: Option<&Timestamp>, now: u64) -> Begun {
        let begun = seen.begin(parts, sent, at(now));
        seen.finish(parts);
        begun
    }

    #[test]
    fn the_same_bytes_are_new_once() {
        assert_eq!(time(0).to_system_time(), Some(at(0)));
        let seen = Deliveries::new();
        let check = |body: &[u8], sent: u64, now: u64| check(&seen, &[body], Some(&time(sent)), now);
        assert_eq!(check(b"a", 0, 1), Begun::New);
        assert_eq!(check(b"a", 0, 2), Begun::Again);
        assert_eq!(check(b"b", 0, 2), Begun::New);
        assert_eq!(check(b"c", 0, 301), Begun::Stale);
        assert_eq!(check(b"d", 302, 1), Begun::Stale, "from the future");
        assert_eq!(check(b"e", 301, 1), Begun::New);
        seen.forget(b"b");
        assert_eq!(check(b"b", 0, 3), Begun::New);
        assert_eq!(check(b"x", 900, 900), Begun::New);
        // A delivery outside the window is forgotten, and refused because of its time.
        assert_eq!(seen.seen.lock().known.len(), 1);
        assert_eq!(check(b"a", 0, 900), Begun::Stale);
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_new_twice() {
        let seen = Deliveries::new().capacity(10);
        let check = |n: u64| check(&seen, &[&n.to_le_bytes()], Some(&time(n)), 30);
        for n in 0..30 {
            assert_eq!(check(n), Begun::New);
        }
        assert_eq!(seen.seen.lock().known.len(), 10);
        assert_eq!(seen.seen.lock().order.len(), 10);
        for n in 0..30 {
            assert_ne!(check(n), Begun::New, "{n}");
        }
    }

    #[test]
    fn without_a_time_the_moment_counts() {
        let seen = Deliveries::new();
        assert_eq!(check(&seen, &[b"a"], None, 0), Begun::New);
        assert_eq!(check(&seen, &[b"a"], None, 100), Begun::Again);
        assert_eq!(check(&seen, &[b"b"], Some(&"soon".into()), 0), Begun::Stale);
        assert_eq!(check(&seen, &[b"c"], Some(&"".into()), 0), Begun::New);
        // The boundary between two parts matters.
        assert_eq!(check(&seen, &[b"/x", b"y"], None, 0), Begun::New);
        assert_eq!(check(&seen, &[b"/xy", b""], None, 0), Begun::New);
    }
}
