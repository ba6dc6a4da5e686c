//! Decodes HTTP/1.1 responses as the bytes arrive: for REST, long-polling and the WebSocket upgrade.
//!
//! `ureq-proto` parses heads, and knows where a body ends and whether the connection may be used again. This file adds
//! limits that the library does not have: on the body, and on everything around the body (heads, chunk sizes,
//! trailers). So decoding ends, whatever the server sends.

use ureq_proto::BodyMode;
use ureq_proto::client::state::{RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult};

use super::response::{Head, HttpResponse, MAX_BODY, too_large};
use crate::error::{Error, Result};

const MAX_HEAD: usize = 64 << 10;
/// The longest line with a chunk size, and the longest trailer.
const MAX_CHUNK_LINE: usize = 4 << 10;
/// The most bytes of a response outside its body: enough for 16 MiB in chunks of a hundred bytes.
const MAX_FRAMING: usize = 1 << 20;
/// The most bytes of empty lines before a head. The standard allows them.
const MAX_EMPTY_LINES: usize = 16;
/// The most responses such as "100 Continue" and "103 Early Hints" before the final response.
const MAX_INTERIM: usize = 50;

/// Decodes one response. If bytes follow the response, no other request may use the connection.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: DecoderState,
    /// Bytes that are not decoded yet.
    bytes: Vec<u8>,
    head: Option<Head>,
    body: Vec<u8>,
    /// The number of bytes outside the body, and of interim responses.
    framing: usize,
    interim: usize,
    /// Whether the request asks for another protocol.
    upgrades: bool,
}

#[derive(Debug)]
enum DecoderState {
    Head(Call<RecvResponse>),
    Body(Call<RecvBody>),
    Ended { keep_alive: bool },
}

impl Decoder {
    pub(super) fn new(call: Call<RecvResponse>, upgrades: bool) -> Self {
        let (bytes, body) = (Vec::new(), Vec::new());
        Decoder { state: DecoderState::Head(call), bytes, head: None, body, framing: 0, interim: 0, upgrades }
    }

    /// The head of the incomplete response, and how many bytes of its body have arrived.
    pub(crate) fn begun(&self) -> Option<(&Head, usize)> {
        Some((self.head.as_ref()?, self.body.len()))
    }

    /// Whether a response is incomplete.
    #[cfg(any(feature = "polling", test))]
    pub(crate) fn is_partial(&self) -> bool {
        self.head.is_some() || !self.bytes.is_empty()
    }

    /// Decodes more bytes. Returns the response when it is complete. For an upgrade, the body is everything after the
    /// head.
    ///
    /// # Errors
    /// `Protocol`. The connection must not be used afterwards.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Option<HttpResponse>> {
        self.bytes.extend_from_slice(bytes);
        // Parse a head after each line, not after each byte.
        if self.head.is_none() && self.bytes.len() <= MAX_HEAD && !bytes.contains(&b'\n') {
            return Ok(None);
        }
        self.take_head()?;
        self.take_body()?;
        match self.state {
            DecoderState::Ended { keep_alive } => self.finish(keep_alive && self.bytes.is_empty()),
            _ => Ok(None),
        }
    }

    /// Notes that the connection has ended. Returns the response if the end of the connection is the end of its body.
    ///
    /// # Errors
    /// `Protocol`, like [`push`](Decoder::push).
    pub(crate) fn end(&mut self) -> Result<Option<HttpResponse>> {
        match &self.state {
            DecoderState::Body(call) if call.body_mode() == BodyMode::CloseDelimited => self.finish(false),
            _ => Ok(None),
        }
    }

    /// Returns the incomplete response, when the caller does not read the rest.
    pub(crate) fn break_off(&mut self) -> Option<HttpResponse> {
        self.finish(false).ok().flatten()
    }

    /// Parses the head of the final response, if it is complete.
    fn take_head(&mut self) -> Result<()> {
        let DecoderState::Head(call) = &mut self.state else { return Ok(()) };
        let head = loop {
            if self.bytes.len() > MAX_EMPTY_LINES
                && self.bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
            {
                return Err(Error::protocol("the server's answer is not HTTP"));
            }
            let (used, response) = call
                .try_response(&self.bytes, false)
                .map_err(|error| Error::protocol("the server's answer is not HTTP").with_source(error))?;
            let length = if response.is_some() || used > 0 { used } else { self.bytes.len() };
            if length > MAX_HEAD {
                return Err(Error::protocol("the server's answer has too long a head"));
            }
            self.bytes.drain(..used);
            self.framing += used;
            match response {
                Some(response) => break Head::from(response),
                None if used == 0 => return Ok(()),
                // For example "100 Continue": the final response follows.
                None => self.interim += 1,
            }
            if self.interim > MAX_INTERIM {
                return Err(Error::protocol(
                    "the server sends one interim response after another, and no answer",
                ));
            }
        };
        if head.status == 101 && !self.upgrades {
            return Err(Error::protocol("the server switched protocols unasked"));
        }
        if head.has_odd_transfer() {
            return Err(Error::protocol("the server's answer has a transfer encoding nobody asked for"));
        }
        if head.status == 101 {
            self.body = std::mem::take(&mut self.bytes);
        }
        let is_success = head.is_success();
        self.head = Some(head);
        let DecoderState::Head(call) = std::mem::replace(&mut self.state, ENDED) else { return Ok(()) };
        self.state = match call.proceed() {
            Some(RecvResponseResult::RecvBody(call)) => DecoderState::Body(call),
            Some(RecvResponseResult::Redirect(call)) => {
                DecoderState::Ended { keep_alive: !call.must_close_connection() }
            }
            Some(RecvResponseResult::Cleanup(call)) => {
                DecoderState::Ended { keep_alive: !call.must_close_connection() }
            }
            None => ENDED,
        };
        // The status of an error is more important than its complete body.
        if let (DecoderState::Body(call), true) = (&self.state, is_success)
            && let BodyMode::LengthDelimited(length) = call.body_mode()
            && length > MAX_BODY as u64
        {
            return Err(too_large());
        }
        Ok(())
    }

    /// Moves the available bytes of the body.
    fn take_body(&mut self) -> Result<()> {
        let DecoderState::Body(call) = &mut self.state else { return Ok(()) };
        let begin = self.body.len();
        self.body.resize(begin + self.bytes.len(), 0);
        let into = self.body.get_mut(begin..).unwrap_or_default();
        let bad = "the chunks of the server's answer are broken";
        let (used, made) =
            call.read(&self.bytes, into).map_err(|error| Error::protocol(bad).with_source(error))?;
        self.body.truncate(begin + made);
        self.bytes.drain(..used);
        self.framing += used - made;
        if self.body.len() > MAX_BODY {
            return Err(too_large());
        }
        if self.framing > MAX_FRAMING {
            return Err(Error::protocol("the server's answer is made of too many small pieces"));
        }
        let until_close = call.body_mode() == BodyMode::CloseDelimited;
        if until_close || !call.can_proceed() {
            // The remaining bytes are the start of a chunk's line.
            return if self.bytes.len() > MAX_CHUNK_LINE { Err(Error::protocol(bad)) } else { Ok(()) };
        }
        let DecoderState::Body(call) = std::mem::replace(&mut self.state, ENDED) else { return Ok(()) };
        let must_close = match call.proceed() {
            Some(RecvBodyResult::Redirect(call)) => call.must_close_connection(),
            Some(RecvBodyResult::Cleanup(call)) => call.must_close_connection(),
            None => true,
        };
        self.state = DecoderState::Ended { keep_alive: !must_close };
        Ok(())
    }

    fn finish(&mut self, keep_alive: bool) -> Result<Option<HttpResponse>> {
        let Some(head) = self.head.take() else { return Ok(None) };
        self.state = ENDED;
        self.bytes.clear();
        HttpResponse::new(head, std::mem::take(&mut self.body), keep_alive).map(Some)
    }
}

