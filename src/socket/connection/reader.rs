//! How a connection is read, by the thread with the reader role.

use std::io::ErrorKind as IoKind;
use std::net::TcpStream;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::net::ReadBuffer;
use crate::socket::connection::Connection;
use crate::socket::connection::decoder::{Inbound, PacketDecoder};
use crate::socket::disconnect::{Disconnect, reason};

/// How far the socket's read timeout may be from the wanted one.
const TIMEOUT_SLACK: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) socket: Arc<TcpStream>,
    pub(super) buffer: ReadBuffer,
    pub(super) timeout: Option<Duration>,
    /// When to check the decoder even without data.
    pub(super) due: Instant,
}

impl Connection {
    /// Decodes buffered bytes without reading from the socket. Call it once before the first turn: no event of the
    /// socket announces bytes that came with the handshake.
    pub(crate) fn drain(&self, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let mut decoder = self.decoder();
        decoder.decode(into).map_err(|end| decoder.set_end(end))?;
        self.answer_ping(decoder)
    }

    /// Blocks until bytes come, `until` passes or the connection ends, and decodes the bytes. Only the thread with
    /// the reader role may call this. After a failure, every call fails with the same reason.
    pub(crate) fn turn(&self, until: Option<Instant>, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut decoder = self.decoder();
            if let Some(end) = decoder.end() {
                return Err(end);
            }
            if decoder.has_more() {
                let due = decoder.decode(into).and_then(|()| decoder.check(Instant::now()));
                reader.due = due.map_err(|end| decoder.set_end(end))?;
                return self.answer_ping(decoder);
            }
        }
        if self.poll_sender.is_some() && !self.connect_poll(&mut reader, until, into)? {
            return Ok(());
        }
        let read = reader.read(until);
        let mut decoder = self.decoder();
        let is_waited_for = decoder.is_waited_for();
        // If another thread has ended the connection, this caused the end of the read.
        let outcome = match decoder.end() {
            Some(end) => Err(end),
            None => reader.take(read, &mut decoder, into),
        };
        // Notifies only if threads may wait for a sign of life: a notification that no thread needs would cost a
        // system call per read.
        if is_waited_for {
            self.alive.notify_all();
        }
        reader.due = outcome.map_err(|end| decoder.set_end(end))?;
        self.answer_ping(decoder)
    }
}

impl Reader {
    pub(super) fn read(&mut self, until: Option<Instant>) -> std::io::Result<usize> {
        let now = Instant::now();
        let wait = until.map_or(self.due, |until| until.min(self.due)).saturating_duration_since(now);
        // Zero would mean "no limit".
        let wait = wait.max(Duration::from_millis(1));
        // Under load the wait is always nearly the whole silence limit. Setting it each time would cost a system call
        // per read. A timeout that fires a little early does no harm.
        let fits = |set: Duration| set <= wait + TIMEOUT_SLACK && set + TIMEOUT_SLACK >= wait;
        let exact = |set: Duration| set <= wait && set + TIMEOUT_SLACK >= wait;
        if !self.timeout.is_some_and(|set| if until.is_some() { exact(set) } else { fits(set) }) {
            // The timeout is a little shorter than the wait, so that it also fits the next wait.
            let rounded = if wait > Duration::from_secs(1) { wait - TIMEOUT_SLACK / 2 } else { wait };
            self.socket.set_read_timeout(Some(rounded))?;
            self.timeout = Some(rounded);
        }
        self.buffer.read(&mut &*self.socket)
    }

    /// Passes the bytes to the decoder. Returns when to check it again.
    pub(super) fn take(
        &mut self,
        read: std::io::Result<usize>,
        decoder: &mut PacketDecoder,
        into: &mut Vec<Inbound>,
    ) -> Result<Instant, Disconnect> {
        match read {
            Ok(0) => decoder.ended(into)?,
            Ok(_) => {
                decoder.feed(&mut self.buffer)?;
                decoder.decode(into)?;
            }
            Err(error) if matches!(error.kind(), IoKind::WouldBlock | IoKind::TimedOut) => {
                // The pause between two polls may be over.
                if decoder.poll_mut().is_some() {
                    decoder.decode(into)?;
                }
            }
            Err(error) if matches!(error.kind(), IoKind::ConnectionReset | IoKind::BrokenPipe) => {
                if decoder.poll_mut().is_some() {
                    decoder.ended(into)?;
                    return decoder.check(Instant::now());
                }
                return Err(Disconnect::new(reason::TRANSPORT_CLOSE, error.to_string()));
            }
            Err(error) => return Err(Disconnect::new(reason::TRANSPORT_ERROR, error.to_string())),
        }
        // The data of this read may have waited since before the sleep.
        decoder.probe_after_sleep();
        decoder.check(Instant::now())
    }
}
