//! Computes deadlines from time limits of any length.
//!
//! `Instant + Duration` panics if the sum is out of the clock's range. A program may set `Duration::MAX`, which means
//! "no limit". So only this module adds limits to instants.

use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

pub(crate) use crate::sync::now;

/// 30 years: longer than any process runs, and within the range of every system's clock.
const MAX_LIMIT: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The moment `limit` from now. A limit of more than 30 years counts as 30 years.
pub(crate) fn after(limit: Duration) -> Instant {
    later(now(), limit)
}

/// The time since `start`.
pub(crate) fn since(start: Instant) -> Duration {
    now().saturating_duration_since(start)
}

/// The moment `limit` after `start`. A limit of more than 30 years counts as 30 years.
pub(crate) fn later(start: Instant, limit: Duration) -> Instant {
    start.checked_add(limit.min(MAX_LIMIT)).unwrap_or(start)
}

/// The earliest of the times that are set.
pub(crate) fn earliest(times: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    times.into_iter().flatten().min()
}

/// Takes a lock that other threads usually hold for microseconds. Returns `None` if another thread still holds the lock
/// at `deadline`.
pub(crate) fn lock<T>(mutex: &Mutex<T>, deadline: Instant) -> Option<MutexGuard<'_, T>> {
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn no_limit_is_too_long() {
        let now = Instant::now();
        for limit in [Duration::MAX, Duration::from_secs(u64::MAX), MAX_LIMIT + Duration::from_secs(1)] {
            assert_eq!(later(now, limit), now + MAX_LIMIT, "{limit:?}");
            assert_eq!(later(later(now, limit), limit), now + MAX_LIMIT + MAX_LIMIT, "{limit:?}");
        }
        assert_eq!(later(now, Duration::ZERO), now);
        assert!(after(Duration::MAX) > now);
    }

    #[test]
    fn no_other_file_adds_a_limit_to_the_present() {
        let mut files = 0;
        check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        assert!(files > 100);
    }

    /// Test code may add limits directly, because each test knows the length of its limits.
    fn check(directory: &Path, files: &mut usize) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if path.is_dir() {
                check(&path, files);
            } else if name.ends_with(".rs") && !matches!(&*name, "deadline.rs" | "tests.rs" | "testing.rs") {
                *files += 1;
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                for sum in ["Instant::now() +", "deadline::now() +", "now().checked_add"] {
                    assert!(!code.contains(sum), "{}: use crate::deadline", path.display());
                }
            }
        }
    }
}