const ENDED: DecoderState = DecoderState::Ended { keep_alive: false };

#[cfg(test)]
mod tests {
    use ureq_proto::http::Request;

    use super::*;
    use crate::net::http::encode;

    fn decoder() -> Decoder {
        encode(Request::get("/"), &[], None).unwrap().decoder
    }

    /// Decodes at once and byte by byte; both must give the same result.
    fn read(bytes: &[u8]) -> Result<Option<HttpResponse>> {
        let mut single = decoder();
        let mut one = Ok(None);
        for byte in bytes {
            one = single.push(&[*byte]);
            if !matches!(one, Ok(None)) {
                break;
            }
        }
        let mut decoder = decoder();
        let mut all = decoder.push(bytes);
        if matches!((&one, &all), (Ok(None), Ok(None))) {
            (one, all) = (single.end(), decoder.end());
        }
        let show = |result: &Result<Option<HttpResponse>>| match result {
            Ok(response) => format!("{:?}", response.as_ref().map(|response| &response.body)),
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
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        for text in ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "HTTP/1.1 200 OK\r\nA: "] {
            assert!(read(text.as_bytes()).unwrap().is_none(), "{text}");
        }
        let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        endless.resize(endless.len() + MAX_BODY + 1, b'x');
        assert!(decoder().push(&endless).is_err());
        for size in ["1000001", "ffffffffffffffff"] {
            let mut decoder = decoder();
            let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n");
            assert!(decoder.push(head.as_bytes()).unwrap().is_none());
            assert!(decoder.push(&endless).is_err(), "{size}");
        }
        assert!(decoder().push(&[b'H'; 1]).unwrap().is_none());
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

    /// Everything that a server may repeat. The decoder stops each repetition soon, after little data.
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
            let mut decoder = decoder();
            assert!(decoder.push(start.as_bytes()).unwrap().is_none());
            let mut pushed = 0;
            let started = std::time::Instant::now();
            while let Ok(None) = decoder.push(again.as_bytes()) {
                pushed += again.len();
                assert!(pushed < 4 << 20, "{start}{again}");
            }
            // Far more than a busy machine needs, and far less than a decoder that starts again with every byte.
            assert!(started.elapsed() < std::time::Duration::from_secs(30), "{start}{again}: {pushed} bytes");
        }
        // Normal servers send this.
        assert_eq!(body(&format!("{}HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", hints.repeat(40))), "x");
        let small = format!("{chunked}{}0\r\n\r\n", "a\r\n0123456789\r\n".repeat(20_000));
        assert_eq!(decoder().push(small.as_bytes()).unwrap().unwrap().body.len(), 200_000);
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
        // A response without a request must not become the response to the next request.
        let mut decoder = decoder();
        let response =
            decoder.push(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n").unwrap();
        assert!(!response.unwrap().keep_alive && !decoder.is_partial());
    }
}
