//! Whether the server is still alive: what counts as a sign of life, and when the connection is dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::socket::disconnect::{Disconnect, reason};
use crate::socket::transport::traffic::Traffic;

/// The time limit for one message.
pub(crate) const MAX_MESSAGE_TIME: Duration = Duration::from_secs(60);
/// An incomplete message counts as a sign of life if this many bytes arrive in each window.
const PROGRESS: usize = 1024;
const WINDOW: Duration = Duration::from_secs(10);

/// Why a connection is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dead {
    /// Nothing complete arrived for too long.
    Silent,
    /// One message took too long.
    TooSlow,
}

impl From<Dead> for Disconnect {
    fn from(dead: Dead) -> Self {
        match dead {
            Dead::Silent => {
                Disconnect::new(reason::PING_TIMEOUT, "the server sent no complete message in time")
            }
            Dead::TooSlow => Disconnect::new(reason::TRANSPORT_ERROR, "a message took longer than a minute"),
        }
    }
}

/// Complete messages and control frames are signs of life. Bytes of an incomplete message count only at a minimum
/// rate and for a limited time, so that single bytes cannot keep a dead connection alive.
#[derive(Debug)]
pub(crate) struct Liveness {
    silence: Duration,
    last_whole: Instant,
    partial: Option<Transfer>,
}

#[derive(Debug)]
struct Transfer {
    since: Instant,
    window: Instant,
    bytes: usize,
    bytes_before: usize,
}

impl Liveness {
    pub(crate) fn new(silence: Duration, now: Instant) -> Self {
        Liveness { silence, last_whole: now, partial: None }
    }

    /// Notes the data of a read. `partial`: a message is incomplete.
    pub(crate) fn received(&mut self, seen: Traffic, partial: bool, now: Instant) {
        if seen.messages > 0 || seen.controls > 0 {
            self.last_whole = now;
        }
        if !partial {
            self.partial = None;
            return;
        }
        match &mut self.partial {
            // A control frame may come in the middle of a message.
            Some(partial) if seen.messages == 0 => {
                partial.roll(now);
                partial.bytes += seen.bytes;
            }
            slot => *slot = Some(Transfer { since: now, window: now, bytes: seen.bytes, bytes_before: 0 }),
        }
    }

    /// When to check again if nothing arrives before that.
    ///
    /// # Errors
    /// If the connection is dead.
    pub(crate) fn check(&mut self, now: Instant) -> Result<Instant, Dead> {
        let silent = self.last_whole + self.silence;
        let Some(partial) = &mut self.partial else {
            return if now < silent { Ok(silent) } else { Err(Dead::Silent) };
        };
        partial.roll(now);
        let end = partial.since + MAX_MESSAGE_TIME;
        if now >= end {
            Err(Dead::TooSlow)
        } else if now < silent {
            Ok(silent.min(end))
        } else if partial.bytes.max(partial.bytes_before) >= PROGRESS {
            Ok((partial.window + WINDOW).min(end))
        } else {
            Err(Dead::Silent)
        }
    }
}

impl Transfer {
    /// Starts a new window after the end of the last one.
    fn roll(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.window);
        if age >= WINDOW {
            self.bytes_before = if age < 2 * WINDOW { self.bytes } else { 0 };
            self.bytes = 0;
            self.window = now;
        }
    }
}

/// More control frames per second than this, for this many seconds in a row, are an attack or a bug.
const MAX_CONTROLS: u32 = 1000;
const FLOOD: u32 = 5;

/// Counts frames without content.
#[derive(Debug)]
pub(crate) struct FloodDetector {
    second: Instant,
    count: u32,
    seconds: u32,
}

impl FloodDetector {
    pub(crate) fn new(now: Instant) -> Self {
        FloodDetector { second: now, count: 0, seconds: 0 }
    }

    /// Adds frames. Returns `true` if a flood has lasted too long.
    pub(crate) fn add(&mut self, count: u32, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.second);
        if age >= Duration::from_secs(1) {
            let flooded = self.count > MAX_CONTROLS && age < Duration::from_secs(2);
            self.seconds = if flooded { self.seconds + 1 } else { 0 };
            self.second = now;
            self.count = 0;
        }
        self.count = self.count.saturating_add(count);
        self.seconds >= FLOOD
    }
}

/// A larger difference between the clocks means that the machine was suspended.
const SUSPENDED: Duration = Duration::from_secs(10);

/// Detects that the machine was suspended: the monotonic clock stops, the wall clock does not.
#[derive(Debug)]
pub(crate) struct SleepDetector {
    monotonic: Instant,
    wall: SystemTime,
    /// Milliseconds to add to the wall clock, for tests.
    skew: Arc<AtomicU64>,
}

impl SleepDetector {
    pub(crate) fn new(skew: Arc<AtomicU64>) -> Self {
        let mut clock = SleepDetector { monotonic: Instant::now(), wall: SystemTime::UNIX_EPOCH, skew };
        clock.wall = clock.wall();
        clock
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now() + Duration::from_millis(self.skew.load(Ordering::Relaxed))
    }

