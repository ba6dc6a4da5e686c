//! From a host name to a link whose CONNECT has been answered.

use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::Message;

use crate::error::{Error, ErrorKind, Result};
use crate::net::{ApiUrl, CancelToken, Dialer};
use crate::socket::engine::{self, Frame, Handshake};
use crate::socket::link::{Inbound, Link, LinkEnd, SendFailure};
use crate::socket::packet;
use crate::socket::websocket::{remaining, snippet, upgrade};

/// Where to connect, and how.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) dialer: Dialer,
    pub(crate) url: ApiUrl,
    pub(crate) user_agent: String,
    /// DNS, TCP, TLS, upgrade and open packet together.
    pub(crate) dial_timeout: Duration,
}

/// How long the server may take to answer CONNECT. The official client would wait for ever.
const CONNECT_REPLY_TIMEOUT: Duration = Duration::from_secs(20);
/// Events that may come before the answer to CONNECT.
const MAX_EARLY_EVENTS: usize = 256;

/// A link that may be used.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) link: Link,
    /// What came before the CONNECT reply and along with it.
    pub(crate) early: Vec<Inbound>,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum ConnectFailure {
    /// CONNECT_ERROR, or 401/403 on the upgrade: the credentials are the problem.
    Refused(Error),
    Failed(Error),
}

impl ConnectFailure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            ConnectFailure::Refused(error) | ConnectFailure::Failed(error) => error,
        }
    }
}

impl From<Error> for ConnectFailure {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Unauthorized | ErrorKind::Forbidden => ConnectFailure::Refused(error),
            _ => ConnectFailure::Failed(error),
        }
    }
}

/// Dials, upgrades, and joins the main namespace with `auth`, a JSON object. `cancel` lets another thread end it.
pub(crate) fn connect(
    target: &Target,
    auth: &str,
    cancel: &CancelToken,
) -> Result<Connected, ConnectFailure> {
    let deadline = Instant::now() + target.dial_timeout;
    let mut stream = target.dialer.dial_cancellable(&target.url, deadline, cancel)?;
    stream.wire_mut().set_deadline(Some(deadline));
    let mut ws = upgrade(stream, &target.url, &target.user_agent)?;

    let first = ws.read().map_err(|error| no_open_packet(&error))?;
    let Message::Text(text) = first else {
        return Err(Error::protocol("the server's first message is not an open packet").into());
    };
    let Ok(Frame::Open(json)) = engine::decode(&text) else {
        return Err(Error::protocol("the server's first message is not an open packet").into());
    };
    let handshake = Handshake::parse(json)?;
    let link = Link::new(ws, handshake)?;

    link.send(packet::encode_connect(auth).into()).map_err(|failure| match failure {
        SendFailure::NotSent(end) | SendFailure::MaybeSent(end) => broke(&end),
        SendFailure::Refused(error) => error,
    })?;
    let early = await_reply(&link)?;
    Ok(Connected { link, early })
}

/// Reads until CONNECT is answered. Pings are answered all the while.
fn await_reply(link: &Link) -> Result<Vec<Inbound>, ConnectFailure> {
    let deadline = Instant::now() + CONNECT_REPLY_TIMEOUT;
    let mut early = Vec::new();
    let mut end = link.drain(&mut early).err();
    loop {
        if let Some(at) =
            early.iter().position(|inbound| !matches!(inbound, Inbound::Event(_) | Inbound::Ack(..)))
        {
            return match early.remove(at) {
                Inbound::Connected(json) => check_reply(&json).map(|()| early).map_err(Into::into),
                Inbound::Refused(json) => Err(ConnectFailure::Refused(refusal(&json))),
                Inbound::Event(_) | Inbound::Ack(..) => Ok(early),
            };
        }
        if let Some(end) = end {
            return Err(broke(&end).into());
        }
        if early.len() > MAX_EARLY_EVENTS {
            return Err(Error::protocol("the server sends events but does not answer CONNECT").into());
        }
        remaining(deadline, "the server did not answer the Socket.IO CONNECT within 20 s")?;
        end = link.turn(Some(deadline), &mut early).err();
    }
}

fn check_reply(json: &str) -> Result<()> {
    let sid = serde_json::from_str::<Value>(json)
        .ok()
        .and_then(|reply| reply.get("sid").and_then(Value::as_str).map(str::is_empty));
    match sid {
        Some(false) => Ok(()),
        _ => Err(Error::protocol(
            "the server's CONNECT reply has no session id: it seems to speak an older Socket.IO (v2)",
        )),
    }
}

/// CONNECT_ERROR carries an object with a message, a bare string, or nothing.
fn refusal(json: &str) -> Error {
    let message = match serde_json::from_str::<Value>(json) {
        Ok(Value::String(text)) => text,
        Ok(value) => value.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
        Err(_) => String::new(),
    };
    let message = snippet(&message);
    let text = if message.is_empty() {
        "the server refused the connection: the token is wrong, expired or revoked".to_owned()
    } else {
        format!("the server refused the connection: {message} (is the token wrong, expired or revoked?)")
    };
    let error = Error::new(ErrorKind::Unauthorized, text);
    if message.is_empty() { error } else { error.with_server_message(message) }
}

fn broke(end: &LinkEnd) -> Error {
    Error::new(
        ErrorKind::Connect,
        format!("the connection broke during the handshake: {}: {}", end.reason, end.detail),
    )
}

fn no_open_packet(error: &tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Io(io) if matches!(io.kind(), std::io::ErrorKind::TimedOut) => {
            Error::timeout("the server did not send its open packet in time")
        }
        _ => Error::new(ErrorKind::Connect, format!("the connection broke before the open packet: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_refusals_of_every_shape() {
        for (json, said) in [
            (r#"{"message":"not authorized","data":{"x":1}}"#, Some("not authorized")),
            (r#""Invalid namespace""#, Some("Invalid namespace")),
            ("", None),
            ("[1]", None),
        ] {
            let error = refusal(json);
            assert_eq!((error.kind(), error.server_message()), (ErrorKind::Unauthorized, said), "{json}");
        }
    }

    #[test]
    fn wants_a_session_id() {
        assert!(check_reply(r#"{"sid":"abc","pid":"x"}"#).is_ok());
        for bad in ["", "{}", r#"{"sid":""}"#, "[]"] {
            assert!(check_reply(bad).is_err(), "{bad}");
        }
    }
}
