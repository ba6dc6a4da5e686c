//! Faults by name, as on the command line, over HTTP and from Rust.

use std::fmt;
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use crate::app::App;
use crate::app::faults::{Failure, Repeated};
use crate::realtime::disconnect;

/// The delay before a freeze, so that the server can send the response to the request first.
const AFTER_THE_RESPONSE: Duration = Duration::from_millis(20);

/// The list of faults, for the help and for errors.
pub(crate) const HELP: &str = "\
  drop-links             close every Socket.IO connection now
  drop-links-every=30s   close every Socket.IO connection every 30 s
  refuse=10s             close every request and handshake without a response, for this time
  fail=503x3             the next 3 REST requests are answered 503 (x1 if left out; 503x3:2s for Retry-After: 2)
  fail-rate=10%:503      every tenth REST request, at random
  rate-limit=2s          the next REST request is answered 429 with Retry-After: 2 (2sx5 for five)
  delay=500msx2          the next 2 REST requests are answered later
  latency=80ms           everything that clients send arrives later
  slow-reader=10kb       everything that clients send is read at this speed per second
  freeze=5s              the server accepts, reads and answers nothing; freeze=0 ends it
  expire-sessions        session tokens are refused from now on
  expire-sessions-every=5m
  expire-tokens          personal access tokens, too
  expire-claims          the links in claim mails, too
  skew-clocks=-2s:0:3s   messages are stamped by several clocks in turn; a last :sorted keeps them by their times
  slow-hooks=3s          custom commands: first a placeholder, later the answer
  history-forbidden=ROOM the history of a room answers 403
  metadata-as-string     metadata goes over the socket as text
  off                    ends all faults; NAME=0 ends one";

/// A parsed fault.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    DropLinks,
    DropLinksEvery(Duration),
    Refuse(Duration),
    Fail { status: u16, count: usize, retry_after: Option<Duration> },
    FailRate { per_mille: u32, status: u16 },
    Delay { time: Duration, count: usize },
    Latency(Duration),
    SlowReader(u64),
    Freeze(Duration),
    ExpireSessions,
    ExpireSessionsEvery(Duration),
    ExpireTokens,
    ExpireClaims,
    SkewClocks { offsets_ms: Vec<i64>, sorted: bool },
    SlowHooks(Duration),
    HistoryForbidden { room: String, on: bool },
    MetadataAsString(bool),
    Off,
}

/// Parses `80ms`, `30s`, `5m`; `0` and `off` are zero.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if matches!(text, "0" | "off") {
        return Ok(Duration::ZERO);
    }
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits) {
        Some("ms") => 1.0,
        Some("s") => 1_000.0,
        Some("m" | "min") => 60_000.0,
        Some("h") => 3_600_000.0,
        _ => return Err(format!("{text:?} is no time: write 80ms, 30s or 5m")),
    };
    let count: f64 = digits.parse().map_err(|_| format!("{text:?} is no time: write 80ms, 30s or 5m"))?;
    let ms = count * unit;
    if (0.0..=86_400_000.0).contains(&ms) {
        Ok(Duration::from_micros((ms * 1_000.0) as u64))
    } else {
        Err(format!("{text:?} is out of range: from 0 to a day"))
    }
}

/// Splits `…x3` into `…` and 3.
fn times(text: &str) -> Result<(&str, usize), String> {
    match text.rsplit_once('x') {
        Some((what, count)) => {
            Ok((what, count.parse().map_err(|_| format!("{count:?} is no number of times"))?))
        }
        None => Ok((text, 1)),
    }
}

/// Parses a time that may be negative.
fn offset(text: &str) -> Result<i64, String> {
    let (sign, size) = text.trim().strip_prefix('-').map_or((1, text), |size| (-1, size));
    let ms = i64::try_from(time(size)?.as_millis()).map_err(|_| format!("{text:?} is out of range"))?;
    Ok(sign * ms)
}

fn clocks(offsets_ms: &[i64], sorted: bool) -> String {
    let clocks: Vec<String> = offsets_ms.iter().map(|ms| format!("{ms}ms")).collect();
    format!(
        "{}{}",
        if clocks.is_empty() { "0".to_owned() } else { clocks.join(":") },
        if sorted { ":sorted" } else { "" }
    )
}

