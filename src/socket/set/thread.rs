//! The set's thread.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::socket::session::SessionId;
use crate::socket::session::connector::Connector;
use crate::socket::session::due_work::{self, DrivenSession, NextStep};
use crate::socket::set::core::{Inbox, SetCore};
use crate::socket::set::poller::{Poller, Watched};
use crate::socket::set::workers::{WorkerJob, Workers};
use crate::threads;

/// The stack size. The thread runs only this crate's code, a few calls deep.
const STACK: usize = 256 << 10;

pub(super) fn start(set: Arc<SetCore>, poller: Poller) -> io::Result<JoinHandle<()>> {
    let work = move || {
        let workers = Workers::default();
        let mut thread = SetThread {
            set,
            poller,
            workers,
            sessions: HashMap::new(),
            alarms: BTreeSet::new(),
            again: Vec::new(),
        };
        // A panic would be a bug in this crate or in a library. The sessions continue without the set.
        if catch_unwind(AssertUnwindSafe(|| thread.run())).is_err() {
            crate::logging::warn!(
                "internal error: the thread of a set of agents panicked; please report this"
            );
            thread.set.inbox.lock().closed = true;
        }
        thread.hand_back();
    };
    threads::start_with_stack("crustocean-set", STACK, work)
}

struct SetThread {
    set: Arc<SetCore>,
    poller: Poller,
    workers: Workers,
    sessions: HashMap<u64, SessionEntry>,
    alarms: BTreeSet<(Instant, Alarm)>,
    /// Sessions that have more to do, without waiting.
    again: Vec<u64>,
}

struct SessionEntry {
    connector: Arc<Connector>,
    driven: DrivenSession,
    watched: Option<Watched>,
    /// When the thread must do the work of the session.
    alarm: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// A session has due work.
    DueWork(u64),
    /// Consumers must check a session.
    Consumers(SessionId),
}

impl SetThread {
    fn run(&mut self) {
        let mut readable = Vec::new();
        loop {
            let Inbox { added, woken, alarms, closed, .. } = self.take_inbox();
            for number in woken {
                self.run_due_work(number);
            }
            for (number, connector) in added {
                let driven = DrivenSession::new(number);
                self.sessions.insert(number, SessionEntry { connector, driven, watched: None, alarm: None });
                self.run_due_work(number);
            }
            self.alarms.extend(alarms.into_iter().map(|(session, at)| (at, Alarm::Consumers(session))));
            if closed {
                return;
            }
            self.run_alarms();
            for number in std::mem::take(&mut self.again) {
                self.run_due_work(number);
            }
            self.wait(&mut readable);
            for (number, ended) in readable.drain(..) {
                if let Some(entry) = self.sessions.get_mut(&number) {
                    entry.driven.is_readable(ended);
                    self.run_due_work(number);
                }
            }
        }
    }

    fn take_inbox(&self) -> Inbox {
        let mut inbox = self.set.inbox.lock();
        let closed = inbox.closed;
        Inbox { closed, ..std::mem::take(&mut *inbox) }
    }

    /// Sleeps until there is something to do.
    fn wait(&mut self, readable: &mut Vec<(u64, bool)>) {
        let next = self.alarms.first().map(|(at, _)| at.saturating_duration_since(Instant::now()));
        let limit = {
            let mut inbox = self.set.inbox.lock();
            let idle = self.again.is_empty() && inbox.is_empty();
            inbox.asleep = idle;
            if idle { next } else { Some(Duration::ZERO) }
        };
        self.poller.wait(limit, readable);
        self.set.inbox.lock().asleep = false;
    }

    fn run_alarms(&mut self) {
        let now = Instant::now();
        while let Some((at, alarm)) = self.alarms.first().copied() {
            if at > now {
                return;
            }
            self.alarms.pop_first();
            match alarm {
                Alarm::Consumers(session) => self.set.make_ready(session),
                Alarm::DueWork(number) => {
                    if let Some(entry) = self.sessions.get_mut(&number) {
                        entry.alarm = None;
                        self.run_due_work(number);
                    }
                }
            }
        }
    }

    /// Does the work that is due for a session, and schedules the later work.
    fn run_due_work(&mut self, number: u64) {
        let Some(entry) = self.sessions.get_mut(&number) else { return };
        loop {
            match due_work::run_due_work(&entry.connector.core, &mut entry.driven) {
                NextStep::Gone => return self.forget(number),
                NextStep::Work(job) => return self.start_job(number, job),
                NextStep::Down { until } => {
                    if let Some(mut watched) = entry.watched.take() {
                        self.poller.forget(&mut watched);
                    }
                    return self.set_alarm(number, until);
                }
                NextStep::OwnThread => {
                    // On failure the session is over, and the next round of this loop notices that.
                    drop(due_work::own_thread(&entry.connector));
                    continue;
                }
                NextStep::Watch(connection) => {
                    if let Some(mut watched) = entry.watched.take() {
                        self.poller.forget(&mut watched);
                    }
                    match self.poller.watch(number, connection) {
                        Ok(watched) => entry.watched = Some(watched),
                        Err(_) => return self.give_back(number),
                    }
                    continue;
                }
                NextStep::Wait { until, rearm } => {
                    if rearm
                        && let Some(watched) = &mut entry.watched
                        && self.poller.look_again(watched).is_err()
                    {
                        return self.give_back(number);
                    }
                    return self.set_alarm(number, until);
                }
                NextStep::Again => return self.again.push(number),
            }
        }
    }

    fn set_alarm(&mut self, number: u64, until: Option<Instant>) {
        // Only an earlier time replaces an alarm, because most new times are later and an early alarm does no harm.
        if let Some(entry) = self.sessions.get_mut(&number)
            && let Some(until) = until.filter(|until| entry.alarm.is_none_or(|alarm| alarm > *until))
        {
            if let Some(alarm) = entry.alarm.replace(until) {
                self.alarms.remove(&(alarm, Alarm::DueWork(number)));
            }
            self.alarms.insert((until, Alarm::DueWork(number)));
        }
    }

    /// Gives a job for a session to a worker.
    fn start_job(&mut self, number: u64, job: WorkerJob) {
        let Some(entry) = self.sessions.get_mut(&number) else { return };
        if !self.workers.add(job, Arc::clone(&entry.connector)) {
            due_work::no_worker(&entry.connector.core);
            self.set_alarm(number, Some(deadline::after(due_work::NO_WORKER)));
        }
    }

    /// Removes a session that is over, or that this set no longer drives.
    fn forget(&mut self, number: u64) {
        let Some(mut entry) = self.sessions.remove(&number) else { return };
        if let Some(watched) = &mut entry.watched {
            self.poller.forget(watched);
        }
        if let Some(alarm) = entry.alarm {
            self.alarms.remove(&(alarm, Alarm::DueWork(number)));
        }
    }

    /// Gives a session its own background thread.
    fn give_back(&mut self, number: u64) {
        if let Some(entry) = self.sessions.get(&number) {
            drop(due_work::take_back(&entry.connector, Some(number)));
        }
        self.forget(number);
    }

    /// Ends the set: gives every session its own background thread.
    fn hand_back(&mut self) {
        let numbers: Vec<u64> = self.sessions.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.give_back(number));
        self.workers.close();
    }
}
