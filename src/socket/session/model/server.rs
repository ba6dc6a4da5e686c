//! A server and its network, in memory. The scenario decides what the server does; the checker decides when.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tungstenite::Utf8Bytes;

use crate::error::{Error, ErrorKind};
use crate::socket::connection::connect::ConnectFailure;
use crate::socket::protocol::event::{AckArgs, RawEvent};
use crate::socket::session::connection::decoder::Inbound;
use crate::sync::modelled::below;
use crate::sync::{Condvar, Mutex, MutexGuard};

/// How the server reacts, and which kind of session the scenario uses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) answers: bool,
    /// The session can be [stopped](crate::socket::session::Session::stop_waits).
    pub(super) stoppable: bool,
    /// The connections use long-polling: waking does not reach a thread that reads.
    pub(super) polling: bool,
    /// Another thread has opened the first connection in advance.
    pub(super) opened: bool,
    /// The most events that wait for a consumer.
    pub(super) queue: usize,
    pub(super) answers_close: bool,
    /// How many dials after the first may fail.
    pub(super) failing_dials: usize,
    /// How long a dial after the first takes.
    pub(super) dial: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            answers: true,
            stoppable: false,
            polling: false,
            opened: false,
            queue: 1000,
            answers_close: true,
            failing_dials: 0,
            dial: Duration::ZERO,
        }
    }
}

/// A packet on its way to the client.
#[derive(Debug)]
pub(super) enum Packet {
    Event(String),
    Ack(u64, String),
    Ping,
    Pong,
    /// The answer to the closing handshake, which ends the connection.
    CloseReply,
}

/// Both directions of one connection.
#[derive(Debug, Default)]
pub(super) struct Wire {
    pub(super) to_client: VecDeque<Packet>,
    /// How many packets the client has taken.
    pub(super) taken: usize,
    /// The frames of the client.
    pub(super) received: Vec<String>,
    pub(super) pongs: usize,
    /// The server or the network has ended the connection.
    pub(super) ended: bool,
    /// The client has ended the connection.
    pub(super) cut: bool,
    /// The client has started the closing handshake.
    pub(super) closing: bool,
    /// A read of the client has reported the end of the connection.
    pub(super) reported: bool,
    /// A thread is reading.
    pub(super) reading: bool,
    pub(super) readable: Arc<Condvar>,
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) wires: Vec<Wire>,
    pub(super) dialling: bool,
    failed_dials: usize,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) setup: Setup,
    world: Mutex<World>,
    /// Notified on every change, for the threads of the scenario.
    pub(super) changed: Condvar,
}

thread_local! {
    static SERVER: RefCell<Option<Arc<Server>>> = const { RefCell::new(None) };
}

impl Server {
    /// Starts the server of this schedule. All connections go to this server.
    pub(super) fn start(setup: Setup) -> Arc<Self> {
        let server = Arc::new(Server { setup, world: Mutex::default(), changed: Condvar::default() });
        SERVER.set(Some(Arc::clone(&server)));
        server
    }

    pub(super) fn current() -> Arc<Self> {
        SERVER.with_borrow(|server| server.clone().expect("no server has been started"))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock()
    }

    /// Notifies the threads that wait for a change on a connection.
    pub(super) fn notify(&self, readable: &Condvar) {
        readable.notify_all();
        self.changed.notify_all();
    }

    /// Waits until `seen` returns true.
    pub(super) fn until(&self, mut seen: impl FnMut(&World) -> bool) {
        let mut world = self.lock();
        while !seen(&world) {
            world = self.changed.wait(world);
        }
    }

    /// Sends over the last connection. Returns false if that connection is over.
    pub(super) fn send(&self, packet: Packet) -> bool {
        let mut world = self.lock();
        let Some(wire) = world.wires.last_mut().filter(|wire| !wire.ended && !wire.cut) else { return false };
        wire.to_client.push_back(packet);
        let readable = Arc::clone(&wire.readable);
        self.notify(&readable);
        true
    }

    pub(super) fn send_event(&self, number: u64) -> bool {
        self.send(Packet::Event(format!("[\"event\",{number}]")))
    }

    /// Breaks the last connection.
    pub(super) fn break_connection(&self) {
        let mut world = self.lock();
        if let Some(wire) = world.wires.last_mut() {
            wire.ended = true;
            let readable = Arc::clone(&wire.readable);
            self.notify(&readable);
        }
    }

    /// How often the server received this frame, over all connections.
    pub(super) fn got(&self, frame: &str) -> usize {
        let world = self.lock();
        world.wires.iter().flat_map(|wire| &wire.received).filter(|other| *other == frame).count()
    }

    /// Accepts a connection that a thread opens in advance.
    pub(super) fn accept_early(&self) -> usize {
        let mut world = self.lock();
        world.wires.push(Wire::default());
        world.wires.len() - 1
    }

    /// Accepts a new connection, or refuses it.
    pub(super) fn accept(&self) -> Result<usize, ConnectFailure> {
        let mut world = self.lock();
        assert!(!world.dialling, "two threads dial at once");
        let is_first = world.wires.is_empty();
        if !is_first {
            world.dialling = true;
            let until = crate::deadline::after(self.setup.dial);
            let mut left = self.setup.dial;
            while !left.is_zero() {
                world = self.changed.wait_timeout(world, left);
                left = until.saturating_duration_since(crate::deadline::now());
            }
            world.dialling = false;
            if world.failed_dials < self.setup.failing_dials && below(2) == 0 {
                world.failed_dials += 1;
                let error = |text| Error::new(ErrorKind::Connect, text);
                return Err(match below(3) {
                    0 => ConnectFailure::Failed(error("nobody listens")),
                    1 => ConnectFailure::ServerProblem(error("busy")),
                    _ => ConnectFailure::Refused(Error::new(ErrorKind::Unauthorized, "who are you?")),
                });
            }
        }
        if let Some(last) = world.wires.last() {
            assert!(last.cut, "a new connection while the last one has not been given up");
        }
        world.wires.push(Wire::default());
        self.changed.notify_all();
        Ok(world.wires.len() - 1)
    }

    /// Receives a frame of the client, and answers it.
    pub(super) fn take(&self, wire: &mut Wire, frame: &str) {
        wire.received.push(frame.to_owned());
        let text = frame.strip_prefix("42").expect("the client sends events only");
        let (id, args) = text.split_at(text.find('[').expect("an event is an array"));
        if self.setup.answers {
            if let Ok(id) = id.parse() {
                let payload = args.trim_start_matches("[\"ask\",");
                wire.to_client.push_back(Packet::Ack(id, format!("[{payload}")));
            }
            if args.starts_with("[\"join\"") {
                wire.to_client.push_back(Packet::Event("[\"joined\",0]".to_owned()));
            }
        }
    }
}

impl Packet {
    /// Converts the packet to the form that the session receives. `None` for packets that the connection handles
    /// itself.
    pub(super) fn into_inbound(self) -> Option<Inbound> {
        match self {
            Packet::Event(text) => {
                let frame = Utf8Bytes::from(text);
                let event = RawEvent::new(&frame, frame.as_str(), None, Vec::new());
                Some(Inbound::Event(event.expect("the server sends good events")))
            }
            Packet::Ack(id, args) => {
                Some(Inbound::Ack(id, AckArgs::new(&args).expect("the server sends good acks")))
            }
            Packet::Ping | Packet::Pong | Packet::CloseReply => None,
        }
    }
}
