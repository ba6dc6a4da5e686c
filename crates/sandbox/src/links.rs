//! TCP connections that can be cut: the listener keeps a second handle on each of them.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::state::App;

#[derive(Debug)]
struct Link {
    handle: std::net::TcpStream,
    /// Whether it has carried Socket.IO; plain REST connections are left alone.
    socket: bool,
}

#[derive(Debug, Default)]
struct Registry {
    next: u64,
    links: HashMap<u64, Link>,
    /// Engine.IO sessions that were cut. A polling client would otherwise go on with its session on a new connection.
    dead: HashSet<String>,
}

/// All open connections.
#[derive(Debug, Default, Clone)]
pub(crate) struct Links(Arc<Mutex<Registry>>);

impl Links {
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every Socket.IO connection without a goodbye; `sessions` are refused from now on.
    fn cut(&self, sessions: impl Iterator<Item = String>) {
        let mut registry = self.lock();
        registry.dead.extend(sessions);
        for link in registry.links.values().filter(|link| link.socket) {
            // Fails only if it is closed already, which is what is wanted.
            let _ = link.handle.shutdown(Shutdown::Both);
        }
    }

    fn open(&self, stream: TcpStream) -> io::Result<CutStream> {
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
    stream: TcpStream,
    id: u64,
    links: Links,
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

/// Cuts every Socket.IO connection; called within the runtime.
pub(crate) fn cut_all(app: &App) {
    let sockets = app.sockets();
    app.links().cut(sockets.iter().map(|socket| socket.id.to_string()));
    for socket in sockets {
        // The bytes go nowhere any more; this is so that the server forgets the socket at once.
        let _ = socket.disconnect();
    }
}

/// Number of the connection that a request came on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkId(u64);

impl Connected<IncomingStream<'_, CutListener>> for LinkId {
    fn connect_info(stream: IncomingStream<'_, CutListener>) -> Self {
        LinkId(stream.io().id)
    }
}

/// Stands before Socket.IO: marks the connection as one that can be cut and refuses sessions that were.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/socket.io") {
        return next.run(request).await;
    }
    {
        let mut registry = app.links().lock();
        let sid = request
            .uri()
            .query()
            .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("sid=")));
        if sid.is_some_and(|sid| registry.dead.contains(sid)) {
            // The answer of the Node server to a session it does not know.
            let body = r#"{"code":1,"message":"Session ID unknown"}"#;
            return (StatusCode::BAD_REQUEST, [("content-type", "application/json")], body).into_response();
        }
        if let Some(ConnectInfo(LinkId(id))) = request.extensions().get::<ConnectInfo<LinkId>>()
            && let Some(link) = registry.links.get_mut(id)
        {
            link.socket = true;
        }
    }
    next.run(request).await
}