fn status(text: &str) -> Result<u16, String> {
    let status = text.parse().ok().filter(|status| (400..600).contains(status));
    status.ok_or_else(|| format!("{text:?} is no status of a failure: 400 to 599"))
}

impl Fault {
    /// Parses one fault from its name and the value after the `=`.
    pub(crate) fn parse(name: &str, value: &str) -> Result<Fault, String> {
        let (name, value) = (name.trim(), value.trim());
        let on = || match value {
            "" | "true" | "on" | "1" | "now" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            other => Err(format!("{name} is on or off, not {other:?}")),
        };
        Ok(match name {
            "drop-links" => Fault::DropLinks,
            "drop-links-every" => Fault::DropLinksEvery(time(value)?),
            "refuse" => Fault::Refuse(time(value)?),
            "fail" => {
                let (what, wait) =
                    value.split_once(':').map_or((value, None), |(what, wait)| (what, Some(wait)));
                let (code, count) = times(what)?;
                Fault::Fail { status: status(code)?, count, retry_after: wait.map(time).transpose()? }
            }
            "rate-limit" => {
                let (wait, count) = times(value)?;
                Fault::Fail { status: 429, count, retry_after: Some(time(wait)?) }
            }
            "fail-rate" => {
                let (rate, code) = value.split_once(':').unwrap_or((value, "503"));
                let percent: f64 = rate
                    .trim_end_matches('%')
                    .parse()
                    .ok()
                    .filter(|percent| (0.0..=100.0).contains(percent))
                    .ok_or_else(|| format!("{rate:?} is no percentage: write 10%:503"))?;
                Fault::FailRate { per_mille: (percent * 10.0) as u32, status: status(code)? }
            }
            "delay" => {
                let (wait, count) = times(value)?;
                Fault::Delay { time: time(wait)?, count }
            }
            "latency" => Fault::Latency(time(value)?),
            "slow-reader" => {
                let lower = value.to_lowercase();
                let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
                let unit = match lower.strip_prefix(digits) {
                    Some("" | "b") => 1,
                    Some("k" | "kb") => 1_000,
                    Some("m" | "mb") => 1_000_000,
                    _ if value == "off" => 0,
                    _ => return Err(format!("{value:?} is no speed: write 10kb, for 10 kB a second")),
                };
                let count: u64 = if unit == 0 {
                    0
                } else {
                    digits.parse().map_err(|_| format!("{value:?} is no speed"))?
                };
                Fault::SlowReader(count.saturating_mul(unit))
            }
            "freeze" => Fault::Freeze(time(value)?),
            "expire-sessions" => Fault::ExpireSessions,
            "expire-sessions-every" => Fault::ExpireSessionsEvery(time(value)?),
            "expire-tokens" => Fault::ExpireTokens,
            "expire-claims" => Fault::ExpireClaims,
            "skew-clocks" => {
                let (clocks, sorted) =
                    value.strip_suffix(":sorted").map_or((value, false), |clocks| (clocks, true));
                let none = matches!(clocks, "" | "0" | "off");
                let offsets = clocks.split(':').filter(|_| !none).map(offset);
                Fault::SkewClocks { offsets_ms: offsets.collect::<Result<_, _>>()?, sorted }
            }
            "slow-hooks" => Fault::SlowHooks(time(value)?),
            "history-forbidden" => {
                let (room, on) = value.strip_suffix(":off").map_or((value, true), |room| (room, false));
                if room.is_empty() {
                    return Err("history-forbidden needs a room, such as history-forbidden=lobby".to_owned());
                }
                Fault::HistoryForbidden { room: room.to_owned(), on }
            }
            "metadata-as-string" => Fault::MetadataAsString(on()?),
            "off" => Fault::Off,
            other => return Err(format!("There is no fault {other:?}. There are:\n{HELP}")),
        })
    }

