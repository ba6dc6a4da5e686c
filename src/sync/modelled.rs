//! The types of the model checker [shuttle](https://docs.rs/shuttle), which decides at every step which thread runs.
//!
//! shuttle has no time, so this module has a clock of its own. The clock stands still, or a separate thread moves it to the
//! next moment for which a thread waits. This can happen at any step, because any step may take that long. A wait of
//! [`FOREVER`] or more never times out, so a lost wake-up becomes a deadlock, which shuttle reports.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use shuttle::rand::RngCore;
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64};
use shuttle::thread::Thread;
pub(crate) use shuttle::thread::{Builder, JoinHandle};

/// A wait of this length or more ends only by a notification.
pub(crate) const FOREVER: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

pub(crate) struct MutexGuard<'a, T> {
    guard: shuttle::sync::MutexGuard<'a, T>,
    mutex: &'a Mutex<T>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard { guard, mutex: self }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

const WAITS: u8 = 0;
const NOTIFIED: u8 = 1;
const TIMED_OUT: u8 = 2;

/// One wait of one thread.
#[derive(Debug)]
struct Wait {
    thread: Thread,
    state: AtomicU8,
}

impl Wait {
    /// Ends the wait. True if it had not ended before.
    fn end(&self, how: u8) -> bool {
        self.state.compare_exchange(WAITS, how, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn is_over(&self) -> bool {
        self.state.load(Ordering::SeqCst) != WAITS
    }
}

/// A condition variable. A notification may wake any of the waiting threads, and no thread wakes without a
/// notification. So code that relies on a certain order fails in some schedules.
///
/// The list has an ordinary lock, which no thread holds while another thread may run.
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Mutex<Vec<Arc<Wait>>>);

impl Condvar {
    pub(crate) fn new() -> Self {
        Condvar::default()
    }

    fn waits(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Wait>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.wait_timeout(guard, FOREVER)
    }

    pub(crate) fn wait_for<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, T> {
        self.wait_timeout(guard, limit.unwrap_or(FOREVER))
    }

    pub(crate) fn wait_timeout<'a, T>(&self, guard: MutexGuard<'a, T>, limit: Duration) -> MutexGuard<'a, T> {
        let wait = Arc::new(Wait { thread: shuttle::thread::current(), state: AtomicU8::new(WAITS) });
        let until = (limit < FOREVER).then(|| now() + limit);
        let MutexGuard { guard, mutex } = guard;
        // shuttle may switch threads before it releases the lock but not after, so no other thread runs until `park`.
        drop(guard);
        self.waits().push(Arc::clone(&wait));
        if let Some(until) = until {
            Clock::wake_at(until, &wait);
        }
        while !wait.is_over() {
            shuttle::thread::park();
        }
        self.waits().retain(|other| !Arc::ptr_eq(other, &wait));
        mutex.lock()
    }

    pub(crate) fn notify_one(&self) {
        switch();
        let wait = {
            let mut waits = self.waits();
            waits.retain(|wait| !wait.is_over());
            if waits.is_empty() {
                return;
            }
            let at = below(waits.len());
            waits.swap_remove(at)
        };
        if wait.end(NOTIFIED) {
            wait.thread.unpark();
        }
    }

    pub(crate) fn notify_all(&self) {
        switch();
        let waits = std::mem::take(&mut *self.waits());
        // Ends all waits before any of the threads runs.
        let ended: Vec<_> = waits.into_iter().filter(|wait| wait.end(NOTIFIED)).collect();
        ended.iter().for_each(|wait| wait.thread.unpark());
    }
}

/// Lets any other thread run first.
pub(crate) fn switch() {
    shuttle::thread::sleep(Duration::ZERO);
}

/// A number below `limit`, which the checker chooses.
pub(crate) fn below(limit: usize) -> usize {
    shuttle::rand::thread_rng().next_u32() as usize % limit.max(1)
}

/// The clock of one schedule. All threads of the schedule are coroutines of one thread of the operating system.
pub(crate) struct Clock {
    now: Instant,
    /// The thread that moves the clock, if it moves.
    mover: Option<Thread>,
    stopped: bool,
    alarms: Vec<(Instant, Arc<Wait>)>,
}

thread_local! {
    static CLOCK: RefCell<Clock> =
        RefCell::new(Clock { now: Instant::now(), mover: None, stopped: false, alarms: Vec::new() });
}

pub(crate) fn now() -> Instant {
    CLOCK.with_borrow(|clock| clock.now)
}

impl Clock {
    /// Starts a schedule. The clock moves only if `runs`.
    pub(crate) fn start(runs: bool) {
        CLOCK.with_borrow_mut(|clock| {
            clock.alarms.clear();
            clock.mover = None;
            clock.stopped = false;
        });
        if runs {
            let mover = shuttle::thread::spawn(Clock::run);
            CLOCK.with_borrow_mut(|clock| clock.mover = Some(mover.thread().clone()));
        }
    }

    /// Stops the clock and ends its thread.
    pub(crate) fn stop() {
        let mover = CLOCK.with_borrow_mut(|clock| {
            clock.stopped = true;
            clock.mover.take()
        });
        if let Some(mover) = mover {
            mover.unpark();
        }
    }

    fn wake_at(until: Instant, wait: &Arc<Wait>) {
        let mover = CLOCK.with_borrow_mut(|clock| {
            clock.alarms.push((until, Arc::clone(wait)));
            clock.mover.clone()
        });
        if let Some(mover) = mover {
            mover.unpark();
        }
    }

    fn run() {
        loop {
            shuttle::thread::yield_now();
            let mut due = Vec::new();
            let continues = CLOCK.with_borrow_mut(|clock| {
                clock.alarms.retain(|(_, wait)| !wait.is_over());
                if let Some(next) = clock.alarms.iter().map(|(at, _)| *at).min() {
                    clock.now = clock.now.max(next);
                    let now = clock.now;
                    due.extend(clock.alarms.extract_if(.., |(at, _)| *at <= now).map(|(_, wait)| wait));
                }
                !clock.stopped
            });
            if !continues {
                return;
            }
            if due.is_empty() {
                shuttle::thread::park();
            }
            for wait in due {
                if wait.end(TIMED_OUT) {
                    wait.thread.unpark();
                }
            }
        }
    }
}
