//! Distributes agents over machines.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crustocean::Stop;

use crate::backoff::Backoff;
use crate::balance::Balance;
use crate::error::Result;
use crate::keys::{check_name, lease_name};
use crate::lease::{Term, process_name, usable_ttl};
use crate::store::Store;

/// Spreads agents evenly over machines, each on one machine at a time.
///
/// All machines run the same program. The machine that has the lease `agent:<name>` runs that agent. When a machine
/// starts, it gets agents from the others. When a machine fails, the others take over its agents. A machine that you
/// stop hands its agents over before [`run`](Placement::run) returns.
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
    /// Adds this machine to a fleet. The crate calls `agents` every tenth of the [`ttl`](Placement::ttl), at least once
    /// per second, so the list of agents may change at any time.
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

    /// Sets this machine's name. No two machines may have the same one. Defaults to the host name and the process id.
    pub fn machine(mut self, name: impl Into<String>) -> Self {
        self.machine = name.into();
        self
    }

    /// Sets the length of a term of an agent's lease. A machine that has not registered for this long counts as failed.
    /// Defaults to 10 s; from 100 ms to 1 h.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = usable_ttl(ttl);
        self
    }

    /// Runs this machine's agents, each on a separate thread, until `stop` is stopped.
    ///
    /// `work` runs one agent and returns when its term ends ([`Term::close_at_end`], [`Term::on_end`]). If `work`
    /// returns or fails before that, the crate calls it again after a pause that grows from 1 s to 60 s.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name of an agent is not valid, if the list of agents panics, or if
    /// the server answers in a way that Redis 7 does not. The call retries all other errors, also a wrong password.
    pub fn run(
        &self,
        stop: &Stop,
        work: impl Fn(&Term, &str) -> Result<(), crate::HandlerError> + Sync,
    ) -> Result<()> {
        let prefix = lease_name("");
        let leases = || {
            let leases = (self.agents)().into_iter().map(|agent| self.store.lease(&lease_name(&agent)));
            leases.map(|lease| Ok(lease?.ttl(self.ttl).owner(&self.machine))).collect()
        };
        let balance =
            Balance { store: &self.store, members: self.members.clone(), name: &self.machine, ttl: self.ttl };
        balance.run(stop, leases, |term, lease| {
            let agent = lease.strip_prefix(&prefix).unwrap_or(lease);
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
            while term.should_continue() {
                let worked =
                    crate::user_code::caught(|| work(term, agent).map_err(|error| error.to_string()));
                match worked.unwrap_or_else(|panic| Err(format!("it panicked: {panic}"))) {
                    Err(error) if term.should_continue() => {
                        crate::logging::record!(Error, "{agent} ended: {error}")
                    }
                    _ => {}
                }
                term.wait_for_end(backoff.next());
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
