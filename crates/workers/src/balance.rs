//! Spreads things that have a lease each evenly over the processes that are there.

use std::collections::HashMap;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use crustocean::Stop;
use redis::Script;

use crate::error::{Error, Result};
use crate::keys::shard_of;
use crate::lease::{Attempt, Ender, Lease, Term, millis};
use crate::store::{Link, Store};

/// One process's part in it.
pub(crate) struct Balance<'b> {
    pub(crate) store: &'b Store,
    /// A sorted set of all processes.
    pub(crate) members: String,
    /// This one's name.
    pub(crate) name: &'b str,
    /// How long a process counts after its last sign of life.
    pub(crate) ttl: Duration,
}

struct Running<'scope> {
    ender: Ender,
    ending: bool,
    thread: ScopedJoinHandle<'scope, Result<()>>,
}

impl Balance<'_> {
    /// Runs `work` on a thread for each thing that this process holds, until it is stopped. When processes come or go,
    /// things move: their terms are asked to end, and are given up when `work` returns.
    ///
    /// # Errors
    /// The first error of `work`'s, and what waiting does not change about Redis.
    pub(crate) fn run(
        &self,
        stop: &Stop,
        things: impl Fn() -> Result<Vec<Lease>>,
        work: impl Fn(&Term, &str) -> Result<()> + Sync,
    ) -> Result<()> {
        let tick = (self.ttl / 10).clamp(Duration::from_millis(20), Duration::from_secs(1));
        let mut link = self.store.link_within(self.ttl / 4);
        std::thread::scope(|scope| {
            let mut running: HashMap<String, Running<'_>> = HashMap::new();
            let mut result = Ok(());
            while !stop.is_stopped() && result.is_ok() {
                result = self.turn(&mut link, &things, &mut running, scope, &work);
                if let Err(error) = &result
                    && error.is_retryable()
                {
                    log::warn!("waiting for Redis: {error}");
                    result = reap(&mut running);
                }
                stop.wait(tick);
            }
            // The others see that their share is larger now, and take what is given up one by one.
            if let Err(error) = self.sign(&mut link, Duration::ZERO) {
                log::warn!("the others will miss this process only after a while: {error}");
            }
            running.values().for_each(|running| running.ender.end());
            for (name, running) in running {
                result = result.and(join(&name, running));
            }
            result
        })
    }

    fn turn<'scope, 'env>(
        &self,
        link: &mut Link,
        things: impl Fn() -> Result<Vec<Lease>>,
        running: &mut HashMap<String, Running<'scope>>,
        scope: &'scope Scope<'scope, 'env>,
        work: &'env (impl Fn(&Term, &str) -> Result<()> + Sync),
    ) -> Result<()> {
        reap(running)?;
        let members = self.sign(link, self.ttl)?;
        let mut things = things()?;
        for (name, running) in
            running.iter_mut().filter(|(name, _)| things.iter().all(|thing| thing.name() != *name))
        {
            log::info!("{name} is not there any more");
            running.end();
        }
        let rank = members.iter().position(|member| member == self.name).unwrap_or(0);
        let (share, more) = (things.len() / members.len().max(1), things.len() % members.len().max(1));
        let share = share + usize::from(rank < more);
        let held = running.values().filter(|running| !running.ending).count();
        for running in running.values_mut().filter(|running| !running.ending).take(held.saturating_sub(share))
        {
            running.end();
        }
        // Each process begins somewhere else.
        let start = shard_of(self.name, things.len().max(1));
        things.rotate_left(start);
        let mut wanted = share.saturating_sub(held);
        let free = self.free(link, &things)?;
        for (thing, _) in things.iter().zip(free).filter(|(_, free)| *free) {
            if wanted == 0 {
                break;
            }
            if running.contains_key(thing.name()) {
                continue;
            }
            if let Attempt::Taken(term) = thing.attempt(link)? {
                wanted -= 1;
                let (ender, name) = (term.ender(), thing.name().to_owned());
                let thread = scope.spawn(move || work(&term, &name));
                running.insert(thing.name().to_owned(), Running { ender, ending: false, thread });
            }
        }
        Ok(())
    }

    fn sign(&self, link: &mut Link, ttl: Duration) -> Result<Vec<String>> {
        link.run(|connection| {
            let script = Script::new(include_str!("lua/member.lua"));
            script.key(&self.members).arg(self.name).arg(millis(ttl)).invoke(connection)
        })
    }

    fn free(&self, link: &mut Link, things: &[Lease]) -> Result<Vec<bool>> {
        if things.is_empty() {
            return Ok(Vec::new());
        }
        let held: Vec<bool> = link.run(|connection| {
            let mut pipe = redis::pipe();
            for thing in things {
                pipe.cmd("EXISTS").arg(&thing.keys().lease);
            }
            pipe.query(connection)
        })?;
        Ok(held.into_iter().map(|held| !held).collect())
    }
}

impl Running<'_> {
    fn end(&mut self) {
        self.ending = true;
        self.ender.end();
    }
}

/// Sees to threads that have ended.
fn reap(running: &mut HashMap<String, Running<'_>>) -> Result<()> {
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
