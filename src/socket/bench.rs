//! Functions of the codecs for the benches.
#![allow(missing_docs, reason = "not for people")]

use std::io::{Cursor, Read};

use serde::Serialize;
use tungstenite::Utf8Bytes;

use crate::socket::protocol::engine_io::{self, EnginePacket};
use crate::socket::protocol::event::RawEvent;
use crate::socket::protocol::polling_payload;
use crate::socket::protocol::socket_io;
use crate::socket::transport::websocket::frame_scanner::{FrameScanner, FrameSource, NextFrame};

/// Decodes the text of a frame to an event, without its arguments.
pub fn decode_event(frame: &Utf8Bytes) -> Option<RawEvent> {
    let Ok(EnginePacket::Message(text)) = engine_io::decode(frame) else { return None };
    let packet = socket_io::decode(text).ok()?;
    RawEvent::new(frame, packet.data, packet.id, Vec::new()).ok()
}

pub fn encode_event(name: &str, id: Option<u64>, payload: &impl Serialize) -> Option<String> {
    socket_io::encode_event(name, id, payload).ok()
}

/// The number of packets in a polling body.
pub fn decode_payload(body: &str) -> usize {
    polling_payload::decode(body).filter(Result::is_ok).count()
}

/// The number of WebSocket text frames in the bytes.
pub fn take_frames(bytes: &[u8]) -> usize {
    struct InMemoryPeer<'a>(Cursor<&'a [u8]>);
    impl Read for InMemoryPeer<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }
    impl FrameSource for InMemoryPeer<'_> {}
    let mut scanner = FrameScanner::new(InMemoryPeer(Cursor::new(bytes)), Vec::new());
    let mut count = 0;
    loop {
        match scanner.next_text() {
            NextFrame::Text(_) => count += 1,
            // The frame ends in the next chunk.
            NextFrame::Other => {
                let mut rest = [0; 4096];
                if scanner.read(&mut rest).unwrap_or(0) == 0 {
                    return count;
                }
            }
            NextFrame::Nothing => return count,
        }
    }
}
