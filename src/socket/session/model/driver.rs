//! A [`Driver`] for the session of a scenario. It works like the driver of a set of sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::connection::Connection;
use super::scene::{Scene, Thread, spawn, take};
use super::server::Server;
use crate::deadline;
use crate::socket::session::connector::Connector;
use crate::socket::session::driver::Driver;
use crate::socket::session::due_work::{self, DrivenSession, NextStep, run_due_work};
use crate::socket::session::reader::Waited;

pub(super) struct ModelDriver {
    server: Arc<Server>,
    number: u64,
    woken: AtomicBool,
    ready: AtomicBool,
    /// The driver no longer drives the session.
    gone: AtomicBool,
}

impl Driver for ModelDriver {
    fn wake(&self) {
        self.set(&self.woken);
    }

    fn notify_consumers(&self) {
        self.set(&self.ready);
    }

    fn number(&self) -> u64 {
        self.number
    }
}

impl ModelDriver {
    fn set(&self, flag: &AtomicBool) {
        flag.store(true, Ordering::SeqCst);
        let _world = self.server.lock();
        self.server.changed.notify_all();
    }

    fn run(&self, connector: &Arc<Connector>) {
        let mut driven = DrivenSession::new(self.number);
        let (mut watched, mut seen) = (None, 0);
        let mut workers = Vec::new();
        let mut own_threads = Vec::new();
        loop {
            self.woken.store(false, Ordering::SeqCst);
            let worker = Arc::clone(connector);
            let until = match run_due_work(&connector.core, &mut driven) {
                NextStep::Gone => break,
                NextStep::Work(job) => {
                    workers.push(spawn(move || due_work::run_job(&worker, job)));
                    None
                }
                NextStep::OwnThread => {
                    own_threads.push(due_work::own_thread(connector).expect("a thread"));
                    continue;
                }
                NextStep::Watch(connection) => {
                    (watched, seen) = (Some(connection), 0);
                    continue;
                }
                NextStep::Again => continue,
                NextStep::Down { until } => {
                    watched = None;
                    until
                }
                NextStep::Wait { until, rearm } => {
                    if rearm {
                        seen = 0;
                    }
                    until
                }
            };
            if self.wait(watched.as_deref(), &mut seen, until) {
                driven.is_readable(false);
            }
        }
        self.gone.store(true, Ordering::SeqCst);
        self.set(&self.ready);
        workers.into_iter().chain(own_threads).for_each(|worker: Thread| worker.join().unwrap());
    }

    /// Waits for packets. Like a poller, it reports each arrival once.
    fn wait(&self, watched: Option<&Connection>, seen: &mut usize, until: Option<Instant>) -> bool {
        let mut world = self.server.lock();
        loop {
            let arrived = watched.and_then(|connection| connection.arrivals(&mut world));
            if let Some(arrived) = arrived.filter(|arrived| arrived != seen) {
                *seen = arrived;
                return true;
            }
            if self.woken.load(Ordering::SeqCst) {
                return false;
            }
            world = match until {
                None => self.server.changed.wait(world),
                Some(until) => {
                    let left = until.saturating_duration_since(deadline::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.server.changed.wait_timeout(world, left)
                }
            };
        }
    }
}

impl Scene {
    /// Gives the session to a driver. Returns the driver's thread, and the thread of a consumer that never reads from
    /// the connection.
    pub(super) fn drive(&self, number: u64) -> Vec<Thread> {
        let (ready, woken, gone) = (AtomicBool::new(true), AtomicBool::new(false), AtomicBool::new(false));
        let driver = Arc::new(ModelDriver { server: Arc::clone(&self.server), number, ready, woken, gone });
        self.session.give_to(driver.clone()).unwrap();
        let (connector, notified) = (Arc::clone(self.session.connector()), Arc::clone(&driver));
        let (session, seen) = (Arc::clone(&self.session), Arc::clone(&self.seen));
        let consumer = spawn(move || {
            loop {
                let mut world = notified.server.lock();
                while !notified.ready.swap(false, Ordering::SeqCst) {
                    world = notified.server.changed.wait(world);
                }
                drop(world);
                loop {
                    match session.wait_for_items(Some(deadline::now()), &|| false) {
                        Waited::Items => take(&session, &seen),
                        Waited::Ended => return,
                        Waited::Nothing => {}
                    }
                    if !session.has_more() {
                        break;
                    }
                }
                if notified.gone.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        vec![consumer, spawn(move || driver.run(&connector))]
    }
}
