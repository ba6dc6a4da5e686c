//! What is repeated, how often and how soon. Nothing that may have been carried out is ever repeated.
//!
//! - A GET, when the connection broke or the answer was 502, 503 or 504: twice, after short pauses.
//! - A GET answered with 429: once, if the server asks for a short wait.
//! - Any request of which not a byte had left because the pooled connection was dead: at once, on another one.

use std::time::Duration;

use super::Method;
use super::failure::{Failure, Why};

/// Before the first repetition, before the second.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(600)];
/// Pauses are made this much shorter or longer, at random, so that clients do not knock in step.
const JITTER: f64 = 0.25;
/// The longest wait the server may ask for; a longer one is the caller's decision.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Dead connections the pool may hand out in a row.
const MAX_STALE: usize = super::MAX_IDLE_CONNECTIONS;

#[derive(Debug, Default)]
pub(super) struct Tries {
    repeated: usize,
    waited: bool,
    stale: usize,
}

impl Tries {
    /// `None`: the failure is final.
    pub(super) fn pause_before_next(
        &mut self,
        method: Method,
        failure: &Failure,
        left: Duration,
    ) -> Option<Duration> {
        let asked = failure.error.retry_after();
        let pause = match failure.why {
            Why::NothingSent if self.stale < MAX_STALE => {
                self.stale += 1;
                return Some(Duration::ZERO);
            }
            _ if method != Method::Get => return None,
            Why::Broken | Why::Status(502..=504) => {
                let pause = jittered(*PAUSES.get(self.repeated)?);
                self.repeated += 1;
                pause.max(asked.unwrap_or_default())
            }
            Why::Status(429) if !self.waited => {
                self.waited = true;
                asked?
            }
            _ => return None,
        };
        (pause <= LONGEST_WAIT && pause < left).then_some(pause)
    }
}

fn jittered(pause: Duration) -> Duration {
    // Without randomness the pause is merely in step with others.
    let random = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
    pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    fn failure(why: Why, wait: Option<u64>) -> Failure {
        let error = Error::new(ErrorKind::Server, "").with_retry_after(wait.map(Duration::from_secs));
        Failure { error, why }
    }

    const LEFT: Duration = Duration::from_secs(30);

    #[test]
    fn a_get_is_repeated_twice() {
        for why in [Why::Broken, Why::Status(502), Why::Status(503), Why::Status(504)] {
            let mut tries = Tries::default();
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
            for why in [Why::Broken, Why::Status(503), Why::Status(429), Why::Final] {
                assert_eq!(Tries::default().pause_before_next(method, &failure(why, Some(1)), LEFT), None);
            }
            let mut tries = Tries::default();
            let stale = failure(Why::NothingSent, None);
            for _ in 0..MAX_STALE {
                assert_eq!(tries.pause_before_next(method, &stale, LEFT), Some(Duration::ZERO));
            }
            assert_eq!(tries.pause_before_next(method, &stale, LEFT), None);
        }
    }

    #[test]
    fn a_short_wait_is_waited_once() {
        let mut tries = Tries::default();
        let short = failure(Why::Status(429), Some(3));
        assert_eq!(tries.pause_before_next(Method::Get, &short, LEFT), Some(Duration::from_secs(3)));
        assert_eq!(tries.pause_before_next(Method::Get, &short, LEFT), None);
        for wait in [None, Some(6)] {
            let failure = failure(Why::Status(429), wait);
            assert_eq!(Tries::default().pause_before_next(Method::Get, &failure, LEFT), None);
        }
        let too_late = Tries::default().pause_before_next(Method::Get, &short, Duration::from_secs(2));
        assert_eq!(too_late, None);
    }
}
