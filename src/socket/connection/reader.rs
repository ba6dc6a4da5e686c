//! Reads the socket of a connection, on the thread with the reader role.

use std::io::ErrorKind as IoKind;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use crate::net::wire::WireReader;
use crate::socket::connection::core::{ConnectionCore, NextSocket};
use crate::socket::connection::decoder::Inbound;
use crate::socket::connection::link::Link;
use crate::socket::connection::polling::Polling;
use crate::socket::disconnect::{Disconnect, reason};

/// How far the socket's read timeout may be from the wanted one.
const TIMEOUT_SLACK: Duration = Duration::from_millis(20);

/// The half of a connection that only the thread with the reader role uses.
#[derive(Debug)]
pub(super) struct SocketReader {
    pub(super) wire: WireReader,
    /// The socket's current timeout.
    timeout: Option<Duration>,
    /// When to check the link even without data.
    pub(super) due: Instant,
}

impl SocketReader {
    pub(super) fn new(wire: WireReader, due: Instant) -> Self {
        SocketReader { wire, timeout: None, due }
    }

    /// Blocks until bytes come, `until` passes or the connection ends, and decodes the bytes. After a failure, every
    /// call fails with the same reason.
    pub(super) fn turn(
        &mut self,
        core: &ConnectionCore,
        polling: Option<&Polling>,
        until: Option<Instant>,
        into: &mut Vec<Inbound>,
    ) -> Result<(), Disconnect> {
        {
            let mut link = core.link();
            if let Some(end) = link.end() {
                return Err(end);
            }
            if link.has_more() {
                let due = link.decode(into).and_then(|()| link.check(Instant::now()));
                self.due = due.map_err(|end| link.set_end(end))?;
                return answer_ping(core, polling, link);
            }
        }
        if let Some(polling) = polling {
            match polling.connect(core, until, into)? {
                NextSocket::Same => {}
                NextSocket::Opened(wire) => *self = SocketReader::new(wire, self.due),
                NextSocket::NotYet => return Ok(()),
            }
        }
        let read = self.read(until);
        let mut link = core.link();
        let is_waited_for = link.is_waited_for();
        // If another thread has ended the connection, that thread has also ended the read.
        let outcome = match link.end() {
            Some(end) => Err(end),
            None => self.take(read, &mut link, into),
        };
        // Notifies only if threads may wait for a sign of life: a notification that no thread needs would cost a
        // system call per read.
        if is_waited_for {
            core.alive.notify_all();
        }
        self.due = outcome.map_err(|end| link.set_end(end))?;
        answer_ping(core, polling, link)
    }

    /// Reads the bytes for [`take`](SocketReader::take), without the link's lock.
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

/// Decodes buffered bytes without reading from the socket.
pub(super) fn drain(
    core: &ConnectionCore,
    polling: Option<&Polling>,
    into: &mut Vec<Inbound>,
) -> Result<(), Disconnect> {
    let mut link = core.link();
    link.decode(into).map_err(|end| link.set_end(end))?;
    answer_ping(core, polling, link)
}

/// Long-polling: answers a ping if one came. Over a WebSocket, the link does so.
fn answer_ping(
    core: &ConnectionCore,
    polling: Option<&Polling>,
    link: MutexGuard<'_, Link>,
) -> Result<(), Disconnect> {
    polling.map_or(Ok(()), |polling| polling.answer_ping(core, link))
}
