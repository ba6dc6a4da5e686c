//! Answers of HTTP/1.1, taken apart as the bytes come: for REST, for long-polling, and for the upgrade to WebSocket.
//!
//! Whatever a server sends, it ends: an answer has a largest body, and everything around the body (heads, sizes of
//! chunks, trailers) has a limit of its own.

use std::io::Read as _;
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;
use httparse::Status;

use super::retry_after;
use crate::error::{Error, Result};

const MAX_HEAD: usize = 64 << 10;
const MAX_HEADERS: usize = 100;
/// The largest body, packed or not.
pub(crate) const MAX_BODY: usize = 16 << 20;
/// Of an answer that is an error only the message is wanted.
pub(super) const MAX_ERROR_BODY: usize = 64 << 10;
/// The longest line with a chunk's size, and the longest trailer.
const MAX_CHUNK_LINE: usize = 4 << 10;
/// Everything of one answer that is not its body: enough for 16 MiB in chunks of a hundred bytes.
const MAX_FRAMING: usize = 1 << 20;
/// Bytes of empty lines before a head. The standard allows for them.
const MAX_EMPTY_LINES: usize = 16;
/// Answers such as "100 Continue" and "103 Early Hints" before the answer itself.
const MAX_INTERIM: usize = 50;

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Whether the connection stays open behind the answer, as far as the head tells.
    keep_alive: bool,
    /// Names in small letters.
    headers: Vec<(String, String)>,
}

impl Head {
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
                return Err(head_too_long());
            }
            return Ok(None);
        };
        if length > MAX_HEAD {
            return Err(head_too_long());
        }
        let mut named = Vec::with_capacity(response.headers.len());
        for header in response.headers.iter() {
            let value = String::from_utf8_lossy(header.value).trim().to_owned();
            named.push((header.name.to_ascii_lowercase(), value));
        }
        let mut head = Head { status: response.code.unwrap_or_default(), keep_alive: false, headers: named };
        head.keep_alive = match response.version {
            Some(1) => !head.has_word("connection", "close"),
            _ => head.has_word("connection", "keep-alive"),
        };
        Ok(Some((head, length)))
    }

    pub(crate) fn is_success(&self) -> bool {
        matches!(self.status, 200..300)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every line with this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The words of a header. They may be split over several lines.
    fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        self.all(name).flat_map(|value| value.split(',')).map(str::trim)
    }

    pub(crate) fn has_word(&self, name: &str, word: &str) -> bool {
        self.words(name).any(|part| part.eq_ignore_ascii_case(word))
    }

    /// How long the server asks to wait, if it does.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after::parse(self.get("retry-after")?, self.get("date"))
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
        let mut length = None;
        for word in self.words("content-length") {
            // Rust takes a sign as well, which no other reader of the same bytes may do.
            let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
            let number = word.parse::<usize>().ok().filter(|_| digits);
            if number.is_none() || length.is_some_and(|other| Some(other) != number) {
                return Err(Error::protocol("the length of the server's answer is no number"));
            }
            length = number;
        }
        Ok(length.map_or(Framing::UntilEnd, Framing::Length))
    }

    /// How the body is packed. The first word that is no name for "not at all" decides.
    fn packing(&self) -> Packing {
        let mut packing = Packing::None;
        for word in self.words("content-encoding") {
            packing = match packing {
                _ if word.is_empty() || word.eq_ignore_ascii_case("identity") => continue,
                Packing::None if ["gzip", "x-gzip"].iter().any(|name| word.eq_ignore_ascii_case(name)) => {
                    Packing::Gzip
                }
                _ => return Packing::Unknown,
            };
        }
        packing
    }
}

/// An answer of any status, its body as it was before the server packed it.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Unknown,
}

/// Puts an answer together. One request at a time: what comes behind an answer belongs to nothing.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    bytes: Vec<u8>,
    /// Of the answer whose body is on its way.
    head: Option<(Head, Framing)>,
    /// What the chunks so far held.
    body: Vec<u8>,
    /// How many bytes were not of the body, and how many answers were none yet.
    framing: usize,
    interim: usize,
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
        let framing = match &self.head {
            Some((_, framing)) => *framing,
            // A head is looked at by the line: byte by byte it would be read again and again.
            None if self.bytes.len() <= MAX_HEAD && !bytes.contains(&b'\n') => return Ok(None),
            None => match self.take_head()? {
                Some(framing) => framing,
                None => return Ok(None),
            },
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
        self.finish(true)
    }

    /// The connection has ended. Returns the answer that ends with it, if there is one.
    ///
    /// # Errors
    /// `Protocol`, as [`push`](Decoder::push).
    pub(crate) fn end(&mut self) -> Result<Option<Answer>> {
        if !matches!(self.head, Some((_, Framing::UntilEnd))) {
            return Ok(None);
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
        self.finish(false).ok().flatten()
    }

    /// The head of the answer itself, once it is there.
    fn take_head(&mut self) -> Result<Option<Framing>> {
        let mut begin = 0;
        let head = loop {
            let rest = self.bytes.get(begin..).unwrap_or_default();
            if rest.len() > MAX_EMPTY_LINES && rest.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
                return Err(Error::protocol("the server's answer is not HTTP"));
            }
            let Some((head, length)) = Head::parse(rest)? else { break None };
            begin += length;
            self.count_framing(length)?;
            match head.status {
                101 => return Err(Error::protocol("the server switched protocols unasked")),
                // "100 Continue" and the like: the answer itself comes behind it.
                100..200 => self.interim += 1,
                _ => break Some(head),
            }
            if self.interim > MAX_INTERIM {
                return Err(Error::protocol("the server says again and again that its answer will come"));
            }
        };
        self.bytes.drain(..begin);
        let Some(head) = head else { return Ok(None) };
        let framing = head.framing()?;
        self.head = Some((head, framing));
        Ok(Some(framing))
    }

    fn count_framing(&mut self, length: usize) -> Result<()> {
        self.framing += length;
        match self.framing > MAX_FRAMING {
            true => Err(Error::protocol("the server's answer is made of too many small pieces")),
            false => Ok(()),
        }
    }

    fn finish(&mut self, open: bool) -> Result<Option<Answer>> {
        let Some((head, _)) = self.head.take() else { return Ok(None) };
        let clean = self.bytes.is_empty();
        let body = std::mem::take(&mut self.body);
        *self = Decoder::default();
        let body = match head.packing() {
            // There is nothing to unpack in an empty one, whatever the head says.
            _ if body.is_empty() => body,
            Packing::None => body,
            Packing::Gzip => unpacked(&body, head.is_success())?,
            // The status of an error is worth more than its words.
            Packing::Unknown if !head.is_success() => Vec::new(),
            Packing::Unknown => {
                return Err(Error::protocol("the server packed its answer in a way that nobody asked for"));
            }
        };
        Ok(Some(Answer { keep_alive: open && clean && head.keep_alive, head, body }))
    }

    /// Moves what whole chunks hold into the body. True when the last one has been.
    fn take_chunks(&mut self) -> Result<bool> {
        let mut at = 0;
        let mut framing = 0;
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
            framing += start + 2;
        };
        self.bytes.drain(..at);
        self.count_framing(framing)?;
        Ok(last)
    }
}

