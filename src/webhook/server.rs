//! A small HTTP server for a [`Receiver`]: one request per connection, each connection on its own thread.
//!
//! Anybody can send requests to a webhook. The existing blocking server, tiny_http 0.12, reads a header of any size
//! into memory, sets no time limit on a socket, starts a thread for each connection, and has no settings for these
//! limits (`tests/servers` shows this behaviour). So this crate has its own server. httparse parses the headers.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use super::request::{ReceivedRequest, Refused};
use super::{Answer, Receiver, write};
use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::stop::OnStop;
use crate::sync::lock::{Condvar, Mutex};
use crate::threads;

/// The time that the platform itself waits for an answer.
const GRACE: Duration = Duration::from_secs(15);
/// How many bytes of a refused request the server reads and discards, so that the sender receives the answer.
const LEFTOVER: u64 = 64 << 10;
/// The most refused connections above the limit whose rest the server reads at the same time.
const MAX_REFUSED: usize = 16;

impl Receiver {
    /// Serves the webhooks over HTTP on this address, in the background. [`Server::wait`] blocks until the server is
    /// stopped. Port 0 selects a free port. Put a TLS proxy in front: the platform calls `https` URLs.
    ///
    /// The headers of a request may have 16 KiB and its body [`max_body`](Receiver::max_body) bytes. The request must
    /// arrive within [`time_limit`](Receiver::time_limit). The server handles
    /// [`max_connections`](Receiver::max_connections) requests at once, each on its own thread, and answers further
    /// requests with 503.
    ///
    /// ```no_run
    /// use crustocean::webhook::Receiver;
    ///
    /// fn main() -> crustocean::Result<()> {
    ///     let receiver = Receiver::new().command("/hook", "ping", |_| "pong");
    ///     let server = receiver.serve("127.0.0.1:8080")?;
    ///     println!("listening on {}", server.address());
    ///     server.wait();
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the address is not valid or not free.
    pub fn serve(self, address: impl ToSocketAddrs) -> Result<Server> {
        let listener = TcpListener::bind(address).map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        let shared =
            Arc::new(ServerShared { receiver: self, state: Mutex::default(), changed: Condvar::new() });
        let its_own = Arc::clone(&shared);
        let accept = threads::start("crustocean-webhooks", move || accept(&listener, &its_own));
        let accept = accept.map_err(|error| {
            let text =
                format!("the thread that receives webhooks cannot be started: {error}; end other threads");
            Error::config(text).with_source(error)
        })?;
        let on_stop = shared.receiver.stop.as_ref().map(|stop| {
            let shared = Arc::clone(&shared);
            stop.on_stop(move || shared.stop())
        });
        Ok(Server { address, shared, accept: Mutex::new(Some(accept)), _on_stop: on_stop })
    }
}

/// The error for an address on which the server cannot listen.
fn unusable(error: io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there: choose another port",
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have this address: use 127.0.0.1, or 0.0.0.0 for all its addresses"
        }
        io::ErrorKind::PermissionDenied => "this program may not use this port: choose one above 1023",
        _ => "give a host and a port, such as \"127.0.0.1:8080\"",
    };
    let text = format!("webhooks cannot be received on this address ({error}): {advice}");
    Error::config(text).with_source(error)
}

/// A running server. It receives webhooks until it is stopped or dropped. Returned by [`Receiver::serve`].
///
/// All methods take `&self`. To stop the server from another thread, share it in an `Arc`.
///
/// ```no_run
/// use crustocean::webhook::{HookReply, Receiver};
///
/// # fn main() -> crustocean::Result<()> {
/// let receiver = Receiver::new().command("/hooks", "ping", |_| HookReply::new("pong"));
/// let server = receiver.serve("127.0.0.1:0")?;
/// println!("listening on {}", server.address());
/// server.wait();
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "it stops when it is dropped"]
pub struct Server {
    address: SocketAddr,
    shared: Arc<ServerShared>,
    accept: Mutex<Option<JoinHandle<()>>>,
    _on_stop: Option<OnStop>,
}

impl Server {
    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Blocks until the server is stopped, by [`stop`](Server::stop) or by the receiver's [`Stop`](Receiver::stop).
    pub fn wait(&self) {
        let mut state = self.shared.state.lock();
        while !state.stopped {
            state = self.shared.changed.wait(state);
        }
    }

    /// Stops accepting requests and waits up to 15 s for running handlers. Further calls do nothing. A handler may call
    /// this: the call does not wait for that handler.
    ///
    /// # Errors
    /// [`Timeout`](crate::ErrorKind::Timeout) if handlers are still running after 15 s. The answers of these handlers
    /// are lost when the program ends.
    pub fn stop(&self) -> Result<()> {
        self.shared.stop();
        let accept = self.accept.lock().take();
        if let Some(accept) = accept {
            // Wakes the accepting thread. If that fails, the thread ends with the next connection.
            if TcpStream::connect_timeout(&reachable(self.address), Duration::from_secs(1)).is_ok() {
                let _ = accept.join();
            }
        }
        let state = self.shared.state.lock();
        let own = usize::from(state.threads.contains(&thread::current().id()));
        let state = self.shared.changed.wait_timeout_while(state, GRACE, |state| state.connections > own);
        match state.connections.saturating_sub(own) {
            0 => Ok(()),
            left => Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "{left} webhooks are still being handled: their answers are lost when the program ends"
                ),
            )),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            crate::logging::warn!("{error}");
        }
    }
}

