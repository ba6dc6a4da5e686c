//! The lowest stream: one TCP socket, below TLS and WebSocket.
//!
//! The stream starts in *direct* mode: blocking I/O under one absolute deadline, for handshakes and HTTP.
//! [`Wire::start_feeding`] changes it to *fed* mode: the thread with the reader role blocks in [`WireReader::read`],
//! without the lock that the wire is under. The wire then takes the bytes from a queue, so that TLS and WebSocket never
//! block in a read.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::read_size::{self, ReadSize};

/// The most bytes in a queue. A reader whose bytes are decoded after each read stays far below this limit.
const MAX_QUEUED: usize = 1024 * 1024;
/// If the socket timeout differs by less, the wire does not set it again. This saves a system call per read.
const SLACK: Duration = Duration::from_millis(10);
/// The shortest socket timeout: a timeout must be above zero, and some systems round to milliseconds.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);

/// The lowest stream of a connection: a TCP socket, and bytes that were read from it and not used yet.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Only a [`CancelToken`](super::cancel::CancelToken) shares the socket, with a weak reference.
    socket: Arc<TcpStream>,
    mode: Mode,
    deadline: Option<Instant>,
    /// The socket's current timeouts, so that the wire sets a timeout only when it changes.
    read_limit: Option<Duration>,
    write_limit: Option<Duration>,
    write_failure: Option<ErrorKind>,
    written: u64,
    saw_end: bool,
    /// Direct mode: the socket does not block.
    nonblocking: bool,
    /// Writes do not wait for the peer; see [`set_nonblocking_writes`](Wire::set_nonblocking_writes).
    nonblocking_writes: bool,
    /// Bytes that the system did not take from writes that do not wait. The next write sends these bytes first.
    overflow: Vec<u8>,
}

#[derive(Debug)]
enum Mode {
    Direct,
    Fed { queue: Arc<ReadQueue>, write_timeout: Duration },
}

/// The bytes that a [`WireReader`] has read and the wire has not taken.
#[derive(Debug, Default)]
struct ReadQueue(Mutex<Queued>);

#[derive(Debug, Default)]
struct Queued {
    chunk: Chunk,
    /// The socket has ended.
    ended: bool,
}

impl ReadQueue {
    fn lock(&self) -> MutexGuard<'_, Queued> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    /// Creates a wire in direct mode, without a deadline.
    pub(crate) fn new(socket: TcpStream) -> Self {
        Wire {
            socket: Arc::new(socket),
            mode: Mode::Direct,
            deadline: None,
            read_limit: None,
            write_limit: None,
            write_failure: None,
            written: 0,
            saw_end: false,
            nonblocking: false,
            nonblocking_writes: false,
            overflow: Vec::new(),
        }
    }

