//! Reads the frames of a WebSocket below tungstenite: which frames are complete, and whether one is incomplete.
//!
//! tungstenite returns only messages. The bytes also show whether a frame arrives very slowly, how many control
//! frames a server sends, and how an invalid frame starts.
//!
//! The scanner itself takes out complete, simple text frames, without a copy. This second form of tungstenite's reader
//! is for speed: `take_frames` in `benches/codecs.rs` measures it alone, and in `benches/agent.rs`, `events` uses it
//! while `events_bare` uses tungstenite alone. tungstenite gets all other frames, one at a time, so that it never
//! buffers the start of another frame.

use std::io::{self, Cursor, ErrorKind, Read, Write};
use std::ops::Range;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::{Bytes, Utf8Bytes};

use crate::net::MaybeTlsStream;
use crate::net::read_size::ReadSize;
use crate::socket::transport::traffic::Traffic;

/// The longest frame header: two bytes, eight bytes length, four bytes mask.
const MAX_HEADER: usize = 14;

/// The scanner releases chunks up to this size when there is nothing more to read.
const SMALL_CHUNK: usize = 8 << 10;

/// The source of a [`FrameScanner`].
pub(crate) trait FrameSource: Read {
    /// Takes the available bytes without a copy and leaves `spare` in their place. Returns the bytes and their range.
    /// The range is empty if there are no bytes. `None` if the caller must read the bytes with [`Read`].
    fn take_available(&mut self, _spare: impl FnOnce() -> Vec<u8>) -> Option<(Vec<u8>, Range<usize>)> {
        None
    }
}

impl FrameSource for MaybeTlsStream {
    fn take_available(&mut self, spare: impl FnOnce() -> Vec<u8>) -> Option<(Vec<u8>, Range<usize>)> {
        match self {
            MaybeTlsStream::Plain(wire) => wire.take_fed(spare),
            // The fed bytes are encrypted.
            MaybeTlsStream::Rustls(_) | MaybeTlsStream::Native(_) => None,
        }
    }
}

/// A stream that counts the frames that pass through it.
#[derive(Debug)]
pub(crate) struct FrameScanner<S> {
    /// `None` after it was taken.
    inner: Option<S>,
    pub(crate) frames: FrameCounter,
    ahead: ReadAhead,
}

/// The next frame, as far as it is known.
#[derive(Debug)]
pub(crate) enum NextFrame {
    Text(Utf8Bytes),
    /// There is no data.
    Nothing,
    /// A frame for tungstenite.
    Other,
}

impl<S> FrameScanner<S> {
    /// `read` are bytes that were read before and belong to the WebSocket.
    pub(crate) fn new(inner: S, read: Vec<u8>) -> Self {
        FrameScanner { inner: Some(inner), frames: FrameCounter::default(), ahead: ReadAhead::new(read) }
    }

    /// Frees the buffer if it is empty.
    #[cfg(any(feature = "agents", crustocean_model))]
    pub(crate) fn release_buffer(&mut self) {
        if self.ahead.is_empty() {
            (self.ahead.start, self.ahead.end) = (0, 0);
            self.ahead.chunk = Bytes::new();
        }
    }

    /// Takes the content, and leaves an empty scanner.
    pub(crate) fn take(&mut self) -> Self {
        let shell =
            FrameScanner { inner: None, frames: FrameCounter::default(), ahead: ReadAhead::new(Vec::new()) };
        std::mem::replace(self, shell)
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut S> {
        self.inner.as_mut()
    }

    /// How many bytes came from the stream.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.ahead.read
    }
}

impl<S: FrameSource> FrameScanner<S> {
    /// Takes the next message if it is one complete text frame and tungstenite is not inside a message.
    pub(crate) fn next_text(&mut self) -> NextFrame {
        if self.frames.is_partial() {
            return NextFrame::Other;
        }
        if self.ahead.is_empty() {
            let Some(inner) = &mut self.inner else { return NextFrame::Other };
            match self.ahead.fill(inner) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.ahead.rest();
                    return NextFrame::Nothing;
                }
                // tungstenite will find the same error.
                Ok(0) | Err(_) => return NextFrame::Other,
            }
        }
        match self.ahead.take_text() {
            Some(text) => {
                self.frames.took_message(text.len());
                NextFrame::Text(text)
            }
            None => NextFrame::Other,
        }
    }
}

