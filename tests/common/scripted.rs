//! A server for which the test decides every byte.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role};
use tungstenite::{Error, Message, WebSocket};

use super::http::{Request, Response};
use super::test_sandbox::SOON;

/// How long the `expect` methods and each write may take.
const TIMEOUT: Duration = SOON;

/// Ends a script without a failure.
struct ClientLeft;

type Script = dyn Fn(&mut Conn) + Send + Sync;
type Handler = dyn Fn(&Request) -> Response + Send + Sync;

/// Answers the first REST calls of an agent, and passes every WebSocket to the script.
///
/// There is an agent `mybot` (`agent-1`) in one agency, `lobby` (`ag-1`), without direct conversations. Every agent token is
/// valid, and gets the session tokens `session-1`, `session-2` and so on. [`on`](Self::on) changes that.
///
/// The script runs once per WebSocket, on a thread of its own. [`Conn::index`] is the number of the WebSocket. A panic of the
/// script fails the test, in [`finish`](Self::finish) or when the server is dropped.
pub struct ScriptedServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<Script>,
    before_upgrade: bool,
    handlers: Mutex<Vec<(String, String, Arc<Handler>)>>,
    tokens: AtomicUsize,
    stopped: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    /// When each WebSocket was requested.
    connections: Vec<Instant>,
    /// All open sockets by number, to shut them down at the end.
    streams: HashMap<usize, TcpStream>,
    accepted: usize,
    /// The running scripts.
    running: usize,
    failures: Vec<String>,
}

impl ScriptedServer {
    /// The script starts after the WebSocket handshake. Its first byte is the first one after the `101`.
    pub fn start(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> ScriptedServer {
        Self::launch(Box::new(script), false)
    }

    /// A server with the room `ag-1`. Its first connection sends the messages `live`, and ends when the agent has sent
    /// something. Later connections run `then`. `history` answers for the room's history; its second argument says
    /// whether the connection has ended.
    pub fn losing_a_connection(
        live: Vec<Value>,
        then: impl Fn(&mut Conn) + Send + Sync + 'static,
        history: impl Fn(&Request, bool) -> Value + Send + Sync + 'static,
    ) -> ScriptedServer {
        let lost = Arc::new(AtomicBool::new(false));
        let is_lost = Arc::clone(&lost);
        let server = ScriptedServer::start(move |conn| {
            conn.handshake();
            conn.accept_join();
            if conn.index > 0 {
                return then(conn);
            }
            for message in &live {
                conn.send_event("message", message.clone());
            }
            conn.recv_text(SOON);
            is_lost.store(true, Ordering::SeqCst);
        });
        server.on("GET", "/api/agencies/ag-1/messages", move |request| {
            Response::json(200, history(request, lost.load(Ordering::SeqCst)))
        });
        server
    }

    /// The script starts before the answer to the upgrade request. It calls [`Conn::accept`], or writes its own answer with
    /// [`Conn::send_raw_bytes`], or lets the client wait.
    pub fn start_before_upgrade(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> ScriptedServer {
        Self::launch(Box::new(script), true)
    }

    fn launch(script: Box<Script>, before_upgrade: bool) -> ScriptedServer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            script,
            before_upgrade,
            handlers: Mutex::default(),
            tokens: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let server = ScriptedServer { address, shared: Arc::clone(&shared) };
        spawn("scripted-accept", move || {
            while let Ok((stream, _)) = listener.accept() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let number = shared.admit(&stream);
                let shared = Arc::clone(&shared);
                spawn("scripted-conn", move || {
                    shared.serve(stream);
                    shared.state().streams.remove(&number);
                });
            }
        });
        server
    }

    /// The value for `api_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers this REST call from now on. The path is compared without its query.
    pub fn on(
        &self,
        method: &str,
        path: &str,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) {
        let mut handlers = self.shared.handlers.lock().unwrap();
        handlers.push((method.to_owned(), path.to_owned(), Arc::new(handler)));
    }

    /// Answers every REST call from now on, except those of a later [`on`](Self::on).
    pub fn on_all(&self, handler: impl Fn(&Request) -> Response + Send + Sync + 'static) {
        self.on("*", "*", handler);
    }

    /// Every request so far, upgrades included.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// When each WebSocket was requested, one entry per connection.
    pub fn connections(&self) -> Vec<Instant> {
        self.shared.state().connections.clone()
    }

