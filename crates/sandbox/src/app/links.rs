//! TCP connections that can be cut: the listener keeps a second handle on each of them.

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

/// Sessions that were cut and are remembered. A client comes back within seconds, or never.
const MAX_DEAD: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) handle: std::net::TcpStream,
    /// Whether it has carried Socket.IO; plain REST connections are left alone.
    pub(crate) socket: bool,
    /// The Engine.IO session that it carries, or the last one that it carried.
    pub(crate) session: Option<String>,
    /// Whether it controls the sandbox.
    pub(crate) control: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) next: u64,
    pub(crate) links: HashMap<u64, Link>,
    /// Engine.IO sessions that were cut. A polling client would otherwise go on with its session on a new connection.
    pub(crate) dead: HashSet<String>,
    /// What has been sent to each session and is not written to its connection yet, in bytes.
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

    /// Ends every Socket.IO connection without a goodbye; `sessions` are refused from now on.
    pub(crate) fn cut(&self, sessions: impl Iterator<Item = String>) {
        let mut registry = self.lock();
        if registry.dead.len() > MAX_DEAD {
            registry.dead.clear();
        }
        registry.dead.extend(sessions);
        for link in registry.links.values().filter(|link| link.socket) {
            // Fails only if it is closed already, which is what is wanted.
            let _ = link.handle.shutdown(Shutdown::Both);
        }
    }

    /// A session has begun, on this connection if it has no other yet.
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

    /// Notes what is sent to a session; gives what waits for it now, in bytes.
    pub(crate) fn queue(&self, session: &str, bytes: usize) -> usize {
        let mut registry = self.lock();
        let Some(waiting) = registry.waiting.get_mut(session) else { return 0 };
        *waiting = waiting.saturating_add(bytes);
        *waiting
    }

    /// Bytes have gone out. What is around an event counts, too: it is little, and errs on the side of patience.
    fn written(&self, link: u64, bytes: usize) {
        let mut registry = self.lock();
        let registry = &mut *registry;
        let session = registry.links.get(&link).and_then(|link| link.session.as_ref());
        if let Some(waiting) = session.and_then(|session| registry.waiting.get_mut(session)) {
            *waiting = waiting.saturating_sub(bytes);
        }
    }

    /// Ends one session without a goodbye.
    pub(crate) fn cut_session(&self, session: &str) {
        let mut registry = self.lock();
        registry.dead.insert(session.to_owned());
        for link in registry.links.values().filter(|link| link.session.as_deref() == Some(session)) {
            let _ = link.handle.shutdown(Shutdown::Both);
        }
    }

    /// Ends one connection without a goodbye.
    pub(crate) fn cut_one(&self, id: u64) {
        if let Some(link) = self.lock().links.get(&id) {
            let _ = link.handle.shutdown(Shutdown::Both);
        }
    }

    /// `control`: it controls the sandbox, and is spared.
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

/// What happens to all that clients send.
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

    /// 0 is as fast as can be.
    pub(crate) fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second.load(Ordering::Relaxed)
    }

    pub(crate) fn set_bytes_per_second(&self, bytes: u64) {
        self.bytes_per_second.store(bytes, Ordering::Relaxed);
    }
}

/// Bytes that have arrived and are not to be seen yet.
#[derive(Debug, Default)]
struct Held {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    ended: bool,
    /// When the next byte may be read at the present speed.
    next: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// More than this waits in the network, as it does before a slow server.
const MAX_HELD: usize = 64 * 1024;

/// One connection; takes itself off the record when it ends.
#[derive(Debug)]
pub(crate) struct CutStream {
    pub(crate) stream: TcpStream,
    pub(crate) id: u64,
    pub(crate) links: Links,
    /// The pages and programs that control the sandbox are spared.
    control: Arc<AtomicBool>,
    held: Held,
}

impl CutStream {
    fn note(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.links.written(self.id, *bytes);
        }
    }

    /// Reads what is there into the queue, and gives out of it what is due.
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
            // The end of the stream, or the network wakes us.
            return if self.held.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        let due = self.held.next.map_or(*due, |next| next.max(*due));
        if due <= now {
            let speed = slowness.bytes_per_second();
            // At most a tenth of a second's worth at once.
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

/// Number of the connection that a request came on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkId(pub(crate) u64);
