//! Leases: exactly one holder at a time.

mod config;
mod renewal;
mod term;
mod term_state;

use std::fmt;
use std::time::Duration;

use crustocean::Stop;
use redis::Script;

pub use term::Term;
pub(crate) use term_state::EndHandle;
pub use term_state::TermEnd;

use crate::connection::{Connector, RedisConnection};
use crate::error::{Error, Result};
use crate::keys::LeaseKeys;
use crate::moment::{Moment, as_millis};
use config::LeaseConfig;

/// Limits the length of a term to the range that leases support.
pub(crate) fn usable_ttl(ttl: Duration) -> Duration {
    ttl.clamp(Duration::from_millis(100), Duration::from_secs(60 * 60))
}

/// A lease. One process at a time holds it, for a [`Term`]. Returned by [`Store::lease`](crate::Store::lease).
///
/// - The holder renews its term automatically while it can reach Redis. A term without a renewal ends. The holder
///   notices this by its own clock before the term ends ([`Term::on_end`]), even when it cannot reach Redis.
/// - Every term has a fencing number, higher than that of every term before. The scripts of this crate check the term
///   before they write, so a process that was suspended for longer than its term writes nothing when it resumes.
/// - The crate measures time by the monotonic clock and by the system clock, and uses the longer of the two, so the time
///   of a suspended machine counts. A system clock that jumps may force an early renewal, but never causes two holders.
/// - When Redis has lost its data, nobody gets the lease until the terms from before the loss have ended. The holder keeps
///   its own term.
///
/// ```no_run
/// use crustocean_workers::{Stop, Store};
///
/// # fn main() -> crustocean_workers::Result<()> {
/// let lease = Store::from_env()?.lease("nightly-report")?;
/// let stop = Stop::new();
/// for term in lease.terms(&stop) {
///     let term = term?;
///     while term.should_continue() {
///         // work that only one process may do; send term.fence() along with what you write elsewhere
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Lease(LeaseConfig);

/// The result of an attempt to take a lease.
#[derive(Debug)]
pub(crate) enum Attempt {
    Taken(Term),
    /// Another process holds the lease, for this time at most if it does not renew it.
    Held(Duration),
}

impl Lease {
    pub(crate) fn new(connector: Connector, name: String, keys: LeaseKeys) -> Self {
        Lease(LeaseConfig { connector, name, keys, owner: process_name(), ttl: Duration::from_secs(10) })
    }

