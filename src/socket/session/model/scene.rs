//! The code that the scenarios share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config as CheckerConfig, MaxSteps, Runner};

use super::server::{Server, Setup};
use crate::config::Config;
use crate::deadline;
use crate::error::{ErrorKind, Result};
use crate::net::settings::ProxyChoice;
use crate::net::{ApiUrl, CancelToken};
use crate::socket::session::connection::connect::Opened;
use crate::socket::session::policy::Policy;
use crate::socket::session::queue::{Item, Limits};
use crate::socket::session::reader::Waited;
use crate::socket::session::{ConnectionHandle, Host, Session};
use crate::socket::transport::choice::{Transport, TransportMemory};
use crate::socket::transport::target::Target;
use crate::sync::modelled::{Clock, FOREVER};
use crate::sync::{Condvar, JoinHandle, Mutex};

/// Whether time moves in a scenario. If time stands still, nothing in the scenario may depend on time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    StandsStill,
    Moves,
}

const SCHEDULES: &str = "CRUSTOCEAN_MODEL_SCHEDULES";

/// Runs a scenario in the requested number of schedules. One half is random. The other half switches threads only a
/// few times, at places that the PCT algorithm chooses.
pub(super) fn check(time: Time, setup: Setup, scenario: impl Fn(&Scene) + Send + Sync + 'static) {
    let schedules = std::env::var(SCHEDULES).map_or(1000, |text| text.parse().expect(SCHEDULES));
    let target = target();
    let scenario = Arc::new(move || {
        Clock::start(time == Time::Moves);
        let scene = Scene::open(target.clone(), setup);
        scenario(&scene);
        drop(scene);
        Clock::stop();
    });
    run(RandomScheduler::new(schedules / 2), Arc::clone(&scenario));
    for depth in 2..=5 {
        run(PctScheduler::new(depth, schedules / 8), Arc::clone(&scenario));
    }
}

fn run(scheduler: impl Scheduler + 'static, scenario: Arc<impl Fn() + Send + Sync + 'static>) {
    let mut config = CheckerConfig::default();
    config.stack_size = 256 << 10;
    config.max_steps = MaxSteps::FailAfter(200_000);
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(move || scenario());
}

fn target() -> Target {
    let config = Config { proxy: ProxyChoice::Direct, ..Config::default() };
    Target {
        dialer: config.dialer().unwrap(),
        url: ApiUrl::parse("http://127.0.0.1:1").unwrap(),
        user_agent: String::new(),
        dial_timeout: Duration::from_secs(10),
        transport: Transport::WebSocket,
        secrets: Default::default(),
    }
}

/// Joins a room again after a loss, like an agent.
struct Rejoins;

impl Host for Rejoins {
    fn credentials(&self, _refused: bool) -> Result<String> {
        Ok("{}".to_owned())
    }

    fn restore(&self, connection: &ConnectionHandle<'_>) -> Result<()> {
        let joined = connection.subscribe(Box::new(|event| event.name() == "joined"));
        connection.emit("join", &0)?;
        joined.next(forever())?.expect("no limit passes");
        Ok(())
    }
}

pub(super) fn forever() -> Instant {
    deadline::after(2 * FOREVER)
}

pub(super) type Thread = JoinHandle<()>;

/// One schedule: a session and its server.
pub(super) struct Scene {
    pub(super) server: Arc<Server>,
    pub(super) session: Arc<Session>,
    pub(super) seen: Arc<Seen>,
}

/// The items that the consumers have taken together.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) log: Mutex<Log>,
    more: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) events: Vec<u64>,
    /// The number of events that the full queue has dropped.
    pub(super) missed: u64,
    /// Counts the reconnects after which the rooms were restored.
    pub(super) restored: usize,
    pub(super) wake_ups: usize,
    pub(super) ended: usize,
}

impl Seen {
    pub(super) fn until(&self, mut enough: impl FnMut(&Log) -> bool) {
        let mut log = self.log.lock();
        while !enough(&log) {
            log = self.more.wait(log);
        }
    }

    fn add(&self, change: impl FnOnce(&mut Log)) {
        change(&mut self.log.lock());
        self.more.notify_all();
    }
}

pub(super) fn spawn(work: impl FnOnce() + Send + 'static) -> Thread {
    shuttle::thread::spawn(work)
}

