//! The platform's metrics, as Prometheus text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counters that the text shows from the start, with 0. Counters with labels appear with their first value.
pub(crate) const PLAIN_COUNTERS: [&str; 6] = [
    "socket_connections_total",
    "agent_registrations_total",
    "claims_completed_total",
    "claims_expired_total",
    "socket_events_errors_total",
    "agent_queue_fallback_total",
];
/// The upper bounds of the buckets, in milliseconds and as text.
pub(crate) const BUCKETS: [(u128, &str); 4] = [(10, "0.01"), (100, "0.1"), (1_000, "1"), (10_000, "10")];

#[derive(Debug, Default)]
pub(crate) struct Histogram {
    pub(crate) buckets: [u64; BUCKETS.len()],
    pub(crate) count: u64,
    pub(crate) sum: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Series {
    pub(crate) counters: BTreeMap<(&'static str, String), u64>,
    pub(crate) histograms: BTreeMap<(&'static str, String), Histogram>,
}

/// All counters and timings.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Series>);

impl Metrics {
    pub(crate) fn count(&self, name: &'static str, labels: &str) {
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *series.counters.entry((name, labels.to_owned())).or_default() += 1;
    }

    pub(crate) fn took(&self, name: &'static str, labels: &str, time: Duration) {
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = series.histograms.entry((name, labels.to_owned())).or_default();
        for (bucket, (end, _)) in histogram.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(time.as_millis() <= end);
        }
        histogram.count += 1;
        histogram.sum += time;
    }

    pub(crate) fn text(&self) -> String {
        let series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        let mut typed = "";
        let plain = PLAIN_COUNTERS.map(|name| ((name, String::new()), 0));
        let mut counters: BTreeMap<_, u64> = plain.into_iter().collect();
        counters.extend(series.counters.iter().map(|(key, value)| (key.clone(), *value)));
        // Writing to a String does not fail.
        for ((name, labels), value) in &counters {
            if *name != typed {
                let _ = writeln!(out, "# TYPE {name} counter");
                typed = name;
            }
            let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            let _ = writeln!(out, "{name}{labels} {value}");
        }
        for ((name, labels), histogram) in &series.histograms {
            if *name != typed {
                let _ = writeln!(out, "# TYPE {name} histogram");
                typed = name;
            }
            for (count, (_, end)) in histogram.buckets.iter().zip(BUCKETS) {
                let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{end}\"}} {count}");
            }
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", histogram.count);
            let _ = writeln!(out, "{name}_sum{{{labels}}} {}", histogram.sum.as_secs_f64());
            let _ = writeln!(out, "{name}_count{{{labels}}} {}", histogram.count);
        }
        out
    }
}
