//! Spreads leases evenly over the running processes.

use std::collections::HashMap;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use crustocean::Stop;
use redis::Script;

use crate::connection::RedisConnection;
use crate::error::{Error, Result};
use crate::keys::shard_of;
use crate::lease::{Attempt, EndHandle, Lease, Term};
use crate::moment::as_millis;
use crate::store::Store;

/// One of the processes that share the leases.
pub(crate) struct Balance<'b> {
    pub(crate) store: &'b Store,
    /// The key of a sorted set of all processes.
    pub(crate) members: String,
    /// This process's name.
    pub(crate) name: &'b str,
    /// How long a process counts as running after its last registration.
    pub(crate) ttl: Duration,
}

struct Running<'scope> {
    end_handle: EndHandle,
    ending: bool,
    thread: ScopedJoinHandle<'scope, Result<()>>,
}

impl Balance<'_> {
    /// Runs `work` on a separate thread for each lease that this process holds, until `stop` is stopped. When processes
    /// start or end, leases move: this process requests the end of a term, and releases the lease when `work` returns.
    ///
    /// # Errors
    /// The first error of `work` or `list` that is not retryable, `Invalid` if `list` panics or if the server answers in
    /// a way that Redis 7 does not.
    pub(crate) fn run(
        &self,
        stop: &Stop,
        list: impl Fn() -> Result<Vec<Lease>>,
        work: impl Fn(&Term, &str) -> Result<()> + Sync,
    ) -> Result<()> {
        let tick = (self.ttl / 10).clamp(Duration::from_millis(20), Duration::from_secs(1));
        let mut redis = self.store.connection_within(self.ttl / 4);
        std::thread::scope(|scope| {
            // Catch a panic of the user's closure, because the scope would wait for the threads of running terms.
            let list = || {
                crate::user_code::caught(&list).unwrap_or_else(|panic| {
                    Err(Error::invalid(format!("the list of agents panicked: {panic}")))
                })
            };
            let mut running: HashMap<String, Running<'_>> = HashMap::new();
            let mut result = Ok(());
            while !stop.is_stopped() && result.is_ok() {
                result = self.rebalance(&mut redis, list, &mut running, scope, &work);
                if let Err(error) = &result
                    && error.is_retryable()
                {
                    crate::logging::record!(Warn, "waiting: {error}");
                    result = join_ended(&mut running);
                }
                stop.wait(tick);
            }
            // Remove the registration, so that the other processes see that their share has grown and take the released
            // leases.
            if let Err(error) = self.register(&mut redis, Duration::ZERO) {
                crate::logging::record!(
                    Warn,
                    "the other processes take over only after the term of this one: {error}"
                );
            }
            running.values().for_each(|running| running.end_handle.request_end());
            for (name, running) in running {
                result = result.and(join(&name, running));
            }
            result
        })
    }

    /// Registers this process, gives up leases beyond its share, and takes free ones up to its share.
    fn rebalance<'scope, 'env>(
        &self,
        redis: &mut RedisConnection,
        list: impl Fn() -> Result<Vec<Lease>>,
        running: &mut HashMap<String, Running<'scope>>,
        scope: &'scope Scope<'scope, 'env>,
        work: &'env (impl Fn(&Term, &str) -> Result<()> + Sync),
    ) -> Result<()> {
        join_ended(running)?;
        let members = self.register(redis, self.ttl)?;
        let mut leases = list()?;
        for (name, running) in
            running.iter_mut().filter(|(name, _)| leases.iter().all(|lease| lease.name() != *name))
        {
            crate::logging::record!(Info, "{name} is no longer in the list");
            running.request_end();
        }
        let rank = members.iter().position(|member| member == self.name).unwrap_or(0);
        let (share, more) = (leases.len() / members.len().max(1), leases.len() % members.len().max(1));
        let share = share + usize::from(rank < more);
        let held = running.values().filter(|running| !running.ending).count();
        for running in running.values_mut().filter(|running| !running.ending).take(held.saturating_sub(share))
        {
            running.request_end();
        }
        // Each process starts at another lease, so that they do not all try the same one first.
        let start = shard_of(self.name, leases.len().max(1));
        leases.rotate_left(start);
        let mut wanted = share.saturating_sub(held);
        let free = self.which_are_free(redis, &leases)?;
        for (lease, _) in leases.iter().zip(free).filter(|(_, free)| *free) {
            if wanted == 0 {
                break;
            }
            if running.contains_key(lease.name()) {
                continue;
            }
            if let Attempt::Taken(term) = lease.attempt(redis)? {
                wanted -= 1;
                let (end_handle, name) = (term.end_handle(), lease.name().to_owned());
                let thread = thread::Builder::new().spawn_scoped(scope, move || work(&term, &name));
                let thread = thread.map_err(Error::no_thread)?;
                running.insert(lease.name().to_owned(), Running { end_handle, ending: false, thread });
            }
        }
        Ok(())
    }

    /// Registers this process for `ttl` (zero: removes it). Returns the names of all processes, sorted.
    fn register(&self, redis: &mut RedisConnection, ttl: Duration) -> Result<Vec<String>> {
        redis.run(|connection| {
            let script = Script::new(include_str!("lua/register_process.lua"));
            script.key(&self.members).arg(self.name).arg(as_millis(ttl)).invoke(connection)
        })
    }

    fn which_are_free(&self, redis: &mut RedisConnection, leases: &[Lease]) -> Result<Vec<bool>> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let held: Vec<bool> = redis.run(|connection| {
            let mut pipe = redis::pipe();
            for lease in leases {
                pipe.cmd("EXISTS").arg(lease.key());
            }
            pipe.query(connection)
        })?;
        Ok(held.into_iter().map(|held| !held).collect())
    }
}

impl Running<'_> {
    fn request_end(&mut self) {
        self.ending = true;
        self.end_handle.request_end();
    }
}

/// Joins the threads that have ended.
fn join_ended(running: &mut HashMap<String, Running<'_>>) -> Result<()> {
    let ended: Vec<String> = running
        .iter()
        .filter(|(_, running)| running.thread.is_finished())
        .map(|(name, _)| name.clone())
        .collect();
    ended
        .into_iter()
        .try_for_each(|name| running.remove(&name).map_or(Ok(()), |running| join(&name, running)))
}

fn join(name: &str, running: Running<'_>) -> Result<()> {
    let panicked = |_| Err(Error::invalid(format!("the thread for {name} panicked")));
    running.thread.join().unwrap_or_else(panicked)
}
