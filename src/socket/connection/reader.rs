//! Reads a connection, on the thread with the reader role.

use std::io::ErrorKind as IoKind;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::net::wire::WireReader;
use crate::socket::connection::Connection;
use crate::socket::connection::decoder::Inbound;
use crate::socket::connection::link::Link;
use crate::socket::disconnect::{Disconnect, reason};

/// How far the socket's read timeout may be from the wanted one.
const TIMEOUT_SLACK: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct ConnectionReader {
    pub(super) wire: WireReader,
    /// The socket's current timeout.
    timeout: Option<Duration>,
    /// When to check the link even without data.
    pub(super) due: Instant,
}

impl Connection {
    /// Decodes buffered bytes without reading from the socket. Call it once before the first turn: no event of the
    /// socket announces bytes that came with the handshake.
    pub(crate) fn drain(&self, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let mut link = self.link();
        link.decode(into).map_err(|end| link.set_end(end))?;
        self.answer_ping(link)
    }

    /// Blocks until bytes come, `until` passes or the connection ends, and decodes the bytes. Only the thread with
    /// the reader role may call this. After a failure, every call fails with the same reason.
    pub(crate) fn turn(&self, until: Option<Instant>, into: &mut Vec<Inbound>) -> Result<(), Disconnect> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut link = self.link();
            if let Some(end) = link.end() {
                return Err(end);
            }
            if link.has_more() {
                let due = link.decode(into).and_then(|()| link.check(Instant::now()));
                reader.due = due.map_err(|end| link.set_end(end))?;
                return self.answer_ping(link);
            }
        }
        if let Some(polling) = &self.polling
            && !polling.connect(self, &mut reader, until, into)?
        {
            return Ok(());
        }
        let read = reader.read(until);
        let mut link = self.link();
        let is_waited_for = link.is_waited_for();
        // If another thread has ended the connection, that thread has also ended the read.
        let outcome = match link.end() {
            Some(end) => Err(end),
            None => reader.take(read, &mut link, into),
        };
        // Notifies only if threads may wait for a sign of life: a notification that no thread needs would cost a
        // system call per read.
        if is_waited_for {
            self.alive.notify_all();
        }
        reader.due = outcome.map_err(|end| link.set_end(end))?;
        self.answer_ping(link)
    }
}

impl ConnectionReader {
    pub(super) fn new(wire: WireReader, due: Instant) -> Self {
        ConnectionReader { wire, timeout: None, due }
    }

    /// Reads the bytes for [`take`](ConnectionReader::take), without the link's lock.
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
            self.wire.socket().set_read_timeout(Some(rounded))?;
            self.timeout = Some(rounded);
        }
        self.wire.read()
    }

    /// Decodes the bytes of the read. Returns when to check the link again.
    pub(super) fn take(
        &mut self,
        read: std::io::Result<usize>,
        link: &mut Link,
        into: &mut Vec<Inbound>,
    ) -> Result<Instant, Disconnect> {
        match read {
            Ok(0) => link.ended(into)?,
            Ok(_) => link.decode(into)?,
            Err(error) if matches!(error.kind(), IoKind::WouldBlock | IoKind::TimedOut) => {
                // The pause between two polls may be over.
                if link.stream.is_polling() {
                    link.decode(into)?;
                }
            }
            Err(error) if matches!(error.kind(), IoKind::ConnectionReset | IoKind::BrokenPipe) => {
                if link.stream.is_polling() {
                    self.wire.end();
                    link.ended(into)?;
                    return link.check(Instant::now());
                }
                return Err(Disconnect::new(reason::TRANSPORT_CLOSE, error));
            }
            Err(error) => return Err(Disconnect::new(reason::TRANSPORT_ERROR, error)),
        }
        // The data of this read may have waited since before the sleep.
        link.probe_after_sleep();
        link.check(Instant::now())
    }
}