impl<S: FrameSource> Read for FrameScanner<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            let inner = self.inner.as_mut().ok_or(ErrorKind::NotConnected)?;
            if self.ahead.fill(inner)? == 0 {
                return Ok(0);
            }
        }
        let unread = self.ahead.unread();
        let count = self.frames.observe_one(unread.get(..buffer.len()).unwrap_or(unread));
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), unread.get(..count)) {
            to.copy_from_slice(from);
        }
        self.ahead.start += count;
        Ok(count)
    }
}

/// Bytes from the stream that nobody has taken yet.
#[derive(Debug)]
struct ReadAhead {
    /// Shared with the messages that were taken out of it.
    chunk: Bytes,
    start: usize,
    end: usize,
    size: ReadSize,
    /// The number of bytes since the start.
    read: u64,
}

impl ReadAhead {
    fn new(read: Vec<u8>) -> Self {
        ReadAhead { start: 0, end: read.len(), chunk: read.into(), size: ReadSize::default(), read: 0 }
    }

    fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    fn unread(&self) -> &[u8] {
        self.chunk.get(self.start..self.end).unwrap_or_default()
    }

    /// Fills the buffer, which must be empty.
    fn fill(&mut self, stream: &mut impl FrameSource) -> io::Result<usize> {
        (self.start, self.end) = (0, 0);
        match stream.take_available(|| take_back(&mut self.chunk).unwrap_or_default()) {
            // There is no data, or the stream has ended: only a read shows which.
            Some((_, range)) if range.is_empty() => return stream.read(&mut [0]),
            Some((bytes, range)) => {
                self.chunk = bytes.into();
                (self.start, self.end) = (range.start, range.end);
            }
            None => {
                let size = self.size.get();
                let spare = take_back(&mut self.chunk).filter(|spare| spare.len() == size);
                let mut chunk = spare.unwrap_or_else(|| vec![0; size]);
                let result = stream.read(&mut chunk);
                self.chunk = chunk.into();
                self.end = result?;
                self.size.adapt(self.end);
            }
        }
        let count = self.end - self.start;
        self.read += count as u64;
        Ok(count)
    }

    /// There is no more data: frees a small chunk. Keeps a large chunk, because the stream will soon need it again.
    fn rest(&mut self) {
        if self.chunk.len() <= SMALL_CHUNK {
            self.chunk = Bytes::new();
        }
    }

    /// The payload of the next frame, if it is a complete, final and unmasked text frame.
    fn take_text(&mut self) -> Option<Utf8Bytes> {
        let unread = self.unread();
        let mut cursor = Cursor::new(unread);
        let (header, length) = FrameHeader::parse(&mut cursor).ok()??;
        let plain = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
        if header != plain {
            return None;
        }
        let header = usize::try_from(cursor.position()).ok()?;
        let end = header.checked_add(usize::try_from(length).ok()?)?;
        let payload = unread.get(header..end)?;
        // A stored message must not keep a chunk of which it is a small part.
        let shared = self.end > self.chunk.len() / 2;
        let payload = if shared { self.chunk.slice_ref(payload) } else { Bytes::copy_from_slice(payload) };
        let text = Utf8Bytes::try_from(payload).ok()?;
        self.start += end;
        Some(text)
    }
}

/// The chunk's memory, unless a message still uses it.
fn take_back(chunk: &mut Bytes) -> Option<Vec<u8>> {
    std::mem::take(chunk).try_into_mut().ok().map(Vec::from)
}

impl<S: Write> Write for FrameScanner<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.as_mut().ok_or(ErrorKind::NotConnected)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.as_mut().ok_or(ErrorKind::NotConnected)?.flush()
    }
}

/// Counts the frames of a stream without looking at their content.
#[derive(Debug, Default)]
pub(crate) struct FrameCounter {
    /// The start of the current or last frame: the header and a little more.
    head: [u8; MAX_HEADER],
    have: usize,
    /// The header of the frame, and how many payload bytes are missing. `None` while the header is incomplete.
    frame: Option<(FrameHeader, u64)>,
    /// The stream is between the first and the last frame of a data message.
    in_message: bool,
    seen: Traffic,
    /// Complete data messages since the start.
    messages: u64,
    /// The code of the first close frame, if there was one.
    close: Option<Option<u16>>,
    http: bool,
}

impl FrameCounter {
    pub(crate) fn take(&mut self) -> Traffic {
        std::mem::take(&mut self.seen)
    }

