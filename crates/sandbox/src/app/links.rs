//! TCP connections that can be closed at any time: the listener keeps a second handle to each of them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until};

/// How many closed sessions the list keeps. A client reconnects within seconds or never.
const MAX_DEAD: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) handle: std::net::TcpStream,
    /// Whether this connection has carried Socket.IO. The faults close no plain REST connections.
    pub(crate) socket: bool,
    /// The latest Engine.IO session on this connection.
    pub(crate) session: Option<String>,
    /// Whether this connection controls the sandbox.
    pub(crate) control: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) next: u64,
    pub(crate) links: HashMap<u64, Link>,
    /// The closed Engine.IO sessions, so that no polling client continues one of them on a new connection.
    pub(crate) dead: HashSet<String>,
    /// How many bytes wait for each session: queued, but not written to its connection yet.
    pub(crate) waiting: HashMap<String, usize>,
}

/// All open connections.
#[derive(Debug, Default, Clone)]
pub(crate) struct Links {
    registry: Arc<Mutex<Registry>>,
    pub(crate) slowness: Arc<Slowness>,
}

impl Links {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes all Socket.IO connections without a disconnect packet, and refuses `sessions` from now on.
    pub(crate) fn cut(&self, sessions: impl Iterator<Item = String>) {
        let mut registry = self.lock();
        if registry.dead.len() > MAX_DEAD {
            registry.dead.clear();
        }
        registry.dead.extend(sessions);
        for link in registry.links.values().filter(|link| link.socket) {
            // The shutdown fails only if the connection is closed already.
            let _ = link.handle.shutdown(Shutdown::Both);
        }
    }

    /// Registers a new session, on this connection if it is known.
    pub(crate) fn begin(&self, session: &str, link: Option<u64>) {
        let mut registry = self.lock();
        registry.waiting.insert(session.to_owned(), 0);
        if let Some(link) = link.and_then(|link| registry.links.get_mut(&link)) {
            link.session.get_or_insert_with(|| session.to_owned());
        }
    }

    pub(crate) fn end(&self, session: &str) {
        self.lock().waiting.remove(session);
    }

    /// Counts bytes that the server queues for a session. Returns how many bytes wait for the session now.
    pub(crate) fn queue(&self, session: &str, bytes: usize) -> usize {
        let mut registry = self.lock();
        let Some(waiting) = registry.waiting.get_mut(session) else { return 0 };
        *waiting = waiting.saturating_add(bytes);
        *waiting
    }

    /// Subtracts written bytes from those that wait. The written bytes include the framing of events, so the result is
    /// slightly too low.
    fn written(&self, link: u64, bytes: usize) {
        let mut registry = self.lock();
        let registry = &mut *registry;
        let session = registry.links.get(&link).and_then(|link| link.session.as_ref());
        if let Some(waiting) = session.and_then(|session| registry.waiting.get_mut(session)) {
            *waiting = waiting.saturating_sub(bytes);
        }
    }

    /// Closes one session without a disconnect packet.
    pub(crate) fn cut_session(&self, session: &str) {
        let mut registry = self.lock();
        registry.dead.insert(session.to_owned());
        for link in registry.links.values().filter(|link| link.session.as_deref() == Some(session)) {
            let _ = link.handle.shutdown(Shutdown::Both);
        }
    }

    /// Closes one connection without a disconnect packet.
    pub(crate) fn cut_one(&self, id: u64) {
        if let Some(link) = self.lock().links.get(&id) {
            let _ = link.handle.shutdown(Shutdown::Both);
        }
    }

    /// Registers a connection. `control`: the connection controls the sandbox, so faults do not affect it.
    pub(crate) fn open(&self, stream: TcpStream, control: bool) -> io::Result<CutStream> {
        let _ = stream.set_nodelay(true);
        let std = stream.into_std()?;
        let handle = std.try_clone()?;
        let stream = TcpStream::from_std(std)?;
        let mut registry = self.lock();
        registry.next += 1;
        let id = registry.next;
        let control = Arc::new(AtomicBool::new(control));
        let link = Link { handle, socket: false, session: None, control: control.clone() };
        registry.links.insert(id, link);
        Ok(CutStream { stream, id, links: self.clone(), control, held: Held::default() })
    }
}

/// The faults for data from clients.
#[derive(Debug, Default)]
pub(crate) struct Slowness {
    latency_ms: AtomicU64,
    bytes_per_second: AtomicU64,
}

impl Slowness {
    pub(crate) fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        self.latency_ms.store(latency.as_millis() as u64, Ordering::Relaxed);
    }

    /// 0: no limit.
    pub(crate) fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second.load(Ordering::Relaxed)
    }

    pub(crate) fn set_bytes_per_second(&self, bytes: u64) {
        self.bytes_per_second.store(bytes, Ordering::Relaxed);
    }
}

/// Bytes that have arrived but are not delivered yet.
#[derive(Debug, Default)]
struct Held {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    ended: bool,
    /// When the next byte may be delivered at the current speed.
    next: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// How many bytes one connection may hold. More bytes wait in the network, as with a slow server.
const MAX_HELD: usize = 64 * 1024;

/// One connection. Dropping this value removes the connection from the list.
#[derive(Debug)]
pub(crate) struct CutStream {
    pub(crate) stream: TcpStream,
    pub(crate) id: u64,
    pub(crate) links: Links,
    /// Faults do not affect connections that control the sandbox.
    control: Arc<AtomicBool>,
    held: Held,
}

impl CutStream {
    fn note(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.links.written(self.id, *bytes);
        }
    }

    /// Reads available bytes into the queue, and delivers those that are due.
    fn poll_held(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let slowness = self.links.slowness.clone();
        let now = Instant::now();
        while !self.held.ended && self.held.bytes < MAX_HELD {
            let mut bytes = [0; 8 * 1024];
            let mut piece = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut piece) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) if piece.filled().is_empty() => self.held.ended = true,
                Poll::Ready(Ok(())) => {
                    self.held.bytes += piece.filled().len();
                    self.held.pieces.push_back((now + slowness.latency(), piece.filled().to_vec()));
                }
            }
        }
        let Some((due, piece)) = self.held.pieces.front_mut() else {
            // After the end of the stream no bytes follow. Before the end the network wakes the task.
            return if self.held.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        let due = self.held.next.map_or(*due, |next| next.max(*due));
        if due <= now {
            let speed = slowness.bytes_per_second();
            // Deliver at most the bytes of a tenth of a second at once.
            let most = if speed == 0 { usize::MAX } else { (speed / 10).max(1) as usize };
            let count = piece.len().min(buf.remaining()).min(most);
            let rest = piece.split_off(count);
            buf.put_slice(piece);
            *piece = rest;
            if piece.is_empty() {
                self.held.pieces.pop_front();
            }
            self.held.bytes -= count;
            self.held.next = (speed > 0)
                .then(|| now + Duration::from_micros((count as u64).saturating_mul(1_000_000) / speed));
            return Poll::Ready(Ok(()));
        }
        let timer = self.held.timer.insert(Box::pin(sleep_until(due.into())));
        match timer.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl Drop for CutStream {
    fn drop(&mut self) {
        self.links.lock().links.remove(&self.id);
    }
}

impl AsyncRead for CutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let slowness = &self.links.slowness;
        let fast = slowness.latency().is_zero() && slowness.bytes_per_second() == 0;
        let spared = fast || self.control.load(Ordering::Relaxed);
        if spared && self.held.pieces.is_empty() && !self.held.ended {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        self.poll_held(cx, buf)
    }
}

impl AsyncWrite for CutStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The number of a request's connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkId(pub(crate) u64);
