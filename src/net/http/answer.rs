//! Answers of HTTP/1.1, taken apart as the bytes come. For those who own the connection themselves: the upgrade to
//! WebSocket, and long-polling.

use httparse::Status;

use crate::error::{Error, Result};

const MAX_HEAD: usize = 64 << 10;
const MAX_HEADERS: usize = 100;
/// The largest body.
pub(crate) const MAX_BODY: usize = 16 << 20;
/// The longest line with a chunk's size, and the longest trailer.
const MAX_CHUNK_LINE: usize = 4 << 10;

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Whether the connection stays open behind the answer, as far as the head tells.
    keep_alive: bool,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Of an answer that was taken apart already.
    pub(super) fn new<'h>(status: u16, headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> Self {
        let headers = headers
            .map(|(name, value)| {
                (name.to_ascii_lowercase(), String::from_utf8_lossy(value).trim().to_owned())
            })
            .collect();
        Head { status, keep_alive: false, headers }
    }

    /// The head and its length, `None` while it is incomplete.
    ///
    /// # Errors
    /// `Protocol` when it is not HTTP, or too long.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response
            .parse(bytes)
            .map_err(|error| Error::protocol("the server's answer is not HTTP").with_source(error))?;
        let Status::Complete(length) = parsed else {
            if bytes.len() > MAX_HEAD {
                return Err(Error::protocol("the server's answer has too long a head"));
            }
            return Ok(None);
        };
        let headers = response.headers.iter().map(|header| (header.name, header.value));
        let mut head = Head::new(response.code.unwrap_or_default(), headers);
        head.keep_alive = match response.version {
            Some(1) => !head.has_word("connection", "close"),
            _ => head.has_word("connection", "keep-alive"),
        };
        Ok(Some((head, length)))
    }

    pub(crate) fn is_success(&self) -> bool {
        matches!(self.status, 200..300)
    }

    pub(crate) fn is_web_page(&self) -> bool {
        self.get("content-type").is_some_and(|kind| kind.starts_with("text/html"))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every line with this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Header lists may be split over several lines and hold several words.
    pub(crate) fn has_word(&self, name: &str, word: &str) -> bool {
        self.all(name).any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    }

    fn framing(&self) -> Result<Framing> {
        if matches!(self.status, 204 | 304) {
            return Ok(Framing::Length(0));
        }
        if self.get("transfer-encoding").is_some() {
            let mut codings = self.all("transfer-encoding");
            let chunked = codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
            return match chunked && codings.next().is_none() {
                true => Ok(Framing::Chunked),
                false => Err(Error::protocol("the server's answer has a transfer encoding nobody asked for")),
            };
        }
        let mut lengths = self.all("content-length").map(str::parse::<usize>);
        match lengths.next() {
            None => Ok(Framing::UntilEnd),
            Some(Ok(length)) if lengths.all(|other| other == Ok(length)) => Ok(Framing::Length(length)),
            Some(_) => Err(Error::protocol("the length of the server's answer is no number")),
        }
    }
}

/// An answer of any status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// Whether another request may go over the connection.
    pub(crate) keep_alive: bool,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilEnd,
}

/// Puts an answer together. One request at a time: what comes behind an answer belongs to nothing.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    bytes: Vec<u8>,
    /// Of the answer whose body is on its way.
    head: Option<(Head, Framing)>,
    /// What the chunks so far held.
    body: Vec<u8>,
}

impl Decoder {
    /// The head of the answer whose body is on its way, and how much of that there is.
    pub(crate) fn begun(&self) -> Option<(&Head, usize)> {
        let (head, _) = self.head.as_ref()?;
        Some((head, self.bytes.len().max(self.body.len())))
    }

    /// Whether an answer has begun and not ended.
    pub(crate) fn is_partial(&self) -> bool {
        self.head.is_some() || !self.bytes.is_empty()
    }

