//! When to reconnect.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(1000);
const MAX_DELAY: Duration = Duration::from_secs(5);
/// The shortest pause after the server itself has ended the session. A kick, a ban and a deploy all look like this.
const AFTER_SERVER_DISCONNECT: Duration = Duration::from_secs(5);
/// The longest first pause after a temporary problem of the server, which may soon be over.
const FIRST_AFTER_SERVER_PROBLEM: Duration = Duration::from_secs(1);
const MAX_AFTER_SERVER_PROBLEM: Duration = Duration::from_secs(30);
/// The shortest first pause after the server has refused fresh credentials. A person must act, so retries are slow.
const FIRST_AFTER_REFUSAL: Duration = Duration::from_secs(30);
const MAX_AFTER_REFUSAL: Duration = Duration::from_secs(600);
/// The longest `Retry-After` that the session obeys.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);
/// A shorter connection does not prove that the problem is over.
pub(crate) const STABLE: Duration = Duration::from_secs(10);

/// Why the session must reconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Lost,
    ServerDisconnect,
    /// The server has refused credentials that had just been renewed.
    Refused,
    /// The server has refused the connection for a reason other than the credentials.
    ServerProblem,
}

/// How long to wait before attempt number `attempt` (0 is the first) after a failure of this cause: a random pause
/// between half of the cap and the cap, so that many bots do not reconnect at the same time, even with the longest
/// pause. The official client's delay overflows to zero after a thousand attempts.
pub(crate) fn delay(attempt: u32, cause: Cause, retry_after: Option<Duration>) -> Duration {
    let (first, longest) = match cause {
        Cause::Lost => (FIRST, MAX_DELAY),
        Cause::ServerDisconnect => (AFTER_SERVER_DISCONNECT * 2, AFTER_SERVER_DISCONNECT * 2),
        Cause::ServerProblem => (FIRST_AFTER_SERVER_PROBLEM, MAX_AFTER_SERVER_PROBLEM),
        Cause::Refused => (FIRST_AFTER_REFUSAL * 2, MAX_AFTER_REFUSAL),
    };
    let factor = 1u32 << attempt.min(16);
    let cap = first.saturating_mul(factor).min(longest);
    let half = cap / 2;
    let spread = u32::try_from(half.as_millis()).unwrap_or(u32::MAX);
    let jittered = half + Duration::from_millis(u64::from(random_below(spread.saturating_add(1))));
    jittered.max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER))
}

/// The pause before a retry of the first connection.
pub(crate) fn pause_before_retry(tries: u32, retry_after: Option<Duration>) -> Duration {
    delay(tries, Cause::Lost, retry_after)
}

/// Without a random source, returns the largest value: the longest delay is the safe one.
fn random_below(limit: u32) -> u32 {
    match getrandom::u32() {
        Ok(number) => number % limit.max(1),
        Err(_) => limit.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_bounds_for_ever() {
        for attempt in (0..2000).chain([65_535, 1_000_000, u32::MAX]) {
            let cap = Duration::from_millis(1000u64.saturating_mul(1 << attempt.min(16)).min(5000));
            let got = delay(attempt, Cause::Lost, None);
            assert!(got >= cap / 2 && got <= cap, "{attempt}: {got:?}");
        }
    }

    #[test]
    fn spreads_at_the_cap() {
        let distinct: std::collections::HashSet<_> = (0..50).map(|_| delay(20, Cause::Lost, None)).collect();
        assert!(distinct.len() > 10);
    }

    #[test]
    fn honours_retry_after_within_reason() {
        let wait = |secs| delay(0, Cause::Lost, Some(Duration::from_secs(secs)));
        assert_eq!(wait(60), Duration::from_secs(60));
        assert_eq!(wait(1_000_000), MAX_RETRY_AFTER);
        assert!(wait(0) >= Duration::from_millis(500));
    }

    #[test]
    fn is_slower_when_refused() {
        assert!(delay(0, Cause::Refused, None) >= FIRST_AFTER_REFUSAL);
        assert!(delay(0, Cause::ServerDisconnect, None) >= AFTER_SERVER_DISCONNECT);
        assert!(delay(u32::MAX, Cause::Refused, None) <= MAX_AFTER_REFUSAL);
        assert!(delay(0, Cause::ServerProblem, None) <= FIRST_AFTER_SERVER_PROBLEM);
        assert!(
            (0..100).all(|attempt| delay(attempt, Cause::ServerProblem, None) <= MAX_AFTER_SERVER_PROBLEM)
        );
    }
}