    /// Waits until there have been `count` WebSockets.
    ///
    /// # Panics
    /// If that takes longer than `limit`, or a script panicked.
    pub fn wait_connections(&self, count: usize, limit: Duration) -> Vec<Instant> {
        let what = format!("{count} connections");
        self.shared.wait(&what, limit, |state| state.connections.len() >= count);
        self.connections()
    }

    /// Waits until no script is running.
    ///
    /// # Panics
    /// If a script panicked, or if one still runs after `limit`.
    pub fn finish(self, limit: Duration) {
        self.shared.wait("the scripts to end", limit, |state| state.running == 0);
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        // Later failures are caused by the end of the server.
        let failures = self.shared.state().failures.clone();
        self.shared.stopped.store(true, Ordering::SeqCst);
        for stream in self.shared.state().streams.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect_timeout(&self.address, TIMEOUT); // wakes the accept loop
        if !thread::panicking() && !failures.is_empty() {
            panic!("the script failed: {}", failures.join("; "));
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wait(&self, what: &str, limit: Duration, done: impl Fn(&State) -> bool) {
        let idle = |state: &mut State| !done(state) && state.failures.is_empty();
        let (state, waited) = self.changed.wait_timeout_while(self.state(), limit, idle).unwrap();
        let failures = state.failures.join("; ");
        drop(state);
        assert!(failures.is_empty(), "the script failed: {failures}");
        assert!(!waited.timed_out(), "waited {limit:?} for {what}");
    }

    fn admit(&self, stream: &TcpStream) -> usize {
        let mut state = self.state();
        let number = state.accepted;
        state.accepted += 1;
        if let Ok(copy) = stream.try_clone() {
            state.streams.insert(number, copy);
        }
        number
    }

    fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_write_timeout(Some(TIMEOUT));
        let (request, behind) = match Request::read(&mut stream, TIMEOUT) {
            Ok(request) => request,
            // Clients may connect and close without a request.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return,
            Err(error) => return self.fail(format!("a request could not be read: {error}")),
        };
        self.state().requests.push(request.clone());
        if !request.header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket")) {
            let _ = self.answer(&request).write(&mut stream);
            return;
        }
        let index = {
            let mut state = self.state();
            state.connections.push(request.at);
            state.running += 1;
            self.changed.notify_all();
            state.connections.len() - 1
        };
        let mut conn = Conn { index, request, stream, behind, socket: None };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if !self.before_upgrade {
                conn.accept();
            }
            (self.script)(&mut conn);
        }));
        drop(conn);
        if let Err(panic) = outcome
            && !panic.is::<ClientLeft>()
        {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked");
            self.fail(format!("connection {index}: {text}"));
        }
        self.state().running -= 1;
        self.changed.notify_all();
    }

    fn fail(&self, what: String) {
        if !self.stopped.load(Ordering::SeqCst) {
            self.state().failures.push(what);
            self.changed.notify_all();
        }
    }

    fn answer(&self, request: &Request) -> Response {
        let own = {
            let handlers = self.handlers.lock().unwrap();
            let mut latest = handlers.iter().rev();
            let found = latest.find(|(method, path, _)| {
                path == "*" || (*method == request.method && *path == request.path)
            });
            found.map(|(_, _, handler)| Arc::clone(handler))
        };
        if let Some(handler) = own {
            return handler(request);
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/api/auth/agent") => {
                let count = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
                let user = json!({"id": "agent-1", "username": "mybot", "displayName": "My Bot"});
                Response::json(200, json!({"token": format!("session-{count}"), "user": user}))
            }
            ("GET", "/api/agencies") => Response::json(
                200,
                json!([{"id": "ag-1", "name": "Lobby", "slug": "lobby", "isMember": true}]),
            ),
            ("GET", "/api/dm" | "/api/agencies/ag-1/messages" | "/api/agencies/ag-1/members") => {
                Response::json(200, json!([]))
            }
            _ => Response::json(404, json!({"error": "Not found"})),
        }
    }
}

/// Something from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Text(String),
    Binary(Vec<u8>),
    /// A WebSocket ping, already answered; not the one of Engine.IO.
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// A close frame with its code, if it has one.
    Close(Option<u16>),
    /// The connection ended, with or without a close frame.
    Gone,
    /// Nothing within the limit.
    Nothing,
}

