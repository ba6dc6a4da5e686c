//! What the server knows, and the handle by which every handler reaches it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;

use crate::accounts::Accounts;
use crate::agencies::Agencies;
use crate::custom_commands::CustomCommands;
use crate::faults::Faults;
use crate::hooks::Hooks;
use crate::links::Links;
use crate::recorder::Recorder;
use crate::runs::Runs;
use crate::subscriptions::Subscription;
use crate::tokens::Tokens;

/// All that a real Crustocean keeps in its database.
#[derive(Debug, Default)]
pub(crate) struct Data {
    pub(crate) accounts: Accounts,
    pub(crate) tokens: Tokens,
    pub(crate) agencies: Agencies,
    pub(crate) runs: Runs,
    pub(crate) commands: CustomCommands,
    pub(crate) hooks: Hooks,
    /// Agents that nobody has claimed yet, by claim code.
    pub(crate) claims: HashMap<String, String>,
    pub(crate) subscriptions: Vec<Subscription>,
}

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) session_ttl: Duration,
    pub(crate) log: bool,
    pub(crate) metadata_as_string: bool,
}

struct Inner {
    data: Mutex<Data>,
    posting: Mutex<()>,
    recorder: Recorder,
    faults: Faults,
    links: Links,
    io: Mutex<Option<SocketIo>>,
    session_ttl: Duration,
    log: bool,
    metadata_as_string: AtomicBool,
}

/// A cheap handle on the state of one server.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

impl App {
    pub(crate) fn new(options: Options) -> Self {
        App(Arc::new(Inner {
            data: Mutex::new(Data::default()),
            posting: Mutex::new(()),
            recorder: Recorder::default(),
            faults: Faults::default(),
            links: Links::default(),
            io: Mutex::new(None),
            session_ttl: options.session_ttl,
            log: options.log,
            metadata_as_string: AtomicBool::new(options.metadata_as_string),
        }))
    }

    /// The lock is never held while something is sent or awaited.
    pub(crate) fn data(&self) -> MutexGuard<'_, Data> {
        self.0.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held from the moment a message gets its place in the history until it is on its way to all sockets, so that it
    /// is heard in that order. Taken before the data.
    pub(crate) fn posting(&self) -> MutexGuard<'_, ()> {
        self.0.posting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.0.recorder
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.0.faults
    }

    pub(crate) fn links(&self) -> &Links {
        &self.0.links
    }

    /// The Socket.IO server, while there is one. Its handlers hold this state and this state holds it: only by taking
    /// it out again at the end is either ever freed.
    pub(crate) fn set_io(&self, io: Option<SocketIo>) {
        *self.0.io.lock().unwrap_or_else(PoisonError::into_inner) = io;
    }

    pub(crate) fn io(&self) -> Option<SocketIo> {
        self.0.io.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All live sockets; those that are just being taken down are still on the server's list.
    pub(crate) fn sockets(&self) -> Vec<SocketRef> {
        let sockets = self.io().map_or_else(Vec::new, |io| io.sockets());
        sockets.into_iter().filter(|socket| socket.connected()).collect()
    }

    pub(crate) fn session_ttl(&self) -> Duration {
        self.0.session_ttl
    }

    pub(crate) fn metadata_as_string(&self) -> bool {
        self.0.metadata_as_string.load(Ordering::Relaxed)
    }

    pub(crate) fn set_metadata_as_string(&self, on: bool) {
        self.0.metadata_as_string.store(on, Ordering::Relaxed);
    }

    pub(crate) fn log(&self, line: impl FnOnce() -> String) {
        if self.0.log {
            eprintln!("{} {}", crate::clock::iso(crate::clock::now_ms()), line());
        }
    }
}
