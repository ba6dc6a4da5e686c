//! Timestamps in the server's notation.
//!
//! This file parses timestamps itself, because libraries cost too much. Measured with a small program (release,
//! stripped), in addition to this file's own parser: `jiff` 0.2 without default features costs 0.21 MB and 12 s of
//! build time on one core; `time` 0.3 costs 0.02 MB, 6 s and five crates. The limits are 0.25 MB, 5 s and 50 crates in
//! all. Neither library has reached 1.0, so this file has no conversion to their types. [`Timestamp::to_system_time`]
//! returns a type that both libraries can convert.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::json::text_or_null;

/// A time in the server's notation: ISO 8601, such as `2025-02-27T12:34:56.789Z`.
///
/// A `Timestamp` keeps the server's text, so that you can send the text back (as `before` of a message history).
/// Comparisons of timestamps use the time, independent of time zone and precision. A text that is not a time sorts
/// after all times, in alphabetical order.
///
/// ```
/// use crustocean::model::Timestamp;
///
/// let utc = Timestamp::from("2025-02-27T12:34:56.000Z");
/// assert_eq!(utc, Timestamp::from("2025-02-27T13:34:56+01:00"));
/// assert!(utc < Timestamp::from("2025-02-27T12:34:56.001Z"));
/// assert_eq!(utc.as_str(), "2025-02-27T12:34:56.000Z");
/// ```
#[derive(Clone)]
pub struct Timestamp(Box<str>);

impl Timestamp {
    /// The server's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The time, or `None` if the text is not a time.
    pub fn to_system_time(&self) -> Option<SystemTime> {
        let Instant { seconds, nanos } = parse(&self.0)?;
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let whole = match seconds {
            0.. => SystemTime::UNIX_EPOCH.checked_add(whole),
            _ => SystemTime::UNIX_EPOCH.checked_sub(whole),
        };
        whole?.checked_add(Duration::from_nanos(nanos.into()))
    }

    /// The time one millisecond later, in UTC. The server's clock has no higher precision.
    pub(crate) fn just_after(&self) -> Option<Self> {
        let Instant { seconds, nanos } = parse(&self.0)?;
        let millis = i64::from(nanos / 1_000_000) + 1;
        let (seconds, millis) = (seconds + millis / 1000, millis % 1000);
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = date_of(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        Some(Timestamp(
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z").into(),
        ))
    }

    /// A sort key. Use it for many comparisons, because `<` parses both texts each time.
    pub(crate) fn rank(&self) -> Rank<'_> {
        parse(&self.0).map_or(Rank::Text(&self.0), Rank::Time)
    }
}

/// The key for comparisons.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rank<'a> {
    Time(Instant),
    Text(&'a str),
}

/// The time since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Instant {
    seconds: i64,
    nanos: u32,
}

