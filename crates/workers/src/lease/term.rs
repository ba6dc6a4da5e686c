//! One term of a lease, as its holder sees it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crustocean::{OnStop, Stop};
use redis::Script;

use super::{Lease, renewal};
use crate::error::{Error, Result};
use crate::moment::Moment;
use crate::store::Link;

/// Why a term ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TermEnd {
    /// It could not be renewed in time, or somebody else has the lease. Nothing may be done any more.
    Lost,
    /// Its holder is to give it up: it was stopped, or the work goes to another machine. It is held and renewed until
    /// it is released, so what is under way can be finished.
    Asked,
}

/// The time in which one process holds a [`Lease`]. It is renewed in the background, and given up when dropped.
pub struct Term {
    shared: Arc<Shared>,
    renewing: Option<JoinHandle<()>>,
    /// Asks for its end when a switch is stopped.
    on_stop: Option<OnStop>,
}

/// What the holder, the thread that renews and the thread that watches the time share.
pub(super) struct Shared {
    pub(super) lease: Lease,
    pub(super) fence: u64,
    pub(super) value: String,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// When the request was made that began the term, or renewed it last.
    renewed: Moment,
    end: Option<TermEnd>,
    released: bool,
    callbacks: Vec<Box<dyn FnOnce(TermEnd) + Send>>,
}

/// Asks for the end of a term from another thread.
#[derive(Clone)]
pub(crate) struct Ender(std::sync::Weak<Shared>);

impl Ender {
    pub(crate) fn end(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.end(TermEnd::Asked);
        }
    }
}

impl Term {
    pub(super) fn begin(lease: Lease, fence: u64, value: String, asked: Moment) -> Result<Self> {
        let state = State { renewed: asked, end: None, released: false, callbacks: Vec::new() };
        let shared =
            Arc::new(Shared { lease, fence, value, state: Mutex::new(state), changed: Condvar::new() });
        let start = |name: &str, run: fn(&Shared)| {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || run(&shared))
                .map_err(|error| Error::invalid("no thread can be started for a lease").with_source(error))
        };
        // The time is watched by a thread that never waits for the network.
        start("lease-watch", Shared::watch)?;
        let renewing = Some(start("lease-renewal", renewal::run)?);
        Ok(Term { shared, renewing, on_stop: None })
    }

    /// The same term, whose end is asked for when this is stopped.
    pub(super) fn ended_by(mut self, stop: &Stop) -> Self {
        let end = self.ender();
        self.on_stop = Some(stop.on_stop(move || end.end()));
        self
    }

    /// The fencing number: higher than those of all terms before. What is written to another system should carry it,
    /// so that it can refuse a lower one than it has seen.
    pub fn fence(&self) -> u64 {
        self.shared.fence
    }

    /// Whether the lease is certainly held, for as long as the margin at least (a quarter of the term).
    pub fn is_held(&self) -> bool {
        self.shared.is_held()
    }

    /// Why the term ends, once it does.
    pub fn end(&self) -> Option<TermEnd> {
        self.shared.is_held();
        self.shared.lock().end
    }

    /// Whether to go on: it is held, and nobody asks for its end.
    pub fn goes_on(&self) -> bool {
        self.end().is_none() && self.is_held()
    }

    /// Asks for the end of the term, as a [`Stop`](crate::Stop) does: what is under way can be finished, then the term
    /// is to be dropped.
    pub fn ask_to_end(&self) {
        self.shared.end(TermEnd::Asked);
    }

    /// Waits until the term ends, or as long.
    pub fn wait_end(&self, limit: Duration) -> Option<TermEnd> {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, limit, |state| state.end.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.end
    }

    /// Calls this when the term is lost or its end is asked for, whichever is first, on a thread of its own: a quarter
    /// of the term's length before somebody else can have the lease. At once if it has ended. It should be quick: to
    /// [close an agent](Term::close_at_end), to set a switch.
    pub fn on_end(&self, act: impl FnOnce(TermEnd) + Send + 'static) {
        let mut state = self.shared.lock();
        match state.end {
            Some(end) => {
                drop(state);
                act(end);
            }
            None => state.callbacks.push(Box::new(act)),
        }
    }

    /// Closes an agent when the term ends, so that its event loops end and nothing is sent any more.
    pub fn close_at_end(&self, agent: &crustocean::Agent) {
        let agent = agent.clone();
        self.on_end(move |_| {
            if let Err(error) = agent.close() {
                log::info!("closing the agent at the end of a term: {error}");
            }
        });
    }

    /// Gives the lease up, so that somebody else can have it at once. Dropping the term does the same.
    pub fn release(self) {
        drop(self);
    }

    /// Asks Redis whether the lease is still held.
    pub(crate) fn verify(&self, link: &mut Link) -> Result<bool> {
        let key = &self.shared.lease.keys().lease;
        let held: Option<String> = link.run(|connection| redis::cmd("GET").arg(key).query(connection))?;
        Ok(held.as_deref() == Some(self.value()))
    }

    /// What the lease's key has to have for a write to be good.
    pub(crate) fn value(&self) -> &str {
        &self.shared.value
    }

    pub(crate) fn key(&self) -> &str {
        &self.shared.lease.keys().lease
    }

    pub(crate) fn ender(&self) -> Ender {
        Ender(Arc::downgrade(&self.shared))
    }

    /// Redis says that somebody else has the lease.
    pub(crate) fn lose(&self) {
        self.shared.end(TermEnd::Lost);
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.shared.lock().released = true;
        self.shared.changed.notify_all();
        // It takes a fraction of a term at most: its time limits for Redis are such.
        if let Some(renewing) = self.renewing.take() {
            let _ = renewing.join();
        }
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Term")
            .field("lease", &self.shared.lease.name())
            .field("fence", &self.fence())
            .field("end", &self.shared.lock().end)
            .finish_non_exhaustive()
    }
}

