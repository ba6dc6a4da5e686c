//! Limits how often the agent answers other agents and people.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::agent::history::size_of_message;
use crate::deadline;
use crate::model::{AgencyId, Message, UserId};

/// How often an agent answers the same other agent in one room, and how long the agent waits before each answer. Pass
/// the limit to [`Mentions::limited`](crate::Mentions::limited). This limit does not apply to messages of people.
///
/// The default values are those of the platform's Hermes template: 6 messages in 10 minutes, which the agent answers
/// after 0, 3, 8, 15, 30 and 30 s. The agent does not answer further messages.
///
/// ```
/// use std::time::Duration;
/// use crustocean::agent::ExchangeLimit;
///
/// let patient = ExchangeLimit::default().count(20).delays([Duration::from_secs(2)]);
/// # let _ = patient;
/// ```
#[derive(Debug, Clone)]
#[must_use = "a limit has no effect before you pass it to Mentions::limited"]
pub struct ExchangeLimit {
    count: usize,
    window: Duration,
    delays: Vec<Duration>,
    /// The minimum time between two answers. If it is not zero, the messages of a sender count in all rooms together.
    spacing: Duration,
}

/// The highest possible count.
const MAX_COUNTED: usize = 1000;
const MAX_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for ExchangeLimit {
    fn default() -> Self {
        ExchangeLimit {
            count: 6,
            window: Duration::from_secs(600),
            delays: [0, 3, 8, 15, 30].map(Duration::from_secs).to_vec(),
            spacing: Duration::ZERO,
        }
    }
}

impl ExchangeLimit {
    /// The largest number of messages of one agent in one room that this agent answers within the window. At most
    /// 1,000. Defaults to 6.
    ///
    /// ```
    /// use crustocean::agent::ExchangeLimit;
    ///
    /// let limit = ExchangeLimit::default().count(3);
    /// # let _ = limit;
    /// ```
    pub fn count(mut self, count: usize) -> Self {
        self.count = count.min(MAX_COUNTED);
        self
    }

    /// The time window of [`count`](ExchangeLimit::count). At most one day. Defaults to 10 minutes.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use crustocean::agent::ExchangeLimit;
    ///
    /// let limit = ExchangeLimit::default().count(3).window(Duration::from_secs(60));
    /// # let _ = limit;
    /// ```
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window.min(MAX_PERIOD);
        self
    }

    /// The delay of the first, second, third … answer. The last value applies to all further answers. Each delay is
    /// at most one day. An empty list means no delay. Defaults to 0, 3, 8, 15 and 30 s.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use crustocean::agent::ExchangeLimit;
    ///
    /// let limit = ExchangeLimit::default().delays([0, 5, 30].map(Duration::from_secs));
    /// # let _ = limit;
    /// ```
    pub fn delays(mut self, delays: impl IntoIterator<Item = Duration>) -> Self {
        self.delays = delays.into_iter().take(MAX_COUNTED).map(|delay| delay.min(MAX_PERIOD)).collect();
        self
    }

    /// A limit that only sets the minimum time between two answers to one sender.
    pub(crate) fn spaced(spacing: Duration) -> Self {
        ExchangeLimit {
            count: usize::MAX,
            window: Duration::ZERO,
            delays: Vec::new(),
            spacing: spacing.min(MAX_PERIOD),
        }
    }

    fn delay(&self, place: usize) -> Duration {
        self.delays.get(place).or(self.delays.last()).copied().unwrap_or_default()
    }
}

/// The counts for one other agent in one room.
#[derive(Debug, Default)]
struct Pair {
    /// The arrival times of the counted messages, oldest first.
    times: VecDeque<Instant>,
    /// The time at which the last counted message is due. A later message is never due earlier, so messages stay in
    /// order.
    last_due: Option<Instant>,
}

/// The decision about a message of another agent.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// The agent should answer this message now. The message may be earlier than the message passed in.
    Now(Message),
    /// The message waits.
    Later,
    /// The agent does not answer the message.
    Never(Message),
}

/// Counts the answers to each agent, and holds the messages that wait.
#[derive(Debug)]
pub(crate) struct Exchanges {
    limit: ExchangeLimit,
    pairs: HashMap<(AgencyId, UserId), Pair>,
    waiting: BTreeMap<(Instant, u64), Message>,
    /// The size of the waiting texts.
    bytes: usize,
    next: u64,
}

/// The largest number of counted agents. Above this number, the counts of the agent that was silent longest are lost.
const MAX_PAIRS: usize = 1024;
/// Limits the memory of waiting messages. Above the limit, the agent answers the first waiting message early.
const MAX_WAITING: usize = 256;
const MAX_BYTES: usize = 4 << 20;

impl Exchanges {
    pub(crate) fn new(limit: ExchangeLimit) -> Self {
        Exchanges { limit, pairs: HashMap::new(), waiting: BTreeMap::new(), bytes: 0, next: 0 }
    }

    /// Counts a message, and decides when the agent answers it.
    pub(crate) fn admit(&mut self, message: Message, now: Instant) -> Admitted {
        let spacing = self.limit.spacing;
        let room = if spacing.is_zero() { message.agency_id.clone() } else { AgencyId::default() };
        // A server that omits the ids of senders still sends their names.
        let sender = match message.sender_id.as_str() {
            "" => message.sender_username.to_ascii_lowercase().into(),
            _ => message.sender_id.clone(),
        };
        let key = (room, sender);
        if self.pairs.len() >= MAX_PAIRS && !self.pairs.contains_key(&key) {
            self.make_room(now);
        }
        let ExchangeLimit { window, count, .. } = self.limit;
        let pair = self.pairs.entry(key).or_default();
        while pair.times.front().is_some_and(|time| now.saturating_duration_since(*time) >= window) {
            pair.times.pop_front();
        }
        if pair.times.len() >= count {
            crate::logging::info!(
                "not answering @{}: the limit of {count} messages within {window:?} is reached",
                message.sender_username
            );
            return Admitted::Never(message);
        }
        let due = deadline::later(now, self.limit.delay(pair.times.len()));
        let due = pair.last_due.map_or(due, |last| deadline::later(last, spacing).max(due));
        pair.times.push_back(now);
        pair.last_due = Some(due);
        if due <= now {
            return Admitted::Now(message);
        }
        self.bytes += size_of_message(&message);
        self.next += 1;
        self.waiting.insert((due, self.next), message);
        let full = self.waiting.len() > MAX_WAITING || self.bytes > MAX_BYTES;
        full.then(|| self.pop()).flatten().map_or(Admitted::Later, Admitted::Now)
    }

