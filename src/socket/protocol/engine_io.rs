//! Engine.IO 4: the outer layer of every text frame, as pure functions.
//!
//! Source: the Engine.IO protocol document, version 4.

use std::time::Duration;

use serde_json::value::RawValue;
use tungstenite::{Bytes, Utf8Bytes};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::json;

/// One Engine.IO packet, or an attachment.
#[derive(Debug)]
pub(crate) enum IncomingPacket {
    Text(Utf8Bytes),
    Binary(Bytes),
}

/// A text frame of a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EnginePacket<'a> {
    /// The handshake in JSON.
    Open(&'a str),
    Close,
    /// A ping, with the text after the digit.
    Ping(&'a str),
    Pong,
    /// A Socket.IO packet.
    Message(&'a str),
    Upgrade,
    Noop,
}

#[cfg(feature = "polling")]
pub(crate) const CLOSE: &str = "1";
pub(crate) const PONG: &str = "3";
/// The first character of an Engine.IO message that contains a Socket.IO packet.
pub(crate) const MESSAGE: char = '4';

/// # Errors
/// `Protocol` for an empty frame or an unknown type. `b…` is unknown here: base64 is for polling only.
pub(crate) fn decode(text: &str) -> Result<EnginePacket<'_>> {
    let mut chars = text.chars();
    let kind = chars.next();
    let rest = chars.as_str();
    match kind {
        Some('0') => Ok(EnginePacket::Open(rest)),
        Some('1') => Ok(EnginePacket::Close),
        Some('2') => Ok(EnginePacket::Ping(rest)),
        Some('3') => Ok(EnginePacket::Pong),
        Some(MESSAGE) => Ok(EnginePacket::Message(rest)),
        Some('5') => Ok(EnginePacket::Upgrade),
        Some('6') => Ok(EnginePacket::Noop),
        Some(_) => Err(Error::protocol("the server sent an unknown Engine.IO packet type")),
        None => Err(Error::protocol("the server sent an empty frame")),
    }
}

/// The values of the open packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handshake {
    pub(crate) ping_interval: Duration,
    pub(crate) ping_timeout: Duration,
    /// The largest message that the server accepts, if it sent this value.
    pub(crate) max_payload: Option<usize>,
}

/// The server's defaults, used if a value is missing.
const DEFAULT_PING_INTERVAL: Duration = Duration::from_secs(25);
const DEFAULT_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// The limits for the server's times, so that no value of a server causes a busy loop or an endless wait.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
const MAX_INTERVAL: Duration = Duration::from_secs(3600);
const MIN_PAYLOAD: u64 = 1024;

impl Handshake {
    /// # Errors
    /// `Protocol` if the text is not a JSON object with a session id.
    pub(crate) fn parse(json: &str) -> Result<Self> {
        // The id is secret and not needed over WebSocket.
        Self::parse_with_id(json).map(|(handshake, _)| handshake)
    }

    /// Also returns the session id, for polling requests. The id is a secret. Reads each number separately, so that one
    /// invalid number does not end the session.
    ///
    /// # Errors
    /// The errors of [`parse`](Handshake::parse).
    pub(crate) fn parse_with_id(json: &str) -> Result<(Self, Zeroizing<String>)> {
        let text = "the server's open packet is not a JSON object with a session id";
        let no_id = |error: serde_json::Error| Error::protocol(text).with_source(error);
        let keys = ["sid", "pingInterval", "pingTimeout", "maxPayload"];
        let [sid, ping_interval, ping_timeout, max_payload] = json::pick(json, keys).map_err(no_id)?;
        let sid = sid.ok_or_else(|| no_id(serde::de::Error::missing_field("sid")))?;
        let sid = Zeroizing::new(json::from_str::<String>(sid.get()).map_err(no_id)?);
        if sid.is_empty() {
            return Err(Error::protocol("the server's open packet has an empty session id"));
        }
        let max_payload = max_payload.and_then(|raw| raw.get().parse::<u64>().ok());
        let handshake = Handshake {
            ping_interval: millis(ping_interval, DEFAULT_PING_INTERVAL),
            ping_timeout: millis(ping_timeout, DEFAULT_PING_TIMEOUT),
            max_payload: max_payload
                .filter(|bytes| *bytes > 0)
                .map(|bytes| usize::try_from(bytes.max(MIN_PAYLOAD)).unwrap_or(usize::MAX)),
        };
        Ok((handshake, sid))
    }

    /// After this much silence, the connection is dead.
    pub(crate) fn silence(&self) -> Duration {
        self.ping_interval + self.ping_timeout
    }
}

/// Converts any number to a duration within the range. Other values become the default.
fn millis(value: Option<&RawValue>, default: Duration) -> Duration {
    let Some(number) = value.and_then(|raw| json::number(raw.get())) else {
        return default;
    };
    // `as` saturates.
    Duration::from_millis(number as u64).clamp(MIN_INTERVAL, MAX_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_every_type() {
        assert_eq!(decode("0{}").unwrap(), EnginePacket::Open("{}"));
        assert_eq!(decode("1").unwrap(), EnginePacket::Close);
        assert_eq!(decode("2probe").unwrap(), EnginePacket::Ping("probe"));
        assert_eq!(decode("3").unwrap(), EnginePacket::Pong);
        assert_eq!(decode("42[\"a\"]").unwrap(), EnginePacket::Message("2[\"a\"]"));
        assert_eq!(decode("5").unwrap(), EnginePacket::Upgrade);
        assert_eq!(decode("6").unwrap(), EnginePacket::Noop);
        for bad in ["", "a123", "bAQID", "7", "\u{1F980}"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reads_the_handshake() {
        let shake = Handshake::parse(
            r#"{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000,"new":1}"#,
        )
        .unwrap();
        assert_eq!(shake.silence(), Duration::from_secs(45));
        assert_eq!(shake.max_payload, Some(1_000_000));
    }

    #[test]
    fn pulls_wild_numbers_in() {
        for (json, interval) in [
            (r#"{"sid":"x"}"#, 25),
            (r#"{"sid":"x","pingInterval":0}"#, 1),
            (r#"{"sid":"x","pingInterval":-5}"#, 1),
            (r#"{"sid":"x","pingInterval":1e300}"#, 3600),
            (r#"{"sid":"x","pingInterval":2500.7}"#, 2),
            (r#"{"sid":"x","pingInterval":1e999}"#, 3600),
            (r#"{"sid":"x","pingInterval":null}"#, 25),
            (r#"{"sid":"x","pingInterval":[9000]}"#, 25),
            (r#"{"sid":"x","pingInterval":"soon"}"#, 25),
        ] {
            assert_eq!(Handshake::parse(json).unwrap().ping_interval.as_secs(), interval, "{json}");
        }
        assert_eq!(Handshake::parse(r#"{"sid":"x","maxPayload":0}"#).unwrap().max_payload, None);
        assert_eq!(Handshake::parse(r#"{"sid":"x","maxPayload":1}"#).unwrap().max_payload, Some(1024));
    }

    #[test]
    fn refuses_what_is_no_handshake() {
        for bad in ["", "{", "[]", "null", r#"{"sid":""}"#, r#"{"sid":7}"#, "{}"] {
            assert!(Handshake::parse(bad).is_err(), "{bad}");
        }
    }
}
