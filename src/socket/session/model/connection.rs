//! A connection to the [`Server`] of the schedule. It has the methods that the session needs, and asserts their
//! correct use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tungstenite::Utf8Bytes;

use self::connect::Connected;
use super::server::{Packet, Server, Wire, World};
use crate::deadline;
use crate::socket::connection::arrivals::Arrivals;
pub(crate) use crate::socket::connection::decoder;
use crate::socket::connection::decoder::Inbound;
pub(crate) use crate::socket::connection::step;
use crate::socket::connection::step::StepResult;
use crate::socket::disconnect::{Disconnect, SendFailure, reason};
use crate::socket::protocol::engine_io::Handshake;
use crate::socket::protocol::socket_io::ConnectReply;
use crate::sync::MutexGuard;
use crate::sync::modelled::{FOREVER, below};

/// Replaces the real connection.
#[derive(Debug)]
pub(crate) struct Connection {
    server: Arc<Server>,
    number: usize,
    arrivals: Arrivals,
    handshake: Handshake,
}

impl Connection {
    fn new(server: Arc<Server>, number: usize) -> Self {
        let handshake = Handshake::parse(r#"{"sid":"model"}"#).expect("a good open packet");
        Connection { server, number, arrivals: Arrivals::default(), handshake }
    }

    fn connected(self, early: Vec<Inbound>) -> Connected {
        Connected { connection: self, early, reply: ConnectReply::default(), recovered: false }
    }

    fn wire<'a>(&self, world: &'a mut World) -> &'a mut Wire {
        &mut world.wires[self.number]
    }

    pub(crate) fn turn(&self, until: Option<Instant>, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let mut world = self.server.lock();
        let wire = self.wire(&mut world);
        assert!(!wire.reading, "two threads read one connection");
        assert!(!wire.reported, "somebody reads a connection that is known to be dead");
        wire.reading = true;
        let (outcome, mut world) = self.read(world, until, into);
        let wire = self.wire(&mut world);
        wire.reading = false;
        wire.reported = outcome.is_err();
        let readable = Arc::clone(&wire.readable);
        self.server.notify(&readable);
        outcome
    }

    pub(crate) fn step(
        self: &Arc<Self>,
        reads: bool,
        into: &mut Vec<Inbound>,
    ) -> Result<StepResult, Disconnect> {
        if below(4) == 0 {
            // Acts as if a sender had the lock.
            return Ok(StepResult::Busy);
        }
        if reads {
            let mut world = self.server.lock();
            let wire = self.wire(&mut world);
            let is_readable = !wire.to_client.is_empty() || wire.ended || wire.cut;
            assert!(is_readable, "a read that must not block would block");
            drop(world);
            self.turn(Some(deadline::now()), into)?;
        }
        let check_at = deadline::later(deadline::now(), FOREVER);
        Ok(StepResult::Done { check_at, has_more: false, may_have_more: reads })
    }

    /// Counts the packets that have arrived. `None` if there is nothing to read.
    pub(super) fn arrivals(&self, world: &mut World) -> Option<usize> {
        let wire = self.wire(world);
        let waiting = wire.to_client.len() + usize::from(wire.ended) + usize::from(wire.cut);
        (waiting > 0).then(|| wire.taken + waiting)
    }

    fn read<'a>(
        &self,
        mut world: MutexGuard<'a, World>,
        until: Option<Instant>,
        into: &mut Vec<Inbound>,
    ) -> (Result<(), Disconnect>, MutexGuard<'a, World>) {
        loop {
            let wire = self.wire(&mut world);
            if wire.cut {
                return (Err(Disconnect::new(reason::TRANSPORT_ERROR, "cut off here")), world);
            }
            if !wire.to_client.is_empty() {
                let outcome = self.decode(wire, into);
                return (outcome, world);
            }
            if wire.ended {
                return (Err(Disconnect::new(reason::TRANSPORT_CLOSE, "broken")), world);
            }
            let readable = Arc::clone(&wire.readable);
            world = match until {
                None => readable.wait(world),
                Some(until) => {
                    let left = until.saturating_duration_since(deadline::now());
                    if left.is_zero() {
                        return (Ok(()), world);
                    }
                    readable.wait_timeout(world, left)
                }
            };
        }
    }

    /// Decodes some of the packets on the way. The checker decides how many.
    fn decode(&self, wire: &mut Wire, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let count = 1 + below(wire.to_client.len());
        wire.taken += count;
        for packet in wire.to_client.drain(..count) {
            match packet {
                Packet::Ping => wire.pongs += 1,
                Packet::CloseReply => {
                    self.arrivals.confirm(u64::MAX);
                    return Err(Disconnect::by_server(reason::CLIENT_DISCONNECT));
                }
                other => into.extend(other.into_inbound()),
            }
        }
        Ok(())
    }

    pub(crate) fn send(&self, frame: Utf8Bytes) -> Result<u64, SendFailure> {
        let mut world = self.server.lock();
        let wire = self.wire(&mut world);
        let broken = || Disconnect::new(reason::TRANSPORT_ERROR, "broken");
        if wire.closing {
            return Err(SendFailure::NotSent(Disconnect::new(reason::CLIENT_DISCONNECT, "")));
        }
        if wire.cut || wire.reported {
            return Err(SendFailure::NotSent(broken()));
        }
        let readable = Arc::clone(&wire.readable);
        if wire.ended {
            // The client does not know of the end yet, so a write may seem to work.
            match below(3) {
                0 => {}
                1 => return Err(SendFailure::NotSent(broken())),
                _ => {
                    wire.cut = true;
                    self.server.notify(&readable);
                    return Err(SendFailure::MaybeSent(broken()));
                }
            }
        } else {
            self.server.take(wire, &frame);
        }
        self.server.notify(&readable);
        Ok(self.arrivals.sent_one())
    }

    pub(crate) fn try_send(&self, frame: Utf8Bytes) -> Result<u64, SendFailure> {
        self.send(frame)
    }

    pub(crate) fn wake(&self) {
        if self.is_polling() {
            return;
        }
        let mut world = self.server.lock();
        let wire = self.wire(&mut world);
        if !wire.cut && !wire.ended && !wire.closing {
            wire.to_client.push_back(Packet::Pong);
            let readable = Arc::clone(&wire.readable);
            self.server.notify(&readable);
        }
    }

    pub(crate) fn send_close(&self, _deadline: Instant) {
        let mut world = self.server.lock();
        let wire = self.wire(&mut world);
        if wire.closing || wire.cut {
            return;
        }
        wire.closing = true;
        if !wire.ended && self.server.setup.answers_close {
            wire.to_client.push_back(Packet::CloseReply);
        }
        let readable = Arc::clone(&wire.readable);
        self.server.notify(&readable);
    }

    pub(crate) fn cut(&self) {
        let mut world = self.server.lock();
        let wire = self.wire(&mut world);
        wire.cut = true;
        let readable = Arc::clone(&wire.readable);
        self.server.notify(&readable);
    }

    pub(crate) fn silence(&self) -> Duration {
        self.handshake.silence()
    }

    pub(crate) fn is_polling(&self) -> bool {
        self.server.setup.polling
    }

    pub(crate) fn unconfirmed(&self) -> u64 {
        self.arrivals.unconfirmed()
    }

    pub(crate) fn confirm(&self, number: u64) {
        self.arrivals.confirm(number);
    }

    /// The session is restored: events from now on are the program's.
    pub(crate) fn count_from_now(&self) {
        self.arrivals.count_from_now();
    }
}

