//! The state of the server, and the handle through which all handlers use it.

pub(crate) mod access;
pub(crate) mod faults;
pub(crate) mod freeze;
pub(crate) mod limits;
pub(crate) mod links;
pub(crate) mod message_signal;
pub(crate) mod metrics;
pub(crate) mod outbox;
pub(crate) mod recorder;
pub(crate) mod recordings;
pub(crate) mod wire;

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;
use tokio::runtime::Handle;

use crate::app::access::Access;
use crate::app::faults::Faults;
use crate::app::freeze::Freeze;
use crate::app::limits::RateLimits;
use crate::app::links::Links;
use crate::app::message_signal::MessageSignal;
use crate::app::metrics::Metrics;
use crate::app::outbox::Outbox;
use crate::app::recorder::Recorder;
use crate::app::recordings::Recordings;
use crate::app::wire::Wire;
use crate::demo_tokens::DemoTokens;
use crate::store::journal::Journal;
use crate::store::{Data, SharedData};

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) session_ttl: Duration,
    pub(crate) log: bool,
    pub(crate) metadata_as_string: bool,
    /// How long a webhook may take to answer.
    pub(crate) webhook_timeout: Duration,
    /// The pause before the first retry of a delivery. It doubles with each retry.
    pub(crate) retry_delay: Duration,
    pub(crate) claim_ttl: Duration,
    pub(crate) rate_limits: bool,
    pub(crate) metrics_secret: Option<String>,
    /// The longest text of a message or an edit, in characters. Longer texts are cut. `None`: no limit.
    pub(crate) truncate_content: Option<usize>,
    /// How many messages a room keeps.
    pub(crate) max_messages: usize,
    /// How many bytes may wait for one client that does not read.
    pub(crate) max_waiting: usize,
    pub(crate) access: Access,
}

struct Inner {
    data: SharedData,
    /// `None` after the server has ended.
    journal: Mutex<Option<Journal>>,
    remembers: bool,
    /// The runtime that serves bots. The control connections have a runtime of their own.
    runtime: OnceLock<Handle>,
    freeze: Freeze,
    posting: Mutex<()>,
    recorder: Recorder,
    wire: Wire,
    message_signal: MessageSignal,
    recordings: Recordings,
    demo: Option<DemoTokens>,
    faults: Faults,
    links: Links,
    outbox: Outbox,
    limits: RateLimits,
    metrics: Metrics,
    io: Mutex<Option<SocketIo>>,
    options: Options,
    metadata_as_string: AtomicBool,
}

/// The locked data.
pub(crate) struct DataGuard<'a> {
    data: MutexGuard<'a, Data>,
    changed: bool,
    journal: &'a Mutex<Option<Journal>>,
}

impl Deref for DataGuard<'_> {
    type Target = Data;

    fn deref(&self) -> &Data {
        &self.data
    }
}

impl DerefMut for DataGuard<'_> {
    fn deref_mut(&mut self) -> &mut Data {
        self.changed = true;
        &mut self.data
    }
}

impl Drop for DataGuard<'_> {
    fn drop(&mut self) {
        if self.changed
            && let Some(journal) = &mut *self.journal.lock().unwrap_or_else(PoisonError::into_inner)
        {
            journal.save(&mut self.data);
        }
    }
}

/// The state of one server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

impl App {
    pub(crate) fn new(
        options: Options,
        data: SharedData,
        journal: Option<Journal>,
        demo: Option<DemoTokens>,
    ) -> Self {
        App(Arc::new(Inner {
            data,
            remembers: journal.is_some(),
            journal: Mutex::new(journal),
            runtime: OnceLock::new(),
            freeze: Freeze::default(),
            posting: Mutex::new(()),
            recorder: Recorder::default(),
            wire: Wire::new(options.log),
            message_signal: MessageSignal::default(),
            recordings: Recordings::default(),
            demo,
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

    /// Locks the data. Never hold the lock while sending or awaiting. Dropping the guard saves the changes.
    pub(crate) fn data(&self) -> DataGuard<'_> {
        let data = self.0.data.lock().unwrap_or_else(PoisonError::into_inner);
        DataGuard { data, changed: false, journal: &self.0.journal }
    }

    /// The account of a token. `None` if the token is not valid now.
    pub(crate) fn account_of(&self, token_hash: &str) -> Option<String> {
        let mut data = self.data();
        let account = data.tokens.resolve(token_hash)?;
        if data.tokens.is_stale(token_hash) {
            data.tokens.note_use(token_hash);
        }
        Some(account)
    }

    pub(crate) fn shared_data(&self) -> SharedData {
        self.0.data.clone()
    }

    /// The lock for posting a message. Hold it from adding a message to the history until the message is queued for all
    /// sockets, so that sockets get messages in the order of the history. Lock it before the data.
    pub(crate) fn posting(&self) -> MutexGuard<'_, ()> {
        self.0.posting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes threads that wait for a message.
    pub(crate) fn message_signal(&self) -> &MessageSignal {
        &self.0.message_signal
    }

    pub(crate) fn recordings(&self) -> &Recordings {
        &self.0.recordings
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.0.wire
    }

    /// The tokens of the demo, if this sandbox has one.
    pub(crate) fn demo(&self) -> Option<&DemoTokens> {
        self.0.demo.as_ref()
    }

    /// Whether the data is saved on disk.
    pub(crate) fn remembers(&self) -> bool {
        self.0.remembers
    }

    /// Stops saving and releases the folder for another server.
    pub(crate) fn close_journal(&self) {
        self.0.journal.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(crate) fn set_runtime(&self, runtime: Handle) {
        let _ = self.0.runtime.set(runtime);
    }

    pub(crate) fn runtime(&self) -> Option<&Handle> {
        self.0.runtime.get()
    }

    pub(crate) fn freeze(&self) -> &Freeze {
        &self.0.freeze
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

    /// Sets the Socket.IO server. `None` at the end frees the server and this state, which hold each other.
    pub(crate) fn set_io(&self, io: Option<SocketIo>) {
        *self.0.io.lock().unwrap_or_else(PoisonError::into_inner) = io;
    }

    pub(crate) fn io(&self) -> Option<SocketIo> {
        self.0.io.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All connected sockets. Omits sockets that are closing, which the server's list also has.
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
            crate::output::error_line(format_args!(
                "{} {}",
                crate::clock::iso(crate::clock::now_ms()),
                line()
            ));
        }
    }
}
