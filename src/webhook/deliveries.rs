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
/// [`Stale`](Arrival::Stale). So a `Deliveries` needs to remember only the deliveries within the window. It remembers
/// at most 65,536 by default, each as a hash that uses about 100 bytes of memory. If more deliveries arrive within the
/// window, it forgets the oldest, and deliveries as old as a forgotten delivery are `Stale`. So memory is bounded, and
/// a repeated delivery is never `New`, even if somebody sets this machine's clock back.
///
/// A delivery without a `timestamp` is never `Stale`. The `Deliveries` remembers it beyond the window, until it is the
/// oldest of too many deliveries. A repeat after that is `New`.
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
    /// Whether `time` is the delivery's own timestamp, and not the time of its arrival.
    is_dated: bool,
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
    /// The handled deliveries with a timestamp, oldest first. A pending delivery is neither here nor in `undated`, so
    /// it stays until its handler returns.
    dated: BTreeSet<(SystemTime, Digest)>,
    /// The handled deliveries without a timestamp, in the order of their arrival.
    undated: BTreeSet<(SystemTime, Digest)>,
    /// The deliveries with a timestamp whose handler failed: they are new again, even if `floor` is later.
    failed: BTreeSet<(SystemTime, Digest)>,
    /// The newest timestamp of a forgotten delivery.
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

    /// How many deliveries to remember. Defaults to 65,536.
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

    /// Stores a delivery whose handler is about to run. Call [`finish`](Self::finish) or
    /// [`forget_parts`](Self::forget_parts) afterwards.
    pub(super) fn begin(&self, parts: &[&[u8]], sent: Option<&Timestamp>, now: SystemTime) -> Begun {
        let sent = sent.filter(|sent| !sent.as_str().is_empty());
        let is_dated = sent.is_some();
        // A timestamp that cannot be read counts as too far away.
        let Some(time) = sent.map_or(Some(now), Timestamp::to_system_time) else { return Begun::Stale };
        let distance = now.duration_since(time).unwrap_or_else(|ahead| ahead.duration());
        let digest = digest(parts);
        let mut seen = self.seen.lock();
        if let Some(known) = seen.known.get(&digest) {
            return if known.pending { Begun::Pending } else { Begun::Again };
        }
        let is_forgotten = is_dated
            && seen.floor.is_some_and(|floor| time <= floor)
            && !seen.failed.contains(&(time, digest));
        if distance > self.window || is_forgotten {
            return Begun::Stale;
        }
        seen.drop_before(now, self.window);
        seen.failed.remove(&(time, digest));
        seen.known.insert(digest, Known { time, is_dated, pending: true });
        Begun::New
    }

    pub(super) fn finish(&self, parts: &[&[u8]]) {
        let digest = digest(parts);
        let mut seen = self.seen.lock();
        let Some(known) = seen.known.get_mut(&digest) else { return };
        known.pending = false;
        let (time, is_dated) = (known.time, known.is_dated);
        let order = if is_dated { &mut seen.dated } else { &mut seen.undated };
        order.insert((time, digest));
        while seen.dated.len() + seen.undated.len() > self.capacity {
            seen.drop_oldest();
        }
    }

    pub(super) fn forget_parts(&self, parts: &[&[u8]]) {
        let digest = digest(parts);
        let mut seen = self.seen.lock();
        let Some(Known { time, is_dated, .. }) = seen.known.remove(&digest) else { return };
        let entry = (time, digest);
        seen.dated.remove(&entry);
        seen.undated.remove(&entry);
        // A delivery without a timestamp needs no entry, because `floor` does not apply to it.
        if is_dated {
            seen.failed.insert(entry);
        }
        if seen.failed.len() > self.capacity {
            seen.failed.pop_first();
        }
    }
}

impl Seen {
    /// Drops deliveries whose time is before the window.
    fn drop_before(&mut self, now: SystemTime, window: Duration) {
        let is_old =
            |(time, _): &(SystemTime, Digest)| now.duration_since(*time).is_ok_and(|age| age > window);
        while self.dated.first().is_some_and(is_old) {
            self.drop_dated();
        }
        while self.failed.first().is_some_and(is_old) {
            self.failed.pop_first();
        }
    }

    fn drop_oldest(&mut self) {
        let is_undated = match (self.undated.first(), self.dated.first()) {
            (Some((undated, _)), Some((dated, _))) => undated <= dated,
            (undated, _) => undated.is_some(),
        };
        if !is_undated {
            self.drop_dated();
        } else if let Some((_, digest)) = self.undated.pop_first() {
            self.known.remove(&digest);
        }
    }

    /// Drops the oldest delivery with a timestamp. If somebody sets the clock back, the timestamp is within the window
    /// again, so `begin` refuses it from now on.
    fn drop_dated(&mut self) {
        if let Some((time, digest)) = self.dated.pop_first() {
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
        assert_eq!(seen.seen.lock().dated.len(), 10);
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

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_new() {
        let seen = Deliveries::new();
        let check = |body: &[u8], sent: u64, now: u64| check(&seen, &[body], Some(&time(sent)), now);
        assert_eq!(check(b"a", 0, 1), Begun::New);
        // The clock goes ahead, and is set right again.
        assert_eq!(check(b"b", 900, 900), Begun::New);
        assert_eq!(check(b"a", 0, 2), Begun::Stale);
        assert_eq!(check(b"c", 2, 2), Begun::New);
    }

    #[test]
    fn without_a_time_a_delivery_is_known_until_the_capacity_is_used() {
        let seen = Deliveries::new().capacity(2);
        assert_eq!(check(&seen, &[b"a"], None, 0), Begun::New);
        assert_eq!(check(&seen, &[b"b"], Some(&time(400)), 400), Begun::New);
        assert_eq!(check(&seen, &[b"a"], None, 401), Begun::Again);
        // Only the oldest is forgotten, and a delivery that arrives with a wrong clock is not refused.
        assert_eq!(check(&seen, &[b"c"], None, 402), Begun::New);
        assert_eq!(check(&seen, &[b"b"], Some(&time(400)), 402), Begun::Again);
        assert_eq!(check(&seen, &[b"d"], None, 0), Begun::New);
        assert_eq!(seen.seen.lock().known.len(), 2);
    }

    #[test]
    fn failed_deliveries_are_new_again_and_bounded() {
        let seen = Deliveries::new().capacity(2);
        let begin = |n: u64| seen.begin(&[&n.to_le_bytes()], Some(&time(n)), at(30));
        for n in 0..30 {
            assert_eq!(begin(n), Begun::New);
        }
        for n in 0..30 {
            assert_eq!(begin(n), Begun::Pending);
        }
        (10..30).for_each(|n| seen.finish(&[&u64::to_le_bytes(n)]));
        (0..10).for_each(|n| seen.forget_parts(&[&u64::to_le_bytes(n)]));
        let again: Vec<u64> = (0..30).filter(|n| begin(*n) == Begun::New).collect();
        assert_eq!(again, [8, 9], "as many as the capacity");
    }
}
