//! The messages that the server sends: a thousand different messages of each size, encoded once.

use std::fmt::Write as _;

use crate::ROOM;

/// The number of different messages of one size.
pub const DISTINCT: usize = 1000;
/// The first part of a message's id.
const ID_START: &str = "7b1d3c52";
/// The number of messages in the room's history. They are older than the live messages.
pub const HISTORY: usize = 100_000;

/// The time of message number `n`. It is one millisecond after the time of the message before.
pub fn created_at(n: usize) -> String {
    format!("2026-03-05T10:{:02}:{:02}.{:03}Z", n / 60_000, n / 1000 % 60, n % 1000)
}

/// The number of the message that has this time.
pub fn number_at(time: &str) -> Option<usize> {
    let part = |from: usize, to: usize| time.get(from..to)?.parse::<usize>().ok();
    Some(part(14, 16)? * 60_000 + part(17, 19)? * 1000 + part(20, 23)?)
}

/// Returns a message with `size` characters of text as JSON. A quarter of the messages have escapes in their text, and
/// an eighth have letters that are not ASCII. `metadata` is an object, or a string that contains the JSON of an object.
pub fn message(n: usize, size: usize, string_metadata: bool) -> String {
    let mut text = String::with_capacity(size + 16);
    for word in 0.. {
        if text.chars().count() >= size {
            break;
        }
        match (n % 8, word % 9) {
            (1 | 5, 7) => text.push('\n'),
            (2, 7) => text.push_str("größe "),
            _ => {
                let _ = write!(text, "word{} ", (n * 31 + word * 7) % 97);
            }
        }
    }
    let text: String = text.chars().take(size).collect();
    let guard = serde_json::json!({ "loop_guard": {
        "interaction_id": format!("lg_mcvbh2k1_{:06}", n % 1_000_000), "hop": n % 20, "max_hops": 20, "status": "active",
    }});
    let metadata = if string_metadata { serde_json::Value::String(guard.to_string()) } else { guard };
    serde_json::json!({
        "id": format!("{ID_START}-95f0-4d5e-8c39-{n:012}"),
        "agencyId": ROOM,
        "content": text,
        "sender_id": format!("a3a0a4e6-51a4-4f0d-9d1b-{:012}", n % 50),
        "sender_username": format!("user{:02}", n % 50),
        "sender_display_name": format!("User {:02}", n % 50),
        "sender_type": "user",
        "type": "chat",
        "metadata": metadata,
        "created_at": created_at(n),
        "dm": false,
    })
    .to_string()
}

/// Returns the Socket.IO packet of a live message, after the digit of Engine.IO.
pub fn packet(n: usize, size: usize) -> String {
    format!("42[\"message\",{}]", message(HISTORY + n, size, false))
}

/// Returns an unmasked WebSocket text frame.
pub fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        short @ 0..=125 => frame.push(short as u8),
        medium @ 126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frame.push(127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// All messages of one size, encoded as WebSocket frames.
#[derive(Debug, Clone)]
pub struct Flood {
    bytes: Vec<u8>,
    /// The position at which the id of each frame's message begins.
    ids: Vec<usize>,
    /// The position at which each frame ends.
    ends: Vec<usize>,
}

impl Flood {
    /// Encodes the messages with `size` characters of text each.
    pub fn new(size: usize) -> Self {
        let mut flood = Flood { bytes: Vec::new(), ids: Vec::new(), ends: Vec::new() };
        for n in 0..DISTINCT {
            let frame = frame(&packet(n, size));
            let id = frame.windows(ID_START.len()).position(|bytes| bytes == ID_START.as_bytes());
            flood.ids.push(flood.bytes.len() + id.unwrap_or_default());
            flood.bytes.extend(frame);
            flood.ends.push(flood.bytes.len());
        }
        flood
    }

    /// Gives every message a new id for this round, because an agent drops a message whose id it has heard.
    pub fn begin_round(&mut self, round: u32) {
        for id in &self.ids {
            self.bytes[*id..*id + ID_START.len()].copy_from_slice(format!("{round:08x}").as_bytes());
        }
    }

    /// The bytes of frame number `n`, which is less than [`DISTINCT`].
    pub fn one(&self, n: usize) -> &[u8] {
        let start = n.checked_sub(1).map_or(0, |last| self.ends[last]);
        &self.bytes[start..self.ends[n]]
    }

    /// The bytes of the first `count` frames, and of at most [`DISTINCT`] frames.
    pub fn first(&self, count: usize) -> &[u8] {
        let end = count.min(DISTINCT).checked_sub(1).map_or(0, |last| self.ends[last]);
        &self.bytes[..end]
    }
}