    /// Whether a message or a frame is incomplete.
    pub(crate) fn is_partial(&self) -> bool {
        self.in_message || self.have > 0
    }

    /// Complete data messages since the start.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// The first close frame: `None` if no close frame came, `Some(None)` if it has no code.
    pub(crate) fn close(&self) -> Option<Option<u16>> {
        self.close
    }

    /// Whether an HTTP response came in place of a frame.
    pub(crate) fn saw_http(&self) -> bool {
        self.http
    }

    /// Reads the bytes of the current frame. Returns how many bytes belong to it.
    fn observe_one(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            done += match self.frame {
                None => self.header(rest),
                Some(_) => self.payload(rest),
            };
            if let Some((header, _)) = self.frame.take_if(|(_, left)| *left == 0) {
                self.frame_ends(&header);
                break;
            }
        }
        done
    }

    /// Counts a message that did not pass through [`observe_one`](FrameCounter::observe_one).
    fn took_message(&mut self, bytes: usize) {
        self.seen.bytes += bytes;
        self.seen.messages = self.seen.messages.saturating_add(1);
        self.messages += 1;
    }

    /// Reads bytes until the header is complete.
    fn header(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        for byte in bytes {
            self.keep(*byte);
            taken += 1;
            let begin = self.head.get(..self.have).unwrap_or_default();
            self.frame = match FrameHeader::parse(&mut Cursor::new(begin)) {
                Ok(None) => continue,
                Ok(frame) => frame,
                // The header is invalid, so no frame can follow. tungstenite finds the same error.
                Err(_) => Some((
                    FrameHeader { opcode: OpCode::Control(Control::Ping), ..FrameHeader::default() },
                    0,
                )),
            };
            self.in_message |= matches!(&self.frame, Some((FrameHeader { opcode: OpCode::Data(_), .. }, _)));
            break;
        }
        taken
    }

    /// Reads payload bytes of the current frame.
    fn payload(&mut self, bytes: &[u8]) -> usize {
        let Some((header, left)) = &mut self.frame else { return 0 };
        let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
        *left -= taken as u64;
        if matches!(header.opcode, OpCode::Data(_)) {
            self.seen.bytes += taken;
        }
        for byte in bytes.iter().take(taken.min(MAX_HEADER - self.have)) {
            self.keep(*byte);
        }
        taken
    }

    fn keep(&mut self, byte: u8) {
        if let Some(slot) = self.head.get_mut(self.have) {
            *slot = byte;
            self.have += 1;
        }
    }

    fn frame_ends(&mut self, header: &FrameHeader) {
        self.http |= self.have >= 7 && self.head.starts_with(b"HTTP/1.");
        match header.opcode {
            OpCode::Data(_) if header.is_final => {
                self.took_message(0);
                self.in_message = false;
            }
            OpCode::Data(_) => {}
            OpCode::Control(_) => self.seen.controls = self.seen.controls.saturating_add(1),
        }
        if header.opcode == OpCode::Control(Control::Close) {
            // A server does not mask its frames, so the code follows the two bytes of the header.
            let code = self.head.get(2..self.have).and_then(<[u8]>::first_chunk);
            self.close.get_or_insert(code.map(|code| u16::from_be_bytes(*code)));
        }
        self.have = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the bytes at once and byte by byte; both must give the same result.
    fn walk(bytes: &[u8]) -> FrameCounter {
        let mut whole = FrameCounter::default();
        let mut done = 0;
        while done < bytes.len() {
            done += whole.observe_one(&bytes[done..]);
        }
        let mut single = FrameCounter::default();
        bytes.iter().for_each(|byte| assert_eq!(single.observe_one(&[*byte]), 1));
        assert_eq!(format!("{whole:?}"), format!("{single:?}"));
        whole
    }

    #[test]
    fn counts_what_is_complete() {
        for (stream, bytes, messages, controls, partial) in [
            (&b""[..], 0, 0, 0, false),
            (b"\x81\x01a", 1, 1, 0, false),
            (b"\x81", 0, 0, 0, true),
            (b"\x81\x02a", 1, 0, 0, true),
            (b"\x01\x01a\x00\x00\x00\x00", 1, 0, 0, true),
            (b"\x01\x01a\x89\x00\x80\x01b\x82\x00", 2, 2, 1, false),
            (b"\x8a\x03abc\x89", 0, 0, 1, true),
            (b"\x81\x7f\0\0\0\0\0\0\0\x02ab", 2, 1, 0, false),
            (b"\x81\x7f\0\0\0\0\0\0\0", 0, 0, 0, true),
            (b"\x81\x81MASKa", 1, 1, 0, false),
        ] {
            let mut frames = walk(stream);
            let seen = Traffic { bytes, messages, controls };
            assert_eq!((frames.take(), frames.is_partial()), (seen, partial), "{stream:?}");
            assert_eq!(frames.take(), Traffic::default());
        }
        let mut long = b"\x82\x7e\x01\x00".to_vec();
        long.extend([7; 256]);
        assert_eq!(walk(&long).messages(), 1);
    }

    #[test]
    fn remembers_how_it_ended() {
        assert_eq!(walk(b"\x81\x01a").close(), None);
        assert_eq!(walk(b"\x88\x00").close(), Some(None));
        assert_eq!(walk(b"\x88\x02\x03\xe8\x88\x02\x03\xe9").close(), Some(Some(1000)));
        assert_eq!(walk(b"\x88\x03\x00\x07\xff").close(), Some(Some(7)));
        let mut http = b"HTTP/1.1 400 Bad Request\r\n".to_vec();
        assert!(!walk(&http).saw_http(), "not yet a frame");
        http.resize(200, b' ');
        assert!(walk(&http).saw_http());
    }

    /// The remaining bytes, and how many of them one read returns. After each read, one read returns nothing.
    struct Peer(Vec<u8>, usize, bool);

    impl Read for Peer {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.2 = !self.2;
            if !self.2 || self.0.is_empty() {
                return Err(ErrorKind::WouldBlock.into());
            }
            let count = self.1.min(buffer.len()).min(self.0.len());
            self.0.drain(..count).zip(buffer).for_each(|(byte, slot)| *slot = byte);
            Ok(count)
        }
    }

    impl Write for Peer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl FrameSource for Peer {}

    #[test]
    fn takes_what_is_plain_and_leaves_the_rest_in_order() {
        use tungstenite::protocol::Role;
        use tungstenite::{Error, Message, WebSocket};

        let long = "x".repeat(70_000);
        let mut bytes = b"\x81\x01a\x89\x00\x81\x02bc\x01\x01d\x89\x00\x80\x01e\x82\x01f\x81\x00".to_vec();
        bytes.extend(b"\x81\x7f\0\0\0\0\0\x01\x11\x70");
        bytes.extend(long.as_bytes());
        bytes.extend(b"\x81\x7e\x01\x00");
        bytes.extend([b'g'; 256]);
        let expected = ["a", "bc", "de", "f", "", &long, &"g".repeat(256)];
        for step in [1, 2, 3, 7, 300, 5000, 100_000] {
            let mut ws = WebSocket::from_raw_socket(
                FrameScanner::new(Peer(bytes.clone(), step, false), Vec::new()),
                Role::Client,
                None,
            );
            let (mut got, mut idle) = (Vec::new(), 0);
            while idle < 3 {
                match ws.get_mut().next_text() {
                    NextFrame::Text(text) => got.push(text.to_string()),
                    NextFrame::Nothing => idle += 1,
                    NextFrame::Other => match ws.read() {
                        Ok(Message::Text(text)) => got.push(text.to_string()),
                        Ok(Message::Binary(bytes)) => got.push(String::from_utf8(bytes.to_vec()).unwrap()),
                        Ok(_) => {}
                        Err(Error::Io(_)) => idle += 1,
                        Err(error) => panic!("{error}"),
                    },
                }
                if !ws.get_mut().get_mut().unwrap().0.is_empty() {
                    idle = 0;
                }
            }
            assert_eq!(got, expected, "{step} bytes at a time");
            let frames = &mut ws.get_mut().frames;
            assert_eq!((frames.messages(), frames.take().controls, frames.is_partial()), (7, 2, false));
        }
    }

    #[test]
    fn a_message_that_is_kept_keeps_no_chunk() {
        let one = [b"\x81\x64".as_slice(), &[b'x'; 100]].concat();
        let mut scanner = FrameScanner::new(Peer(one, 200, false), Vec::new());
        let NextFrame::Text(text) = scanner.next_text() else { panic!("a message is there") };
        assert!(AsRef::<Bytes>::as_ref(&text).is_unique());
    }
}