    /// Whether the machine slept since the last call. A wall clock that was set forward looks the same.
    pub(crate) fn slept(&mut self) -> bool {
        let (monotonic, wall) = (Instant::now(), self.wall());
        let awake = monotonic.saturating_duration_since(self.monotonic);
        // A wall clock that was set back gives no information.
        let passed = wall.duration_since(self.wall).unwrap_or_default();
        self.monotonic = monotonic;
        self.wall = wall;
        passed.saturating_sub(awake) > SUSPENDED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const WHOLE: Traffic = Traffic { bytes: 2, messages: 1, controls: 0 };

    fn some(bytes: usize) -> Traffic {
        Traffic { bytes, messages: 0, controls: 0 }
    }

    #[test]
    fn only_what_is_whole_is_a_sign_of_life() {
        let start = Instant::now();
        let mut liveness = Liveness::new(45 * SECOND, start);
        assert_eq!(liveness.check(start), Ok(start + 45 * SECOND));
        liveness.received(WHOLE, false, start + 10 * SECOND);
        assert_eq!(liveness.check(start + 54 * SECOND), Ok(start + 55 * SECOND));
        // Control frames count, too.
        liveness.received(Traffic { controls: 1, ..Traffic::default() }, false, start + 54 * SECOND);
        assert_eq!(liveness.check(start + 98 * SECOND), Ok(start + 99 * SECOND));
        assert_eq!(liveness.check(start + 99 * SECOND), Err(Dead::Silent));
    }

    #[test]
    fn b02_a_drip_does_not_keep_a_link_alive() {
        let start = Instant::now();
        let mut liveness = Liveness::new(45 * SECOND, start);
        for second in 1..45 {
            liveness.received(some(50), true, start + second * SECOND);
            assert!(liveness.check(start + second * SECOND).is_ok(), "{second}");
        }
        assert_eq!(liveness.check(start + 45 * SECOND), Err(Dead::Silent));
    }

    #[test]
    fn b02_a_slow_message_gets_a_minute() {
        let start = Instant::now();
        let mut liveness = Liveness::new(20 * SECOND, start);
        for second in 0..60 {
            liveness.received(some(150), true, start + second * SECOND);
            let due = liveness.check(start + second * SECOND).unwrap();
            assert!(due > start + second * SECOND && due <= start + 60 * SECOND, "{second}");
        }
        assert_eq!(liveness.check(start + 60 * SECOND), Err(Dead::TooSlow));
        // Control frames in between do not extend the limit.
        let mut liveness = Liveness::new(20 * SECOND, start);
        for second in 0..60 {
            liveness.received(Traffic { bytes: 2, messages: 0, controls: 1 }, true, start + second * SECOND);
            assert!(liveness.check(start + second * SECOND).is_ok(), "{second}");
        }
        assert_eq!(liveness.check(start + 60 * SECOND), Err(Dead::TooSlow));
    }

    #[test]
    fn a_transfer_that_stalls_is_noticed() {
        let start = Instant::now();
        let mut liveness = Liveness::new(2 * SECOND, start);
        liveness.received(some(4000), true, start + SECOND);
        let due = liveness.check(start + 3 * SECOND).unwrap();
        assert_eq!(due, start + 11 * SECOND);
        // The previous window had enough bytes, the current window is empty.
        let due = liveness.check(due).unwrap();
        assert_eq!(due, start + 21 * SECOND);
        assert_eq!(liveness.check(due), Err(Dead::Silent));
        // A complete message resets all limits.
        let mut liveness = Liveness::new(2 * SECOND, start);
        liveness.received(some(4000), true, start + SECOND);
        liveness.received(WHOLE, true, start + 30 * SECOND);
        assert_eq!(liveness.check(start + 30 * SECOND), Ok(start + 32 * SECOND));
    }

    #[test]
    fn a_flood_has_to_last() {
        let start = Instant::now();
        let mut flood = FloodDetector::new(start);
        let run = |flood: &mut FloodDetector, from: u32, count: u32, tenths: std::ops::Range<u32>| {
            // Counts all of them, even after the limit.
            tenths.filter(|tenth| flood.add(count, start + from * SECOND + *tenth * SECOND / 10)).count() > 0
        };
        assert!(!run(&mut flood, 0, 5000, 0..45), "not yet five seconds");
        assert!(!run(&mut flood, 10, 5000, 0..1), "a pause forgives");
        assert!(!run(&mut flood, 11, 90, 0..200), "900 a second are many, but no flood");
        assert!(run(&mut flood, 60, 150, 0..70));
    }

    #[test]
    fn b_suspension_shows_between_the_clocks() {
        let skew = Arc::new(AtomicU64::new(1_000_000));
        let mut clock = SleepDetector::new(Arc::clone(&skew));
        assert!(!clock.slept());
        skew.fetch_add(9_000, Ordering::Relaxed);
        assert!(!clock.slept(), "a short nap");
        skew.fetch_add(11_000, Ordering::Relaxed);
        assert!(clock.slept());
        assert!(!clock.slept(), "reported once");
        skew.fetch_sub(900_000, Ordering::Relaxed);
        assert!(!clock.slept(), "a clock that was set back");
    }
}
