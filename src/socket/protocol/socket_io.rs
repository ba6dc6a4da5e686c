//! Socket.IO 5: the packet inside an Engine.IO message, as pure functions.
//!
//! `packet = type [ count "-" ] [ "/" namespace "," ] [ id ] [ json ]` (Socket.IO protocol document, version 5). The
//! packet keeps the JSON as text; the caller decodes the arguments that it needs.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::IgnoredAny;

use crate::error::{Error, Result};
use crate::json;

/// The limit of the official parser.
pub(crate) const MAX_ATTACHMENTS: usize = 10;
/// The largest integer that JavaScript represents exactly.
const MAX_ID: u64 = (1 << 53) - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PacketKind {
    Connect,
    Disconnect,
    Event,
    Ack,
    ConnectError,
    BinaryEvent,
    BinaryAck,
}

/// A packet with its JSON as text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub(crate) kind: PacketKind,
    /// The number of binary frames that follow. 0 for other packet types.
    pub(crate) attachments: usize,
    pub(crate) namespace: &'a str,
    pub(crate) id: Option<u64>,
    /// JSON text, or empty.
    pub(crate) data: &'a str,
}

/// # Errors
/// `Protocol` if the text is not a packet. `decode` does not check the JSON.
pub(crate) fn decode(text: &str) -> Result<Packet<'_>> {
    let mut chars = text.chars();
    let kind = match chars.next() {
        Some('0') => PacketKind::Connect,
        Some('1') => PacketKind::Disconnect,
        Some('2') => PacketKind::Event,
        Some('3') => PacketKind::Ack,
        Some('4') => PacketKind::ConnectError,
        Some('5') => PacketKind::BinaryEvent,
        Some('6') => PacketKind::BinaryAck,
        _ => return Err(Error::protocol("unknown Socket.IO packet type")),
    };
    let mut rest = chars.as_str();

    let mut attachments = 0;
    if matches!(kind, PacketKind::BinaryEvent | PacketKind::BinaryAck) {
        let (count, after) = rest.split_once('-').ok_or_else(|| Error::protocol("illegal attachments"))?;
        // Two digits are enough for the limit, so refuse a longer number without parsing it.
        if count.is_empty() || count.len() > 2 || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::protocol("illegal attachments"));
        }
        attachments = count.parse().map_err(|_| Error::protocol("illegal attachments"))?;
        if attachments > MAX_ATTACHMENTS {
            return Err(Error::protocol("too many attachments"));
        }
        rest = after;
    }

    let mut namespace = "/";
    if rest.starts_with('/') {
        // The comma may be missing at the end of the input.
        (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
    }

    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, data) = rest.split_at_checked(digits).unwrap_or(("", rest));
    let id = if number.is_empty() {
        None
    } else {
        let id = number.parse().ok().filter(|id| number.len() <= 16 && *id <= MAX_ID);
        Some(id.ok_or_else(|| Error::protocol("packet id out of range"))?)
    };

    let first = data.as_bytes().first();
    let fits = match kind {
        PacketKind::Connect => matches!(first, None | Some(b'{')) && id.is_none(),
        PacketKind::Disconnect => data.is_empty() && id.is_none(),
        PacketKind::Event | PacketKind::BinaryEvent => first == Some(&b'['),
        // An ack without a payload has no arguments.
        PacketKind::Ack | PacketKind::BinaryAck => matches!(first, None | Some(b'[')) && id.is_some(),
        PacketKind::ConnectError => true,
    };
    if !fits {
        return Err(Error::protocol("the payload does not fit the Socket.IO packet type"));
    }
    Ok(Packet { kind, attachments, namespace, id, data })
}

/// The name of an event and the text of its arguments, without brackets: `"a",1,{}` gives `a` and `1,{}`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NameAndArgs<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) args: &'a str,
}

/// Event names that the protocol reserves.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Splits the array of an event into name and arguments.
///
/// # Errors
/// `Protocol` if the array is empty, is not closed, or does not start with a name.
pub(crate) fn split_event(data: &str) -> Result<NameAndArgs<'_>> {
    let inner = data
        .trim_end()
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or_else(|| Error::protocol("the event is not a JSON array"))?
        .trim_start();
    let (name, rest) = if let Some(inside) = inner.strip_prefix('"') {
        let end =
            inside.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(inside.len());
        let (name, rest) = inside.split_at_checked(end).unwrap_or((inside, ""));
        match rest.strip_prefix('"') {
            Some(rest) => (name.into(), rest),
            None => split_escaped(inner)?,
        }
    } else {
        // The protocol allows a number as the name.
        let end = inner.find(',').unwrap_or(inner.len());
        let (number, rest) = inner.split_at_checked(end).unwrap_or((inner, ""));
        let number = number.trim_end();
        let no_name = || Error::protocol("the event has no name");
        if !number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            return Err(no_name());
        }
        serde_json::from_str::<IgnoredAny>(number).map_err(|error| no_name().with_source(error))?;
        (number.into(), rest)
    };
    if RESERVED.contains(&&*name) {
        return Err(Error::protocol("the event has a reserved name"));
    }
    let rest = rest.trim_start();
    let args = match rest.strip_prefix(',') {
        Some(args) if !args.trim().is_empty() => args,
        None if rest.is_empty() => "",
        _ => return Err(Error::protocol("the event is not a JSON array")),
    };
    Ok(NameAndArgs { name, args })
}

