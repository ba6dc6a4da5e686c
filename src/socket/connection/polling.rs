//! The parts of a connection that only long-polling needs: opening sockets for polls, and posting outgoing packets.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use tungstenite::Utf8Bytes;

use crate::deadline;
use crate::error::Result;
use crate::net::CancelToken;
use crate::socket::connection::core::{
    ConnectionCore, NextSocket, OpenTransport, SERVER_IS_SLOW, WRITE_TIMEOUT, broken_early, write_timeout,
};
use crate::socket::connection::decoder::Inbound;
use crate::socket::connection::link::Link;
use crate::socket::connection::outbox::Outbox;
use crate::socket::disconnect::{Disconnect, SendFailure, reason};
use crate::socket::protocol::{engine_io, socket_io};
use crate::socket::transport::packet_stream::PacketStream;
use crate::socket::transport::polling::{self, OpenedPoll, PollSender, SenderState};
use crate::socket::transport::target::Target;

/// The shortest time limit for a dial between two polls, however soon the reader wants to return.
const SHORT_DIAL: Duration = Duration::from_secs(3);
/// Leaves the namespace and ends the session.
const CLOSING_PACKETS: [&str; 2] = [socket_io::DISCONNECT_FRAME, engine_io::CLOSE];

/// The sending half of a connection over long-polling.
#[derive(Debug)]
pub(super) struct Polling {
    sender: PollSender,
    /// The frames that [`post_soon`](Polling::post_soon) has accepted.
    outbox: Outbox,
}

/// Opens a long-polling session.
///
/// # Errors
/// A refusal contains the HTTP status and the server's text.
pub(super) fn open(
    target: &Target,
    deadline: Instant,
    cancel: &CancelToken,
) -> Result<(OpenTransport, Polling)> {
    let OpenedPoll { mut poll, mut stream, proven, sender, handshake } =
        polling::open(target, deadline, cancel)?;
    let wire = stream.wire_mut().start_feeding(write_timeout(&handshake)).map_err(broken_early)?;
    poll.resume(stream, proven);
    let cancel_token = sender.cancel_token().clone();
    let transport = OpenTransport { packets: Box::new(poll), wire, cancel_token, handshake };
    Ok((transport, Polling { sender, outbox: Outbox::default() }))
}

impl Polling {
    /// Makes sure that there is a socket to read from. Returns `NotYet` if this takes longer than the caller can wait;
    /// the next reader tries again.
    pub(super) fn connect(
        &self,
        core: &ConnectionCore,
        until: Option<Instant>,
        into: &mut Vec<Inbound>,
    ) -> Result<NextSocket, Disconnect> {
        let Some(at) = core.link().stream.wants_connection() else { return Ok(NextSocket::Same) };
        // A short pause between two polls.
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        let limit = now + WRITE_TIMEOUT;
        let deadline = until.map_or(limit, |until| until.max(now + SHORT_DIAL).min(limit));
        let dialled = self.sender.dial(deadline);
        let mut link = core.link();
        if let Some(end) = link.end() {
            return Err(end);
        }
        let opened = match dialled {
            Err(error) if error.is_timeout() && until.is_some() => {
                link.check(Instant::now()).map_err(|end| link.set_end(end))?;
                return Ok(NextSocket::NotYet);
            }
            Err(error) => Err(error.to_string()),
            Ok(mut stream) => match stream.wire_mut().start_feeding(write_timeout(&core.handshake)) {
                Ok(wire) => Ok((stream, wire)),
                Err(error) => Err(error.to_string()),
            },
        };
        let (stream, wire) =
            opened.map_err(|why| link.set_end(Disconnect::new(reason::TRANSPORT_ERROR, why)))?;
        link.stream.resume(stream, false);
        link.decode(into).map_err(|end| link.set_end(end))?;
        Ok(NextSocket::Opened(wire))
    }

