//! An HTTP server whose answers the test decides.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
    }

    /// The payment in the headers, in either version.
    pub(crate) fn payment(&self) -> Option<&str> {
        self.header("payment-signature").or_else(|| self.header("x-payment"))
    }
}

/// A server with one connection per request. Ends with the process.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// `answer` writes the raw response. If it writes nothing, the connection is closed without a response.
    pub(crate) fn start(answer: impl Fn(&Seen, &mut TcpStream) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (record, answer) = (Arc::clone(&seen), Arc::new(answer));
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (record, answer) = (Arc::clone(&record), Arc::clone(&answer));
                thread::spawn(move || {
                    if let Some(request) = read(&connection) {
                        record.lock().unwrap().push(request.clone());
                        answer(&request, &mut connection.try_clone().unwrap());
                    }
                });
            }
        });
        Server { url, seen }
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The payments so far.
    pub(crate) fn payments(&self) -> usize {
        self.seen().iter().filter(|request| request.payment().is_some()).count()
    }
}

fn read(connection: &TcpStream) -> Option<Seen> {
    let mut input = BufReader::new(connection);
    let mut line = || {
        let mut line = String::new();
        input.read_line(&mut line).ok().filter(|length| *length > 0).map(|_| line.trim().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Seen { method, path, headers, body: Vec::new() };
    assert!(request.header("transfer-encoding").is_none(), "the length of a body is said");
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body = vec![0; length];
    input.read_exact(&mut request.body).ok()?;
    Some(request)
}

/// Writes a response. It is not an error if the client has closed the connection.
pub(crate) fn respond(out: &mut impl Write, status: u16, headers: &[(&str, &str)], body: &str) {
    let mut text = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    let _ = out.write_all((text + "\r\n" + body).as_bytes());
}
