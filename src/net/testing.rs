//! Servers for the tests of this module: on loopback, on a free port, with time limits.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::error::Result;
use crate::net::settings::{HttpSettings, ProxyChoice, TlsSettings};
use crate::net::{ApiUrl, CancelToken, Dialer, Http};

/// The longest time that a test waits.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(30);

/// A connected pair: the client's and the server's socket.
pub(super) fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    for socket in [&ours, &peer] {
        socket.set_read_timeout(Some(TIME_LIMIT)).unwrap();
        socket.set_write_timeout(Some(TIME_LIMIT)).unwrap();
    }
    (ours, peer)
}

/// A port without a listener, which no other program gets while this value lives.
pub(super) struct ClosedPort {
    pub(super) port: u16,
    _bound: socket2::Socket,
}

impl ClosedPort {
    pub(super) fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        ClosedPort { port, _bound: socket }
    }
}

/// The settings of a test's client.
#[derive(Default)]
pub(super) struct Setup {
    pub(super) url: String,
    pub(super) tls: TlsSettings,
    pub(super) http: HttpSettings,
}

impl Setup {
    /// A dialer that ignores the proxy variables of the environment.
    pub(super) fn dialer(&self) -> Result<Dialer> {
        Dialer::new(&self.tls, &ProxyChoice::Direct)
    }

    pub(super) fn http(&self) -> Result<Http> {
        Http::new(ApiUrl::parse(&self.url)?, self.dialer()?, &self.http, &CancelToken::default())
    }
}

pub(super) fn config(url: impl Into<String>) -> Setup {
    Setup { url: url.into(), ..Setup::default() }
}

/// The server's reaction to a request.
pub(super) enum Step {
    /// Answers and keeps the connection open.
    Reply(Vec<u8>),
    ReplyAndClose(Vec<u8>),
    Close,
    /// Does not answer, and waits until the client closes.
    Hang,
}

pub(super) fn reply(status: u16, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut response = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        response += &format!("{header}\r\n");
    }
    response += "\r\n";
    let mut response = response.into_bytes();
    response.extend_from_slice(body);
    response
}

pub(super) fn ok(body: &str) -> Step {
    Step::Reply(reply(200, &[], body))
}

/// A server that performs `steps`, one per request, over any connections. The receiver returns the requests.
pub(super) fn scripted(steps: Vec<Step>) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut steps = steps.into_iter();
        while let Ok((mut socket, _)) = listener.accept() {
            socket.set_read_timeout(Some(TIME_LIMIT)).unwrap();
            socket.set_write_timeout(Some(TIME_LIMIT)).unwrap();
            while let Some(request) = read_request(&mut socket) {
                let _ = sender.send(request);
                match steps.next() {
                    Some(Step::Reply(response)) => drop(socket.write_all(&response)),
                    Some(Step::ReplyAndClose(response)) => {
                        let _ = socket.write_all(&response);
                        break;
                    }
                    Some(Step::Hang) => drop(socket.read(&mut [0])),
                    Some(Step::Close) | None => break,
                }
            }
            if steps.len() == 0 {
                break;
            }
        }
    });
    (address, receiver)
}

/// Head and body of one request.
pub(super) fn read_request(socket: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        let mut more = [0; 4096];
        match socket.read(&mut more) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&more[..count]),
            _ => return None,
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0usize);
    while bytes.len() < head_end + length {
        let mut more = [0; 4096];
        match socket.read(&mut more) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&more[..count]),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
