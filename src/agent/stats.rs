//! The statistics of an agent.

use std::fmt::Write;
use std::time::Duration;

use crate::agent::inner::AgentInner;

/// The statistics of an agent at one moment. Returned by [`Agent::stats`](crate::Agent::stats).
///
/// ```no_run
/// # fn demo(agent: &crustocean::Agent) {
/// let stats = agent.stats();
/// println!("{} events wait", stats.queued_events);
/// println!("{}", stats.to_prometheus()); // for /metrics
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The agent's username.
    pub agent: String,
    /// How long the connection has been up. `None` while the connection is down.
    pub connected_for: Option<Duration>,
    /// The time since data last came over the socket. Heartbeats count, so the time is rarely longer than the server's
    /// ping interval (25 s). While the connection is down, this is the time since the last data of an earlier
    /// connection. `None` if no data has come yet.
    pub last_heard: Option<Duration>,
    /// The number of reconnects since the agent started.
    pub reconnects: u64,
    /// The number of events that wait for a loop. If the agent has several kinds of loops, this is the number for the
    /// loop with the most waiting events.
    pub queued_events: usize,
    /// The size of the waiting events, in bytes.
    pub queued_bytes: usize,
    /// The number of rooms in which the crate is fetching a missing part of the history.
    pub open_gaps: usize,
    /// How often a missing part of a history could not be fetched.
    pub gaps_not_filled: u64,
    /// The number of events that the crate dropped because one loop, subscription or `commands` iterator was too slow
    /// while another one was not. The crate reads the dropped messages again from the history, except for
    /// subscriptions.
    pub dropped_events: u64,
    /// The number of rooms that the agent is in.
    pub rooms: usize,
}

impl Stats {
    pub(super) fn of(agent: &AgentInner) -> Stats {
        let session = agent.session.stats();
        let (open_gaps, gaps_not_filled) = agent.delivery.gaps();
        let (dropped_events, not_read_again) = agent.listeners.losses();
        let (waiting_events, waiting_bytes) = agent.listeners.waiting();
        Stats {
            agent: agent.me.username.clone(),
            connected_for: session.connected_for,
            last_heard: session.last_heard,
            reconnects: session.reconnects,
            queued_events: session.queued_events + waiting_events,
            queued_bytes: session.queued_bytes + waiting_bytes,
            open_gaps,
            gaps_not_filled: gaps_not_filled + not_read_again,
            dropped_events,
            rooms: agent.rooms.all().len(),
        }
    }

    /// Writes the numbers in Prometheus' text format. The names begin with `crustocean_`, and the label `agent` has the
    /// agent's username.
    pub fn to_prometheus(&self) -> String {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let connected = f64::from(u8::from(self.connected_for.is_some()));
        let rows = [
            ("connected", "Whether the connection is up.", Some(connected)),
            (
                "connected_seconds",
                "How long the connection has been up, in seconds.",
                seconds(self.connected_for),
            ),
            ("last_heard_seconds", "Seconds since data last came from the server.", seconds(self.last_heard)),
            ("reconnects_total", "Connections after the first.", Some(self.reconnects as f64)),
            ("queued_events", "Events that wait for a loop.", Some(self.queued_events as f64)),
            ("queued_bytes", "Bytes of these events.", Some(self.queued_bytes as f64)),
            ("open_gaps", "Rooms whose history is being fetched.", Some(self.open_gaps as f64)),
            ("gaps_not_filled_total", "Gaps that could not be filled.", Some(self.gaps_not_filled as f64)),
            ("dropped_events_total", "Events that slow loops dropped.", Some(self.dropped_events as f64)),
            ("rooms", "Rooms that the agent is in.", Some(self.rooms as f64)),
        ];
        let agent = self.agent.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let mut text = String::new();
        for (name, help, value) in rows {
            let Some(value) = value else { continue };
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            let name = format!("crustocean_{name}");
            // Writing into a string does not fail.
            let _ = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{{agent=\"{agent}\"}} {value}"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_reads_it() {
        let stats = Stats {
            agent: "lar\"ry".to_owned(),
            connected_for: Some(Duration::from_millis(1500)),
            last_heard: None,
            reconnects: 2,
            queued_events: 3,
            queued_bytes: 4,
            open_gaps: 0,
            gaps_not_filled: 0,
            dropped_events: 0,
            rooms: 1,
        };
        let text = stats.to_prometheus();
        assert!(text.contains("# TYPE crustocean_reconnects_total counter\n"), "{text}");
        assert!(text.contains("crustocean_connected_seconds{agent=\"lar\\\"ry\"} 1.5\n"), "{text}");
        assert!(!text.contains("last_heard"), "what is not known is left out: {text}");
    }
}