    /// Direct mode: after this moment every read and write fails with `TimedOut`.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Direct mode: like [`set_deadline`](Wire::set_deadline), unless the current deadline is earlier.
    pub(crate) fn shorten_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(self.deadline.map_or(deadline, |set| set.min(deadline)));
    }

    /// Changes to fed mode: reads take the bytes that the returned reader has read. A write may block for
    /// `write_timeout`; see [`set_write_timeout`](Wire::set_write_timeout).
    pub(crate) fn start_feeding(&mut self, write_timeout: Duration) -> io::Result<WireReader> {
        let socket = self.socket()?;
        self.deadline = None;
        set_limit(&mut self.read_limit, None, |limit| self.socket.set_read_timeout(limit))?;
        let queue = Arc::<ReadQueue>::default();
        self.mode = Mode::Fed { queue: Arc::clone(&queue), write_timeout };
        self.set_write_timeout(write_timeout)?;
        Ok(WireReader { socket: Arc::new(socket), queue, chunk: Chunk::default(), size: ReadSize::default() })
    }

    /// Fed mode: how long a write may block. Only this limit ends a write to a peer that does not read. No thread can
    /// answer heartbeats during a blocked write, so keep the limit well below the peer's timeout.
    pub(crate) fn set_write_timeout(&mut self, limit: Duration) -> io::Result<()> {
        let limit = limit.max(MIN_TIMEOUT);
        self.limit_write(Some(limit))?;
        if let Mode::Fed { write_timeout, .. } = &mut self.mode {
            *write_timeout = limit;
        }
        Ok(())
    }

    fn limit_write(&mut self, limit: Option<Duration>) -> io::Result<()> {
        set_limit(&mut self.write_limit, limit, |limit| self.socket.set_write_timeout(limit))
    }

    /// Fed mode: whether writes return without waiting for the peer. If the system does not take all bytes, the wire
    /// keeps the rest, and the next waiting write or [`flush_overflow`](Wire::flush_overflow) sends it.
    pub(crate) fn set_nonblocking_writes(&mut self, on: bool) {
        self.nonblocking_writes = on;
    }

    /// Whether the wire keeps bytes of a write that did not wait.
    pub(crate) fn has_overflow(&self) -> bool {
        !self.overflow.is_empty()
    }

    /// Fed mode: writes the kept bytes, and waits.
    pub(crate) fn flush_overflow(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.overflow);
        self.write_all(&bytes)
    }

    /// Writes the bytes that the system takes at once, and keeps the rest.
    fn write_nonblocking(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(kind) = self.write_failure {
            return Err(kind.into());
        }
        let mut rest = bytes;
        if self.overflow.is_empty() {
            self.limit_write(Some(MIN_TIMEOUT))?;
            match (&*self.socket).write(bytes) {
                Ok(count) => {
                    self.written += count as u64;
                    rest = bytes.get(count..).unwrap_or_default();
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        self.overflow.extend_from_slice(rest);
        Ok(bytes.len())
    }

    /// Another handle of the same socket.
    pub(crate) fn socket(&self) -> io::Result<TcpStream> {
        self.socket.try_clone()
    }

    pub(crate) fn weak_socket(&self) -> Weak<TcpStream> {
        Arc::downgrade(&self.socket)
    }

    /// Fed mode: takes all fed bytes without a copy and leaves `spare` in their place. Returns the bytes and their
    /// range, which is empty if there are none. Returns `None` in direct mode, because only a read can find bytes
    /// there.
    pub(crate) fn take_fed(&mut self, spare: impl FnOnce() -> Vec<u8>) -> Option<(Vec<u8>, Range<usize>)> {
        let Mode::Fed { queue, .. } = &self.mode else { return None };
        let chunk = &mut queue.lock().chunk;
        if chunk.is_empty() {
            return Some((Vec::new(), 0..0));
        }
        let range = chunk.start..chunk.end;
        let bytes = std::mem::replace(&mut chunk.bytes, spare());
        chunk.clear();
        Some((bytes, range))
    }

    /// Fed mode: frees the memory of the queue if the queue is empty.
    #[cfg(any(feature = "agents", crustocean_model))]
    pub(crate) fn release_queue(&mut self) {
        let Mode::Fed { queue, .. } = &self.mode else { return };
        let chunk = &mut queue.lock().chunk;
        if chunk.is_empty() {
            *chunk = Chunk::default();
        }
    }

    /// The first failure of a write. TLS and WebSocket libraries can hide this failure, so check for it after every
    /// read and write. After a failure, every further write fails at once.
    pub(crate) fn write_failure(&self) -> Option<ErrorKind> {
        self.write_failure
    }

    /// How many bytes the operating system has taken.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Whether a read of this stream has seen the peer's end.
    #[cfg(any(test, feature = "tls-native"))]
    pub(crate) fn saw_end(&self) -> bool {
        self.saw_end
    }

    /// Direct mode: whether reads and writes wait. If not, they fail with `WouldBlock`. Removes the deadline.
    pub(crate) fn set_waiting(&mut self, waits: bool) -> io::Result<()> {
        self.deadline = None;
        self.nonblocking = !waits;
        self.socket.set_nonblocking(!waits)
    }

    /// The time until the deadline. `None` if there is no deadline.
    fn time_left(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(Some(left.max(MIN_TIMEOUT))),
            _ => Err(ErrorKind::TimedOut.into()),
        }
    }

    fn read_direct(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let limit = self.time_left()?;
            if !self.nonblocking {
                set_limit(&mut self.read_limit, limit, |limit| self.socket.set_read_timeout(limit))?;
            }
            match (&*self.socket).read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result if self.nonblocking => return result,
                result => return result.map_err(time_out),
            }
        }
    }

    fn write_once(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(kind) = self.write_failure {
            return Err(kind.into());
        }
        let started = Instant::now();
        loop {
            let limit = match &self.mode {
                Mode::Direct => self.time_left()?,
                Mode::Fed { write_timeout, .. } => Some(*write_timeout),
            };
            self.limit_write(limit)?;
            match (&*self.socket).write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => {
                    let count = result.map_err(time_out)?;
                    self.written += count as u64;
                    // The system took some bytes until the timeout. If the rest got a new timeout, a slow peer could
                    // block the writer and its lock forever.
                    if let Mode::Fed { write_timeout, .. } = &self.mode
                        && count < bytes.len()
                        && started.elapsed() >= *write_timeout
                    {
                        self.write_failure = Some(ErrorKind::TimedOut);
                    }
                    return Ok(count);
                }
            }
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = match &self.mode {
            Mode::Direct => self.read_direct(buffer)?,
            Mode::Fed { queue, .. } => {
                let mut queued = queue.lock();
                match queued.chunk.take(buffer) {
                    0 if !queued.ended => return Err(ErrorKind::WouldBlock.into()),
                    count => count,
                }
            }
        };
        self.saw_end |= count == 0;
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = match self.nonblocking_writes {
            true => self.write_nonblocking(bytes),
            false => self.flush_overflow().and_then(|()| self.write_once(bytes)),
        };
        if let Err(error) = &result {
            self.write_failure.get_or_insert(error.kind());
        }
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket timeout is `WouldBlock` on Unix and `TimedOut` on Windows. Here it is always `TimedOut`: the layers above
/// treat `WouldBlock` as "try later", which would be wrong for a blocking write.
fn time_out(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => io::Error::new(ErrorKind::TimedOut, error),
        _ => error,
    }
}

