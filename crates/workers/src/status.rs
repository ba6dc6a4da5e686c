//! The status of one agent, for operators.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use redis::{Pipeline, Value};

use crate::consumer::GROUP;
use crate::error::{Error, Result};
use crate::keys::{AgentKeys, LeaseKeys};
use crate::store::Store;

/// One agent's leases and waiting questions at one moment. `Display` prints a table.
///
/// ```no_run
/// # fn main() -> crustocean_workers::Result<()> {
/// use crustocean_workers::{Status, Store};
///
/// let status = Status::read(&Store::from_env()?, "larry")?;
/// println!("{status}");
/// println!("{}", status.to_prometheus());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// The agent's name in Redis.
    pub agent: String,
    /// The process that holds the agent's connection.
    pub holder: Option<Holder>,
    /// The shards, in order.
    pub shards: Vec<Shard>,
    /// How many answers the holder has not posted yet.
    pub answers: usize,
    /// How many questions failed on every delivery.
    pub dead: usize,
    /// The names of the running worker processes.
    pub workers: Vec<String>,
}

/// The process that holds a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The name of the process.
    pub name: String,
    /// The fencing number.
    pub fence: u64,
    /// How long the term lasts without a renewal.
    pub left: Duration,
}

/// One stream of questions.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Shard {
    /// The worker process that owns the shard.
    pub owner: Option<Holder>,
    /// How many questions no worker has started.
    pub lag: usize,
    /// How many questions a worker has started and not finished.
    pub pending: usize,
    /// How long the oldest of these questions has waited, by the clock of Redis. Zero if there is none.
    pub oldest: Duration,
}

impl Status {
    /// Reads the status from Redis.
    ///
    /// # Errors
    /// [`Unreachable`](crate::ErrorKind::Unreachable), [`Refused`](crate::ErrorKind::Refused), or
    /// [`Invalid`](crate::ErrorKind::Invalid) for the agent's name.
    pub fn read(store: &Store, agent: &str) -> Result<Self> {
        let (keys, mut redis) = (AgentKeys::new(store.key_prefix(), agent)?, store.connection());
        let shards: Option<usize> =
            redis.run(|connection| redis::cmd("GET").arg(keys.shards()).query(connection))?;
        let shards = shards.unwrap_or(0);
        let mut pipe = redis::pipe();
        pipe.cmd("TIME").cmd("XLEN").arg(keys.answers()).cmd("XLEN").arg(keys.dead());
        pipe.cmd("ZRANGE").arg(keys.members()).arg(0).arg(-1).arg("WITHSCORES");
        ask_for_holder(&mut pipe, &keys.holder());
        for shard in 0..shards {
            let stream = keys.questions(shard);
            ask_for_holder(&mut pipe, &keys.shard(shard));
            pipe.cmd("XLEN").arg(&stream);
            pipe.cmd("XRANGE").arg(&stream).arg("-").arg("+").arg("COUNT").arg(1);
        }
        let values: Vec<Value> = redis.run(|connection| pipe.query(connection))?;
        let mut values = values.into_iter();
        let (seconds, micros): (u64, u64) = next(&mut values)?;
        let now = seconds * 1000 + micros / 1000;
        let (answers, dead) = (next(&mut values)?, next(&mut values)?);
        let members: Vec<(String, f64)> = next(&mut values)?;
        let present = members.into_iter().filter(|(_, until)| *until > now as f64);
        let mut workers: Vec<String> = present.map(|(name, _)| name).collect();
        workers.sort();
        let holder = read_holder(&mut values)?;
        let mut read = Vec::new();
        for shard in 0..shards {
            let owner = read_holder(&mut values)?;
            let length: usize = next(&mut values)?;
            let oldest: Vec<(String, HashMap<String, Value>)> = next(&mut values)?;
            // Without a consumer group no question has been started.
            let stream = keys.questions(shard);
            let pending: Option<(usize, Value, Value, Value)> =
                redis.run(|connection| redis::cmd("XPENDING").arg(&stream).arg(GROUP).query(connection)).ok();
            let pending = pending.map_or(0, |pending| pending.0);
            let since = oldest.first().and_then(|(id, _)| id.split('-').next()?.parse::<u64>().ok());
            let oldest = Duration::from_millis(since.map_or(0, |since| now.saturating_sub(since)));
            read.push(Shard { owner, lag: length.saturating_sub(pending), pending, oldest });
        }
        Ok(Status { agent: agent.to_owned(), holder, shards: read, answers, dead, workers })
    }

