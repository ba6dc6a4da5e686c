//! What a connection does only with long-polling: it opens sockets for polls, and posts what is sent.

use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use tungstenite::Bytes;

use crate::socket::connection::decoder::{Inbound, PacketDecoder};
use crate::socket::connection::reader::Reader;
use crate::socket::connection::{Connection, WRITE_TIMEOUT, start_feeding};
use crate::socket::disconnect::{Disconnect, SendFailure, reason};
use crate::socket::protocol::{engine_io, socket_io};
use crate::socket::transport::polling::{PollSender, SendTurn};

/// The shortest time limit for a dial between two polls, however soon the reader wants to return.
const SHORT_DIAL: Duration = Duration::from_secs(3);
/// Leaves the namespace and ends the session.
const CLOSING_PACKETS: [&str; 2] = [socket_io::DISCONNECT_FRAME, engine_io::CLOSE];

impl Connection {
    /// Long-polling: makes sure that there is a connection to read from. Returns `false` if this takes longer than
    /// the caller can wait; the next reader tries again.
    pub(super) fn connect_poll(
        &self,
        reader: &mut Reader,
        until: Option<Instant>,
        into: &mut Vec<Inbound>,
    ) -> Result<bool, Disconnect> {
        let (requests, at) = {
            let mut decoder = self.decoder();
            let Some(poll) = decoder.poll_mut() else { return Ok(true) };
            let Some(at) = poll.wants_connection() else { return Ok(true) };
            (Arc::clone(poll.requests()), at)
        };
        // A short pause between two polls.
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        let limit = now + WRITE_TIMEOUT;
        let deadline = until.map_or(limit, |until| until.max(now + SHORT_DIAL).min(limit));
        let dialled = requests.dial(deadline, &requests.cancel_token);
        let mut decoder = self.decoder();
        if let Some(end) = decoder.end() {
            return Err(end);
        }
        let fail = |decoder: &mut PacketDecoder, detail: String| {
            Err(decoder.set_end(Disconnect::new(reason::TRANSPORT_ERROR, detail)))
        };
        match dialled {
            Ok(mut stream) => match start_feeding(&mut stream, self.write_timeout) {
                Ok(socket) => {
                    reader.socket = Arc::new(socket);
                    reader.timeout = None;
                    if let Some(poll) = decoder.poll_mut() {
                        poll.resume(stream, false);
                    }
                    decoder.decode(into).map_err(|end| decoder.set_end(end))?;
                }
                Err(error) => return fail(&mut decoder, error.to_string()),
            },
            Err(error) if error.is_timeout() && until.is_some() => {
                decoder.check(Instant::now()).map_err(|end| decoder.set_end(end))?;
                return Ok(false);
            }
            Err(error) => return fail(&mut decoder, error.to_string()),
        }
        Ok(true)
    }

    /// Long-polling: answers a ping if one came. Releases the lock before that.
    pub(super) fn answer_ping(&self, mut decoder: MutexGuard<'_, PacketDecoder>) -> Result<(), Disconnect> {
        let Some(poll_sender) = &self.poll_sender else { return Ok(()) };
        if !decoder.take_pong() {
            return Ok(());
        }
        drop(decoder);
        let mut turn = poll_sender.turn();
        match poll_sender.post(&mut turn, engine_io::PONG, self.write_deadline()) {
            Ok(()) => Ok(()),
            Err(SendFailure::NotSent(end) | SendFailure::MaybeSent(end) | SendFailure::Busy(end)) => {
                Err(self.decoder().set_end(end))
            }
            Err(SendFailure::Refused(error)) => {
                Err(self.decoder().set_end(Disconnect::new(reason::TRANSPORT_ERROR, error.to_string())))
            }
        }
    }

    /// Posts the frames of the outbox on a short-lived thread.
    pub(super) fn post_soon(self: &Arc<Self>) {
        let connection = Arc::clone(self);
        let work: Box<dyn FnOnce() + Send> = Box::new(move || {
            let Some(poll_sender) = &connection.poll_sender else { return };
            loop {
                let mut turn = poll_sender.turn();
                let deadline = connection.write_deadline();
                if connection.post_waiting(poll_sender, &mut turn, deadline).is_err()
                    || connection.outbox.end_thread()
                {
                    return;
                }
            }
        });
        if std::thread::Builder::new().name("crustocean-flush".to_owned()).spawn(work).is_err() {
            self.cut();
        }
    }

    /// Posts the frames of the outbox. A failure ends the connection, because these frames were already reported as
    /// sent.
    pub(super) fn post_waiting(
        &self,
        poll_sender: &PollSender,
        turn: &mut SendTurn,
        deadline: Instant,
    ) -> Result<(), Disconnect> {
        while let Some((body, last)) = self.outbox.next_body(self.handshake.max_payload) {
            poll_sender.post(turn, &body, deadline).map_err(|failure| {
                self.give_up(match failure {
                    SendFailure::NotSent(end) | SendFailure::MaybeSent(end) | SendFailure::Busy(end) => end,
                    SendFailure::Refused(error) => {
                        Disconnect::new(reason::TRANSPORT_ERROR, error.to_string())
                    }
                })
            })?;
            self.arrivals.confirm(last);
        }
        Ok(())
    }

    /// Sends a header and its attachments over long-polling, in as few requests as the server accepts.
    pub(super) fn post_packet(
        &self,
        poll_sender: &PollSender,
        header: &str,
        attachments: &[Bytes],
    ) -> Result<u64, SendFailure> {
        let bodies = poll_sender.bodies(header, attachments, self.handshake.max_payload)?;
        let mut turn = poll_sender.turn();
        if let Some(end) = self.decoder().over() {
            return Err(SendFailure::NotSent(end));
        }
        let number = loop {
            self.post_waiting(poll_sender, &mut turn, self.write_deadline()).map_err(SendFailure::NotSent)?;
            if let Some(number) = self.outbox.number_if_empty(&self.arrivals) {
                break number;
            }
        };
        let mut begun = false;
        for body in &bodies {
            poll_sender.post(&mut turn, body, self.write_deadline()).map_err(|failure| match failure {
                SendFailure::Refused(error) => {
                    self.arrivals.confirm(number);
                    SendFailure::Refused(error)
                }
                SendFailure::NotSent(end) if !begun => SendFailure::NotSent(self.give_up(end)),
                SendFailure::NotSent(end) | SendFailure::MaybeSent(end) | SendFailure::Busy(end) => {
                    SendFailure::MaybeSent(self.give_up(end))
                }
            })?;
            begun = true;
        }
        // The response to the request confirms it.
        self.arrivals.confirm(number);
        Ok(number)
    }

    /// Posts what waits, then the goodbye, and ends the connection.
    pub(super) fn post_goodbye(&self, poll_sender: &PollSender, deadline: Instant) {
        if let Some(mut turn) = poll_sender.turn_until(deadline)
            && self.post_waiting(poll_sender, &mut turn, deadline).is_ok()
        {
            // Posts the packets one by one, because the official server checks the second packet before it has
            // handled the first. Any response shows that the server has received the packet.
            let _ = CLOSING_PACKETS.iter().try_for_each(|body| poll_sender.post(&mut turn, body, deadline));
        }
        self.give_up(Disconnect::new(reason::CLIENT_DISCONNECT, ""));
    }
}
