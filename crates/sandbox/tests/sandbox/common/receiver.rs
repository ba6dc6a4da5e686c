//! A web server that records the requests posted to it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;

/// One recorded request.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) at: Instant,
}

impl Posted {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned()))
    }
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Posted>>,
    arrived: Condvar,
    /// The answers to the next requests. When the list is empty, the answer is 200 with an empty object.
    answers: Mutex<VecDeque<(u16, String, Duration)>>,
}

/// A server that runs until the test ends.
pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl Receiver {
    pub(crate) fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/in?x=1", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let inner = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, inner) = (stream.unwrap(), inner.clone());
                thread::spawn(move || serve(stream, &inner));
            }
        });
        Receiver { url, shared }
    }

    /// Adds an answer, which is sent after `delay`.
    pub(crate) fn answer(&self, status: u16, body: Value, delay: Duration) {
        self.shared.answers.lock().unwrap().push_back((status, body.to_string(), delay));
    }

    /// Waits for the first `count` requests and returns them.
    pub(crate) fn wait(&self, count: usize) -> Vec<Posted> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.shared.seen.lock().unwrap();
        while seen.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {count} requests came: {:?}", seen.len(), *seen);
            seen = self.shared.arrived.wait_timeout(seen, left).unwrap().0;
        }
        seen.clone()
    }

    pub(crate) fn forget_answers(&self) {
        self.shared.answers.lock().unwrap().clear();
    }

    pub(crate) fn count(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    let (head, body) = loop {
        let Ok(count @ 1..) = stream.read(&mut buffer) else { return };
        seen.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        if length.is_some_and(|length| length.parse() == Ok(body.len())) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let next = shared.answers.lock().unwrap().pop_front();
    shared.seen.lock().unwrap().push(Posted { head, body, at: Instant::now() });
    shared.arrived.notify_all();
    let (status, body, delay) = next.unwrap_or((200, "{}".to_owned(), Duration::ZERO));
    thread::sleep(delay);
    // The client may have closed the connection.
    let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
}