    /// Takes more bytes in. Returns the answer when it is complete.
    ///
    /// # Errors
    /// `Protocol`. The connection is of no use afterwards.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Option<Answer>> {
        self.bytes.extend_from_slice(bytes);
        let framing = loop {
            if let Some((_, framing)) = &self.head {
                break *framing;
            }
            let Some((head, length)) = Head::parse(&self.bytes)? else { return Ok(None) };
            self.bytes.drain(..length);
            match head.status {
                101 => return Err(Error::protocol("the server switched protocols unasked")),
                // "100 Continue" and the like: the answer itself comes behind it.
                100..200 => continue,
                _ => {}
            }
            let encoded = |value: &str| !value.is_empty() && !value.eq_ignore_ascii_case("identity");
            if head.all("content-encoding").any(encoded) {
                return Err(Error::protocol("the server compressed its answer although nobody asked"));
            }
            let framing = head.framing()?;
            self.head = Some((head, framing));
        };
        let complete = match framing {
            Framing::Length(length) if length > MAX_BODY => return Err(too_large()),
            Framing::Length(length) => self.bytes.len() >= length,
            Framing::Chunked => self.take_chunks()?,
            Framing::UntilEnd => false,
        };
        if !complete {
            if self.bytes.len().max(self.body.len()) > MAX_BODY {
                return Err(too_large());
            }
            return Ok(None);
        }
        if let Framing::Length(length) = framing {
            let behind = self.bytes.split_off(length);
            self.body = std::mem::replace(&mut self.bytes, behind);
        }
        Ok(self.finish(true))
    }

    /// The connection has ended. Returns the answer that ends with it, if there is one.
    pub(crate) fn end(&mut self) -> Option<Answer> {
        if !matches!(self.head, Some((_, Framing::UntilEnd))) {
            return None;
        }
        self.body = std::mem::take(&mut self.bytes);
        self.finish(false)
    }

    /// What there is of an answer that will not be read to its end.
    pub(crate) fn break_off(&mut self) -> Option<Answer> {
        let (_, framing) = self.head.as_ref()?;
        if *framing != Framing::Chunked {
            self.body = std::mem::take(&mut self.bytes);
        }
        self.finish(false)
    }

    fn finish(&mut self, open: bool) -> Option<Answer> {
        let (head, _) = self.head.take()?;
        let clean = self.bytes.is_empty();
        self.bytes = Vec::new();
        Some(Answer {
            keep_alive: open && clean && head.keep_alive,
            head,
            body: std::mem::take(&mut self.body),
        })
    }

    /// Moves what whole chunks hold into the body. True when the last one has been.
    fn take_chunks(&mut self) -> Result<bool> {
        let mut at = 0;
        let last = loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let bad = || Error::protocol("the chunks of the server's answer are broken");
            let Status::Complete((start, size)) = httparse::parse_chunk_size(rest).map_err(|_| bad())? else {
                if rest.len() > MAX_CHUNK_LINE {
                    return Err(bad());
                }
                break false;
            };
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size > MAX_BODY.saturating_sub(self.body.len()) {
                return Err(too_large());
            }
            if size == 0 {
                let mut trailers = [httparse::EMPTY_HEADER; MAX_HEADERS];
                let behind = rest.get(start..).unwrap_or_default();
                match httparse::parse_headers(behind, &mut trailers).map_err(|_| bad())? {
                    Status::Complete((length, _)) => {
                        at += start + length;
                        break true;
                    }
                    Status::Partial if behind.len() > MAX_CHUNK_LINE => return Err(bad()),
                    Status::Partial => break false,
                }
            }
            // Behind a chunk there is an empty line.
            let Some(chunk) = rest.get(start..start + size + 2) else { break false };
            let Some(chunk) = chunk.strip_suffix(b"\r\n") else { return Err(bad()) };
            self.body.extend_from_slice(chunk);
            at += start + size + 2;
        };
        self.bytes.drain(..at);
        Ok(last)
    }
}

pub(super) fn too_large() -> Error {
    Error::protocol("the server's answer is larger than 16 MiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole and byte by byte, which must make no difference.
    fn read(bytes: &[u8]) -> Result<Option<Answer>> {
        let mut single = Decoder::default();
        let mut one = Ok(None);
        for byte in bytes {
            one = single.push(&[*byte]);
            if !matches!(one, Ok(None)) {
                break;
            }
        }
        let mut decoder = Decoder::default();
        let mut all = decoder.push(bytes);
        if matches!((&one, &all), (Ok(None), Ok(None))) {
            (one, all) = (Ok(single.end()), Ok(decoder.end()));
        }
        let show = |result: &Result<Option<Answer>>| match result {
            Ok(answer) => format!("{:?}", answer.as_ref().map(|answer| &answer.body)),
            Err(error) => error.to_string(),
        };
        assert_eq!(show(&one), show(&all));
        all
    }

    fn body(text: &str) -> String {
        String::from_utf8(read(text.as_bytes()).unwrap().unwrap().body).unwrap()
    }

    #[test]
    fn b49_bodies_of_every_framing() {
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "ok"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
            ("HTTP/1.1 204 No Content\r\n\r\n", ""),
            ("HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
                "abc",
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n", "x"),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
                "x",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 1\r\n\r\nx", "x"),
        ] {
            assert_eq!(body(text), expected, "{text}");
        }
    }

    #[test]
    fn b49_what_cannot_be_read() {
        for text in [
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000001\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        for text in ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "HTTP/1.1 200 OK\r\nA: "] {
            assert!(read(text.as_bytes()).unwrap().is_none(), "{text}");
        }
        let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        endless.resize(endless.len() + MAX_BODY + 1, b'x');
        assert!(Decoder::default().push(&endless).is_err());
        assert!(Decoder::default().push(&[b'H'; 1]).unwrap().is_none());
    }

    #[test]
    fn knows_when_a_connection_may_be_used_again() {
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", true),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false),
            ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", true),
            ("HTTP/1.1 200 OK\r\n\r\nx", false),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap().unwrap().keep_alive, expected, "{text}");
        }
        // An answer that nobody asked for must not become that of the next request.
        let mut decoder = Decoder::default();
        let answer =
            decoder.push(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n").unwrap();
        assert!(!answer.unwrap().keep_alive && !decoder.is_partial());
    }
}
