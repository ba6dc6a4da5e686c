//! A store is the program's code. It may block, panic, and use the agent.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::LIMIT;
use crate::common::{SOON, TestSandbox, eventually, wait_for, wait_for_message, watchdog};
use crustocean::agent::{StateStore, StoreError};
use crustocean::{Agent, ErrorKind, Event, Events, Stop};

/// The behaviour of `save`.
#[derive(Clone, Default)]
enum Save {
    #[default]
    Nothing,
    Unshowable,
    Undroppable,
    /// Closes the agent at the first save and sends the result.
    Closes(Agent, mpsc::Sender<crustocean::Result<()>>),
    Blocks,
}

#[derive(Clone, Default)]
struct Store(Arc<(Mutex<Save>, Condvar)>);

impl Store {
    fn set(&self, save: Save) {
        *self.0.0.lock().unwrap() = save;
        self.0.1.notify_all();
    }
}

impl StateStore for Store {
    fn load(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    fn save(&self, _: &str) -> Result<(), StoreError> {
        let mut save = self.0.0.lock().unwrap();
        match &*save {
            Save::Nothing => {}
            Save::Unshowable => return Err(Box::new(Unshowable)),
            Save::Undroppable => return Err(Box::new(Undroppable)),
            Save::Closes(agent, tell) => {
                let (agent, tell) = (agent.clone(), tell.clone());
                *save = Save::Nothing;
                drop(save);
                tell.send(agent.close()).unwrap();
            }
            Save::Blocks => drop(self.0.1.wait_while(save, |save| matches!(save, Save::Blocks)).unwrap()),
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Unshowable;

impl fmt::Display for Unshowable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("an error that panics when it is shown")
    }
}

impl std::error::Error for Unshowable {}

/// Panics when the thread of the last save drops it.
#[derive(Debug)]
struct Undroppable;

impl fmt::Display for Undroppable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error that panics when it is dropped")
    }
}

impl std::error::Error for Undroppable {}

impl Drop for Undroppable {
    fn drop(&mut self) {
        assert_ne!(
            thread::current().name(),
            Some("crustocean-save"),
            "an error that panics when it is dropped"
        );
    }
}

/// The `close_timeout` of an agent whose store blocks.
const SHORT: Duration = Duration::from_millis(500);

/// Starts an agent that has something to save.
fn with_changes(stop: &Stop) -> (TestSandbox, Store, Agent, Events) {
    with_limit(stop, SOON)
}

/// Starts an agent whose `close` waits for the store for this time.
fn with_limit(stop: &Stop, limit: Duration) -> (TestSandbox, Store, Agent, Events) {
    let (sandbox, store) = (TestSandbox::new(), Store::default());
    let builder = sandbox.builder().close_timeout(limit).stop(stop);
    let agent = builder.remember_in(store.clone()).connect(sandbox.agent_token("larry")).unwrap();
    agent.join("lobby").unwrap();
    let events = agent.events();
    sandbox.alice_says("hello");
    wait_for_message(&events, "hello");
    (sandbox, store, agent, events)
}

#[test]
fn an_error_that_panics_when_it_is_shown_does_not_keep_the_agent_open() {
    let _watchdog = watchdog(LIMIT);
    let (_sandbox, store, agent, _events) = with_changes(&Stop::new());
    store.set(Save::Unshowable);
    agent.clone().close().unwrap();
    assert!(!agent.is_connected());

    let stop = Stop::new();
    let (_sandbox, store, agent, _events) = with_changes(&stop);
    store.set(Save::Unshowable);
    stop.stop();
    eventually("the agent is closed", || !agent.is_connected());
}

#[test]
fn an_error_that_panics_when_it_is_dropped_does_not_keep_the_agent_open() {
    let _watchdog = watchdog(LIMIT);
    let (_sandbox, store, agent, events) = with_limit(&Stop::new(), Duration::MAX);
    store.set(Save::Undroppable);
    // The agent reports only the first failure. It drops the error of a later one.
    wait_for(&events, "the first failure", |event| {
        matches!(event, Event::StateNotSaved { .. }).then_some(())
    });
    agent.clone().close().unwrap();
    assert!(!agent.is_connected());
}

#[test]
fn a_store_may_close_the_agent() {
    let _watchdog = watchdog(LIMIT);
    let (tell, told) = mpsc::channel();
    let (_sandbox, store, agent, events) = with_changes(&Stop::new());
    store.set(Save::Closes(agent.clone(), tell.clone()));
    // The loop saves within a second.
    events.for_each(drop);
    assert!(agent.is_closed());
    told.recv_timeout(SOON).unwrap().unwrap();

    let (_sandbox, store, agent, _events) = with_changes(&Stop::new());
    store.set(Save::Closes(agent.clone(), tell));
    agent.close().unwrap();
    told.recv_timeout(SOON).unwrap().unwrap();
}

#[test]
fn a_store_that_blocks_keeps_no_agent_open() {
    let _watchdog = watchdog(LIMIT);
    let (_sandbox, store, agent, _events) = with_limit(&Stop::new(), SHORT);
    store.set(Save::Blocks);
    let error = agent.clone().close().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("not saved"), "{error}");
    assert!(!agent.is_connected());
    store.set(Save::Nothing);
}

#[test]
fn a_store_that_blocks_does_not_keep_the_last_handle_from_being_dropped() {
    let _watchdog = watchdog(LIMIT);
    let (_sandbox, store, agent, events) = with_limit(&Stop::new(), SHORT);
    store.set(Save::Blocks);
    drop((agent, events));
    store.set(Save::Nothing);
}

#[test]
fn close_says_so_if_another_thread_has_not_finished() {
    let _watchdog = watchdog(LIMIT);
    let (_sandbox, store, agent, _events) = with_limit(&Stop::new(), SHORT);
    store.set(Save::Blocks);
    // Two calls close the agent, at the same time or one after the other. Neither may return that the memory is saved.
    let closing = [agent.clone(), agent].map(|agent| thread::spawn(move || agent.close()));
    for closed in closing {
        let error = closed.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }
    store.set(Save::Nothing);
}

#[test]
fn the_connection_and_the_store_share_the_limit_of_close() {
    let _watchdog = watchdog(LIMIT);
    let limit = Duration::from_secs(6);
    let (sandbox, store, agent, _events) = with_limit(&Stop::new(), limit);
    store.set(Save::Blocks);
    sandbox.freeze(SOON);
    agent.rooms()[0].send("on its way").unwrap();
    let began = Instant::now();
    let error = agent.close().unwrap_err();
    let took = began.elapsed();
    assert_eq!(error.kind(), ErrorKind::MaybeSent, "{error}");
    // If each step had the whole limit, the close would take twice the time.
    assert!(took < limit * 2 - Duration::from_secs(1), "{took:?}");
    store.set(Save::Nothing);
    sandbox.thaw();
}
