//! How a session sends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tungstenite::Utf8Bytes;

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::socket::disconnect::{SendFailure, reason};
use crate::socket::protocol::event::{AckArgs, RawEvent};
use crate::socket::protocol::socket_io;
use crate::socket::session::connection::Connection;
use crate::socket::session::core::SessionCore;
use crate::socket::session::state::{SessionState, Waiter};

impl SessionCore {
    /// Sends an event. Waits for the connection until `until`.
    ///
    /// # Errors
    /// `NotSent` when the connection did not come back in time, `MaybeSent` when it broke during the write, `Invalid`
    /// when the payload cannot be sent at all, `Closed`.
    pub(crate) fn emit(&self, name: &str, payload: &impl Serialize, until: Instant) -> Result<()> {
        self.emit_on_any(name, payload, until).map(drop)
    }

    /// Sends an event if this is possible at once. Does not wait for a connection, or for the server to read. With
    /// long-polling, a short-lived thread posts the event.
    ///
    /// # Errors
    /// The errors of [`emit`](SessionCore::emit).
    pub(crate) fn try_emit(&self, name: &str, payload: &impl Serialize) -> Result<()> {
        self.check_process()?;
        let frame = socket_io::encode_event(name, None, payload)?.into();
        let (connection, generation) = self.connection_when_up(deadline::now())?;
        let sent = connection.try_send(frame);
        sent.map(drop).map_err(|failure| self.unsent(generation, failure))
    }

    /// Like [`emit`](SessionCore::emit). Returns the generation of the connection that carried the event.
    ///
    /// # Errors
    /// The errors of [`emit`](SessionCore::emit).
    pub(crate) fn emit_on_any(&self, name: &str, payload: &impl Serialize, until: Instant) -> Result<u64> {
        self.check_process()?;
        let frame = Utf8Bytes::from(socket_io::encode_event(name, None, payload)?);
        self.send_when_up(&frame, until).map(|(_, generation, _)| generation)
    }

    /// Sends an event and waits for its ack.
    ///
    /// # Errors
    /// The errors of [`emit`](SessionCore::emit); `Timeout` when the ack does not come, `MaybeSent` when the connection
    /// ends first, `Closed` when the agent is closed first.
    pub(crate) fn emit_with_ack(
        &self,
        name: &str,
        payload: &impl Serialize,
        until: Instant,
        timeout: Duration,
    ) -> Result<AckArgs> {
        self.check_process()?;
        let id = self.lock().fresh_id();
        let frame = Utf8Bytes::from(socket_io::encode_event(name, Some(id), payload)?);
        self.lock().acks.insert(id, None);
        let outcome = self.send_when_up(&frame, until).and_then(|(connection, generation, number)| {
            let deadline = deadline::after(timeout);
            let condition = |state: &mut SessionState| {
                if let Some(args) = state.acks.get_mut(&id).and_then(Option::take) {
                    connection.confirm(number);
                    return Some(Ok(args));
                }
                // Only the connection that carried the request can deliver the ack.
                let lost = state.generation != generation || state.connection().is_none() || state.stopped;
                lost.then(|| {
                    let text = format!("the connection broke before the answer to {name} came");
                    Err(state.interrupted(&text))
                })
            };
            self.wait(Waiter::Other, Some(deadline), condition)
                .unwrap_or_else(|| Err(Error::timeout(format!("no answer to {name} within {timeout:?}"))))
        });
        let mut state = self.lock();
        state.acks.remove(&id);
        if state.acks.is_empty() {
            // Frees memory after many calls.
            state.acks.shrink_to(8);
        }
        drop(state);
        outcome
    }

