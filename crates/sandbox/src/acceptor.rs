//! Accepts connections and assigns each to one of two servers by the path of its first request: the server for control over
//! HTTP (`/_sandbox`), or the server for bots.
//!
//! A separate thread serves the control connections, so that a client can inspect and end a freeze.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep};

use crate::app::links::{CutStream, LinkId, Links};

const CONTROL: &[u8] = b"/_sandbox";
/// The length of the longest method, plus a space.
const MAX_METHOD: usize = 8;
/// How long a client may take to send the beginning of its first request.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(2);
/// How many connections may wait for a frozen server.
const MAX_PENDING: usize = 1024;

type Accepted = (std::net::TcpStream, SocketAddr);

/// Connections for one of the two servers.
#[derive(Debug)]
pub(crate) struct CutListener {
    accepted: Receiver<Accepted>,
    address: SocketAddr,
    links: Links,
    /// Whether these connections control the sandbox.
    control: bool,
}

/// Accepts connections for both servers.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: std::net::TcpListener,
    control: Sender<Accepted>,
    others: Sender<Accepted>,
}

/// Creates an acceptor, the listener for control connections, and the listener for all others.
pub(crate) fn open(
    listener: std::net::TcpListener,
    links: &Links,
) -> io::Result<(Acceptor, CutListener, CutListener)> {
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (control, for_control) = channel(MAX_PENDING);
    let (others, for_others) = channel(MAX_PENDING);
    let listen = |accepted, control| CutListener { accepted, address, links: links.clone(), control };
    Ok((Acceptor { listener, control, others }, listen(for_control, true), listen(for_others, false)))
}

impl Acceptor {
    /// Accepts connections until the task is dropped.
    pub(crate) async fn run(self) -> io::Result<()> {
        let listener = Listening(TcpListener::from_std(self.listener)?);
        loop {
            match listener.0.accept().await {
                Ok((stream, peer)) => {
                    let (control, others) = (self.control.clone(), self.others.clone());
                    tokio::spawn(async move {
                        let to = if controls(&stream).await { control } else { others };
                        if let Ok(stream) = stream.into_std() {
                            // Sending fails only while the server ends.
                            let _ = to.send((stream, peer)).await;
                        }
                    });
                }
                // The process has no file handles left, or the client has closed the connection. Wait a moment.
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// Frees its port when it is dropped, also if a copy of the listener exists. While another thread of the program starts a
/// process, the new process has such a copy for some milliseconds.
struct Listening(TcpListener);

impl Drop for Listening {
    fn drop(&mut self) {
        // Some systems refuse this. They free the port with the last copy.
        let _ = SockRef::from(&self.0).shutdown(Shutdown::Both);
    }
}

/// Whether a connection begins with a control request. Leaves the bytes in the connection.
async fn controls(stream: &TcpStream) -> bool {
    let mut bytes = [0; MAX_METHOD + CONTROL.len()];
    let mut deadline = None;
    loop {
        let Ok(count @ 1..) = stream.peek(&mut bytes).await else { return false };
        if let Some(answer) = is_control(bytes.get(..count).unwrap_or_default()) {
            return answer;
        }
        if Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + FIRST_BYTES_TIMEOUT) {
            return false;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// `None` if the decision needs more bytes.
fn is_control(request: &[u8]) -> Option<bool> {
    let Some(space) = request.iter().position(|byte| *byte == b' ') else {
        return (request.len() >= MAX_METHOD).then_some(false);
    };
    let path = request.get(space + 1..).unwrap_or_default();
    if path.len() >= CONTROL.len() {
        return Some(path.starts_with(CONTROL));
    }
    if CONTROL.starts_with(path) { None } else { Some(false) }
}

impl axum::serve::Listener for CutListener {
    type Io = CutStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CutStream, SocketAddr) {
        loop {
            let Some((stream, peer)) = self.accepted.recv().await else {
                // The acceptor has ended, so the server ends, too.
                return std::future::pending().await;
            };
            let stream = TcpStream::from_std(stream).and_then(|stream| self.links.open(stream, self.control));
            if let Ok(stream) = stream {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Connected<IncomingStream<'_, CutListener>> for LinkId {
    fn connect_info(stream: IncomingStream<'_, CutListener>) -> Self {
        LinkId(stream.io().id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_listener_in_a_new_process_does_not_keep_the_port() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, copy) = (listener.local_addr().unwrap(), listener.try_clone().unwrap());
        let (acceptor, ..) = open(listener, &Links::default()).unwrap();
        runtime.block_on(async {
            tokio::spawn(acceptor.run());
            tokio::task::yield_now().await;
        });
        drop(runtime);
        drop(std::net::TcpListener::bind(address).unwrap());
        drop(copy);
    }

    #[test]
    fn the_path_tells_who_controls_the_sandbox() {
        for (request, answer) in [
            (&b"GET /_sandbox HTTP/1.1"[..], Some(true)),
            (b"POST /_sandbox/fault", Some(true)),
            (b"DELETE /_sandbox", Some(true)),
            (b"GET /_sand", None),
            (b"GET ", None),
            (b"GE", None),
            (b"GET /api", Some(false)),
            (b"GET /_s/", Some(false)),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01", Some(false)),
        ] {
            assert_eq!(is_control(request), answer, "{}", String::from_utf8_lossy(request));
        }
    }
}