fn set_limit(
    now: &mut Option<Duration>,
    wanted: Option<Duration>,
    set: impl FnOnce(Option<Duration>) -> io::Result<()>,
) -> io::Result<()> {
    let close_enough = match (*now, wanted) {
        (None, None) => true,
        (Some(now), Some(wanted)) => now >= wanted && now - wanted < SLACK,
        _ => false,
    };
    if close_enough {
        return Ok(());
    }
    match set(wanted) {
        Ok(()) => *now = wanted,
        // macOS returns this for a socket whose peer has closed. The following read or write returns the real error.
        Err(error) if cfg!(target_vendor = "apple") && error.kind() == ErrorKind::InvalidInput => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Bytes with a read and a write position. The vector always has its full length, so that a read does not need to
/// fill it with zeros each time.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Chunk {
    fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
        if self.bytes.len() > read_size::MAX {
            self.bytes = Vec::new();
        }
    }

    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.unread().len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), self.unread().get(..count)) {
            to.copy_from_slice(from);
        }
        self.start += count;
        if self.is_empty() {
            self.clear();
        }
        count
    }

    fn append(&mut self, more: &[u8]) -> io::Result<()> {
        let unread = self.unread().len();
        if unread + more.len() > MAX_QUEUED {
            return Err(io::Error::new(ErrorKind::OutOfMemory, "too many unread bytes in the buffer"));
        }
        if self.bytes.len() - self.end < more.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            self.start = 0;
            self.end = unread;
            if self.bytes.len() < unread + more.len() {
                self.bytes.resize((unread + more.len()).max(read_size::MIN), 0);
            }
        }
        if let Some(free) = self.bytes.get_mut(self.end..self.end + more.len()) {
            free.copy_from_slice(more);
            self.end += more.len();
        }
        Ok(())
    }
}

/// The half of a wire in fed mode that reads from the socket. Its buffer grows under load and shrinks afterwards.
#[derive(Debug)]
pub(crate) struct WireReader {
    socket: Arc<TcpStream>,
    queue: Arc<ReadQueue>,
    /// The reader swaps this chunk with the empty chunk in the queue, so that it copies no byte.
    chunk: Chunk,
    size: ReadSize,
}

impl WireReader {
    pub(crate) fn socket(&self) -> &Arc<TcpStream> {
        &self.socket
    }