    /// The status in Prometheus's text format.
    pub fn to_prometheus(&self) -> String {
        let agent = label(&self.agent);
        let mut text = String::new();
        let mut metric = |name: &str, help: &str, lines: Vec<(String, f64)>| {
            let _ = writeln!(
                text,
                "# HELP crustocean_workers_{name} {help}\n# TYPE crustocean_workers_{name} gauge"
            );
            for (labels, value) in lines {
                let _ = writeln!(text, "crustocean_workers_{name}{{agent=\"{agent}\"{labels}}} {value}");
            }
        };
        let shards = |value: fn(&Shard) -> f64| {
            let lines = self.shards.iter().enumerate();
            lines.map(|(n, shard)| (format!(",shard=\"{n}\""), value(shard))).collect::<Vec<_>>()
        };
        metric("holder", "The fencing number of the process that holds the agent's connection.", {
            let line = |holder: &Holder| (format!(",owner=\"{}\"", label(&holder.name)), holder.fence as f64);
            self.holder.iter().map(line).collect()
        });
        metric("shard_owner", "The fencing number of the process that owns a shard.", {
            let owners =
                self.shards.iter().enumerate().filter_map(|(n, shard)| Some((n, shard.owner.as_ref()?)));
            let line = |(n, owner): (usize, &Holder)| {
                (format!(",shard=\"{n}\",owner=\"{}\"", label(&owner.name)), owner.fence as f64)
            };
            owners.map(line).collect()
        });
        metric("lag", "Questions that no worker has started.", shards(|shard| shard.lag as f64));
        metric(
            "pending",
            "Questions that a worker has started and not finished.",
            shards(|shard| shard.pending as f64),
        );
        metric(
            "oldest_seconds",
            "How long the oldest question has waited.",
            shards(|shard| shard.oldest.as_secs_f64()),
        );
        metric(
            "answers",
            "Answers that the holder has not posted yet.",
            vec![(String::new(), self.answers as f64)],
        );
        metric(
            "dead_letters",
            "Questions that failed on every delivery.",
            vec![(String::new(), self.dead as f64)],
        );
        metric("processes", "Worker processes.", vec![(String::new(), self.workers.len() as f64)]);
        text
    }
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn ask_for_holder(pipe: &mut Pipeline, keys: &LeaseKeys) {
    pipe.cmd("GET").arg(&keys.lease).cmd("PTTL").arg(&keys.lease);
}

fn next<T: redis::FromRedisValue>(values: &mut impl Iterator<Item = Value>) -> Result<T> {
    let value = values.next().ok_or_else(Error::unexpected)?;
    T::from_redis_value(value).map_err(|error| Error::unexpected().with_source(error))
}

fn read_holder(values: &mut impl Iterator<Item = Value>) -> Result<Option<Holder>> {
    let (value, left): (Option<String>, i64) = (next(values)?, next(values)?);
    // `<number>:<name>:<random>`
    let read = value.as_deref().and_then(|value| {
        let (fence, rest) = value.split_once(':')?;
        Some((fence.parse().ok()?, rest.rsplit_once(':')?.0.to_owned()))
    });
    let left = Duration::from_millis(u64::try_from(left).unwrap_or_default());
    Ok(read.map(|(fence, name)| Holder { name, fence, left }))
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |holder: &Option<Holder>| {
            holder
                .as_ref()
                .map_or("nobody".to_owned(), |holder| format!("{} (number {})", holder.name, holder.fence))
        };
        writeln!(f, "agent    {}", self.agent)?;
        writeln!(f, "holder   {}", who(&self.holder))?;
        writeln!(
            f,
            "workers  {}",
            if self.workers.is_empty() { "none".to_owned() } else { self.workers.join(", ") }
        )?;
        writeln!(f, "answers  {} wait for the holder", self.answers)?;
        writeln!(f, "dead     {}", self.dead)?;
        writeln!(f, "{:>5}  {:>7}  {:>7}  {:>8}  owner", "shard", "lag", "pending", "oldest")?;
        for (n, shard) in self.shards.iter().enumerate() {
            let oldest = format!("{:.1} s", shard.oldest.as_secs_f64());
            writeln!(
                f,
                "{n:>5}  {:>7}  {:>7}  {oldest:>8}  {}",
                shard.lag,
                shard.pending,
                who(&shard.owner)
            )?;
        }
        Ok(())
    }
}
