//! The header `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

/// The longest wait that `parse` returns. A longer wait is not useful.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait, in whole seconds, rounded up, at most 24 hours. A time that is past or negative is zero. `None`
/// if the text is neither a number nor a date.
///
/// `date` is the `Date` of the same response, so both times are from the server's clock. This machine's clock may be
/// wrong.
pub(super) fn parse(text: &str, date: Option<&str>) -> Option<Duration> {
    let text = text.trim();
    if let Some(wait) = seconds(text) {
        return Some(wait);
    }
    let moment = httpdate::parse_http_date(text).ok()?;
    let now =
        date.and_then(|date| httpdate::parse_http_date(date.trim()).ok()).unwrap_or_else(SystemTime::now);
    let wait = moment.duration_since(now).unwrap_or_default();
    let whole = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
    Some(Duration::from_secs(whole).min(MAX_RETRY_AFTER))
}

/// Digits, optionally with a sign and a fraction. The standard has neither, but servers send both.
fn seconds(text: &str) -> Option<Duration> {
    let (negative, number) = match text.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    if negative {
        return Some(Duration::ZERO);
    }
    // A number with too many digits is more than a day.
    let seconds = if whole.is_empty() { 0 } else { whole.parse::<u64>().unwrap_or(u64::MAX) };
    let up = u64::from(fraction.bytes().any(|digit| digit != b'0'));
    Some(Duration::from_secs(seconds.saturating_add(up)).min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(text: &str, date: Option<&str>) -> Option<u64> {
        parse(text, date).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_are_rounded_up_and_bounded() {
        for (text, expected) in [
            ("0", Some(0)),
            (" 12 ", Some(12)),
            ("+5", Some(5)),
            ("0.5", Some(1)),
            (".5", Some(1)),
            ("1.", Some(1)),
            ("2.000", Some(2)),
            ("2.0001", Some(3)),
            ("-1", Some(0)),
            ("-0.5", Some(0)),
            ("86401", Some(86_400)),
            ("99999999999999999999999999", Some(86_400)),
            ("", None),
            (".", None),
            ("-", None),
            ("1e3", None),
            ("0x10", None),
            ("soon", None),
            ("1,5", None),
            ("NaN", None),
            ("\u{663}", None),
        ] {
            assert_eq!(secs(text, None), expected, "{text:?}");
        }
    }

    #[test]
    fn a_date_is_compared_with_the_answers_own() {
        let sent = Some("Sun, 06 Nov 1994 08:49:35 GMT");
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(2)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(2)),
            ("Sun Nov  6 08:49:37 1994", Some(2)),
            ("Sun, 06 Nov 1994 08:49:35 GMT", Some(0)),
            ("Sat, 06 Nov 1993 08:49:37 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(86_400)),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(secs(text, sent), expected, "{text:?}");
        }
        // Without a `Date` in the response, this machine's clock is used.
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        for date in [None, Some("yesterday")] {
            assert!(secs(&soon, date).is_some_and(|wait| (28..=31).contains(&wait)), "{date:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_has_a_defined_end(text in ".{0,40}", date in proptest::option::of(".{0,40}")) {
            prop_assert!(parse(&text, date.as_deref()).unwrap_or_default() <= MAX_RETRY_AFTER);
        }

        #[test]
        fn the_clock_of_this_computer_does_not_matter(sent in 0u64..250_000_000_000, wait in 0u64..=86_400) {
            let at = |seconds| httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            prop_assert_eq!(secs(&at(sent + wait), Some(&at(sent))), Some(wait));
        }
    }
}