/// Splits off a name that contains an escape. Returns the name and the rest.
fn split_escaped(inner: &str) -> Result<(Cow<'_, str>, &str)> {
    let not_closed = || Error::protocol("the event's name is not closed");
    let end = string_end(inner).ok_or_else(not_closed)?;
    let (quoted, rest) = inner.split_at_checked(end).ok_or_else(not_closed)?;
    let name: serde_json::Result<String> = json::from_str(quoted);
    let name =
        name.map_err(|error| Error::protocol("the event's name is not a JSON string").with_source(error))?;
    Ok((name.into(), rest))
}

/// The end of the string at the start of `text`, including its quotes.
fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The server's reply to CONNECT.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct ConnectReply {
    /// The public id of the session.
    pub(crate) sid: Option<Box<str>>,
    /// The private id, with which the session can be recovered. `None` if the server does not support recovery.
    pub(crate) pid: Option<Box<str>>,
}

impl ConnectReply {
    /// A text of another form has no ids.
    pub(crate) fn parse(json: &str) -> Self {
        let [sid, pid] = json::pick(json, ["sid", "pid"]).unwrap_or_default();
        let id = |value| json::text(value).filter(|id| !id.is_empty()).map(String::into_boxed_str);
        ConnectReply { sid: id(sid), pid: id(pid) }
    }
}

/// The Engine.IO frame of an event: `42["name",payload]`. With `id`, the event asks for an ack.
///
/// # Errors
/// `Invalid` if the payload cannot be written as JSON, or if the name is reserved.
pub(crate) fn encode_event(name: &str, id: Option<u64>, payload: &impl Serialize) -> Result<String> {
    let mut frame = begin_event(name, id)?;
    serde_json::to_writer(&mut frame, payload).map_err(not_json)?;
    end_event(frame)
}

fn begin_event(name: &str, id: Option<u64>) -> Result<Vec<u8>> {
    if RESERVED.contains(&name) {
        return Err(Error::invalid(format!("{name:?} is a reserved event name")));
    }
    let mut frame = Vec::with_capacity(256);
    frame.extend_from_slice(b"42");
    if let Some(id) = id {
        frame.extend_from_slice(id.to_string().as_bytes());
    }
    frame.push(b'[');
    serde_json::to_writer(&mut frame, name).map_err(not_json)?;
    frame.push(b',');
    Ok(frame)
}

fn end_event(mut frame: Vec<u8>) -> Result<String> {
    frame.push(b']');
    String::from_utf8(frame).map_err(|error| Error::invalid("the payload is not UTF-8").with_source(error))
}

/// The payload of an ack.
///
/// # Errors
/// `Invalid` if it cannot be written as JSON.
pub(crate) fn encode_payload(payload: &impl Serialize) -> Result<String> {
    serde_json::to_string(payload).map_err(not_json)
}

/// The Engine.IO frame of an ack: `43<id>[payload]`. The payload is JSON.
pub(crate) fn ack_frame(id: u64, payload: &str) -> String {
    format!("43{id}[{payload}]")
}

fn not_json(error: serde_json::Error) -> Error {
    Error::invalid("the payload cannot be written as JSON").with_source(error)
}

/// The data for recovering a lost session: its private id, and the offset of the last received event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovery {
    pub(crate) pid: Box<str>,
    pub(crate) offset: Box<str>,
}

/// The Engine.IO frame that joins the main namespace with `auth`, a JSON object. The keys of `auth` have priority.
///
/// # Errors
/// `Invalid` if `auth` is not an object.
pub(crate) fn encode_connect(auth: &str, recovery: Option<&Recovery>) -> Result<String> {
    let Some(recovery) = recovery else { return Ok(format!("40{auth}")) };
    let [offset, pid] = json::pick(auth, ["offset", "pid"]).map_err(not_json)?;
    let theirs = auth.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    let mut frame = String::from("40{");
    for (known, key, value) in [(offset, "\"offset\":", &recovery.offset), (pid, "\"pid\":", &recovery.pid)] {
        if known.is_none() {
            frame.push_str(key);
            frame.push_str(&serde_json::to_string(value).map_err(not_json)?);
            frame.push(',');
        }
    }
    frame.push_str(theirs.trim());
    if frame.ends_with(',') {
        frame.pop();
    }
    frame.push('}');
    Ok(frame)
}