/// The server's end of one WebSocket. Dropping it closes the TCP connection without a close frame.
pub struct Conn {
    /// 0 for the first WebSocket since the server was started.
    pub index: usize,
    /// The upgrade request.
    pub request: Request,
    stream: TcpStream,
    behind: Vec<u8>,
    socket: Option<WebSocket<TcpStream>>,
}

impl Conn {
    /// Answers the upgrade request with the `101`. Only for [`ScriptedServer::start_before_upgrade`].
    pub fn accept(&mut self) {
        let key = self.request.header("sec-websocket-key").expect("a Sec-WebSocket-Key");
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        self.send_raw_bytes(answer.as_bytes());
        let stream = self.stream.try_clone().expect("a second handle of the socket");
        let behind = std::mem::take(&mut self.behind);
        self.socket = Some(WebSocket::from_partially_read(stream, behind, Role::Server, None));
    }

    /// Sends a text message. Returns whether the client was still connected.
    pub fn send_text(&mut self, text: impl AsRef<str>) -> bool {
        self.send(Message::text(text.as_ref()))
    }

    /// Sends a binary message.
    pub fn send_binary(&mut self, bytes: &[u8]) -> bool {
        self.send(Message::binary(bytes.to_vec()))
    }

    /// Sends a WebSocket ping; not the one of Engine.IO, which is the text `2`.
    pub fn send_ping(&mut self, payload: &[u8]) -> bool {
        self.send(Message::Ping(payload.to_vec().into()))
    }