/// Parses `YYYY-MM-DD`, optionally `T` or a space and `HH:MM[:SS[.fraction]]`, optionally `Z`, `+HH`, `+HHMM` or
/// `+HH:MM`. The default zone is UTC.
fn parse(text: &str) -> Option<Instant> {
    let mut rest = Rest(text.as_bytes());
    let year = rest.digits(4)?;
    rest.expect(b'-')?;
    let month = rest.digits(2)?;
    rest.expect(b'-')?;
    let day = rest.digits(2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let mut seconds = days_since_epoch(year, month, day) * 86_400;
    let mut nanos = 0;
    if rest.skip(|byte| matches!(byte, b'T' | b't' | b' ')).is_some() {
        let hour = rest.digits(2)?;
        rest.expect(b':')?;
        let minute = rest.digits(2)?;
        let mut second = 0;
        if rest.expect(b':').is_some() {
            second = rest.digits(2)?;
            if rest.skip(|byte| matches!(byte, b'.' | b',')).is_some() {
                nanos = rest.fraction()?;
            }
        }
        // 60 is a leap second.
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        seconds += hour * 3600 + minute * 60 + second - rest.offset()?;
    }
    rest.0.is_empty().then_some(Instant { seconds, nanos })
}

/// The date this many days after 1970-01-01: the inverse of `days_since_epoch`, found by search.
fn date_of(days: i64) -> (i64, i64, i64) {
    // Start with a year that is not too late, for dates before and after 1970.
    let mut year = 1970 + days.div_euclid(if days < 0 { 365 } else { 366 });
    while days_since_epoch(year + 1, 1, 1) <= days {
        year += 1;
    }
    let mut month = 1;
    while month < 12 && days_since_epoch(year, month + 1, 1) <= days {
        month += 1;
    }
    (year, month, days - days_since_epoch(year, month, 1) + 1)
}

/// The unread rest of the text.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn skip(&mut self, wanted: impl Fn(u8) -> bool) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        if !wanted(first) {
            return None;
        }
        self.0 = rest;
        Some(first)
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        self.skip(|byte| byte == wanted).map(drop)
    }

    fn digit(&mut self) -> Option<u8> {
        self.skip(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0')
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        (0..count).try_fold(0, |number, _| Some(number * 10 + i64::from(self.digit()?)))
    }

    /// Reads at least one digit. Ignores digits after the ninth.
    fn fraction(&mut self) -> Option<u32> {
        let mut nanos = u32::from(self.digit()?) * 100_000_000;
        let mut unit = 10_000_000;
        while let Some(digit) = self.digit() {
            nanos += u32::from(digit) * unit;
            unit /= 10;
        }
        Some(nanos)
    }

    /// The offset in seconds east of Greenwich.
    fn offset(&mut self) -> Option<i64> {
        if self.0.is_empty() || self.skip(|byte| matches!(byte, b'Z' | b'z')).is_some() {
            return Some(0);
        }
        let sign = if self.skip(|byte| matches!(byte, b'+' | b'-'))? == b'-' { -1 } else { 1 };
        let hours = self.digits(2)?;
        let minutes = match self.expect(b':') {
            Some(()) => self.digits(2)?,
            None if self.0.is_empty() => 0,
            None => self.digits(2)?,
        };
        (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The days since 1970-01-01. Years start in March here, so that a leap day is the last day of its year.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The empty text, which is not a time.
impl Default for Timestamp {
    fn default() -> Self {
        Timestamp("".into())
    }
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.rank() == other.rank()
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl Hash for Timestamp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl From<&str> for Timestamp {
    fn from(text: &str) -> Self {
        Timestamp(text.into())
    }
}

impl From<&String> for Timestamp {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<String> for Timestamp {
    fn from(text: String) -> Self {
        Timestamp(text.into())
    }
}

impl AsRef<str> for Timestamp {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Timestamp((&*text_or_null(deserializer)?).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        let time = Timestamp::from(text).to_system_time()?;
        time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
    }

    #[test]
    fn knows_the_usual_ways_to_write_a_time() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29", 951_782_400),
            ("2001-09-09T01:46:40Z", 1_000_000_000),
            ("2025-02-27T12:34:56.789Z", 1_740_659_696),
            ("2025-02-27 12:34:56.789123+00", 1_740_659_696),
            ("2025-02-27T12:34:56", 1_740_659_696),
            ("2025-02-27T07:04:56.5-05:30", 1_740_659_696),
            ("2025-02-27T14:34:56+0200", 1_740_659_696),
            ("2016-12-31T23:59:60Z", 1_483_228_800),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        let before = Timestamp::from("1969-12-31T23:59:59.5Z").to_system_time().unwrap();
        assert_eq!(SystemTime::UNIX_EPOCH.duration_since(before).unwrap(), Duration::from_millis(500));
    }

    #[test]
    fn is_none_for_what_is_no_time() {
        for text in [
            "",
            "soon",
            "2025-02-29T00:00:00Z",
            "2025-13-01",
            "2025-00-10",
            "2025-01-01T24:00Z",
            "2025-01-01T00:60Z",
            "2025-01-01T00:00:00.Z",
            "2025-01-01T00:00:00Zulu",
            "2025-01-01T00:00:00+1",
            "2025-01-01T00:00:00+24:00",
            "٢٠٢٥-01-01",
        ] {
            assert_eq!(Timestamp::from(text).to_system_time(), None, "{text}");
        }
    }

    #[test]
    fn orders_by_time_and_not_by_text() {
        let sorted = [
            "2025-01-01T01:30:00+02:00",
            "2025-01-01T00:00:00Z",
            "2025-01-01T00:00:00.001Z",
            "2025-01-01T00:00:01Z",
            "a",
            "b",
        ];
        let mut times: Vec<Timestamp> = sorted.iter().rev().map(|text| Timestamp::from(*text)).collect();
        times.sort();
        assert_eq!(times.iter().map(Timestamp::as_str).collect::<Vec<_>>(), sorted);
    }

    #[test]
    fn equal_times_are_equal_keys() {
        let keys: std::collections::HashSet<Timestamp> =
            ["2025-01-01T00:00:00Z", "2025-01-01T00:00:00.000Z", "2024-12-31T23:00:00-01:00", "x", "x"]
                .map(Timestamp::from)
                .into();
        assert_eq!(keys.len(), 2);
    }

    #[test]
    fn the_moment_after() {
        for (text, after) in [
            ("2025-02-27T12:34:56.789Z", "2025-02-27T12:34:56.790Z"),
            ("2024-02-28T23:59:59.999Z", "2024-02-29T00:00:00.000Z"),
            ("2024-12-31T23:59:59.999999Z", "2025-01-01T00:00:00.000Z"),
            ("1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00.000Z"),
            ("1968-12-31T00:00:00Z", "1968-12-31T00:00:00.001Z"),
            // Some languages send this for a time that was never set.
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.001Z"),
            ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.001Z"),
        ] {
            assert_eq!(Timestamp::from(text).just_after().unwrap().as_str(), after);
        }
        assert!(Timestamp::from("soon").just_after().is_none());
    }

    #[test]
    fn a_date_of_each_day() {
        for day in (days_since_epoch(0, 1, 1)..days_since_epoch(10_000, 1, 1)).step_by(73) {
            let (year, month, date) = date_of(day);
            assert!((1..=12).contains(&month) && (1..=31).contains(&date), "{day}: {year}-{month}-{date}");
            assert_eq!(days_since_epoch(year, month, date), day);
        }
    }
}
