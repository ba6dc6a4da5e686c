//! A small HTTP client and a small Socket.IO client.

pub(crate) mod receiver;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

pub(crate) const PATIENCE: Duration = Duration::from_secs(50);

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) body: Value,
}

/// Makes a request. An empty token or a `null` body is not sent.
pub(crate) fn call(sandbox: &Sandbox, method: &str, path: &str, token: &str, body: Value) -> Answer {
    let bearer = if token.is_empty() { String::new() } else { format!("Bearer {token}") };
    call_with(sandbox, method, path, ("authorization", &bearer), body)
}

/// Makes a request with another kind of credential.
pub(crate) fn call_with(
    sandbox: &Sandbox,
    method: &str,
    path: &str,
    credential: (&str, &str),
    body: Value,
) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    let mut request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{}{path}", sandbox.url()))
        .header("content-type", "application/json");
    if !credential.1.is_empty() {
        request = request.header(credential.0, credential.1);
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut response = agent.run(request.body(body).unwrap()).unwrap();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (retry_after, location) = (header("retry-after"), header("location"));
    let text = response.body_mut().read_to_string().unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status: response.status().as_u16(), retry_after, location, body }
}

pub(crate) fn get(sandbox: &Sandbox, path: &str, token: &str) -> Value {
    let answer = call(sandbox, "GET", path, token, Value::Null);
    assert_eq!(answer.status, 200, "GET {path}: {}", answer.body);
    answer.body
}

pub(crate) fn post(sandbox: &Sandbox, path: &str, token: &str, body: Value) -> Value {
    let answer = call(sandbox, "POST", path, token, body);
    assert!((200..300).contains(&answer.status), "POST {path}: {}", answer.body);
    answer.body
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no string: {value}")).to_owned()
}

/// Exchanges an agent token for a session token.
pub(crate) fn agent_session(sandbox: &Sandbox, agent_token: &str) -> String {
    text(&post(sandbox, "/api/auth/agent", "", json!({ "agentToken": agent_token }))["token"])
}

/// A client that has sent CONNECT.
pub(crate) struct Socket {
    stream: WebSocket<TcpStream>,
}

impl Socket {
    /// Opens a WebSocket and sends CONNECT. The server's answer is the first packet.
    pub(crate) fn open(sandbox: &Sandbox, token: &str) -> Socket {
        Socket::try_open(sandbox, token).expect("the server ended the connection")
    }

    /// The same. `None` if the server ends the connection before.
    pub(crate) fn try_open(sandbox: &Sandbox, token: &str) -> Option<Socket> {
        let tcp = TcpStream::connect(("127.0.0.1", sandbox.port())).unwrap();
        tcp.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let url = format!("ws://127.0.0.1:{}/socket.io/?EIO=4&transport=websocket", sandbox.port());
        let mut stream = None;
        let mut attempt = tungstenite::client(url, tcp);
        for _ in 0..100 {
            attempt = match attempt {
                Ok((socket, _)) => {
                    stream = Some(socket);
                    break;
                }
                Err(tungstenite::HandshakeError::Interrupted(middle)) => middle.handshake(),
                Err(tungstenite::HandshakeError::Failure(_)) => return None,
            };
        }
        let mut socket = Socket { stream: stream.expect("no handshake in time") };
        assert!(socket.packet()?.starts_with('0'));
        socket.stream.send(Message::text(format!("40{}", json!({ "token": token })))).ok()?;
        Some(socket)
    }

    /// Opens a WebSocket and waits until the server has accepted it.
    pub(crate) fn connect(sandbox: &Sandbox, token: &str) -> Socket {
        let mut socket = Socket::open(sandbox, token);
        let answer = socket.packet().expect("no answer to CONNECT");
        assert!(answer.starts_with("40"), "{answer}");
        socket
    }

    /// Connects and joins a room.
    pub(crate) fn join(sandbox: &Sandbox, token: &str, agency: &str) -> Socket {
        let mut socket = Socket::connect(sandbox, token);
        socket.emit("join-agency", json!({ "agencyId": agency }));
        socket.wait("agency-joined");
        socket
    }

    fn write(&mut self, packet: String) {
        self.stream.send(Message::text(packet)).unwrap();
    }

    pub(crate) fn emit(&mut self, event: &str, payload: Value) {
        self.write(format!("42{}", json!([event, payload])));
    }

    /// The next packet that is not a heartbeat. `None` when the connection has ended.
    pub(crate) fn packet(&mut self) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.stream.read() {
                Ok(Message::Text(text)) if text.as_str() == "2" => self.write("3".to_owned()),
                Ok(Message::Text(text)) => return Some(text.to_string()),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => return None,
            }
        }
        panic!("nothing came in time");
    }

    /// The payload of the next event with this name. Ignores other events.
    pub(crate) fn wait(&mut self, event: &str) -> Value {
        loop {
            let packet = self.packet().unwrap_or_else(|| panic!("the connection ended before {event}"));
            if let Some(json) = packet.strip_prefix("42") {
                let mut array: Vec<Value> = serde_json::from_str(json).unwrap();
                if array[0] == event {
                    return array.remove(1);
                }
            }
        }
    }

    /// Sends a message and returns the server's ack.
    pub(crate) fn ask(&mut self, payload: Value) -> Value {
        self.write(format!("427{}", json!(["send-message", payload])));
        loop {
            let packet = self.packet().expect("the connection ended before the ack");
            if let Some(json) = packet.strip_prefix("437") {
                let mut array: Vec<Value> = serde_json::from_str(json).unwrap();
                return array.remove(0);
            }
        }
    }
}