    /// Sets the length of a term. The holder renews it after a third, and stops working after three quarters without a
    /// renewal. Defaults to 10 s; from 100 ms to 1 h. A process that ends without releasing its lease blocks the others
    /// for this time.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.0.ttl = usable_ttl(ttl);
        self
    }

    /// Sets the holder's name, as [`Status`](crate::Status) shows it. Defaults to the host name and the process id.
    pub fn owner(mut self, name: impl Into<String>) -> Self {
        self.0.owner = name.into();
        self
    }

    /// The lease's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Takes the lease, or returns `None` if another process holds it.
    ///
    /// # Errors
    /// [`Unreachable`](crate::ErrorKind::Unreachable) or [`Refused`](crate::ErrorKind::Refused).
    pub fn try_acquire(&self) -> Result<Option<Term>> {
        Ok(match self.attempt(&mut self.connection())? {
            Attempt::Taken(term) => Some(term),
            Attempt::Held(_) => None,
        })
    }

    /// Waits until this process gets the lease, also while Redis is unreachable. `None` when `stop` was stopped first.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the server answers in a way that Redis 7 does not. The call retries all
    /// other errors, also a wrong password.
    pub fn acquire(&self, stop: &Stop) -> Result<Option<Term>> {
        let mut redis = self.connection();
        let poll = (self.0.ttl / 20).clamp(Duration::from_millis(20), Duration::from_secs(1));
        while !stop.is_stopped() {
            let wait = match self.attempt(&mut redis) {
                Ok(Attempt::Taken(term)) => return Ok(Some(term)),
                Ok(Attempt::Held(left)) => poll.min(left.max(Duration::from_millis(5))),
                Err(error) if error.is_retryable() => {
                    crate::logging::record!(Warn, "waiting for the lease {:?}: {error}", self.0.name);
                    poll
                }
                Err(error) => return Err(error),
            };
            stop.wait(wait);
        }
        Ok(None)
    }

    /// Waits until this process gets the lease, runs `work`, and releases the lease. `None` when `stop` was stopped
    /// first.
    ///
    /// `work` has to return when the term ends: see [`Term::should_continue`] and [`Term::on_end`].
    ///
    /// # Errors
    /// The errors of [`acquire`](Lease::acquire).
    pub fn hold<T>(&self, stop: &Stop, work: impl FnOnce(&Term) -> T) -> Result<Option<T>> {
        let Some(term) = self.acquire(stop)? else { return Ok(None) };
        let result = work(&term);
        term.release();
        Ok(Some(result))
    }

    /// Yields one term after the other, until `stop` is stopped. Drop a term to release the lease; the next call of
    /// `next` waits for a new term. Stopping `stop` requests the end of the current term.
    pub fn terms<'l>(&'l self, stop: &'l Stop) -> impl Iterator<Item = Result<Term>> + 'l {
        std::iter::from_fn(move || {
            let term = self.acquire(stop).transpose()?;
            Some(term.map(|term| term.ending_with(stop)))
        })
    }

    fn connection(&self) -> RedisConnection {
        self.0.connection()
    }

    pub(crate) fn attempt(&self, redis: &mut RedisConnection) -> Result<Attempt> {
        match self.request(redis, false)? {
            Some(attempt) => Ok(attempt),
            // The lease is new, or Redis has lost its data. After a loss, a term from before may still run, so wait for
            // its end.
            None => match self.0.ttl.checked_sub(redis.server_info()?.uptime) {
                Some(left) => Ok(Attempt::Held(left)),
                None => self.request(redis, true)?.ok_or_else(Error::unexpected),
            },
        }
    }

    /// Asks Redis for the lease. `None` if Redis does not know the lease and `create` is false.
    fn request(&self, redis: &mut RedisConnection, create: bool) -> Result<Option<Attempt>> {
        // A new value for every term distinguishes this term from earlier ones of this process.
        let owner = format!("{}:{:016x}", self.0.owner, random());
        // Take the time before the request, so that the term never ends later here than in Redis.
        let asked = Moment::now();
        let answer: Vec<String> = redis.run(|connection| {
            let script = Script::new(include_str!("lua/acquire.lua"));
            let mut call = script.key(&self.0.keys.lease);
            call.key(&self.0.keys.fence).arg(owner).arg(as_millis(self.0.ttl)).arg(if create {
                "yes"
            } else {
                "no"
            });
            call.invoke(connection)
        })?;
        match answer.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["unknown"] => Ok(None),
            ["held", left, _] => {
                Ok(Some(Attempt::Held(Duration::from_millis(left.parse().unwrap_or_default()))))
            }
            ["taken", fence, value] => {
                let fence = fence.parse().map_err(|_| Error::unexpected())?;
                crate::logging::record!(Info, "took the lease {:?}, fencing number {fence}", self.0.name);
                let term = Term::begin(self.0.clone(), fence, value.to_owned(), asked)?;
                Ok(Some(Attempt::Taken(term)))
            }
            _ => Err(Error::unexpected()),
        }
    }

    pub(crate) fn length(&self) -> Duration {
        self.0.ttl
    }

    pub(crate) fn key(&self) -> &str {
        &self.0.keys.lease
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that distinguishes terms. It is not a secret.
fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| {
        std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64)
    })
}

/// The host name and the process id: `machine:4711`.
pub(crate) fn process_name() -> String {
    let file = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = file.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    let host = host.as_deref().map(str::trim).filter(|host| !host.is_empty()).unwrap_or("host");
    format!("{host}:{}", std::process::id())
}