    /// Writes bytes to the TCP connection unchanged: half a frame, an invalid one, an HTTP response.
    pub fn send_raw_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends a close frame. Nothing can be sent after it; [`recv`](Self::recv) still works.
    pub fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.to_owned().into() };
        let socket = self.socket();
        let _ = socket.close(Some(frame)).and_then(|()| socket.flush());
    }

    /// Receives the next thing, or [`Received::Nothing`].
    pub fn recv(&mut self, limit: Duration) -> Received {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).expect("a read timeout");
            match self.socket().read() {
                Ok(Message::Text(text)) => return Received::Text(text.to_string()),
                Ok(Message::Binary(bytes)) => return Received::Binary(bytes.to_vec()),
                Ok(Message::Ping(payload)) => return Received::Ping(payload.to_vec()),
                Ok(Message::Pong(payload)) => return Received::Pong(payload.to_vec()),
                Ok(Message::Close(frame)) => return Received::Close(frame.map(|frame| frame.code.into())),
                Ok(Message::Frame(_)) => {}
                Err(Error::Io(error)) if is_timeout(&error) => {
                    if Instant::now() >= deadline {
                        return Received::Nothing;
                    }
                }
                Err(
                    Error::Io(_)
                    | Error::ConnectionClosed
                    | Error::AlreadyClosed
                    | Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake),
                ) => return Received::Gone,
                Err(error) => panic!("the client broke the WebSocket protocol: {error}"),
            }
        }
    }

    /// Receives the next text message. `None` if none arrives within the limit, or the connection has ended.
    ///
    /// # Panics
    /// At a binary message.
    pub fn recv_text(&mut self, limit: Duration) -> Option<String> {
        let deadline = Instant::now() + limit;
        loop {
            match self.recv(deadline.saturating_duration_since(Instant::now())) {
                Received::Text(text) => return Some(text),
                Received::Binary(bytes) => panic!("expected text, got {} bytes", bytes.len()),
                Received::Nothing | Received::Gone => return None,
                Received::Ping(_) | Received::Pong(_) | Received::Close(_) => {}
            }
        }
    }

    /// Receives the next text message.
    ///
    /// # Panics
    /// If none arrives.
    pub fn next_text(&mut self, what: &str) -> String {
        self.recv_text(TIMEOUT).unwrap_or_else(|| panic!("expected {what}, got nothing"))
    }

    /// Receives the Socket.IO CONNECT. If the client closes instead, the script ends: an agent may be dropped while it
    /// connects.
    ///
    /// # Panics
    /// If neither happens.
    pub fn expect_connect(&mut self) -> String {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match self.recv(deadline.saturating_duration_since(Instant::now())) {
                Received::Text(text) => return text,
                Received::Gone => resume_unwind(Box::new(ClientLeft)),
                Received::Ping(_) | Received::Pong(_) | Received::Close(_) => {}
                other => panic!("expected CONNECT, got {other:?}"),
            }
        }
    }

    /// Receives the next text message, which must be this one.
    pub fn expect_text(&mut self, text: &str) {
        assert_eq!(self.next_text(text), text);
    }

    /// Receives the next Socket.IO event, which must have this name and no ack id. Returns its first argument. Skips pongs.
    pub fn expect_event(&mut self, name: &str) -> Value {
        let mut args = loop {
            let text = self.next_text(name);
            if text != "3" {
                let Some(json) = text.strip_prefix("42") else { panic!("expected {name}, got {text}") };
                break serde_json::from_str::<Value>(json)
                    .unwrap_or_else(|error| panic!("expected {name}, got {text}: {error}"));
            }
        };
        assert_eq!(args[0], name, "in {args}");
        args[1].take()
    }

    /// Sends a Socket.IO event with one argument.
    pub fn send_event(&mut self, name: &str, payload: Value) -> bool {
        self.send_text(format!("42{}", json!([name, payload])))
    }

    /// Sends the Engine.IO open packet, with these heartbeats.
    pub fn open(&mut self, ping_interval: Duration, ping_timeout: Duration) {
        let open = json!({
            "sid": format!("engine-{}", self.index),
            "upgrades": [],
            "pingInterval": ping_interval.as_millis() as u64,
            "pingTimeout": ping_timeout.as_millis() as u64,
            "maxPayload": 1_000_000,
        });
        self.send_text(format!("0{open}"));
    }

    /// Sends the open packet and receives the Socket.IO CONNECT, without answering it. False if the client closed instead.
    pub fn recv_connect(&mut self) -> bool {
        self.open(Duration::from_secs(25), Duration::from_secs(20));
        self.recv_text(TIMEOUT).is_some_and(|text| text.starts_with("40"))
    }

    /// Waits for the Socket.IO CONNECT and accepts it. Returns its payload.
    pub fn accept_connect(&mut self) -> Value {
        let text = self.expect_connect();
        let Some(auth) = text.strip_prefix("40") else { panic!("expected CONNECT, got {text}") };
        let auth = serde_json::from_str(auth).unwrap_or(Value::Null);
        self.send_text(format!("40{}", json!({"sid": format!("socket-{}", self.index)})));
        auth
    }

    /// Does everything up to an open namespace, with the default heartbeats. Returns the payload of CONNECT.
    pub fn handshake(&mut self) -> Value {
        self.open(Duration::from_secs(25), Duration::from_secs(20));
        self.accept_connect()
    }

    /// Waits until the agent sends a message, and shows it in the room with this id, as the agent's. Returns its text.
    pub fn echo_message(&mut self, id: &str) -> Value {
        let sent = self.expect_event("send-message");
        let echo = json!({"id": id, "agency_id": "ag-1", "content": sent["content"], "sender_id": "agent-1",
            "created_at": "2026-01-01T00:00:05.000Z", "metadata": sent["metadata"]});
        self.send_event("message", echo);
        sent["content"].clone()
    }

    /// Waits for a `join-agency` and accepts it. Returns the agency's id.
    pub fn accept_join(&mut self) -> String {
        let asked = self.expect_event("join-agency");
        let agency = asked["agencyId"].as_str().expect("agencyId is a string").to_owned();
        self.send_event("agency-joined", json!({"agencyId": agency, "members": []}));
        agency
    }

    /// Sends an Engine.IO ping. The next message must be its pong.
    pub fn heartbeat(&mut self) {
        self.send_text("2");
        self.expect_text("3");
    }

    /// Reads until the client has closed. Returns what it sent, without the pongs.
    ///
    /// # Panics
    /// If it is still connected after `limit`.
    pub fn until_gone(&mut self, limit: Duration) -> Vec<Received> {
        let deadline = Instant::now() + limit;
        let mut all = Vec::new();
        while Instant::now() < deadline {
            match self.recv(deadline.saturating_duration_since(Instant::now())) {
                Received::Gone => return all,
                Received::Nothing => {}
                Received::Text(pong) if pong == "3" => {}
                other => all.push(other),
            }
        }
        panic!("the client is still there after {limit:?}, having sent {all:?}");
    }

    /// The underlying socket, for everything else.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn socket(&mut self) -> &mut WebSocket<TcpStream> {
        self.socket.as_mut().expect("call `accept` first")
    }

    fn send(&mut self, message: Message) -> bool {
        self.socket().send(message).is_ok()
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        // Other handles of this socket exist, so closing this one would not close the connection.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("a thread");
}