    /// Reads once, and queues the bytes for the wire. Repeats the read only after a signal.
    ///
    /// # Errors
    /// Those of the socket; `OutOfMemory` if the wire does not take the bytes.
    pub(crate) fn read(&mut self) -> io::Result<usize> {
        if self.chunk.bytes.len() != self.size.get() {
            self.chunk.bytes = vec![0; self.size.get()];
        }
        let count = loop {
            match (&*self.socket).read(&mut self.chunk.bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.size.adapt(count);
        if count == 0 {
            self.end();
            return Ok(0);
        }
        self.chunk.end = count;
        let mut queued = self.queue.lock();
        if queued.chunk.is_empty() {
            std::mem::swap(&mut queued.chunk, &mut self.chunk);
        } else {
            queued.chunk.append(self.chunk.unread())?;
        }
        self.chunk.clear();
        Ok(count)
    }

    /// Ends the wire's reads: they return `Ok(0)` after the queued bytes.
    pub(crate) fn end(&self) {
        self.queue.lock().ended = true;
    }

    /// The most bytes that the next read returns.
    #[cfg(any(feature = "agents", crustocean_model))]
    pub(crate) fn buffer_size(&self) -> usize {
        self.size.get()
    }

    /// Frees the memory of the buffer.
    #[cfg(any(feature = "agents", crustocean_model))]
    pub(crate) fn release(&mut self) {
        self.chunk = Chunk::default();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::net::testing::pair;

    fn kind<T>(result: io::Result<T>) -> ErrorKind {
        result.err().map_or(ErrorKind::Other, |error| error.kind())
    }

    fn fed() -> (Wire, WireReader, TcpStream) {
        let (ours, peer) = pair();
        let mut wire = Wire::new(ours);
        let reader = wire.start_feeding(Duration::from_secs(5)).unwrap();
        (wire, reader, peer)
    }

    /// Queues bytes as if they were read from the socket.
    fn feed(reader: &WireReader, bytes: &[u8]) -> io::Result<()> {
        reader.queue.lock().chunk.append(bytes)
    }

    /// Writes until a write fails.
    fn fill(wire: &mut Wire) -> ErrorKind {
        let block = vec![0; 256 * 1024];
        for _ in 0..1000 {
            if let Err(error) = wire.write(&block) {
                return error.kind();
            }
        }
        panic!("the peer never reads, yet 250 MiB went out");
    }

    #[test]
    fn a_deadline_ends_reads_and_writes() {
        let (ours, mut peer) = pair();
        let mut wire = Wire::new(ours);
        let started = Instant::now();
        wire.set_deadline(Some(started + Duration::from_millis(200)));
        peer.write_all(b"ab").unwrap();
        let mut buffer = [0; 1];
        assert_eq!(wire.read(&mut buffer).unwrap(), 1);
        assert_eq!(wire.read(&mut buffer).unwrap(), 1);
        assert_eq!(kind(wire.read(&mut buffer)), ErrorKind::TimedOut);
        assert!((150..20_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
        // After the deadline every read fails at once, even if there are bytes.
        peer.write_all(b"c").unwrap();
        assert_eq!(kind(wire.read(&mut buffer)), ErrorKind::TimedOut);
        wire.set_deadline(Some(Instant::now() + Duration::from_millis(200)));
        assert_eq!(wire.read(&mut buffer).unwrap(), 1);
        assert_eq!(fill(&mut wire), ErrorKind::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(20));
        assert_eq!(wire.write_failure(), Some(ErrorKind::TimedOut));
    }

    #[test]
    fn a_drip_does_not_move_the_deadline() {
        let (ours, mut peer) = pair();
        let mut wire = Wire::new(ours);
        let drip = thread::spawn(move || {
            while peer.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        let started = Instant::now();
        wire.set_deadline(Some(started + Duration::from_millis(300)));
        assert_eq!(kind(wire.read_exact(&mut [0; 1000])), ErrorKind::TimedOut);
        assert!((250..20_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
        drop(wire);
        drip.join().unwrap();
    }

    #[test]
    fn fed_bytes_come_out_in_order() {
        let (mut wire, reader, _peer) = fed();
        let mut buffer = [0; 3];
        assert_eq!(kind(wire.read(&mut buffer)), ErrorKind::WouldBlock);
        feed(&reader, b"abcd").unwrap();
        feed(&reader, b"e").unwrap();
        assert_eq!((wire.read(&mut buffer).unwrap(), &buffer), (3, b"abc"));
        feed(&reader, b"fg").unwrap();
        reader.end();
        let mut rest = Vec::new();
        wire.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"defg");
        assert_eq!(wire.read(&mut buffer).unwrap(), 0);
        assert!(wire.saw_end());
    }

    #[test]
    fn fed_bytes_are_taken_without_a_copy() {
        let (mut wire, reader, _peer) = fed();
        let take =
            |wire: &mut Wire| wire.take_fed(|| vec![7; 10]).map(|(bytes, range)| bytes[range].to_vec());
        assert_eq!(take(&mut wire), Some(Vec::new()), "nothing is there yet");
        feed(&reader, b"abc").unwrap();
        wire.read_exact(&mut [0]).unwrap();
        assert_eq!(take(&mut wire).unwrap(), b"bc");
        assert_eq!(kind(wire.read(&mut [0])), ErrorKind::WouldBlock);
        assert_eq!(take(&mut Wire::new(pair().0)), None);
    }

    #[test]
    fn a_buffer_is_handed_over_without_a_copy() {
        let (mut wire, mut reader, mut peer) = fed();
        peer.write_all(b"hello").unwrap();
        reader.chunk.bytes = vec![0; reader.size.get()];
        let before = reader.chunk.bytes.as_ptr();
        assert_eq!(reader.read().unwrap(), 5);
        assert!(reader.chunk.is_empty());
        assert_eq!(reader.queue.lock().chunk.bytes.as_ptr(), before);
        // The queue still has bytes, so new bytes are appended.
        peer.write_all(b" world").unwrap();
        assert_eq!(reader.read().unwrap(), 6);
        assert!(reader.chunk.is_empty());
        drop(peer);
        assert_eq!(reader.read().unwrap(), 0);
        let mut all = String::new();
        wire.read_to_string(&mut all).unwrap();
        assert_eq!(all, "hello world");
    }

    #[test]
    fn the_queue_is_bounded_and_gives_memory_back() {
        let (mut wire, reader, _peer) = fed();
        let block = vec![7; MAX_QUEUED / 4];
        for _ in 0..4 {
            feed(&reader, &block).unwrap();
        }
        assert!(feed(&reader, b"x").is_err());
        let mut buffer = vec![0; 100_000];
        let mut total = 0;
        while let Ok(count) = wire.read(&mut buffer) {
            assert!(buffer[..count].iter().all(|byte| *byte == 7));
            total += count;
        }
        assert_eq!(total, MAX_QUEUED);
        assert!(reader.queue.lock().chunk.bytes.capacity() <= read_size::MAX);
        feed(&reader, &block).unwrap();
    }

    #[test]
    fn a_write_nobody_reads_fails_and_is_remembered() {
        let (mut wire, reader, mut peer) = fed();
        wire.set_write_timeout(Duration::from_millis(200)).unwrap();
        let started = Instant::now();
        assert_eq!(fill(&mut wire), ErrorKind::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(20));
        assert_eq!(wire.write_failure(), Some(ErrorKind::TimedOut));
        // After a failed write every write fails at once, even if the peer reads again.
        peer.read_exact(&mut vec![0; 1024 * 1024]).unwrap();
        wire.set_write_timeout(Duration::from_secs(60)).unwrap();
        let started = Instant::now();
        assert_eq!(kind(wire.write(b"x")), ErrorKind::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(30));
        // Reads still work.
        feed(&reader, b"x").unwrap();
        assert_eq!(wire.read(&mut [0]).unwrap(), 1);
    }

    #[test]
    fn a_peer_that_drips_cannot_hold_the_writer() {
        let (mut wire, _reader, mut peer) = fed();
        wire.set_write_timeout(Duration::from_millis(300)).unwrap();
        let (stop, stopped) = mpsc::channel::<()>();
        let drip = thread::spawn(move || {
            let mut buffer = vec![0; 8 * 1024];
            while peer.read(&mut buffer).is_ok_and(|count| count > 0)
                && stopped.recv_timeout(Duration::from_millis(20)) == Err(mpsc::RecvTimeoutError::Timeout)
            {
            }
        });
        let started = Instant::now();
        let result = wire.write_all(&vec![0; 64 * 1024 * 1024]);
        assert_eq!(kind(result), ErrorKind::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        drop(stop);
        drip.join().unwrap();
    }

    #[test]
    fn a_reader_without_a_lock_feeds_the_wire() {
        let (mut wire, mut reader, mut peer) = fed();
        peer.write_all(b"hi").unwrap();
        assert_eq!(reader.read().unwrap(), 2);
        let mut text = [0; 2];
        wire.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"hi");
        wire.write_all(b"ho").unwrap();
        peer.read_exact(&mut text).unwrap();
        assert_eq!((&text, wire.written()), (b"ho", 2));
        // Shutting down the socket ends a blocked read.
        let blocked = thread::spawn(move || reader.read());
        wire.socket().unwrap().shutdown(Shutdown::Both).unwrap();
        assert_eq!(blocked.join().unwrap().unwrap(), 0);
    }

    #[test]
    fn a_read_that_does_not_wait_has_a_deadline() {
        let (ours, mut peer) = pair();
        let mut wire = Wire::new(ours);
        wire.set_waiting(false).unwrap();
        assert_eq!(wire.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        // A peer that never stops sending must not keep the reader.
        peer.write_all(b"x").unwrap();
        wire.set_deadline(Some(Instant::now()));
        assert_eq!(wire.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