pub(crate) mod connect {
    use super::*;
    use crate::error::{Error, ErrorKind};
    use crate::net::CancelToken;
    pub(crate) use crate::socket::connection::connect::ConnectFailure;
    use crate::socket::protocol::socket_io::Recovery;
    use crate::socket::transport::choice::TransportMemory;
    use crate::socket::transport::target::Target;

    #[derive(Debug)]
    pub(crate) struct Connected {
        pub(crate) connection: Connection,
        pub(crate) early: Vec<Inbound>,
        pub(crate) reply: ConnectReply,
        pub(crate) recovered: bool,
    }

    /// A connection that a thread has opened in advance. The checker decides whether it is still usable.
    #[derive(Debug)]
    pub(crate) struct Opened(Connection);

    impl Opened {
        pub(crate) fn open(
            _target: &Target,
            _memory: &TransportMemory,
            _cancel: &CancelToken,
        ) -> crate::error::Result<Self> {
            let server = Server::current();
            let number = server.accept_early();
            Ok(Opened(Connection::new(server, number)))
        }

        pub(crate) fn is_fresh(&self) -> bool {
            below(3) > 0
        }

        pub(crate) fn cancel_with(&self, cancel: &CancelToken) {
            // The session cancels only when it closes. No other thread has the session yet.
            assert!(!cancel.is_cancelled(), "a session closes before it is connected");
        }

        pub(crate) fn is_polling(&self) -> bool {
            self.0.is_polling()
        }

        pub(crate) fn discard(self) {
            self.0.cut();
        }

        pub(crate) fn join(
            self,
            _target: &Target,
            _auth: &str,
            _recovery: Option<&Recovery>,
        ) -> Result<Connected, ConnectFailure> {
            if below(3) == 0 {
                self.0.cut();
                return Err(ConnectFailure::Refused(Error::new(ErrorKind::Unauthorized, "who are you?")));
            }
            // Events may come together with the answer to CONNECT.
            let early = vec![Packet::Event("[\"event\",0]".to_owned()).into_inbound().expect("an event")];
            Ok(self.0.connected(early))
        }
    }

    pub(crate) fn connect(
        _target: &Target,
        _auth: &str,
        _recovery: Option<&Recovery>,
        _memory: &TransportMemory,
        cancel: &CancelToken,
    ) -> Result<Connected, ConnectFailure> {
        if cancel.is_cancelled() {
            return Err(ConnectFailure::Failed(Error::new(ErrorKind::Connect, "cancelled")));
        }
        let server = Server::current();
        let number = server.accept()?;
        Ok(Connection::new(server, number).connected(Vec::new()))
    }
}
