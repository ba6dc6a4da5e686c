//! A [`Keeper`] for the session of a scenario. It works like the keeper of a set of sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::connection::Connection;
use super::scene::{Scene, Thread, spawn, take};
use super::server::Server;
use crate::deadline;
use crate::socket::session::attend::{self, Attended, KeptSession, attend};
use crate::socket::session::connector::Connector;
use crate::socket::session::keeper::Keeper;
use crate::socket::session::reader::Waited;

pub(super) struct Keeps {
    server: Arc<Server>,
    number: u64,
    woken: AtomicBool,
    ready: AtomicBool,
    /// The keeper no longer keeps the session.
    gone: AtomicBool,
}

impl Keeper for Keeps {
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

impl Keeps {
    fn set(&self, flag: &AtomicBool) {
        flag.store(true, Ordering::SeqCst);
        let _world = self.server.lock();
        self.server.changed.notify_all();
    }

    fn run(&self, connector: &Arc<Connector>) {
        let mut kept = KeptSession::new(self.number);
        let (mut watched, mut seen) = (None, 0);
        let mut workers = Vec::new();
        let mut own_threads = Vec::new();
        loop {
            self.woken.store(false, Ordering::SeqCst);
            let worker = Arc::clone(connector);
            let until = match attend(&connector.core, &mut kept) {
                Attended::Gone => break,
                Attended::Work(job) => {
                    workers.push(spawn(move || attend::work(&worker, job)));
                    None
                }
                Attended::OwnThread => {
                    own_threads.push(attend::own_thread(connector).expect("a thread"));
                    continue;
                }
                Attended::Watch(connection) => {
                    (watched, seen) = (Some(connection), 0);
                    continue;
                }
                Attended::Again => continue,
                Attended::Down { until } => {
                    watched = None;
                    until
                }
                Attended::Wait { until, rearm } => {
                    if rearm {
                        seen = 0;
                    }
                    until
                }
            };
            if self.wait(watched.as_deref(), &mut seen, until) {
                kept.is_readable(false);
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
    /// Gives the session to a keeper. Returns the keeper's thread, and the thread of a consumer that never reads from
    /// the connection.
    pub(super) fn keep(&self, number: u64) -> Vec<Thread> {
        let (ready, woken, gone) = (AtomicBool::new(true), AtomicBool::new(false), AtomicBool::new(false));
        let keeps = Arc::new(Keeps { server: Arc::clone(&self.server), number, ready, woken, gone });
        self.session.give_to(keeps.clone()).unwrap();
        let (connector, keeper) = (Arc::clone(self.session.connector()), Arc::clone(&keeps));
        let (session, seen) = (Arc::clone(&self.session), Arc::clone(&self.seen));
        let consumer = spawn(move || {
            loop {
                let mut world = keeps.server.lock();
                while !keeps.ready.swap(false, Ordering::SeqCst) {
                    world = keeps.server.changed.wait(world);
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
                if keeps.gone.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        vec![consumer, spawn(move || keeper.run(&connector))]
    }
}
