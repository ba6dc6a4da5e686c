//! Dates in HTTP headers (RFC 9110, section 5.6.7).

use std::time::SystemTime;

use crate::model::Timestamp;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT` and the two older forms: `Sunday, 06-Nov-94 08:49:37 GMT` and
/// `Sun Nov  6 08:49:37 1994`.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let text = text.replace('-', " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let (day, month, year, time) = match *words {
        [_, day, month, year, time, "GMT"] | [_, month, day, time, year] => (day, month, year, time),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let century = match year.len() {
        2 if year < "70" => "20",
        2 => "19",
        _ => "",
    };
    Timestamp::from(format!("{century}{year}-{month:02}-{day:0>2}T{time}Z")).to_system_time()
}
