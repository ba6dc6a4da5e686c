//! The WebSocket under Engine.IO: the upgrade, and how tungstenite is set up.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;
use tungstenite::WebSocket;
use tungstenite::protocol::{Role, WebSocketConfig};

use crate::deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::net::http::answer::Head;
use crate::net::{ApiUrl, Secrets, Stream};
use crate::socket::target::Target;
use crate::socket::transport::refusal::refused;
use crate::socket::transport::websocket::frame_scanner::FrameScanner;

/// The default path of Socket.IO servers. The slash at the end belongs to it.
const PATH: &str = "/socket.io/?EIO=4&transport=websocket";
/// The largest message taken from the server. tungstenite reserves an announced frame at once, so this is a
/// bound on memory too.
pub(crate) const MAX_MESSAGE: usize = 16 << 20;
/// Room for automatic pongs besides one message of ours.
const WRITE_SLACK: usize = 256 << 10;
/// Small, because every agent of a process has one, and most messages do not come this way: see
/// [`FrameScanner`](crate::socket::transport::websocket::frame_scanner). It grows when messages are larger.
const READ_BUFFER: usize = 256;

/// How long the body of a refusal may take.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);
/// How much of a refusal's body is kept.
const MAX_REFUSAL: usize = 4 << 10;

/// Asks for the upgrade and checks the answer. The stream's deadline is the caller's.
///
/// tungstenite's own handshake refuses `Connection: keep-alive, Upgrade`, lets an extension pass that nobody
/// offered, and keeps only the part of a refusal that happens to be buffered.
///
/// # Errors
/// A refusal carries the status and what the server said; its kind tells whether credentials are the problem.
pub(crate) fn upgrade(mut stream: Stream, target: &Target) -> Result<WebSocket<FrameScanner<Stream>>> {
    let Target { url, user_agent, secrets, .. } = target;
    let key = new_key();
    let request = format!(
        "GET {PATH} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nUser-Agent: {}\r\n\r\n",
        url.authority(),
        header_value(user_agent),
    );
    stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).map_err(|error| lost(error, url))?;

    let mut bytes = Vec::with_capacity(1024);
    let (head, used) = loop {
        if read_more(&mut stream, &mut bytes).map_err(|error| lost(error, url))? == 0 {
            return Err(Error::new(
                ErrorKind::Connect,
                format!("{} closed the connection instead of answering the WebSocket upgrade", url.host()),
            ));
        }
        if let Some(parsed) = Head::parse(&bytes)? {
            break parsed;
        }
    };
    let tail = bytes.split_off(used);
    if head.status != 101 {
        return Err(refusal(&head, tail, &mut stream, secrets));
    }
    check_upgrade(&head, &key)?;
    Ok(WebSocket::from_raw_socket(FrameScanner::new(stream, tail), Role::Client, Some(config(None))))
}

/// What engine.io does to a client of another protocol version: it accepts the upgrade and then answers HTTP inside
/// the WebSocket.
pub(crate) fn rejected_after_upgrade() -> String {
    "the server rejected the session after the upgrade (wrong EIO version?)".to_owned()
}

/// tungstenite's settings, once the largest payload of the server is known or not.
pub(crate) fn config(max_payload: Option<usize>) -> WebSocketConfig {
    let largest = max_payload.unwrap_or(MAX_MESSAGE).min(MAX_MESSAGE);
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(largest + WRITE_SLACK)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

/// What of a name from outside may stand in a header.
pub(crate) fn header_value(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && c.is_ascii()).collect()
}