/// What was packed by gzip. Of an error as much as can be had.
fn unpacked(body: &[u8], wanted: bool) -> Result<Vec<u8>> {
    let limit = if wanted { MAX_BODY } else { MAX_ERROR_BODY };
    let mut whole = Vec::new();
    // Of what comes out, so that a small answer cannot unfold without end.
    let read = MultiGzDecoder::new(body).take(limit as u64 + 1).read_to_end(&mut whole);
    match read {
        Err(error) if wanted => {
            Err(Error::protocol("the server's answer is not proper gzip").with_source(error))
        }
        Ok(_) if wanted && whole.len() > limit => Err(too_large()),
        _ => Ok(whole),
    }
}

/// Whether it is a page for a browser, and not an answer of the API's. Its bytes tell: servers say `text/html` of
/// anything, and nothing of some pages. No JSON begins like this.
pub(crate) fn is_web_page(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    matches!(body, [b'<', b'!' | b'?' | b'a'..=b'z' | b'A'..=b'Z', ..])
}

fn head_too_long() -> Error {
    Error::protocol("the server's answer has too long a head")
}

fn too_large() -> Error {
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
            (one, all) = (single.end(), decoder.end());
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
    fn an_empty_body_has_nothing_to_unpack() {
        for packing in ["gzip", "GZIP", "x-gzip", "br", "gzip, br", "identity"] {
            for status in ["204 No Content\r\n", "200 OK\r\nContent-Length: 0\r\n"] {
                assert_eq!(body(&format!("HTTP/1.1 {status}Content-Encoding: {packing}\r\n\r\n")), "");
            }
        }
    }

    #[test]
    fn the_length_is_digits() {
        for length in ["+5", "-5", "5x", "", "0x5", "5 5", "5,6", "\u{665}"] {
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello");
            assert!(read(text.as_bytes()).is_err(), "{length}");
        }
        for length in ["5", "005", "5, 5", " 5 "] {
            assert_eq!(body(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello")), "hello");
        }
    }

    /// What may be told again and again without end. Each is stopped after little, and soon.
    #[test]
    fn floods_end() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (start, again) in [
            ("", interim),
            ("", hints),
            (chunked, "1\r\nx\r\n"),
            (chunked, "1;comment=yes\r\nx\r\n"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X-Trailer: y\r\n"),
            ("HTTP/1.1 200 OK\r\n", "X-Header: y\r\n"),
            ("HTTP/1.1 200 OK\r\nX-Long: ", "y"),
            ("", "\r\n"),
        ] {
            let mut decoder = Decoder::default();
            assert!(decoder.push(start.as_bytes()).unwrap().is_none());
            let mut pushed = 0;
            let started = std::time::Instant::now();
            while let Ok(None) = decoder.push(again.as_bytes()) {
                pushed += again.len();
                assert!(pushed < 4 << 20, "{start}{again}");
            }
            assert!(started.elapsed() < std::time::Duration::from_secs(5), "{start}{again}: {pushed} bytes");
        }
        // What honest servers send.
        assert_eq!(body(&format!("{}HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", hints.repeat(40))), "x");
        let small = format!("{chunked}{}0\r\n\r\n", "a\r\n0123456789\r\n".repeat(20_000));
        assert_eq!(Decoder::default().push(small.as_bytes()).unwrap().unwrap().body.len(), 200_000);
    }

    #[test]
    fn a_page_is_known_by_its_bytes() {
        for page in [
            "<!DOCTYPE html>",
            " \r\n<html>",
            "\u{feff}<HTML>",
            "<?xml version=\"1.0\"?><html>",
            "<!-- hi --><html>",
            "<head>",
        ] {
            assert!(is_web_page(page.as_bytes()), "{page}");
        }
        for answer in ["", "OK", "{}", "[]", "\"<html>\"", "< 5", "<3", "  "] {
            assert!(!is_web_page(answer.as_bytes()), "{answer}");
        }
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