    /// Answers an event, over the connection that delivered the event.
    ///
    /// # Errors
    /// `Invalid` when the event wants no answer, has been answered, or the payload is not JSON; `NotSent` when that
    /// connection is gone; `MaybeSent` when the connection broke during the write; `Closed`.
    pub(crate) fn answer(&self, event: &RawEvent, payload: &impl Serialize) -> Result<()> {
        self.check_process()?;
        // Encodes first: an invalid payload must not use up the only answer.
        let payload = socket_io::encode_payload(payload)?;
        let (id, generation) = event.take_ack()?;
        let frame = Utf8Bytes::from(socket_io::ack_frame(id, &payload));
        let connection = {
            let state = self.lock();
            if state.is_closed() {
                return Err(state.closed_error());
            }
            state.connection().filter(|_| state.generation == generation).cloned()
        };
        let connection = connection.ok_or_else(|| {
            Error::new(
                ErrorKind::NotSent,
                "the connection of this question has ended, so the server does not expect the answer: do not send it again",
            )
        })?;
        self.send_on(&connection, generation, &frame).map(drop)
    }

    /// A connection over which any thread may send, and its generation. Waits for a connection until `until`.
    ///
    /// # Errors
    /// `NotSent` when no connection is up in time, `Closed`.
    pub(crate) fn connection_when_up(&self, until: Instant) -> Result<(Arc<Connection>, u64)> {
        let limit = until.saturating_duration_since(deadline::now());
        let up = |state: &mut SessionState| match state.connection_if_up() {
            Ok(None) => state.stopped.then(|| Err(state.closed_error())),
            link => link.transpose(),
        };
        self.wait(Waiter::Other, Some(until), up).unwrap_or_else(|| Err(not_sent(limit)))
    }

    /// Sends a frame. Waits for a connection until `until`. Returns the connection, its generation, and the event's
    /// number on it.
    pub(crate) fn send_when_up(
        &self,
        frame: &Utf8Bytes,
        until: Instant,
    ) -> Result<(Arc<Connection>, u64, u64)> {
        loop {
            let (connection, generation) = self.connection_when_up(until)?;
            match self.send_on(&connection, generation, frame) {
                Ok(number) => return Ok((connection, generation, number)),
                // The frame was certainly not sent: the next connection may carry it.
                Err(error) if error.kind() == ErrorKind::NotSent => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the number of the event on this connection.
    ///
    /// # Errors
    /// `NotSent` if the connection had ended before the write: the next connection may carry the frame. `MaybeSent` if
    /// it broke during the write, `Invalid`, `Closed`.
    pub(crate) fn send_on(&self, connection: &Connection, generation: u64, frame: &Utf8Bytes) -> Result<u64> {
        connection.send(frame.clone()).map_err(|failure| self.unsent(generation, failure))
    }

    fn unsent(&self, generation: u64, failure: SendFailure) -> Error {
        let (end, maybe) = match failure {
            SendFailure::Refused(error) => return error,
            SendFailure::Busy(end) => {
                return Error::new(
                    ErrorKind::NotSent,
                    format!("the message was not sent: {}; send it again", end.detail),
                );
            }
            SendFailure::NotSent(end) => (end, false),
            SendFailure::MaybeSent(end) => (end, true),
        };
        let end = end.without(&self.target.secrets);
        let text = format!("the connection broke while the message was being sent ({})", end.detail);
        let mut state = self.lock();
        // After the start of the closing handshake, the connection stays open until the server has read all earlier
        // events.
        if end.reason != reason::CLIENT_DISCONNECT {
            self.lose(&mut state, generation, end);
        }
        match maybe {
            true => state.interrupted(&text),
            false if state.is_closed() => state.closed_error(),
            false => not_sent(Duration::ZERO),
        }
    }
}

/// `waited`: how long the caller has waited for the connection.
fn not_sent(waited: Duration) -> Error {
    let text = match waited {
        Duration::ZERO => "the connection is down".to_owned(),
        _ => format!("there was no reconnect within {waited:.0?}"),
    };
    let text = format!("{text}: nothing was sent; send it again when the agent is connected");
    Error::new(ErrorKind::NotSent, text)
}