/// The Engine.IO frame that leaves the main namespace.
pub(crate) const DISCONNECT_FRAME: &str = "41";

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(text: &str) -> Packet<'_> {
        decode(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn t13_to_t19_t36_t38_takes_packets_apart() {
        let p = packet(r#"0/woot,{"token":"123"}"#);
        assert_eq!((p.kind, p.namespace, p.data), (PacketKind::Connect, "/woot", r#"{"token":"123"}"#));
        assert_eq!(packet("1/woot,").kind, PacketKind::Disconnect);
        assert_eq!(packet("0/custom").namespace, "/custom");
        let p = packet(r#"2/test,1["a",1,{}]"#);
        assert_eq!(
            (p.kind, p.namespace, p.id, p.data),
            (PacketKind::Event, "/test", Some(1), r#"["a",1,{}]"#)
        );
        let p = packet("3123[]");
        assert_eq!((p.kind, p.id, p.data), (PacketKind::Ack, Some(123), "[]"));
        assert_eq!(packet("37").data, "");
        let p = packet(r#"52-/admin,7["a",{"_placeholder":true,"num":0}]"#);
        assert_eq!(
            (p.kind, p.attachments, p.namespace, p.id),
            (PacketKind::BinaryEvent, 2, "/admin", Some(7))
        );
        assert_eq!(packet("50-[\"x\"]").attachments, 0);
        assert_eq!(packet("4").data, "");
        assert_eq!(packet("4\"no\"").data, "\"no\"");
        assert_eq!(packet("4/admin™,{}").namespace, "/admin™");
    }

    #[test]
    fn t21_to_t25_t37_refuses_what_is_no_packet() {
        for bad in [
            "",
            "999",
            "a",
            "0[]",
            "0/admin,\"invalid\"",
            "1/admin,{}",
            "2/admin,{}",
            "2",
            "2{}",
            "5",
            "51",
            "5a-",
            "51.23-",
            "5-1-",
            "5-",
            "511-[\"a\"]",
            "59999999999-[\"a\"]",
            "5invalid",
            "3[]",
            "3-1[]",
            "3+1[]",
            "3 1[]",
            "399999999999999999[]",
            "39007199254740992[]",
        ] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn t15_t16_t23_splits_the_name_off() {
        for (data, name, args) in [
            (r#"["a"]"#, "a", ""),
            (r#"["a",1,{}]"#, "a", "1,{}"),
            (r#"[ "a" , 1 ]"#, "a", " 1 "),
            (r#"[1,"a",{}]"#, "1", r#""a",{}"#),
            (r#"["a\"b\u0041",[]]"#, "a\"bA", "[]"),
            (r#"["",0]"#, "", "0"),
            (r#"["message",{"a":"]"}]"#, "message", r#"{"a":"]"}"#),
        ] {
            let split = split_event(data).unwrap_or_else(|error| panic!("{data}: {error}"));
            assert_eq!((&*split.name, split.args), (name, args), "{data}");
        }
        for bad in [
            "[]",
            "[",
            "[\"a\"",
            "[\"a]",
            "[true]",
            "[null]",
            "[{}]",
            r#"[{"toString":"foo"}]"#,
            "[\"a\",]",
            "[\"a\" 1]",
            "[\"connect\"]",
            "[\"disconnecting\",1]",
            "[\"a\u{7}\"]",
            "[,1]",
            "[\"\\x\"]",
        ] {
            assert!(split_event(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn t20_t27_t35_t70_encodes_events() {
        let payload = serde_json::json!({"agencyId": "ag-1"});
        assert_eq!(
            encode_event("join-agency", None, &payload).unwrap(),
            r#"42["join-agency",{"agencyId":"ag-1"}]"#
        );
        assert_eq!(encode_event("q", Some(13), &1).unwrap(), r#"4213["q",1]"#);
        assert!(encode_event("disconnecting", None, &1).is_err());
        let unwritable = std::collections::HashMap::from([((1, 2), 3)]);
        assert_eq!(encode_event("q", None, &unwritable).unwrap_err().kind(), crate::ErrorKind::Invalid);
        assert_eq!(ack_frame(7, &encode_payload(&"ok").unwrap()), r#"437["ok"]"#);
    }
}
