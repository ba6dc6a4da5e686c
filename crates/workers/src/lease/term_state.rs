//! The state of a term, which its holder shares with the thread that renews the term and the thread that watches its
//! time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use redis::Script;

use super::config::LeaseConfig;
use crate::connection::RedisConnection;
use crate::error::Result;
use crate::moment::{Moment, as_millis};

/// Why a term ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TermEnd {
    /// The term was not renewed in time, or another process has the lease. The holder must stop at once.
    Lost,
    /// The holder should release the lease, because the process stops or the work moves to another machine. The term
    /// goes on until it is dropped, so the holder can finish its work.
    Requested,
}

pub(super) struct TermState {
    pub(super) config: LeaseConfig,
    pub(super) fence: u64,
    /// The value of the lease's key during this term.
    pub(super) value: String,
    progress: Mutex<Progress>,
    changed: Condvar,
}

struct Progress {
    /// The time of the request that began the term or renewed it last.
    renewed: Moment,
    end: Option<TermEnd>,
    released: bool,
    callbacks: Vec<Box<dyn FnOnce(TermEnd) + Send>>,
}

/// Requests the end of a term from another thread.
#[derive(Clone)]
pub(crate) struct EndHandle(Weak<TermState>);

impl EndHandle {
    pub(super) fn new(state: &Arc<TermState>) -> Self {
        EndHandle(Arc::downgrade(state))
    }

    pub(crate) fn request_end(&self) {
        if let Some(state) = self.0.upgrade() {
            state.end(TermEnd::Requested);
        }
    }
}

/// The next task of the renewal thread.
pub(super) enum Next {
    Renew,
    Release,
    /// The term is lost.
    Stop,
}

impl TermState {
    pub(super) fn new(config: LeaseConfig, fence: u64, value: String, asked: Moment) -> Self {
        let progress = Progress { renewed: asked, end: None, released: false, callbacks: Vec::new() };
        TermState { config, fence, value, progress: Mutex::new(progress), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn why_ended(&self) -> Option<TermEnd> {
        self.lock().end
    }

    pub(super) fn wait_for_end(&self, limit: Duration) -> Option<TermEnd> {
        let waited = self.changed.wait_timeout_while(self.lock(), limit, |progress| progress.end.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.end
    }

    pub(super) fn on_end(&self, act: impl FnOnce(TermEnd) + Send + 'static) {
        let mut progress = self.lock();
        match progress.end {
            Some(end) => {
                drop(progress);
                act(end);
            }
            None => progress.callbacks.push(Box::new(act)),
        }
    }

    pub(super) fn mark_released(&self) {
        self.lock().released = true;
        self.changed.notify_all();
    }

    fn time_left(&self) -> Duration {
        self.config.usable().saturating_sub(self.lock().renewed.at_least())
    }

    pub(super) fn is_held(&self) -> bool {
        let renewed = {
            let progress = self.lock();
            if progress.released || progress.end == Some(TermEnd::Lost) {
                return false;
            }
            progress.renewed
        };
        if renewed.at_least() >= self.config.usable() {
            self.end(TermEnd::Lost);
            return false;
        }
        if renewed.at_most() >= self.config.usable() {
            // The machine was suspended, or the system clock was set. The next renewal shows whether the term is lost.
            self.changed.notify_all();
            return false;
        }
        true
    }

    /// Ends the term. `Lost` replaces `Requested`; otherwise the first reason stays.
    pub(super) fn end(&self, end: TermEnd) {
        let callbacks = {
            let mut progress = self.lock();
            if progress.released || progress.end == Some(TermEnd::Lost) || progress.end == Some(end) {
                return;
            }
            progress.end = Some(end);
            std::mem::take(&mut progress.callbacks)
        };
        self.changed.notify_all();
        for act in callbacks {
            // Run each callback on a separate thread, so that neither the caller nor another callback waits for it.
            let act = Arc::new(Mutex::new(Some(act)));
            let run = {
                let act = Arc::clone(&act);
                move || {
                    let act = act.lock().unwrap_or_else(PoisonError::into_inner).take();
                    if let Some(act) = act
                        && let Err(panic) = crate::user_code::caught(|| act(end))
                    {
                        crate::logging::record!(Error, "a callback at the end of a term panicked: {panic}");
                    }
                }
            };
            if thread::Builder::new().name("lease-end".to_owned()).spawn(run.clone()).is_err() {
                // Without a thread, run the callback here, because a late call is better than none.
                run();
            }
        }
        // Log last, because the logger may block.
        if end == TermEnd::Lost {
            crate::logging::record!(Warn, "lost the lease {:?}, number {}", self.config.name, self.fence);
        }
    }

    /// Records a renewal that was requested at `asked`. Ends the term if the answer came too late.
    pub(super) fn renewed(&self, asked: Moment) {
        let mut progress = self.lock();
        let late = progress.renewed.at_least() >= self.config.usable();
        if late || progress.end == Some(TermEnd::Lost) {
            drop(progress);
            return self.end(TermEnd::Lost);
        }
        progress.renewed = asked;
        drop(progress);
        self.changed.notify_all();
    }

    /// Waits until the renewal thread has something to do. `after`: how long after a renewal the next one is due.
    pub(super) fn next(&self, after: Duration) -> Next {
        let mut progress = self.lock();
        loop {
            if progress.released {
                return Next::Release;
            }
            if progress.end == Some(TermEnd::Lost) {
                return Next::Stop;
            }
            let uncertain = progress.renewed.at_most() >= self.config.usable();
            let Some(left) = after.checked_sub(progress.renewed.at_least()).filter(|_| !uncertain) else {
                return Next::Renew;
            };
            let left = left.max(Duration::from_millis(1));
            progress = self.changed.wait_timeout(progress, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for `time`, or until the term is released or lost.
    pub(super) fn pause(&self, time: Duration) {
        let goes_on = |progress: &mut Progress| !progress.released && progress.end != Some(TermEnd::Lost);
        drop(self.changed.wait_timeout_while(self.lock(), time, goes_on));
    }

    /// Ends the term in time, even while a request to Redis hangs.
    pub(super) fn watch(&self) {
        loop {
            let progress = self.lock();
            if progress.released || progress.end == Some(TermEnd::Lost) {
                return;
            }
            let left = self.config.usable().checked_sub(progress.renewed.at_least());
            match left.filter(|left| !left.is_zero()) {
                Some(left) => drop(self.changed.wait_timeout(progress, left)),
                None => {
                    drop(progress);
                    self.end(TermEnd::Lost);
                }
            }
        }
    }

    /// Asks Redis to renew the term. False if another process has the lease.
    pub(super) fn ask_to_renew(&self, redis: &mut RedisConnection) -> Result<bool> {
        let (keys, limit) = (&self.config.keys, self.time_left().min(self.config.margin()));
        redis.run_within(limit.max(Duration::from_millis(10)), |connection| {
            let script = Script::new(include_str!("../lua/renew.lua"));
            let mut call = script.key(&keys.lease);
            call.key(&keys.fence).arg(&self.value).arg(as_millis(self.config.ttl)).arg(self.fence);
            call.invoke(connection)
        })
    }

    /// Deletes the lease in Redis if this term still holds it.
    pub(super) fn give_up(&self, redis: &mut RedisConnection) -> Result<()> {
        redis.run(|connection| {
            let script = Script::new(include_str!("../lua/release.lua"));
            script.key(&self.config.keys.lease).arg(&self.value).invoke::<()>(connection)
        })
    }
}