/// What the thread that renews is to do next.
pub(super) enum Next {
    Renew,
    Release,
    Nothing,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long after a renewal a holder may do what only a holder may.
    fn good_for(&self) -> Duration {
        self.lease.length() / 4 * 3
    }

    pub(super) fn left(&self) -> Duration {
        self.good_for().saturating_sub(self.lock().renewed.at_least())
    }

    fn is_held(&self) -> bool {
        let renewed = {
            let state = self.lock();
            if state.released || state.end == Some(TermEnd::Lost) {
                return false;
            }
            state.renewed
        };
        if renewed.at_least() >= self.good_for() {
            self.end(TermEnd::Lost);
            return false;
        }
        if renewed.at_most() >= self.good_for() {
            // The machine was suspended, or the system's clock was set. A renewal tells.
            self.changed.notify_all();
            return false;
        }
        true
    }

    /// A later end counts if it is a loss.
    pub(super) fn end(&self, end: TermEnd) {
        let callbacks = {
            let mut state = self.lock();
            if state.released || state.end == Some(TermEnd::Lost) || state.end == Some(end) {
                return;
            }
            state.end = Some(end);
            std::mem::take(&mut state.callbacks)
        };
        self.changed.notify_all();
        if end == TermEnd::Lost {
            log::warn!("lost the lease {:?}, number {}", self.lease.name(), self.fence);
        }
        if !callbacks.is_empty() {
            let run = move || callbacks.into_iter().for_each(|act| act(end));
            // Whoever asks for an end does not wait for it.
            if let Err(error) = thread::Builder::new().name("lease-end".to_owned()).spawn(run) {
                log::error!("no thread can be started to end a term: {error}");
            }
        }
    }

    /// The renewal that was asked for at that moment has come. False if that was too late.
    pub(super) fn renewed(&self, asked: Moment) -> bool {
        let mut state = self.lock();
        let late = state.renewed.at_least() >= self.good_for();
        if late || state.end == Some(TermEnd::Lost) {
            drop(state);
            self.end(TermEnd::Lost);
            return false;
        }
        state.renewed = asked;
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Waits until there is something to do for whoever renews.
    pub(super) fn next(&self, after: Duration) -> Next {
        let mut state = self.lock();
        loop {
            if state.released {
                return Next::Release;
            }
            if state.end == Some(TermEnd::Lost) {
                return Next::Nothing;
            }
            let doubtful = state.renewed.at_most() >= self.good_for();
            let Some(left) = after.checked_sub(state.renewed.at_least()).filter(|_| !doubtful) else {
                return Next::Renew;
            };
            let left = left.max(Duration::from_millis(1));
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits a little, unless the term is released or lost meanwhile.
    pub(super) fn pause(&self, time: Duration) {
        let over = |state: &mut State| !state.released && state.end != Some(TermEnd::Lost);
        drop(self.changed.wait_timeout_while(self.lock(), time, over));
    }

    /// Ends the term in time, whatever the network does.
    fn watch(&self) {
        loop {
            let state = self.lock();
            if state.released || state.end == Some(TermEnd::Lost) {
                return;
            }
            match self.good_for().checked_sub(state.renewed.at_least()).filter(|left| !left.is_zero()) {
                Some(left) => drop(self.changed.wait_timeout(state, left)),
                None => {
                    drop(state);
                    self.end(TermEnd::Lost);
                }
            }
        }
    }

    pub(super) fn ask_to_renew(&self, link: &mut Link) -> Result<bool> {
        let (keys, limit) = (self.lease.keys(), self.left().min(self.lease.length() / 4));
        link.run_within(limit.max(Duration::from_millis(10)), |connection| {
            let script = Script::new(include_str!("../lua/renew.lua"));
            let mut call = script.key(&keys.lease);
            call.key(&keys.fence).arg(&self.value).arg(super::millis(self.lease.length())).arg(self.fence);
            call.invoke(connection)
        })
    }

    pub(super) fn give_up(&self, link: &mut Link) -> Result<()> {
        link.run(|connection| {
            let script = Script::new(include_str!("../lua/release.lua"));
            script.key(&self.lease.keys().lease).arg(&self.value).invoke::<()>(connection)
        })
    }
}
