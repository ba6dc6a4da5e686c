//! The bare loop: the least work that reads the same messages, on one thread. It removes the prefix of each packet that
//! tungstenite reads, and decodes the JSON into the crate's own message. It has no session and does not reconnect, and
//! it checks only what a correct loop must check.

use std::io::{BufRead, BufReader, Read, Write};

use crustocean::Message;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message as Frame, WebSocket};

use crate::stream::{Stream, address};
use crate::{ROOM, TOKEN};

/// A connection that has joined the room.
#[derive(Debug)]
pub struct Bare {
    ws: WebSocket<Stream>,
    next_id: u64,
}

impl Bare {
    /// Connects, joins the namespace, and joins the room. It makes no REST call.
    pub fn join(url: &str) -> Self {
        Self::join_with(url, WebSocketConfig::default())
    }

    /// Does the same with buffers of 4 KiB instead of 128 KiB.
    pub fn join_small(url: &str) -> Self {
        Self::join_with(url, WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0))
    }

    fn join_with(url: &str, config: WebSocketConfig) -> Self {
        let stream = Stream::connect(url);
        // tungstenite ignores the scheme of this URL, because it gets a stream that is already connected.
        let address = address(url);
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (ws, _) = tungstenite::client::client_with_config(url, stream, Some(config)).expect("an upgrade");
        let mut bare = Bare { ws, next_id: 0 };
        bare.wait_for("0");
        bare.send(format!("40{{\"token\":\"{TOKEN}\"}}"));
        bare.wait_for("40");
        bare.send(format!("42[\"join-agency\",{{\"agencyId\":\"{ROOM}\"}}]"));
        bare.wait_for("42[\"agency-joined\"");
        bare
    }

    fn send(&mut self, text: String) {
        self.ws.send(Frame::text(text)).expect("a send");
    }

    fn wait_for(&mut self, prefix: &str) {
        loop {
            match self.ws.read().expect("a frame") {
                Frame::Text(text) if text.starts_with(prefix) => return,
                _ => {}
            }
        }
    }

    /// Asks the server for `count` messages of `size` characters.
    pub fn ask(&mut self, count: usize, size: usize) {
        self.send(format!("42[\"flood\",{{\"count\":{count},\"size\":{size}}}]"));
    }

    /// Waits for the next message and answers pings meanwhile.
    pub fn message(&mut self) -> Message {
        loop {
            let Frame::Text(text) = self.ws.read().expect("a frame") else { continue };
            if let Some(rest) = text.strip_prefix("42[\"message\",") {
                let json = rest.strip_suffix(']').expect("a packet");
                return serde_json::from_str(json).expect("a message");
            }
            if text.as_str() == "2" {
                self.send("3".to_owned());
            }
        }
    }

    /// Sends one event that asks for an ack, and returns the ack.
    pub fn call(&mut self) -> serde_json::Value {
        self.next_id += 1;
        let prefix = format!("43{}[", self.next_id);
        self.send(format!(
            "42{}[\"send-message\",{{\"agencyId\":\"{ROOM}\",\"content\":\"/dice 6\"}}]",
            self.next_id
        ));
        loop {
            let Frame::Text(text) = self.ws.read().expect("a frame") else { continue };
            if let Some(rest) = text.strip_prefix(prefix.as_str()) {
                return serde_json::from_str(rest.trim_end_matches(']')).expect("JSON");
            }
        }
    }
}

/// The REST calls that an agent makes before it joins. The code writes HTTP itself, over one connection that it keeps.
#[derive(Debug)]
pub struct BareHttp {
    stream: BufReader<Stream>,
    host: String,
}

impl BareHttp {
    /// Connects to the server.
    pub fn new(url: &str) -> Self {
        BareHttp { stream: BufReader::new(Stream::connect(url)), host: address(url).to_owned() }
    }

    /// Sends a request and returns the body of the response.
    pub fn call(&mut self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {TOKEN}\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).expect("a request");
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("an answer");
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            if let Some(value) = text.strip_prefix("Content-Length: ") {
                length = value.parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a body");
        body
    }

    /// Exchanges the token, and makes the calls that joining a room by its slug needs.
    pub fn before_join(&mut self) {
        let exchanged = self.call("POST", "/api/auth/agent", &format!("{{\"agentToken\":\"{TOKEN}\"}}"));
        serde_json::from_slice::<serde_json::Value>(&exchanged).expect("JSON");
        let agencies = self.call("GET", "/api/agencies", "");
        serde_json::from_slice::<Vec<crustocean::model::Agency>>(&agencies).expect("agencies");
        let newest = self.call("GET", &format!("/api/agencies/{ROOM}/messages?limit=1"), "");
        serde_json::from_slice::<Vec<Message>>(&newest).expect("messages");
    }
}