impl Scene {
    fn open(target: Target, setup: Setup) -> Self {
        let server = Server::start(setup);
        let limits = Limits { events: setup.queue, bytes: 1 << 20 };
        let (host, policy) = (Arc::new(Rejoins), Policy::default());
        let stop = CancelToken::default();
        let stop = setup.stoppable.then_some(&stop);
        let cancel = CancelToken::default();
        let opened = setup.opened.then(|| Opened::open(&target, &TransportMemory::default(), &cancel));
        let session = Session::open("", target, host, limits, policy, stop, opened).unwrap();
        Scene { server, session: Arc::new(session), seen: Arc::default() }
    }

    /// Starts a thread that takes events in a loop.
    pub(super) fn consumer(&self) -> Thread {
        let (session, seen) = (Arc::clone(&self.session), Arc::clone(&self.seen));
        spawn(move || {
            loop {
                match session.wait_for_items(None, &|| false) {
                    Waited::Items => take(&session, &seen),
                    Waited::Nothing => seen.add(|log| log.wake_ups += 1),
                    Waited::Ended => return seen.add(|log| log.ended += 1),
                }
            }
        })
    }

    /// Starts a thread that waits until another source has something for it.
    pub(super) fn looks_elsewhere(&self, source: Arc<AtomicBool>) -> Thread {
        let (session, seen) = (Arc::clone(&self.session), Arc::clone(&self.seen));
        spawn(move || {
            loop {
                match session.wait_for_items(None, &|| source.load(Ordering::SeqCst)) {
                    Waited::Items => take(&session, &seen),
                    Waited::Nothing => {
                        if source.swap(false, Ordering::SeqCst) {
                            seen.add(|log| log.wake_ups += 1);
                        }
                    }
                    Waited::Ended => return seen.add(|log| log.ended += 1),
                }
            }
        })
    }

    /// Starts a thread that sends a request. The answer must belong to this request; an error must be true.
    pub(super) fn asks(&self, number: u64, may_fail: bool) -> Thread {
        let (session, server) = (Arc::clone(&self.session), Arc::clone(&self.server));
        spawn(move || match session.emit_with_ack("ask", &number, forever(), 2 * FOREVER) {
            Ok(args) => assert_eq!(args.first::<u64>().unwrap(), number),
            Err(error) => {
                assert!(may_fail, "{error}");
                assert!(matches!(error.kind(), ErrorKind::MaybeSent | ErrorKind::Closed), "{error:?}");
                let asked = |frame: &String| frame.ends_with(&format!("[\"ask\",{number}]"));
                let asked = server.lock().wires.iter().flat_map(|wire| &wire.received).any(asked);
                let says_maybe = error.kind() == ErrorKind::MaybeSent || error.to_string().contains("may");
                assert!(says_maybe || !asked, "{error}: but the server has got it");
            }
        })
    }

    /// Starts a thread that sends an event.
    pub(super) fn sends(&self, number: u64, may_fail: bool) -> Thread {
        let (session, server) = (Arc::clone(&self.session), Arc::clone(&self.server));
        spawn(move || {
            let outcome = session.emit("say", &number, forever());
            let times = server.got(&format!("42[\"say\",{number}]"));
            assert!(times <= 1, "sent {times} times");
            match outcome {
                Ok(()) => assert!(may_fail || times == 1),
                Err(error) => {
                    assert!(may_fail, "{error}");
                    let says_maybe =
                        error.kind() == ErrorKind::MaybeSent || error.to_string().contains("may");
                    assert!(says_maybe || times == 0, "{error}: but it has arrived");
                }
            }
        })
    }

    /// Closes the session, and checks that all threads and connections have ended.
    pub(super) fn close(&self, threads: Vec<Thread>) {
        let _ = self.session.close(2 * FOREVER);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let state = self.session.core.lock();
        assert!(state.is_closed() && state.background_gone && !state.reading);
        assert!(state.acks.is_empty() && state.consumers + state.others == 0);
        drop(state);
        assert!(self.server.lock().wires.iter().all(|wire| wire.cut && !wire.reading));
    }

    /// Checks that consumers got the events in arrival order, and no event twice.
    pub(super) fn is_in_order(&self) {
        let log = self.seen.log.lock();
        assert!(log.events.is_sorted_by(|a, b| a < b), "{:?}", *log);
    }
}

/// Takes the ready items, under the lock of `seen`. An agent has a similar lock for the items that it takes.
pub(super) fn take(session: &Session, seen: &Seen) {
    seen.add(|log| {
        while let Some(item) = session.ready().take() {
            match item {
                Item::Event(event) if event.name() == "event" => {
                    log.events.push(event.args().parse().unwrap())
                }
                Item::Restored => log.restored += 1,
                Item::Lagged { missed } => log.missed += missed,
                _ => {}
            }
        }
    });
}
