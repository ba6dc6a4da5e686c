//! Opens a connection: from the host name to the open packet, over the transport that works.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tungstenite::{Message, Utf8Bytes, WebSocket};

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::net::{CancelToken, MaybeTlsStream};
use crate::socket::connection::liveness::SleepDetector;
use crate::socket::connection::{Connection, polling};
use crate::socket::protocol::engine_io::{self, EnginePacket, Handshake};
use crate::socket::transport::choice::{Transport, TransportMemory, polling_may_cure};
use crate::socket::transport::target::Target;
use crate::socket::transport::websocket::frame_scanner::FrameScanner;
use crate::socket::transport::websocket::handshake::{rejected_after_upgrade, upgrade};

/// The longest time that `open_either` tries a WebSocket before it tries polling.
const WEBSOCKET_SHARE: Duration = Duration::from_secs(8);
/// The limit for WebSocket pings before the open packet.
const MAX_EARLY_PINGS: usize = 100;

/// Opens a connection over any transport that works.
pub(super) fn open(target: &Target, memory: &TransportMemory, cancel: &CancelToken) -> Result<Connection> {
    let deadline = deadline::after(target.dial_timeout);
    match target.transport {
        Transport::Polling => open_polling(target, deadline, cancel),
        Transport::Auto if cfg!(feature = "polling") => open_either(target, deadline, memory, cancel),
        Transport::Auto | Transport::WebSocket => {
            open_websocket(target, deadline, cancel).map_err(|(error, _)| error)
        }
    }
}

/// Opens a WebSocket, or long-polling if no WebSocket is possible.
fn open_either(
    target: &Target,
    deadline: Instant,
    memory: &TransportMemory,
    cancel: &CancelToken,
) -> Result<Connection> {
    if memory.prefers_polling() {
        return open_polling(target, deadline, cancel).inspect_err(|error| {
            // The server answered and refused the request.
            if error.status().is_some() {
                memory.forget();
            }
        });
    }
    let share = WEBSOCKET_SHARE.min(target.dial_timeout.saturating_mul(2) / 3);
    let (error, curable) = match open_websocket(target, deadline::after(share), cancel) {
        Ok(connection) => {
            memory.forget();
            return Ok(connection);
        }
        Err(failure) => failure,
    };
    if !curable || cancel.is_cancelled() {
        return Err(error);
    }
    crate::logging::info!("cannot open a WebSocket ({error}), trying long-polling");
    match open_polling(target, deadline, cancel) {
        Ok(connection) => {
            memory.polling_works();
            Ok(connection)
        }
        // A 401 or 403 is the server's own error, which a WebSocket upgrade does not always get.
        Err(other) if matches!(other.status(), Some(401 | 403)) => Err(other),
        Err(other) if other.retry_after() > error.retry_after() => Err(other),
        // Otherwise the error of the WebSocket is more useful.
        Err(other) => {
            crate::logging::debug!("long-polling failed, too: {other}");
            Err(error)
        }
    }
}

/// Opens a long-polling session.
///
/// # Errors
/// A refusal contains the HTTP status and the server's text. Without the feature `polling`, always `Config`.
fn open_polling(target: &Target, deadline: Instant, cancel: &CancelToken) -> Result<Connection> {
    let (transport, polling) = polling::open(target, deadline, cancel)?;
    Ok(Connection::over(transport, Some(polling), SleepDetector::new(Arc::default())))
}

/// Opens a WebSocket. The flag beside the error says whether polling may work.
fn open_websocket(
    target: &Target,
    deadline: Instant,
    cancel: &CancelToken,
) -> Result<Connection, (Error, bool)> {
    let mut stream =
        target.dialer.dial_cancellable(&target.url, deadline, cancel).map_err(|error| (error, false))?;
    stream.wire_mut().set_deadline(Some(deadline));
    let judged = |error: Error| {
        let curable = polling_may_cure(&error);
        (error, curable)
    };
    let mut ws = upgrade(stream, target).map_err(judged)?;
    let text = first_text(&mut ws).map_err(judged)?;
    let Ok(EnginePacket::Open(json)) = engine_io::decode(&text) else {
        return Err((Error::protocol("the server's first message is not an open packet"), false));
    };
    Handshake::parse(json)
        .and_then(|handshake| Connection::new(ws, handshake))
        .map_err(|error| (error, false))
}

fn first_text(ws: &mut WebSocket<FrameScanner<MaybeTlsStream>>) -> Result<Utf8Bytes> {
    for _ in 0..MAX_EARLY_PINGS {
        match ws.read() {
            Ok(Message::Text(text)) => return Ok(text),
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(_) => break,
            Err(_) if ws.get_ref().frames.saw_http() => {
                return Err(Error::protocol(rejected_after_upgrade()));
            }
            Err(error) => return Err(no_open_packet(&error)),
        }
    }
    Err(Error::protocol("the server's first message is not an open packet"))
}

fn no_open_packet(error: &tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Io(io) if matches!(io.kind(), std::io::ErrorKind::TimedOut) => {
            Error::timeout("the server did not send its open packet in time")
        }
        _ => Error::new(ErrorKind::Connect, format!("the connection broke before the open packet: {error}")),
    }
}
