//! Functions of the codecs for the fuzzers. Each accepts any input and panics if a result is wrong.
#![allow(missing_docs, reason = "only for the fuzzers")]
#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a finding")]

use std::io::{Cursor, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tungstenite::error::ProtocolError;
use tungstenite::protocol::Role;
use tungstenite::{Bytes, Error, Message, Utf8Bytes, WebSocket};

use crate::json;
use crate::socket::protocol::engine_io::{self, Handshake};
use crate::socket::protocol::event::{AckArgs, BinaryPacket, Complete, RawEvent};
use crate::socket::protocol::polling_payload::{self, PayloadPart, SEPARATOR};
use crate::socket::protocol::socket_io::{self, ConnectReply, MAX_ATTACHMENTS, PacketKind};
use crate::socket::transport::websocket::frame_scanner::{FrameScanner, FrameSource};
use crate::socket::transport::websocket::handshake;

/// Decodes a text frame of Engine.IO, and its handshake.
pub fn engine(text: &str) {
    let _ = engine_io::decode(text);
    if let Ok(handshake) = Handshake::parse(text) {
        let silence = handshake.silence().as_secs();
        assert!((2..=7200).contains(&silence));
        assert!(handshake.max_payload.is_none_or(|max| max >= 1024));
        let tree: Value = serde_json::from_str(text).unwrap_or_default();
        assert!(tree.is_null() || tree["sid"].as_str() != Some(""));
    }
}

/// Decodes a Socket.IO packet, its event and its arguments.
pub fn packet(text: &str) {
    repair(text);
    let frame = Utf8Bytes::from(format!("4{text}"));
    let Some(Ok(packet)) = frame.get(1..).map(socket_io::decode) else { return };
    assert!(packet.attachments <= MAX_ATTACHMENTS);
    assert!(packet.id.is_none_or(|id| id < 1 << 53));
    match packet.kind {
        PacketKind::Event => {
            if let Ok(event) = RawEvent::new(&frame, packet.data, packet.id, Vec::new()) {
                check_event(&event, packet.data);
            }
        }
        PacketKind::Ack => check_ack(packet.data),
        PacketKind::BinaryEvent | PacketKind::BinaryAck => {
            let mut partial = BinaryPacket::new(&frame, &packet, false);
            while !partial.is_complete() {
                partial.push(Bytes::from_static(b"x")).unwrap();
            }
            if let Ok(Complete::Event(event)) = partial.finish() {
                assert_eq!(event.attachments().count(), packet.attachments);
                check_event(&event, packet.data);
            }
        }
        PacketKind::Connect => {
            let _ = ConnectReply::parse(packet.data);
        }
        PacketKind::Disconnect | PacketKind::ConnectError => {}
    }
}

fn check_event(event: &RawEvent, data: &str) {
    let first = event.first::<Value>();
    let Ok(tree) = serde_json::from_str::<Value>(data) else {
        // An accepted event is JSON, but possibly JSON that serde_json cannot decode.
        let _ = (event.is_json(), event.offset());
        return;
    };
    assert!(event.is_json());
    let items = tree.as_array().unwrap();
    match &items[0] {
        Value::String(name) => assert_eq!(event.name(), name),
        Value::Number(_) => assert!(event.name().parse::<f64>().is_ok()),
        other => panic!("{other} as a name"),
    }
    assert_eq!(&first.unwrap(), items.get(1).unwrap_or(&Value::Null));
    let last = items.iter().skip(1).last().and_then(Value::as_str);
    assert_eq!(event.offset().as_deref(), last.filter(|_| !event.wants_answer()));
}

fn check_ack(data: &str) {
    let Ok(args) = AckArgs::new(data) else {
        assert!(serde_json::from_str::<Value>(data).is_err());
        return;
    };
    let first = args.first::<Value>();
    if let Ok(tree) = serde_json::from_str::<Value>(data) {
        assert_eq!(&first.unwrap(), tree.get(0).unwrap_or(&Value::Null));
    }
}

fn repair(text: &str) {
    let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    match json::repair(text) {
        Some(repaired) => {
            assert_eq!(json::repair(&repaired), None, "a repaired text needs no second repair");
            assert!(serde_json::from_str::<Value>(text).is_err(), "the text needed no repair");
            assert_eq!(is_json(text), is_json(&repaired));
        }
        None if is_json(text) => {
            if let Err(error) = serde_json::from_str::<Value>(text) {
                assert!(!error.to_string().contains("surrogate"), "{error}");
            }
        }
        None => {}
    }
}

/// Decodes a payload of Engine.IO over HTTP.
pub fn payload(body: &str) {
    let mut written = Vec::new();
    for part in polling_payload::decode(body) {
        match part {
            Ok(PayloadPart::Text(text)) => written.push(text.to_owned()),
            Ok(PayloadPart::Binary(bytes)) => written.push(format!("b{}", STANDARD.encode(bytes))),
            Err(_) => {
                let first_error = polling_payload::decode(body).position(|part| part.is_err());
                assert_eq!(first_error, Some(written.len()), "a part after the error");
                return;
            }
        }
    }
    let written = written.join(&SEPARATOR.to_string());
    // The padding of each part may have been omitted.
    assert!(written.len() <= body.len() + 2 * body.split(SEPARATOR).count());
    let again: Result<Vec<_>, _> = polling_payload::decode(&written).collect();
    let first: Result<Vec<_>, _> = polling_payload::decode(body).collect();
    assert_eq!(again.unwrap(), first.unwrap());
}

/// Reads WebSocket frames in pieces. The scanner must find the same frames as tungstenite.
pub fn frames(bytes: &[u8]) {
    struct ChunkedPeer(Cursor<Vec<u8>>, usize);
    impl Read for ChunkedPeer {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = buffer.len().min(self.1);
            self.0.read(&mut buffer[..count])
        }
    }
    impl FrameSource for ChunkedPeer {}
    impl Write for ChunkedPeer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let Some((size, bytes)) = bytes.split_first() else { return };
    let (before, after) = bytes.split_at(usize::from(*size).min(bytes.len()) / 2);
    let scanner = FrameScanner::new(
        ChunkedPeer(Cursor::new(after.to_vec()), usize::from(*size).max(1)),
        before.to_vec(),
    );
    let config = handshake::config(None).max_frame_size(Some(4096)).max_message_size(Some(8192));
    let mut ws = WebSocket::from_raw_socket(scanner, Role::Client, Some(config));
    let (mut messages, mut controls) = (0, 0);
    let error = loop {
        match ws.read() {
            Ok(Message::Text(_) | Message::Binary(_)) => messages += 1,
            Ok(_) => controls += 1,
            Err(error) => break error,
        }
    };
    let frames = &mut ws.get_mut().frames;
    let seen = frames.take();
    assert!(frames.messages() >= messages && u64::from(seen.messages) == frames.messages());
    if matches!(error, Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) {
        // The scanner read to the end without an error.
        assert_eq!((frames.messages(), u64::from(seen.controls)), (messages, controls));
    }
}
