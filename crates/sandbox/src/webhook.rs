//! Calling a webhook: one POST over plain HTTP. Webhooks under test are on this machine, so there is no TLS.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ids;

const MAX_ANSWER: usize = 1_000_000;

/// Status and JSON body of the answer; `null` if the body is something else. Signed if there is a secret.
pub(crate) async fn post(
    url: &str,
    body: &str,
    secret: Option<&str>,
    timeout: Duration,
) -> Result<(u16, Value), String> {
    match tokio::time::timeout(timeout, exchange(url, body, secret)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", timeout.as_secs_f64())),
    }
}

async fn exchange(url: &str, body: &str, secret: Option<&str>) -> Result<(u16, Value), String> {
    let rest = url.strip_prefix("http://").ok_or("the sandbox calls http:// URLs only")?;
    let rest = rest.split('#').next().unwrap_or(rest);
    let (authority, path) = match rest.find(['/', '?']) {
        Some(end) => rest.split_at(end),
        None => (rest, "/"),
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    let port_given = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if port_given { authority.to_owned() } else { format!("{authority}:80") };
    let signature = secret.map_or_else(String::new, |secret| {
        let signature = ids::hmac_sha256(secret.as_bytes(), body.as_bytes());
        format!("X-Crustocean-Signature: {signature}\r\n")
    });
    // HTTP/1.0: the answer is not chunked.
    let request = format!(
        "POST {slash}{path} HTTP/1.0\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n{signature}\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(&address).await.map_err(|error| error.to_string())?;
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

/// Head and body.
fn split(answer: &[u8]) -> Option<(&str, &[u8])> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let (head, body) = answer.split_at(end);
    Some((std::str::from_utf8(head).ok()?, body.get(4..)?))
}

/// Whether all that was announced is there: not every server closes the connection behind its answer.
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
