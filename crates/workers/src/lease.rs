//! Leases: exactly one holder at a time.

mod renewal;
mod term;

use std::fmt;
use std::time::Duration;

use crustocean::Stop;
use redis::Script;

pub(crate) use term::Ender;
pub use term::{Term, TermEnd};

use crate::error::{Error, Result};
use crate::keys::LeaseKeys;
use crate::moment::Moment;
use crate::store::{Link, Store};

/// A lease: of all who want it, one holds it at a time, for a [`Term`] that is renewed as long as its process lives and
/// reaches Redis. From [`Store::lease`].
///
/// - A term that is not renewed ends by itself. Its holder is told before that ([`Term::on_end`]), by its own clock,
///   whether Redis can be reached or not.
/// - Every term has a fencing number, higher than all before. What this crate writes is checked against the term in
///   the same script, so a holder that was stopped for longer than its term writes nothing when it wakes.
/// - Time is measured by the monotonic clock, and by the system's clock too, whichever says more: a suspended machine
///   counts. A clock that jumps costs a renewal, never the lease's promise.
/// - When Redis has lost all data, nobody gets the lease before the terms of the time before have ended, and the
///   holder gets its own term back.
///
/// ```no_run
/// use crustocean_workers::{Stop, Store};
///
/// # fn main() -> crustocean_workers::Result<()> {
/// let lease = Store::from_env()?.lease("nightly-report")?;
/// let stop = Stop::new();
/// for term in lease.terms(&stop) {
///     let term = term?;
///     while term.is_held() {
///         // what only one process may do; term.fence() goes along with what is written elsewhere
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Lease {
    store: Store,
    name: String,
    keys: LeaseKeys,
    owner: String,
    ttl: Duration,
}

/// What came of an attempt to take a lease.
#[derive(Debug)]
pub(crate) enum Attempt {
    Taken(Term),
    /// Held by another one for so long at most, if it is not renewed.
    Held(Duration),
}

impl Lease {
    pub(crate) fn new(store: Store, name: String, keys: LeaseKeys) -> Self {
        Lease { store, name, keys, owner: process_name(), ttl: Duration::from_secs(10) }
    }

    /// How long a term is. It is renewed after a third of it; after three quarters without a renewal its holder has to
    /// stop. Defaults to 10 s; less than 100 ms is taken for 100 ms.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl.max(Duration::from_millis(100));
        self
    }

    /// What others see as its holder. Defaults to the machine's name and the number of the process.
    pub fn owner(mut self, name: impl Into<String>) -> Self {
        self.owner = name.into();
        self
    }

    /// The lease's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes the lease if nobody holds it.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub fn try_acquire(&self) -> Result<Option<Term>> {
        Ok(match self.attempt(&mut self.link())? {
            Attempt::Taken(term) => Some(term),
            Attempt::Held(_) => None,
        })
    }

    /// Waits until the lease can be taken; `None` when it was stopped. Waits as well while Redis cannot be reached.
    ///
    /// # Errors
    /// When Redis refuses for a reason that waiting does not change: it wants a password, say.
    pub fn acquire(&self, stop: &Stop) -> Result<Option<Term>> {
        let mut link = self.link();
        let poll = (self.ttl / 20).clamp(Duration::from_millis(20), Duration::from_secs(1));
        while !stop.is_stopped() {
            let wait = match self.attempt(&mut link) {
                Ok(Attempt::Taken(term)) => return Ok(Some(term)),
                Ok(Attempt::Held(left)) => poll.min(left.max(Duration::from_millis(5))),
                Err(error) if error.is_retryable() => {
                    log::warn!("waiting for the lease {:?}: {error}", self.name);
                    poll
                }
                Err(error) => return Err(error),
            };
            stop.wait(wait);
        }
        Ok(None)
    }

    /// Waits until the lease can be taken, runs `work`, and gives the lease up. `None` when it was stopped before.
    ///
    /// `work` has to come to its end when the term does: [`Term::on_end`] and [`Term::is_held`] say so.
    ///
    /// # Errors
    /// As [`acquire`](Lease::acquire).
    pub fn hold<T>(&self, stop: &Stop, work: impl FnOnce(&Term) -> T) -> Result<Option<T>> {
        let Some(term) = self.acquire(stop)? else { return Ok(None) };
        let result = work(&term);
        term.release();
        Ok(Some(result))
    }

    /// One term after the other, until it is stopped. A term that is dropped is given up; the next call waits for the
    /// next one.
    pub fn terms<'l>(&'l self, stop: &'l Stop) -> impl Iterator<Item = Result<Term>> + 'l {
        std::iter::from_fn(move || {
            let term = self.acquire(stop).transpose()?;
            Some(term.map(|term| term.ended_by(stop)))
        })
    }

    pub(crate) fn link(&self) -> Link {
        self.store.link_within(self.ttl / 4)
    }

    pub(crate) fn attempt(&self, link: &mut Link) -> Result<Attempt> {
        match self.ask(link, false)? {
            Some(attempt) => Ok(attempt),
            // Redis has never heard of the lease, or has lost its data. Then a term from before may not be over.
            None => match self.ttl.checked_sub(link.server_info()?.uptime) {
                Some(left) => Ok(Attempt::Held(left)),
                None => self.ask(link, true)?.ok_or_else(Error::unexpected),
            },
        }
    }

    /// `None` if Redis has never heard of the lease and may not make it: see `new`.
    fn ask(&self, link: &mut Link, new: bool) -> Result<Option<Attempt>> {
        // Another value for every term, so that an earlier term of this process is not taken for this one.
        let owner = format!("{}:{:016x}", self.owner, random());
        // The term begins no later than this.
        let asked = Moment::now();
        let answer: Vec<String> = link.run(|connection| {
            let script = Script::new(include_str!("lua/acquire.lua"));
            let mut call = script.key(&self.keys.lease);
            call.key(&self.keys.fence).arg(owner).arg(millis(self.ttl)).arg(if new { "yes" } else { "no" });
            call.invoke(connection)
        })?;
        match answer.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["unknown"] => Ok(None),
            ["held", left, _] => {
                Ok(Some(Attempt::Held(Duration::from_millis(left.parse().unwrap_or_default()))))
            }
            ["taken", fence, value] => {
                let fence = fence.parse().map_err(|_| Error::unexpected())?;
                log::info!("took the lease {:?}, number {fence}", self.name);
                let term = Term::begin(self.clone(), fence, value.to_owned(), asked)?;
                Ok(Some(Attempt::Taken(term)))
            }
            _ => Err(Error::unexpected()),
        }
    }

    pub(crate) fn length(&self) -> Duration {
        self.ttl
    }

    pub(crate) fn keys(&self) -> &LeaseKeys {
        &self.keys
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", &self.name)
            .field("owner", &self.owner)
            .field("ttl", &self.ttl)
            .finish()
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Tells terms apart; nothing secret depends on it.
fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| {
        std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64)
    })
}

/// `machine:4711`.
pub(crate) fn process_name() -> String {
    let file = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = file.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    let host = host.as_deref().map(str::trim).filter(|host| !host.is_empty()).unwrap_or("host");
    format!("{host}:{}", std::process::id())
}