    /// Parses several faults, such as `latency=80ms,drop-links-every=30s`.
    pub(crate) fn parse_all(text: &str) -> Result<Vec<Fault>, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(name, value)| Fault::parse(name, value))
            .collect()
    }

    /// Applies the fault. Call it within the runtime.
    pub(crate) fn apply(&self, app: &App) -> Result<(), String> {
        app.wire().note("fault", || serde_json::json!({ "fault": self.to_string() }));
        app.log(|| format!("FAULT {self}"));
        let faults = app.faults();
        match self {
            Fault::DropLinks => disconnect::cut_all(app),
            Fault::DropLinksEvery(every) => faults.repeat(|pending| pending.drop_links = repeated(*every)),
            Fault::Refuse(time) => faults.repeat(|pending| {
                pending.refuse_until = Instant::now().checked_add(*time).filter(|_| !time.is_zero());
            }),
            Fault::Fail { status, count, retry_after } => faults.fail_next(*count, *status, *retry_after),
            Fault::FailRate { per_mille, status } => faults.repeat(|pending| {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                pending.fail_rate = (*per_mille > 0).then_some((*per_mille, status));
            }),
            Fault::Delay { time, count } => faults.delay_next(*count, *time),
            Fault::Latency(time) => app.links().slowness.set_latency(*time),
            Fault::SlowReader(bytes) => app.links().slowness.set_bytes_per_second(*bytes),
            Fault::Freeze(time) if time.is_zero() => app.freeze().end(),
            Fault::Freeze(time) => drop(app.freeze().begin(app.runtime(), *time, AFTER_THE_RESPONSE)),
            Fault::ExpireSessions => app.data().tokens.expire_sessions(),
            Fault::ExpireSessionsEvery(every) => {
                faults.repeat(|pending| pending.expire_sessions = repeated(*every));
            }
            Fault::ExpireTokens => app.data().tokens.expire_personal(),
            Fault::ExpireClaims => app.data().claims.expire(),
            Fault::SkewClocks { offsets_ms, sorted } => faults.set_clocks(offsets_ms, *sorted),
            Fault::SlowHooks(time) => faults.set_slow_hooks(*time),
            Fault::HistoryForbidden { room, on } => {
                let id = app.data().agencies.find(room).map_err(|error| error.message)?.id.clone();
                faults.forbid_history(&id, *on);
            }
            Fault::MetadataAsString(on) => app.set_metadata_as_string(*on),
            Fault::Off => {
                faults.clear();
                app.freeze().end();
                app.links().slowness.set_latency(Duration::ZERO);
                app.links().slowness.set_bytes_per_second(0);
                app.set_metadata_as_string(app.options().metadata_as_string);
            }
        }
        Ok(())
    }
}

/// Writes the fault as it can be parsed again.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::DropLinks => write!(f, "drop-links"),
            Fault::DropLinksEvery(every) => write!(f, "drop-links-every={every:?}"),
            Fault::Refuse(time) => write!(f, "refuse={time:?}"),
            Fault::Fail { status: 429, count, retry_after: Some(wait) } => {
                write!(f, "rate-limit={wait:?}x{count}")
            }
            Fault::Fail { status, count, retry_after: Some(wait) } => {
                write!(f, "fail={status}x{count}:{wait:?}")
            }
            Fault::Fail { status, count, .. } => write!(f, "fail={status}x{count}"),
            Fault::FailRate { per_mille, status } => {
                write!(f, "fail-rate={}%:{status}", f64::from(*per_mille) / 10.0)
            }
            Fault::Delay { time, count } => write!(f, "delay={time:?}x{count}"),
            Fault::Latency(time) => write!(f, "latency={time:?}"),
            Fault::SlowReader(bytes) => write!(f, "slow-reader={bytes}"),
            Fault::Freeze(time) => write!(f, "freeze={time:?}"),
            Fault::ExpireSessions => write!(f, "expire-sessions"),
            Fault::ExpireSessionsEvery(every) => write!(f, "expire-sessions-every={every:?}"),
            Fault::ExpireTokens => write!(f, "expire-tokens"),
            Fault::ExpireClaims => write!(f, "expire-claims"),
            Fault::SkewClocks { offsets_ms, sorted } => {
                write!(f, "skew-clocks={}", clocks(offsets_ms, *sorted))
            }
            Fault::SlowHooks(time) => write!(f, "slow-hooks={time:?}"),
            Fault::HistoryForbidden { room, on } => {
                write!(f, "history-forbidden={room}{}", if *on { "" } else { ":off" })
            }
            Fault::MetadataAsString(on) => write!(f, "metadata-as-string={on}"),
            Fault::Off => write!(f, "off"),
        }
    }
}