    /// Answers a ping if one came. Releases the lock before that.
    pub(super) fn answer_ping(
        &self,
        core: &ConnectionCore,
        mut link: MutexGuard<'_, Link>,
    ) -> Result<(), Disconnect> {
        if !link.take_pong() {
            return Ok(());
        }
        drop(link);
        let mut state = self.sender.lock();
        let posted = self.sender.post(&mut state, engine_io::PONG, write_deadline(core));
        posted.map_err(|failure| core.link().set_end(failure.into_end()))
    }

    /// Accepts a frame for a short-lived thread, which [empties the outbox](Polling::empty_outbox). If no such thread
    /// runs, calls `start_thread`.
    pub(super) fn post_soon(
        &self,
        core: &ConnectionCore,
        link: MutexGuard<'_, Link>,
        frame: Utf8Bytes,
        start_thread: impl FnOnce(),
    ) -> Result<u64, SendFailure> {
        // Pushes under the lock, so that a later `post_closing_packets` posts this frame first.
        let taken = self.outbox.push(frame, &core.arrivals);
        drop(link);
        let taken = taken.ok_or_else(|| SendFailure::busy(SERVER_IS_SLOW))?;
        if taken.needs_thread {
            start_thread();
        }
        Ok(taken.number)
    }

    /// Posts the frames of the outbox until it is empty. The short-lived thread runs this.
    pub(super) fn empty_outbox(&self, core: &ConnectionCore) {
        loop {
            let mut state = self.sender.lock();
            let posted = self.post_waiting(core, &mut state, write_deadline(core));
            if posted.is_err() || self.outbox.end_thread() {
                return;
            }
        }
    }

    /// Posts the frames of the outbox. A failure ends the connection, because `post_soon` has already reported these
    /// frames as sent.
    fn post_waiting(
        &self,
        core: &ConnectionCore,
        state: &mut SenderState,
        deadline: Instant,
    ) -> Result<(), Disconnect> {
        while let Some((body, last)) = self.outbox.next_body(core.handshake.max_payload) {
            let posted = self.sender.post(state, &body, deadline);
            posted.map_err(|failure| give_up(core, failure.into_end()))?;
            core.arrivals.confirm(last);
        }
        Ok(())
    }

    /// Posts a frame, after those of the outbox. Returns its number.
    pub(super) fn post_frame(&self, core: &ConnectionCore, frame: &str) -> Result<u64, SendFailure> {
        let mut state = self.sender.lock();
        if let Some(end) = core.link().over() {
            return Err(SendFailure::NotSent(end));
        }
        let number = loop {
            self.post_waiting(core, &mut state, write_deadline(core)).map_err(SendFailure::NotSent)?;
            if let Some(number) = self.outbox.number_if_empty(&core.arrivals) {
                break number;
            }
        };
        let posted = self.sender.post(&mut state, frame, write_deadline(core));
        posted.map_err(|failure| match failure {
            SendFailure::Refused(error) => {
                core.arrivals.confirm(number);
                SendFailure::Refused(error)
            }
            SendFailure::NotSent(end) => SendFailure::NotSent(give_up(core, end)),
            SendFailure::MaybeSent(end) | SendFailure::Busy(end) => {
                SendFailure::MaybeSent(give_up(core, end))
            }
        })?;
        // The response to the request confirms the event.
        core.arrivals.confirm(number);
        Ok(number)
    }

    /// Posts the waiting frames and then the closing packets, and ends the connection.
    pub(super) fn post_closing_packets(&self, core: &ConnectionCore, deadline: Instant) {
        if let Some(mut state) = self.sender.lock_until(deadline)
            && self.post_waiting(core, &mut state, deadline).is_ok()
        {
            // Posts the packets one by one, because the official server checks the second packet before it has
            // handled the first. Any response shows that the server has received the packet.
            let _ = CLOSING_PACKETS.iter().try_for_each(|body| self.sender.post(&mut state, body, deadline));
        }
        give_up(core, Disconnect::new(reason::CLIENT_DISCONNECT, ""));
    }
}

fn write_deadline(core: &ConnectionCore) -> Instant {
    deadline::after(write_timeout(&core.handshake))
}

fn give_up(core: &ConnectionCore, end: Disconnect) -> Disconnect {
    let end = core.link().set_end(end);
    core.cut();
    end
}
