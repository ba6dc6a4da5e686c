//! Durations in the platform's notation: `"340ms"`.

use std::time::Duration;

use serde::{Deserializer, Serialize, Serializer};

use super::serde_helpers;
use crate::json;

/// Writes a duration in whole milliseconds, as the platform's own SDK does.
pub(crate) fn write(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// Reads a duration. Accepts other units and several units (`1m 30s`), too; a plain number is milliseconds.
pub(crate) fn read(label: &str) -> Option<Duration> {
    let mut rest = label.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, behind) = rest.split_at_checked(digits)?;
        let letters = behind.trim_start();
        let end = letters.find(|c: char| !(c.is_alphabetic() || c == 'µ')).unwrap_or(letters.len());
        let (unit, behind) = letters.split_at_checked(end)?;
        // Divides instead of multiplying where possible: 1000 is exact in binary, 0.001 is not.
        let (times, per) = match unit.to_ascii_lowercase().as_str() {
            "ns" => (1.0, 1e9),
            "us" | "µs" | "μs" => (1.0, 1e6),
            "" | "ms" => (1.0, 1e3),
            "s" | "sec" => (1.0, 1.0),
            "m" | "min" => (60.0, 1.0),
            "h" => (3600.0, 1.0),
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * times / per;
        rest = behind.trim_start();
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// Reads a duration in JSON: a text, or a number of milliseconds. Any other value counts as absent.
pub(crate) fn from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    serde_helpers::text_of(deserializer, |json| {
        Ok(match serde_helpers::string_in(json) {
            Some(text) => read(&text),
            None => json::number(json).and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok()),
        })
    })
}

/// Writes a duration in JSON, like [`write`].
pub(crate) fn to_json<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(write).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (label, ms) in [
            ("340ms", Some(340.0)),
            (" 12 ms ", Some(12.0)),
            ("1.5s", Some(1500.0)),
            ("1m 30s", Some(90_000.0)),
            ("2min", Some(120_000.0)),
            ("1h2m", Some(3_720_000.0)),
            ("250µs", Some(0.25)),
            ("17", Some(17.0)),
            ("4212168992ms", Some(4_212_168_992.0)),
            ("", None),
            ("soon", None),
            ("-3ms", None),
            ("1.2.3s", None),
            ("12 parsecs", None),
            ("99999999999999999999999999h", None),
            ("1é", None),
        ] {
            assert_eq!(read(label), ms.map(|ms| Duration::from_secs_f64(ms / 1000.0)), "{label:?}");
        }
        assert_eq!(write(Duration::from_micros(1_234_999)), "1234ms");
    }

    proptest::proptest! {
        #[test]
        fn never_fails_and_reads_its_own(text: String, ms in 0..u64::from(u32::MAX)) {
            let _ = read(&text);
            proptest::prop_assert_eq!(read(&write(Duration::from_millis(ms))), Some(Duration::from_millis(ms)));
        }
    }
}
