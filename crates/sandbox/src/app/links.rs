//! TCP connections that can be cut: the listener keeps a second handle on each of them.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) handle: std::net::TcpStream,
    /// Whether it has carried Socket.IO; plain REST connections are left alone.
    pub(crate) socket: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) next: u64,
    pub(crate) links: HashMap<u64, Link>,
    /// Engine.IO sessions that were cut. A polling client would otherwise go on with its session on a new connection.
    pub(crate) dead: HashSet<String>,
}

/// All open connections.
#[derive(Debug, Default, Clone)]
pub(crate) struct Links(Arc<Mutex<Registry>>);

impl Links {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every Socket.IO connection without a goodbye; `sessions` are refused from now on.
    pub(crate) fn cut(&self, sessions: impl Iterator<Item = String>) {
        let mut registry = self.lock();
        registry.dead.extend(sessions);
        for link in registry.links.values().filter(|link| link.socket) {
            // Fails only if it is closed already, which is what is wanted.
            let _ = link.handle.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn open(&self, stream: TcpStream) -> io::Result<CutStream> {
        let _ = stream.set_nodelay(true);
        let std = stream.into_std()?;
        let handle = std.try_clone()?;
        let stream = TcpStream::from_std(std)?;
        let mut registry = self.lock();
        registry.next += 1;
        let id = registry.next;
        registry.links.insert(id, Link { handle, socket: false });
        Ok(CutStream { stream, id, links: self.clone() })
    }
}

/// A listener whose streams are on record.
#[derive(Debug)]
pub(crate) struct CutListener {
    pub(crate) listener: TcpListener,
    pub(crate) links: Links,
}

impl Listener for CutListener {
    type Io = CutStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CutStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    if let Ok(stream) = self.links.open(stream) {
                        return (stream, peer);
                    }
                }
                // Out of file handles, or a client that is gone already: give it a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection; takes itself off the record when it ends.
#[derive(Debug)]
pub(crate) struct CutStream {
    pub(crate) stream: TcpStream,
    pub(crate) id: u64,
    pub(crate) links: Links,
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
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CutStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Number of the connection that a request came on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkId(pub(crate) u64);

impl Connected<IncomingStream<'_, CutListener>> for LinkId {
    fn connect_info(stream: IncomingStream<'_, CutListener>) -> Self {
        LinkId(stream.io().id)
    }
}
