//! Calling a webhook: one POST over plain HTTP. Webhooks under test are on this machine, so there is no TLS.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAX_ANSWER: u64 = 1_000_000;

/// Status and JSON body of the answer; `null` if the body is something else.
pub(crate) async fn post(url: &str, body: &Value, timeout: Duration) -> Result<(u16, Value), String> {
    match tokio::time::timeout(timeout, exchange(url, body)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", timeout.as_secs())),
    }
}

async fn exchange(url: &str, body: &Value) -> Result<(u16, Value), String> {
    let rest = url.strip_prefix("http://").ok_or("the sandbox calls http:// URLs only")?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let body = body.to_string();
    // HTTP/1.0: the answer is not chunked and ends with the connection.
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: {authority}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(&address).await.map_err(|error| error.to_string())?;
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
    parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| "the answer is not HTTP".to_owned())
}

fn parse(answer: &str) -> Option<(u16, Value)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let (status, body) = parse("HTTP/1.1 200 OK\r\nX: y\r\n\r\n{\"content\":\"hi\"}").unwrap();
        assert_eq!((status, body["content"].as_str()), (200, Some("hi")));
        assert_eq!(parse("HTTP/1.0 500 No\r\n\r\noops"), Some((500, Value::Null)));
        assert_eq!(parse("SSH-2.0"), None);
    }
}
