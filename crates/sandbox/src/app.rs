//! What the server knows, and the handle by which every handler reaches it.

pub(crate) mod faults;
pub(crate) mod limits;
pub(crate) mod links;
pub(crate) mod metrics;
pub(crate) mod outbox;
pub(crate) mod recorder;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;

use crate::app::faults::Faults;
use crate::app::limits::RateLimits;
use crate::app::links::Links;
use crate::app::metrics::Metrics;
use crate::app::outbox::Outbox;
use crate::app::recorder::Recorder;
use crate::store::{Data, SharedData};

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) session_ttl: Duration,
    pub(crate) log: bool,
    pub(crate) metadata_as_string: bool,
    /// How long a webhook may take to answer.
    pub(crate) webhook_timeout: Duration,
    /// The pause before the first new attempt at a delivery; it doubles with each.
    pub(crate) retry_delay: Duration,
    pub(crate) claim_ttl: Duration,
    pub(crate) rate_limits: bool,
    pub(crate) metrics_secret: Option<String>,
    /// How many characters of a message are kept.
    pub(crate) truncate_content: Option<usize>,
}

struct Inner {
    data: SharedData,
    posting: Mutex<()>,
    recorder: Recorder,
    faults: Faults,
    links: Links,
    outbox: Outbox,
    limits: RateLimits,
    metrics: Metrics,
    io: Mutex<Option<SocketIo>>,
    options: Options,
    metadata_as_string: AtomicBool,
}

/// A cheap handle on the state of one server.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

impl App {
    pub(crate) fn new(options: Options, data: SharedData) -> Self {
        App(Arc::new(Inner {
            data,
            posting: Mutex::new(()),
            recorder: Recorder::default(),
            faults: Faults::default(),
            links: Links::default(),
            outbox: Outbox::default(),
            limits: RateLimits::default(),
            metrics: Metrics::default(),
            io: Mutex::new(None),
            metadata_as_string: AtomicBool::new(options.metadata_as_string),
            options,
        }))
    }

    /// The lock is never held while something is sent or awaited.
    pub(crate) fn data(&self) -> MutexGuard<'_, Data> {
        self.0.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shared_data(&self) -> SharedData {
        self.0.data.clone()
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

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    pub(crate) fn limits(&self) -> &RateLimits {
        &self.0.limits
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
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

    pub(crate) fn metadata_as_string(&self) -> bool {
        self.0.metadata_as_string.load(Ordering::Relaxed)
    }

    pub(crate) fn set_metadata_as_string(&self, on: bool) {
        self.0.metadata_as_string.store(on, Ordering::Relaxed);
    }

    pub(crate) fn log(&self, line: impl FnOnce() -> String) {
        if self.0.options.log {
            eprintln!("{} {}", crate::clock::iso(crate::clock::now_ms()), line());
        }
    }
}