/// Replaces an unspecified address by loopback, because some systems cannot connect to `0.0.0.0`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[derive(Debug)]
struct ServerShared {
    receiver: Receiver,
    state: Mutex<ServerState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct ServerState {
    stopped: bool,
    connections: usize,
    /// The threads that serve a connection.
    threads: HashSet<ThreadId>,
    /// The number of connections above the limit whose rest a thread reads.
    refused: usize,
    /// Connections whose request has not arrived completely.
    reading: HashMap<usize, TcpStream>,
    next: usize,
}

impl ServerShared {
    /// Stops accepting requests, and does not wait for running handlers.
    fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        self.changed.notify_all();
        // Closes the connections whose request has not arrived completely.
        for stream in state.reading.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<ServerShared>) {
    loop {
        let accepted = listener.accept();
        if shared.state.lock().stopped {
            return;
        }
        match accepted {
            Ok((stream, _)) => admit(stream, shared),
            // One connection failed, or the process has no free file descriptors at the moment.
            Err(error) => {
                crate::logging::debug!("a webhook's connection cannot be accepted: {error}");
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Starts a thread for a connection, or refuses it.
fn admit(stream: TcpStream, shared: &Arc<ServerShared>) {
    let number = {
        let mut state = shared.state.lock();
        let most = shared.receiver.max_connections;
        if state.connections >= most {
            drop(state);
            crate::logging::warn!("more than {most} webhook requests at once: the receiver refuses one");
            return refuse(stream, shared);
        }
        state.connections += 1;
        state.next += 1;
        state.next
    };
    let connection = ConnectionGuard { shared: Arc::clone(shared), number };
    start("crustocean-webhook", move || connection.serve(stream));
}

/// Answers 503. A short-lived thread then reads the rest of the request, because the sender may lose the answer if the
/// connection closes with unread bytes. With many refused connections at once, no thread reads the rest.
fn refuse(stream: TcpStream, shared: &Arc<ServerShared>) {
    let guard = RefusedGuard::new(shared);
    let busy = Answer::error(503, "too many requests at once");
    // The answer fits into the send buffer of a new connection, so the write does not block.
    let sent = stream.set_nonblocking(true).and_then(|()| send(&stream, &busy, Duration::ZERO));
    if let (Ok(()), Some(guard)) = (sent, guard) {
        start("crustocean-refused", move || {
            let _guard = guard;
            stream.set_nonblocking(false)?;
            drain(&stream)
        });
    }
}

/// Runs the work of one connection on its own thread.
fn start(name: &str, work: impl FnOnce() -> io::Result<()> + Send + 'static) {
    let spawned = threads::start(name, move || {
        if let Err(error) = work() {
            crate::logging::debug!("a webhook's connection broke: {error}");
        }
    });
    if let Err(error) = spawned {
        crate::logging::warn!("cannot start a thread for a webhook request: {error}");
    }
}

/// Counts a refused connection whose rest a thread reads, until this value is dropped.
struct RefusedGuard(Arc<ServerShared>);

impl RefusedGuard {
    /// `None` if threads read the rest of many refused connections already.
    fn new(shared: &Arc<ServerShared>) -> Option<Self> {
        let mut state = shared.state.lock();
        if state.refused >= MAX_REFUSED {
            return None;
        }
        state.refused += 1;
        Some(RefusedGuard(Arc::clone(shared)))
    }
}

impl Drop for RefusedGuard {
    fn drop(&mut self) {
        self.0.state.lock().refused -= 1;
    }
}

/// A connection that counts toward the limit until it is dropped.
struct ConnectionGuard {
    shared: Arc<ServerShared>,
    number: usize,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.reading.remove(&self.number);
        state.threads.remove(&thread::current().id());
        state.connections -= 1;
        self.shared.changed.notify_all();
    }
}

impl ConnectionGuard {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let copy = stream.try_clone()?;
        {
            let mut state = self.shared.state.lock();
            if state.stopped {
                return Ok(());
            }
            state.threads.insert(thread::current().id());
            state.reading.insert(self.number, copy);
        }
        let time = self.shared.receiver.time_limit;
        let request = ReceivedRequest::read(&stream, deadline::after(time), self.shared.receiver.max_body);
        let stopped = {
            let mut state = self.shared.state.lock();
            state.reading.remove(&self.number);
            state.stopped
        };
        let answer = match request {
            Ok(_) if stopped => return Ok(()),
            Ok(request) => {
                let headers = request.headers.iter().map(|(name, value)| (name, value));
                self.shared.receiver.handle(&request.method, &request.path, headers, &request.body)
            }
            Err(Refused::Answer(status, reason)) => {
                let answer = Answer::error(status, reason);
                return send(&stream, &answer, time).and_then(|()| drain(&stream));
            }
            Err(Refused::Broken(error)) => return Err(error),
        };
        send(&stream, &answer, time)?;
        stream.shutdown(Shutdown::Write)
    }
}

/// Discards the rest of the request, so that the answer arrives: closing a socket with unread bytes resets the
/// connection.
fn drain(stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let until = deadline::after(Duration::from_secs(2));
    let mut rest = stream.take(LEFTOVER);
    let mut buffer = [0; 4096];
    while Instant::now() < until && rest.read(&mut buffer)? > 0 {}
    Ok(())
}

fn send(stream: &TcpStream, answer: &Answer, limit: Duration) -> io::Result<()> {
    write::all_until(stream, &encode(answer), deadline::after(limit))
}

fn encode(answer: &Answer) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if answer.status != 204 {
        head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
    }
    head.push_str("Connection: close\r\n\r\n");
    [head.as_bytes(), answer.body.as_bytes()].concat()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
