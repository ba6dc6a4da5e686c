//! Which requests the client retries, how often and when. It never retries a request that may have had an effect.
//!
//! - It retries a GET when the connection broke or the response was 502, 503 or 504: twice by default, after growing
//!   pauses.
//! - It retries any request with the response 429 once, if the server asks for a short wait. The server has not carried
//!   out such a request.
//! - It retries any request at once on another connection if it has sent not a single byte, because the pooled
//!   connection was dead.

use std::time::Duration;

use super::failure::{Failure, FailureReason};
use super::request::Method;

/// The pause before the first retry. Each further pause is three times as long, up to `MAX_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// The client shortens or extends pauses randomly by up to this much, so that clients do not retry at the same moment.
const JITTER_PERCENT: u32 = 25;
/// The most dead connections from the pool in a row.
const MAX_STALE: usize = super::pool::MAX_CONNECTIONS;

/// The caller's settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryPolicy {
    pub(super) retries: u32,
    /// The longest `Retry-After` that the client waits for. The caller handles a longer wait.
    pub(super) max_wait: Duration,
}

#[derive(Debug)]
pub(super) struct Tries {
    policy: RetryPolicy,
    repeated: u32,
    waited: bool,
    stale: usize,
}

impl Tries {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Tries { policy, repeated: 0, waited: false, stale: 0 }
    }

    /// How many attempts failed, if the last failure is final. Dead pooled connections do not count.
    pub(super) fn count(&self) -> u32 {
        1 + self.repeated + u32::from(self.waited)
    }

    /// Returns the pause before the next attempt, or `None` if the failure is final.
    pub(super) fn pause_before_next(
        &mut self,
        method: Method,
        failure: &Failure,
        left: Duration,
    ) -> Option<Duration> {
        let asked = failure.error.retry_after();
        let pause = match failure.why {
            FailureReason::NothingSent if self.stale < MAX_STALE => {
                self.stale += 1;
                return Some(Duration::ZERO);
            }
            FailureReason::Status(429) if !self.waited && !self.policy.max_wait.is_zero() => asked?,
            _ if method != Method::Get => return None,
            FailureReason::Broken | FailureReason::Status(502..=504) => {
                if self.repeated >= self.policy.retries {
                    return None;
                }
                jittered(pause(self.repeated)).max(asked.unwrap_or_default())
            }
            _ => return None,
        };
        if asked.is_some_and(|wait| wait > self.policy.max_wait) || pause >= left {
            return None;
        }
        match failure.why {
            FailureReason::Status(429) => self.waited = true,
            _ => self.repeated += 1,
        }
        Some(pause)
    }
}

fn pause(repeated: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(3_u32.saturating_pow(repeated)).min(MAX_PAUSE)
}

fn jittered(pause: Duration) -> Duration {
    // Without a random source, the pause has no jitter.
    let random = getrandom::u32().map_or(JITTER_PERCENT, |random| random % (2 * JITTER_PERCENT + 1));
    pause * (100 - JITTER_PERCENT + random) / 100
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    fn failure(why: FailureReason, wait: Option<u64>) -> Failure {
        let error = Error::new(ErrorKind::Server, "").with_retry_after(wait.map(Duration::from_secs));
        Failure { error, why }
    }

    const LEFT: Duration = Duration::from_secs(30);
    const USUAL: RetryPolicy = RetryPolicy { retries: 2, max_wait: Duration::from_secs(5) };
    const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(600)];

    #[test]
    fn a_get_is_repeated_twice() {
        for why in [
            FailureReason::Broken,
            FailureReason::Status(502),
            FailureReason::Status(503),
            FailureReason::Status(504),
        ] {
            let mut tries = Tries::new(USUAL);
            for expected in PAUSES {
                let pause = tries.pause_before_next(Method::Get, &failure(why, None), LEFT).unwrap();
                assert!(pause >= expected.mul_f64(0.74) && pause <= expected.mul_f64(1.26), "{pause:?}");
            }
            assert_eq!(tries.pause_before_next(Method::Get, &failure(why, None), LEFT), None);
        }
    }

    #[test]
    fn what_changes_something_is_repeated_only_if_nothing_was_sent() {
        for method in [Method::Post, Method::Patch, Method::Delete] {
            for why in [
                FailureReason::Broken,
                FailureReason::Status(500),
                FailureReason::Status(503),
                FailureReason::Final,
            ] {
                assert_eq!(Tries::new(USUAL).pause_before_next(method, &failure(why, Some(1)), LEFT), None);
            }
            let mut tries = Tries::new(USUAL);
            let stale = failure(FailureReason::NothingSent, None);
            for _ in 0..MAX_STALE {
                assert_eq!(tries.pause_before_next(method, &stale, LEFT), Some(Duration::ZERO));
            }
            assert_eq!(tries.pause_before_next(method, &stale, LEFT), None);
        }
    }

    #[test]
    fn a_short_wait_is_waited_once() {
        let short = failure(FailureReason::Status(429), Some(3));
        for method in [Method::Get, Method::Post, Method::Patch, Method::Delete] {
            let mut tries = Tries::new(USUAL);
            assert_eq!(tries.pause_before_next(method, &short, LEFT), Some(Duration::from_secs(3)));
            assert_eq!(tries.pause_before_next(method, &short, LEFT), None);
        }
        for wait in [None, Some(6)] {
            let failure = failure(FailureReason::Status(429), wait);
            assert_eq!(Tries::new(USUAL).pause_before_next(Method::Get, &failure, LEFT), None);
        }
        let too_late = Tries::new(USUAL).pause_before_next(Method::Get, &short, Duration::from_secs(2));
        assert_eq!(too_late, None);
    }

    #[test]
    fn the_caller_decides_how_often_and_how_long() {
        let off = RetryPolicy { retries: 0, max_wait: Duration::ZERO };
        for why in [FailureReason::Broken, FailureReason::Status(503), FailureReason::Status(429)] {
            for wait in [None, Some(0), Some(1)] {
                assert_eq!(Tries::new(off).pause_before_next(Method::Get, &failure(why, wait), LEFT), None);
            }
        }
        let stale = failure(FailureReason::NothingSent, None);
        assert!(Tries::new(off).pause_before_next(Method::Post, &stale, LEFT).is_some(), "nothing to lose");

        let often = RetryPolicy { retries: 40, max_wait: Duration::from_secs(20) };
        let mut tries = Tries::new(often);
        for _ in 0..40 {
            let pause =
                tries.pause_before_next(Method::Get, &failure(FailureReason::Broken, None), LEFT).unwrap();
            assert!(pause <= MAX_PAUSE.mul_f64(1.26), "{pause:?}");
        }
        assert_eq!(tries.pause_before_next(Method::Get, &failure(FailureReason::Broken, None), LEFT), None);
        assert_eq!(tries.count(), 41);
        let long = failure(FailureReason::Status(429), Some(20));
        let pause = Tries::new(often).pause_before_next(Method::Get, &long, LEFT);
        assert_eq!(pause, Some(Duration::from_secs(20)));
    }
}