fn read_more(stream: &mut Stream, into: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut part = [0; 2048];
    let count = stream.read(&mut part)?;
    into.extend_from_slice(part.get(..count).unwrap_or_default());
    Ok(count)
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

/// For `Sec-WebSocket-Key`.
fn new_key() -> String {
    let mut bytes = [0; 16];
    // Without random numbers it is zeros. It keeps nothing secret, only old answers from passing for new ones.
    let _ = getrandom::fill(&mut bytes);
    STANDARD.encode(bytes)
}

/// The only answer to a key, RFC 6455, section 4.2.2. tungstenite's is part of its handshake, which is not used.
fn accept_key(key: &str) -> String {
    let hash = Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    STANDARD.encode(hash.digest().bytes())
}

/// RFC 6455, section 4.1, what a client must check.
fn check_upgrade(head: &Head, key: &str) -> Result<()> {
    if !head.has_word("upgrade", "websocket") || !head.has_word("connection", "upgrade") {
        return Err(Error::protocol("the server answered 101 but did not switch to WebSocket"));
    }
    if head.get("sec-websocket-accept") != Some(accept_key(key).as_str()) {
        return Err(Error::protocol("the server's Sec-WebSocket-Accept does not match the request"));
    }
    if head.get("sec-websocket-extensions").is_some_and(|value| !value.is_empty())
        || head.get("sec-websocket-protocol").is_some()
    {
        return Err(Error::protocol("the server turned on a WebSocket extension that was not offered"));
    }
    Ok(())
}

/// The error for an answer that is not 101, with as much of the body as helps.
fn refusal(head: &Head, mut body: Vec<u8>, stream: &mut Stream, secrets: &Secrets) -> Error {
    let chunked = head.has_word("transfer-encoding", "chunked");
    let wanted = head.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(MAX_REFUSAL);
    let complete =
        |body: &[u8]| body.len() >= wanted.min(MAX_REFUSAL) || (chunked && body.ends_with(b"0\r\n\r\n"));
    // The connection may stay open behind the body. What does not come soon is not worth waiting for.
    stream.wire_mut().shorten_deadline(deadline::after(REFUSAL_PATIENCE));
    while !complete(&body) && matches!(read_more(stream, &mut body), Ok(1..)) {}
    body.truncate(MAX_REFUSAL);
    if chunked {
        body = unchunk(&body);
    }
    refused("the WebSocket upgrade", head, &body, secrets)
}

/// What the chunks hold, as far as they have come.
fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) {
        let end = usize::try_from(size).ok().and_then(|size| start.checked_add(size));
        let Some(end) = end.filter(|_| size > 0) else { break };
        let Some(chunk) = rest.get(start..end.min(rest.len())) else { break };
        body.extend_from_slice(chunk);
        // Behind a chunk there is an empty line.
        rest = rest.get(end.saturating_add(2)..).unwrap_or_default();
    }
    body
}

/// What is left until `deadline`; nothing at all is a time-out.
pub(crate) fn remaining(deadline: Instant, what: &'static str) -> Result<Duration> {
    deadline
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
        .ok_or_else(|| Error::timeout(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        Head::parse(text.as_bytes()).unwrap().unwrap().0
    }

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn answer(extra: &str) -> String {
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
            check_upgrade(&head(&answer(extra)), KEY).unwrap();
        }
    }

    #[test]
    fn takes_chunks_off() {
        assert_eq!(unchunk(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), b"hello world");
        assert_eq!(unchunk(b"5\r\nhel"), b"hel");
        assert_eq!(unchunk(b"ffffffffffffffff\r\nx"), b"");
        // Ends exactly where numbers end.
        assert_eq!(unchunk(b"ffffffffffffffed\r\nx"), b"x");
        assert_eq!(unchunk(b"no chunk"), b"");
    }

    #[test]
    fn refuses_what_was_not_asked_for() {
        let good = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
        assert!(check_upgrade(&head(&answer("Connection: Upgrade\r\n")), KEY).is_err());
        assert!(check_upgrade(&head(&answer(good)), "another").is_err());
        for extra in ["Sec-WebSocket-Extensions: permessage-deflate\r\n", "Sec-WebSocket-Protocol: x\r\n"] {
            assert!(check_upgrade(&head(&answer(&format!("{good}{extra}"))), KEY).is_err(), "{extra}");
        }
    }
}
