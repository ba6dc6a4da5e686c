//! What passes on a WebSocket, seen from beneath: which frames came whole and whether one is under way.
//!
//! tungstenite hands out messages only. Whether a silent minute was silence or the drip of a frame that never ends,
//! how many control frames a peer sends, or what an unreadable frame began with, shows in the bytes.

use std::io::{self, Read, Write};

/// The longest frame header: two bytes, eight of length, four of mask.
const LONGEST_HEADER: usize = 14;
const CLOSE: u8 = 8;

/// A stream that notes the frames read through it.
#[derive(Debug)]
pub(crate) struct Tap<S> {
    inner: S,
    pub(crate) frames: Frames,
}

impl<S> Tap<S> {
    /// `read` is what was read before and belongs to the WebSocket already.
    pub(crate) fn new(inner: S, read: &[u8]) -> Self {
        let mut frames = Frames::default();
        frames.observe(read);
        Tap { inner, frames }
    }

    pub(crate) fn get_ref(&self) -> &S {
        &self.inner
    }

    pub(crate) fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<S: Read> Read for Tap<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.frames.observe(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl<S: Write> Write for Tap<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// What was seen since it was last asked.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// What data messages carry: headers are no progress.
    pub(crate) bytes: usize,
    /// Complete data messages.
    pub(crate) messages: u32,
    /// Complete control frames.
    pub(crate) controls: u32,
}

/// Walks over the frames of a stream without looking at their content.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// The beginning of the frame under way, or of the last one: header and a little more.
    head: [u8; LONGEST_HEADER],
    have: usize,
    /// How much of the payload is missing; `None` while the header is.
    left: Option<u64>,
    /// Between the first frame of a data message and its last.
    in_message: bool,
    seen: Seen,
    /// Complete data messages since the beginning.
    messages: u64,
    /// The code of the first close frame, if it had one.
    close: Option<Option<u16>>,
    http: bool,
}

impl Frames {
    pub(crate) fn take(&mut self) -> Seen {
        std::mem::take(&mut self.seen)
    }

    /// Whether a message or a frame has begun and not ended.
    pub(crate) fn is_partial(&self) -> bool {
        self.in_message || self.have > 0
    }

    /// Complete data messages since the beginning.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// The code of the close frame that came: none, or one without a code, or its code.
    pub(crate) fn close(&self) -> Option<Option<u16>> {
        self.close
    }

    /// Whether an HTTP answer came where a frame should begin.
    pub(crate) fn saw_http(&self) -> bool {
        self.http
    }

    fn observe(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = match self.left {
                None => self.header(bytes),
                Some(left) => self.payload(left, bytes),
            };
            bytes = bytes.get(taken..).unwrap_or_default();
            if self.left == Some(0) {
                self.frame_ends();
            }
        }
    }

    /// Takes bytes until the header is complete.
    fn header(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        for byte in bytes {
            self.keep(*byte);
            taken += 1;
            if let Some(length) = self.payload_length() {
                self.left = Some(length);
                self.in_message |= self.opcode() < CLOSE;
                break;
            }
        }
        taken
    }

    fn payload(&mut self, left: u64, bytes: &[u8]) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.left = Some(left - taken as u64);
        if self.opcode() < CLOSE {
            self.seen.bytes += taken;
        }
        for byte in bytes.iter().take(taken.min(LONGEST_HEADER - self.have)) {
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

    /// The length that a complete header announces.
    fn payload_length(&self) -> Option<u64> {
        let [_, second, rest @ ..] = &self.head;
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let (wide, length) = match second & 0x7f {
            126 => (2, rest.first_chunk().map(|bytes| u64::from(u16::from_be_bytes(*bytes)))),
            127 => (8, rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))),
            short => (0, Some(u64::from(short))),
        };
        length.filter(|_| self.have >= 2 + wide + mask)
    }

    fn opcode(&self) -> u8 {
        let [first, ..] = self.head;
        first & 0x0f
    }

    fn frame_ends(&mut self) {
        let [first, second, high, low, ..] = self.head;
        self.http |= self.have >= 7 && self.head.starts_with(b"HTTP/1.");
        if self.opcode() >= CLOSE {
            self.seen.controls = self.seen.controls.saturating_add(1);
            if self.opcode() == CLOSE {
                let code = (second & 0x7f >= 2).then(|| u16::from_be_bytes([high, low]));
                self.close.get_or_insert(code);
            }
        } else if first & 0x80 != 0 {
            self.seen.messages = self.seen.messages.saturating_add(1);
            self.messages += 1;
            self.in_message = false;
        }
        self.have = 0;
        self.left = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fed whole and byte by byte, which must make no difference.
    fn walk(bytes: &[u8]) -> Frames {
        let mut whole = Frames::default();
        whole.observe(bytes);
        let mut single = Frames::default();
        bytes.iter().for_each(|byte| single.observe(&[*byte]));
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
            let seen = Seen { bytes, messages, controls };
            assert_eq!((frames.take(), frames.is_partial()), (seen, partial), "{stream:?}");
            assert_eq!(frames.take(), Seen::default());
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
}