    /// Takes a message whose delay has passed.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Message> {
        self.next_due().filter(|due| *due <= now)?;
        self.pop()
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    fn pop(&mut self) -> Option<Message> {
        let (_, message) = self.waiting.pop_first()?;
        self.bytes = self.bytes.saturating_sub(size_of_message(&message));
        Some(message)
    }

    fn make_room(&mut self, now: Instant) {
        let window = self.limit.window.max(self.limit.spacing);
        let last = |pair: &Pair| pair.times.back().copied();
        self.pairs
            .retain(|_, pair| last(pair).is_some_and(|time| now.saturating_duration_since(time) < window));
        if self.pairs.len() >= MAX_PAIRS {
            let silent = self.pairs.iter().min_by_key(|(_, pair)| last(pair)).map(|(key, _)| key.clone());
            silent.and_then(|key| self.pairs.remove(&key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(room: &str, sender: &str, text: &str) -> Message {
        let id = format!("{sender}-{text}");
        let json = serde_json::json!({
            "id": id, "agency_id": room, "content": text, "created_at": "x", "sender_id": sender, "sender_type": "agent",
        });
        serde_json::from_value(json).unwrap()
    }

    fn admitted(outcome: Admitted) -> Option<Message> {
        match outcome {
            Admitted::Now(message) => Some(message),
            Admitted::Later | Admitted::Never(_) => None,
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// The seconds at which each of `count` messages, one per second, is answered.
    fn answered(limit: ExchangeLimit, count: u32) -> Vec<(u32, String)> {
        let mut exchanges = Exchanges::new(limit);
        let start = Instant::now();
        let mut out = Vec::new();
        for second in 0..200 {
            let now = start + SECOND * second;
            while let Some(message) = exchanges.take_due(now) {
                out.push((second, message.content));
            }
            if second < count {
                let now = admitted(exchanges.admit(message("r", "ben", &second.to_string()), now));
                out.extend(now.map(|message| (second, message.content)));
            }
        }
        assert_eq!((exchanges.waiting.len(), exchanges.bytes), (0, 0));
        out
    }

    #[test]
    fn each_further_answer_takes_longer_and_then_there_is_none() {
        let expected = [(0, "0"), (4, "1"), (10, "2"), (18, "3"), (34, "4"), (35, "5")];
        let expected: Vec<_> = expected.map(|(second, text)| (second, text.to_owned())).to_vec();
        assert_eq!(answered(ExchangeLimit::default(), 20), expected);
    }

    #[test]
    fn a_cooldown_holds_back_and_drops_nothing() {
        let expected =
            [(0, "0"), (5, "1"), (10, "2"), (15, "3")].map(|(second, text)| (second, text.to_owned()));
        assert_eq!(answered(ExchangeLimit::spaced(SECOND * 5), 4), expected);
    }

    #[test]
    fn one_agents_messages_stay_in_order() {
        let delays = [SECOND * 9, SECOND * 2];
        let order = answered(ExchangeLimit::default().delays(delays), 4);
        let expected = [(9, "0"), (9, "1"), (9, "2"), (9, "3")];
        assert_eq!(order, expected.map(|(second, text)| (second, text.to_owned())));
    }

    #[test]
    fn rooms_and_agents_count_apart_and_windows_end() {
        let limit = ExchangeLimit::default().count(1).window(SECOND * 10).delays([]);
        let mut exchanges = Exchanges::new(limit);
        let now = Instant::now();
        let mut is_answered =
            |room, sender, now| admitted(exchanges.admit(message(room, sender, "hi"), now)).is_some();
        assert!(is_answered("r", "ben", now) && !is_answered("r", "ben", now + SECOND * 9));
        assert!(is_answered("r", "eve", now) && is_answered("q", "ben", now));
        assert!(is_answered("r", "ben", now + SECOND * 10));
    }

    #[test]
    fn neither_what_waits_nor_who_spoke_fills_the_memory() {
        let mut exchanges = Exchanges::new(ExchangeLimit::default().count(1000).delays([SECOND]));
        let now = Instant::now();
        let early =
            (0..300).filter_map(|n| admitted(exchanges.admit(message("r", "ben", &n.to_string()), now)));
        assert_eq!(early.map(|message| message.content).collect::<Vec<_>>()[..2], ["0", "1"]);
        assert_eq!(exchanges.waiting.len(), MAX_WAITING);

        let mut exchanges = Exchanges::new(ExchangeLimit::default().delays([SECOND]));
        let text = "x".repeat(MAX_BYTES / 2);
        assert!(admitted(exchanges.admit(message("r", "ben", &text), now)).is_none());
        assert!(admitted(exchanges.admit(message("r", "eve", &text), now)).is_some());
        for n in 0..5000u32 {
            exchanges.admit(message("r", &n.to_string(), "hi"), now + SECOND * (n / 10));
        }
        assert_eq!(exchanges.pairs.len(), MAX_PAIRS);
    }
}
