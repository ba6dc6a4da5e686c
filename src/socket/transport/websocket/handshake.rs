//! The WebSocket upgrade, and the settings of tungstenite.

use std::io::{Read, Write};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;
use tungstenite::WebSocket;
use tungstenite::protocol::{Role, WebSocketConfig};
use ureq_proto::http::Request;
use ureq_proto::http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::net::http::response::{Head, HttpResponse};
use crate::net::http::{Encoded, encode};
use crate::net::{ApiUrl, MaybeTlsStream};
use crate::socket::transport::refusal::refused;
use crate::socket::transport::target::{Target, header_value};
use crate::socket::transport::websocket::frame_scanner::FrameScanner;

/// The default path of Socket.IO servers, including the slash at the end.
const PATH: &str = "/socket.io/?EIO=4&transport=websocket";
/// The largest message from the server. tungstenite reserves an announced frame at once, so this also limits memory.
pub(crate) const MAX_MESSAGE: usize = 16 << 20;
/// Room for automatic pongs in addition to one outgoing message.
const WRITE_SLACK: usize = 256 << 10;
/// The size of tungstenite's read buffer. It is small, because every agent has this buffer, and most messages do not use
/// it: see [`FrameScanner`](crate::socket::transport::websocket::frame_scanner). The buffer grows for large messages.
const READ_BUFFER: usize = 256;

/// The time limit for the body of a refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// How many bytes of a refusal's body to keep.
const MAX_REFUSAL: usize = 4 << 10;

/// Requests the upgrade and checks the response. The caller sets the stream's deadline.
///
/// tungstenite's own handshake rejects `Connection: keep-alive, Upgrade`, accepts extensions that were not offered,
/// and keeps only the buffered part of a refusal.
///
/// # Errors
/// A refusal contains the HTTP status and the server's text; its kind says whether the credentials are the cause.
pub(crate) fn upgrade(
    mut stream: MaybeTlsStream,
    target: &Target,
) -> Result<WebSocket<FrameScanner<MaybeTlsStream>>> {
    let Target { url, user_agent, secrets, .. } = target;
    let key = new_key();
    let request = Request::get(PATH)
        .header(HOST, url.authority())
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key)
        .header(USER_AGENT, header_value(user_agent));
    let Encoded { bytes, mut decoder } = encode(request, &[], None)?;
    stream.write_all(&bytes).and_then(|()| stream.flush()).map_err(|error| lost(error, url))?;

    let response = loop {
        let mut part = [0; 2048];
        match stream.read(&mut part) {
            // After a refusal the connection may stay open, so read the rest of the body only for a short time.
            Ok(0) | Err(_) if decoder.begun().is_some() => break decoder.break_off(),
            Ok(0) => {
                return Err(Error::new(
                    ErrorKind::Connect,
                    format!(
                        "{} closed the connection instead of answering the WebSocket upgrade",
                        url.host()
                    ),
                ));
            }
            Ok(count) => match decoder.push(part.get(..count).unwrap_or_default()) {
                Ok(None) => {}
                Err(_) if decoder.begun().is_some() => break decoder.break_off(),
                response => break response?,
            },
            Err(error) => return Err(lost(error, url)),
        }
        match decoder.begun() {
            Some((_, length)) if length > MAX_REFUSAL => break decoder.break_off(),
            Some(_) => stream.wire_mut().shorten_deadline(deadline::after(REFUSAL_TIMEOUT)),
            None => {}
        }
    };
    let Some(HttpResponse { head, mut body, .. }) = response else {
        return Err(Error::protocol("the answer to the WebSocket upgrade cannot be read"));
    };
    if head.status != 101 {
        body.truncate(MAX_REFUSAL);
        return Err(refused("the WebSocket upgrade", &head, &body, secrets));
    }
    check_upgrade(&head, &key)?;
    Ok(WebSocket::from_raw_socket(FrameScanner::new(stream, body), Role::Client, Some(config(None))))
}

/// The error text for a server that accepts the upgrade and then answers with HTTP inside the WebSocket. engine.io
/// does this for a client of another protocol version.
pub(crate) fn rejected_after_upgrade() -> String {
    "the server rejected the session after the upgrade (wrong EIO version?)".to_owned()
}

/// The settings of tungstenite, with or without the server's payload limit.
pub(crate) fn config(max_payload: Option<usize>) -> WebSocketConfig {
    let largest = max_payload.unwrap_or(MAX_MESSAGE).min(MAX_MESSAGE);
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(largest + WRITE_SLACK)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

fn lost(error: std::io::Error, url: &ApiUrl) -> Error {
    let host = url.host();
    if error.kind() == std::io::ErrorKind::TimedOut {
        Error::timeout(format!("{host} did not answer the WebSocket upgrade in time")).with_source(error)
    } else {
        Error::new(ErrorKind::Connect, format!("the connection to {host} broke during the WebSocket upgrade"))
            .with_source(error)
    }
}

/// A value for `Sec-WebSocket-Key`.
fn new_key() -> String {
    let mut bytes = [0; 16];
    // Without random numbers the key is zero. The key protects nothing: it only shows that a response is new.
    let _ = getrandom::fill(&mut bytes);
    STANDARD.encode(bytes)
}

/// The accept value of a key, RFC 6455, section 4.2.2. tungstenite has this function only inside its own handshake,
/// which this crate does not use.
fn accept_key(key: &str) -> String {
    let hash = Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    STANDARD.encode(hash.digest().bytes())
}

/// The checks of RFC 6455, section 4.1.
fn check_upgrade(head: &Head, key: &str) -> Result<()> {
    if !head.has_word(UPGRADE, "websocket") || !head.has_word(CONNECTION, "upgrade") {
        return Err(Error::protocol("the server answered 101 but did not switch to WebSocket"));
    }
    if head.get(SEC_WEBSOCKET_ACCEPT) != Some(accept_key(key).as_str()) {
        return Err(Error::protocol("the server's Sec-WebSocket-Accept does not match the request"));
    }
    if head.all(SEC_WEBSOCKET_EXTENSIONS).any(|value| !value.is_empty())
        || head.all(SEC_WEBSOCKET_PROTOCOL).next().is_some()
    {
        return Err(Error::protocol("the server turned on a WebSocket extension that was not offered"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        ureq_proto::parser::try_parse_response::<16>(text.as_bytes()).unwrap().unwrap().1.into()
    }

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn response(extra: &str) -> String {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{extra}\r\n"
        )
    }

    #[test]
    fn accepts_header_lists() {
        for extra in [
            "Upgrade: websocket\r\nConnection: Upgrade\r\n",
            "upgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n",
            "Upgrade: websocket\r\nConnection: keep-alive\r\nConnection: upgrade\r\n",
        ] {
            check_upgrade(&head(&response(extra)), KEY).unwrap();
        }
    }

    #[test]
    fn refuses_what_was_not_asked_for() {
        let good = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
        assert!(check_upgrade(&head(&response("Connection: Upgrade\r\n")), KEY).is_err());
        assert!(check_upgrade(&head(&response(good)), "another").is_err());
        for extra in ["Sec-WebSocket-Extensions: permessage-deflate\r\n", "Sec-WebSocket-Protocol: x\r\n"] {
            assert!(check_upgrade(&head(&response(&format!("{good}{extra}"))), KEY).is_err(), "{extra}");
        }
    }
}