fn repeated(every: Duration) -> Option<Repeated> {
    Repeated::new(every).filter(|_| !every.is_zero())
}

/// The active faults, as text that can be parsed again.
pub(crate) fn active(app: &App) -> Vec<String> {
    let mut all = Vec::new();
    let pending = app.faults().lock();
    let every = |name: &str, repeated: &Option<Repeated>| {
        repeated.map(|repeated| format!("{name}={}ms", repeated.every.as_millis()))
    };
    all.extend(every("drop-links-every", &pending.drop_links));
    all.extend(every("expire-sessions-every", &pending.expire_sessions));
    all.extend(app.freeze().left().map(|left| format!("freeze={}ms", left.as_millis())));
    let left = pending.refuse_until.map(|until| until.saturating_duration_since(Instant::now()));
    all.extend(left.filter(|left| !left.is_zero()).map(|left| format!("refuse={}ms", left.as_millis())));
    if let Some(Failure { status, .. }) = pending.failures.front() {
        all.push(format!("fail={}x{}", status.as_u16(), pending.failures.len()));
    }
    all.extend(
        pending
            .fail_rate
            .map(|(rate, status)| format!("fail-rate={}%:{}", f64::from(rate) / 10.0, status.as_u16())),
    );
    if let Some(time) = pending.delays.front() {
        all.push(format!("delay={}msx{}", time.as_millis(), pending.delays.len()));
    }
    let (offsets_ms, sorted) = pending.clocks.settings();
    if sorted || !offsets_ms.is_empty() {
        all.push(format!("skew-clocks={}", clocks(&offsets_ms, sorted)));
    }
    all.extend(pending.slow_hooks.map(|time| format!("slow-hooks={}ms", time.as_millis())));
    all.extend(pending.closed_histories.iter().map(|room| format!("history-forbidden={room}")));
    let slowness = &app.links().slowness;
    let latency = slowness.latency();
    if !latency.is_zero() {
        all.push(format!("latency={}ms", latency.as_millis()));
    }
    if slowness.bytes_per_second() > 0 {
        all.push(format!("slow-reader={}", slowness.bytes_per_second()));
    }
    if app.metadata_as_string() {
        all.push("metadata-as-string".to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_mistakes_explained() {
        let read = Fault::parse_all(
            "drop-links-every=30s, latency=80ms,fail=503x3,rate-limit=2s,slow-reader=10kb, \
                              fail=500x2:3s,skew-clocks=-2s:0:50ms:sorted,skew-clocks=0",
        )
        .unwrap();
        let expected = [
            Fault::DropLinksEvery(Duration::from_secs(30)),
            Fault::Latency(Duration::from_millis(80)),
            Fault::Fail { status: 503, count: 3, retry_after: None },
            Fault::Fail { status: 429, count: 1, retry_after: Some(Duration::from_secs(2)) },
            Fault::SlowReader(10_000),
            Fault::Fail { status: 500, count: 2, retry_after: Some(Duration::from_secs(3)) },
            Fault::SkewClocks { offsets_ms: vec![-2_000, 0, 50], sorted: true },
            Fault::SkewClocks { offsets_ms: Vec::new(), sorted: false },
        ];
        assert_eq!(read, expected);
        for (bad, says) in [
            ("latency=80", "80ms"),
            ("latncy=80ms", "slow-reader"),
            ("fail=200", "400 to 599"),
            ("fail-rate=110%", "10%:503"),
            ("freeze=9999h", "a day"),
            ("history-forbidden", "lobby"),
            ("skew-clocks=2", "80ms"),
        ] {
            let error = Fault::parse_all(bad).unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }
}
