//! Calls a webhook: one POST over plain HTTP. Webhooks under test are on this machine, so they need no TLS.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::Uri;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};

use crate::app::access::Access;
use crate::ids;

const MAX_ANSWER: usize = 1_000_000;

/// Whether a webhook may have this URL: `http` or `https`, with a host.
pub(crate) fn is_url(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}

/// Posts a body, signed if there is a secret. Returns the status and the JSON body of the response; `null` if it is not JSON.
pub(crate) async fn post(
    access: &Access,
    url: &str,
    body: &str,
    secret: Option<&str>,
    timeout: Duration,
) -> Result<(u16, Value), String> {
    match tokio::time::timeout(timeout, exchange(access, url, body, secret)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", timeout.as_secs_f64())),
    }
}

/// Resolves and checks the address to connect to. The caller connects to this address, so a second lookup cannot return
/// another one.
async fn resolve(access: &Access, host: &str, port: u16) -> Result<SocketAddr, String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = lookup_host((bare, port)).await.map_err(|error| format!("{host}: {error}"))?;
    let found: Vec<SocketAddr> = found.collect();
    let allowed = found.iter().find(|address| address.ip().is_loopback() || access.may_call(bare));
    allowed.copied().ok_or_else(|| {
        format!(
            "the sandbox calls webhooks on this machine only, and {host} is elsewhere. \
             Start it with --allow-webhooks-to {bare}"
        )
    })
}

async fn exchange(
    access: &Access,
    url: &str,
    body: &str,
    secret: Option<&str>,
) -> Result<(u16, Value), String> {
    let uri: Uri = url.parse().map_err(|error| format!("not a URL: {error}"))?;
    if uri.scheme_str() != Some("http") {
        return Err("the sandbox calls http:// URLs only".to_owned());
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or("the URL has no host")?;
    let port = uri.port_u16().unwrap_or(80);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    // A URL may have a query without a path.
    let slash = if path.starts_with('/') { "" } else { "/" };
    let address = resolve(access, host, port).await?;
    let signature = secret.map_or_else(String::new, |secret| {
        let signature = ids::hmac_sha256(secret.as_bytes(), body.as_bytes());
        format!("X-Crustocean-Signature: {signature}\r\n")
    });
    // Use HTTP/1.0, so that the response is not chunked.
    let request = format!(
        "POST {slash}{path} HTTP/1.0\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n{signature}\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 8 * 1024];
    while answer.len() < MAX_ANSWER && !is_whole(&answer) {
        match stream.read(&mut buffer).await.map_err(|error| error.to_string())? {
            0 => break,
            count => answer.extend(buffer.iter().take(count)),
        }
    }
    parse(&answer).ok_or_else(|| "the answer is not HTTP".to_owned())
}

/// Splits a response into head and body.
fn split(answer: &[u8]) -> Option<(&str, &[u8])> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let (head, body) = answer.split_at(end);
    Some((std::str::from_utf8(head).ok()?, body.get(4..)?))
}

/// Whether the response has its full length. Not every server closes the connection after its response.
fn is_whole(answer: &[u8]) -> bool {
    let Some((head, body)) = split(answer) else { return false };
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| body.len() >= length)
}

fn parse(answer: &[u8]) -> Option<(u16, Value)> {
    let (head, body) = split(answer)?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    Some((status, serde_json::from_slice(body).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_by_the_library() {
        assert!(
            is_url("http://127.0.0.1:1/x?y=1") && is_url("https://a.example") && is_url("http://[::1]:8/")
        );
        for bad in
            ["ftp://a", "http://", "http:///x", "/x", "", "http://a/ b", "http://a/\r\nX: y", "a.example"]
        {
            assert!(!is_url(bad), "{bad:?}");
        }
    }

    #[test]
    fn answers_are_taken_apart() {
        let (status, body) = parse(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n{\"content\":\"hi\"}").unwrap();
        assert_eq!((status, body["content"].as_str()), (200, Some("hi")));
        assert_eq!(parse(b"HTTP/1.0 500 No\r\n\r\noops"), Some((500, Value::Null)));
        assert_eq!(parse(b"SSH-2.0"), None);
    }

    #[test]
    fn the_end_is_known_by_the_length() {
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{"));
        assert!(is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\n\r\n{}"));
    }
}
