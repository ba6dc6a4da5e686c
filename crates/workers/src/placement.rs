//! Many agents on several machines.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crustocean::Stop;

use crate::backoff::Backoff;
use crate::balance::Balance;
use crate::error::Result;
use crate::keys::{check_name, lease_name};
use crate::lease::{Term, process_name};
use crate::store::Store;

/// Spreads agents evenly over machines, each on one machine at a time.
///
/// Every machine runs the same: an agent belongs to whoever has the lease `agent:<name>`. When a machine comes, others
/// give agents up to it; when one goes, the others take its agents over. One that is stopped hands its agents over
/// before [`run`](Placement::run) returns.
///
/// ```no_run
/// use crustocean_workers::{Placement, Stop, Store};
///
/// # fn main() -> crustocean_workers::Result<()> {
/// let stop = Stop::new();
/// let placement = Placement::new(&Store::from_env()?, "bots", || vec!["larry".to_owned(), "clawdia".to_owned()])?;
/// placement.run(&stop, |term, name| {
///     let agent = crustocean::Agent::connect(std::env::var(format!("TOKEN_{name}"))?.parse()?)?;
///     term.close_at_end(&agent); // the loop ends when the agent moves
///     for question in agent.mentions() {
///         question?.reply("42").unwrap_or_else(|error| eprintln!("not answered: {error}"));
///     }
///     Ok(())
/// })?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Placement {
    store: Store,
    members: String,
    machine: String,
    ttl: Duration,
    agents: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
}

impl Placement {
    /// A fleet of machines by its name. `agents` is asked again and again: agents may come and go.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name is empty, longer than 200 bytes, or has braces or control
    /// characters.
    pub fn new(
        store: &Store,
        fleet: &str,
        agents: impl Fn() -> Vec<String> + Send + Sync + 'static,
    ) -> Result<Self> {
        check_name("a fleet's name", fleet)?;
        let members = format!("{}:{{fleet:{fleet}}}:machines", store.key_prefix());
        let (store, machine, ttl) = (store.clone(), process_name(), Duration::from_secs(10));
        Ok(Placement { store, members, machine, ttl, agents: Arc::new(agents) })
    }

    /// This machine's name, another one than all others have. Defaults to its host name and the number of the process.
    pub fn machine(mut self, name: impl Into<String>) -> Self {
        self.machine = name.into();
        self
    }

    /// How long a term of an agent's lease is, and how long a machine counts that gives no sign of life. Defaults to
    /// 10 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Runs this machine's agents, each on a thread of its own, until it is stopped.
    ///
    /// `work` runs one agent and returns when its term ends ([`Term::close_at_end`], [`Term::on_end`]). If it returns
    /// before, or fails, it is called again after a pause that grows from 1 s to 60 s.
    ///
    /// # Errors
    /// When Redis refuses for a reason that waiting does not change, or an agent's name is not one.
    pub fn run(
        &self,
        stop: &Stop,
        work: impl Fn(&Term, &str) -> Result<(), crate::HandlerError> + Sync,
    ) -> Result<()> {
        let prefix = lease_name("");
        let things = || {
            let leases = (self.agents)().into_iter().map(|agent| self.store.lease(&lease_name(&agent)));
            leases.map(|lease| Ok(lease?.ttl(self.ttl).owner(&self.machine))).collect()
        };
        let balance =
            Balance { store: &self.store, members: self.members.clone(), name: &self.machine, ttl: self.ttl };
        balance.run(stop, things, |term, lease| {
            let agent = lease.strip_prefix(&prefix).unwrap_or(lease);
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
            while term.goes_on() {
                match work(term, agent) {
                    Err(error) if term.goes_on() => log::error!("{agent} ended: {error}"),
                    _ => {}
                }
                term.wait_end(backoff.next());
            }
            Ok(())
        })
    }
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement")
            .field("machine", &self.machine)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}
