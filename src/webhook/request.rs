//! Reads one HTTP/1.1 request. httparse parses the headers.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Instant;

use super::write;
use crate::error::Result;

/// The largest size of the request line and the headers.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;

/// A request, read completely.
pub(super) struct ReceivedRequest {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

impl ReceivedRequest {
    pub(super) fn read(stream: &TcpStream, deadline: Instant, max_body: usize) -> Result<Self, Refused> {
        RequestReader { stream, deadline, read: Vec::new(), used: 0 }.request(max_body)
    }
}

/// How the server finds the end of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(usize),
    Chunks,
}

/// Why there is no request.
pub(super) enum Refused {
    /// The status and the reason to answer with.
    Answer(u16, &'static str),
    Broken(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Refused::Answer(408, "the request took too long")
            }
            _ => Refused::Broken(error),
        }
    }
}

const MALFORMED: Refused = Refused::Answer(400, "this is no HTTP request");
const LONG_HEADERS: Refused = Refused::Answer(431, "the headers are too large");
const TOO_LARGE: Refused = Refused::Answer(413, "the body is too large");

/// A connection, and the bytes that were received.
struct RequestReader<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
    read: Vec<u8>,
    /// How many of the bytes were used. `more` removes them together, so that many small chunks cost no more than a
    /// large chunk.
    used: usize,
}

impl RequestReader<'_> {
    fn request(&mut self, max_body: usize) -> Result<ReceivedRequest, Refused> {
        let (mut request, length, expects) = loop {
            if let Some((parsed, length)) = parse(self.unused())? {
                self.used += length;
                let body = body_length(&parsed.headers)?;
                let expects = parsed.headers.iter().any(|(name, value)| {
                    name.eq_ignore_ascii_case("expect") && value.eq_ignore_ascii_case(b"100-continue")
                });
                break (parsed, body, expects);
            }
            if self.unused().len() >= MAX_HEAD {
                return Err(LONG_HEADERS);
            }
            self.more()?;
        };
        if matches!(length, Length::Known(length) if length > max_body) {
            return Err(TOO_LARGE);
        }
        if expects {
            write::all_until(self.stream, b"HTTP/1.1 100 Continue\r\n\r\n", self.deadline)?;
        }
        match length {
            Length::Known(length) => self.take(length, &mut request.body)?,
            Length::Chunks => self.chunks(&mut request.body, max_body)?,
        }
        Ok(request)
    }

    fn chunks(&mut self, body: &mut Vec<u8>, max_body: usize) -> Result<(), Refused> {
        loop {
            let (line, size) = loop {
                match httparse::parse_chunk_size(self.unused()) {
                    Ok(httparse::Status::Complete(found)) => break found,
                    Ok(httparse::Status::Partial) if self.unused().len() < MAX_HEAD => self.more()?,
                    _ => return Err(MALFORMED),
                }
            };
            self.used += line;
            if size == 0 {
                return self.trailers();
            }
            let size = usize::try_from(size).ok().filter(|size| *size <= max_body.saturating_sub(body.len()));
            self.take(size.ok_or(TOO_LARGE)?, body)?;
            while self.unused().len() < 2 {
                self.more()?;
            }
            if !self.unused().starts_with(b"\r\n") {
                return Err(MALFORMED);
            }
            self.used += 2;
        }
    }

    /// Reads up to the end of the request: closing a socket with unread bytes resets the connection, and the answer is
    /// lost.
    fn trailers(&mut self) -> Result<(), Refused> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            match httparse::parse_headers(self.unused(), &mut headers) {
                Ok(httparse::Status::Complete(_)) => return Ok(()),
                Ok(httparse::Status::Partial) if self.unused().len() < MAX_HEAD => self.more()?,
                Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(LONG_HEADERS),
                Err(_) => return Err(MALFORMED),
            }
        }
    }

    fn unused(&self) -> &[u8] {
        self.read.get(self.used..).unwrap_or_default()
    }

    /// Moves this many bytes to `target`.
    fn take(&mut self, mut count: usize, target: &mut Vec<u8>) -> Result<(), Refused> {
        loop {
            let part = self.unused().len().min(count);
            target.extend(self.unused().iter().take(part));
            self.used += part;
            count -= part;
            if count == 0 {
                return Ok(());
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> Result<(), Refused> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Refused::Answer(408, "the request took too long"));
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut buffer = [0; 8192];
        let count = loop {
            let mut stream = self.stream;
            match stream.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if count == 0 {
            return Err(Refused::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        self.read.drain(..self.used);
        self.used = 0;
        self.read.extend(buffer.iter().take(count));
        Ok(())
    }
}

/// Returns the parsed headers and their length, if the headers are complete.
fn parse(bytes: &[u8]) -> Result<Option<(ReceivedRequest, usize)>, Refused> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => {
            let headers =
                head.headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect();
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            let request = ReceivedRequest {
                method: text(head.method),
                path: text(head.path),
                headers,
                body: Vec::new(),
            };
            Ok(Some((request, length)))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(LONG_HEADERS),
        Err(_) => Err(MALFORMED),
    }
}

/// Rejects requests with two different body lengths: attackers use such requests to smuggle a second request past a
/// proxy.
fn body_length(headers: &[(String, Vec<u8>)]) -> Result<Length, Refused> {
    let mut found = None;
    for (name, value) in headers {
        let value = value.trim_ascii();
        let length = if name.eq_ignore_ascii_case("content-length") {
            let digits =
                std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            Length::Known(digits.and_then(|digits| digits.parse().ok()).ok_or(MALFORMED)?)
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(MALFORMED);
            }
            Length::Chunks
        } else {
            continue;
        };
        if found.replace(length).is_some_and(|other| other != length) {
            return Err(MALFORMED);
        }
    }
    Ok(found.unwrap_or(Length::Known(0)))
}
