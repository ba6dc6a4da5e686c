//! The method CONNECT (RFC 9110, section 9.3.6).

use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::credentials::ProxyCredentials;
use super::failure::broken;
use crate::error::{Error, ErrorKind, Result};
use crate::net::endpoint::Endpoint;
use crate::net::secrets::Secrets;
use crate::net::tls::MaybeTlsStream;

/// The name of this step in error texts.
const STEP: &str = "CONNECT to";
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// The most characters of the proxy's text that an error shows.
const MAX_SHOWN: usize = 100;

pub(super) fn open_tunnel(
    stream: &mut MaybeTlsStream,
    target: Endpoint<'_>,
    credentials: Option<&ProxyCredentials>,
) -> Result<()> {
    let mut request = Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
    if let Some(ProxyCredentials { user, password }) = credentials {
        let both = Zeroizing::new(format!("{}:{}", user.as_str(), password.as_str()));
        let encoded = Zeroizing::new(STANDARD.encode(both.as_bytes()));
        for part in ["Proxy-Authorization: Basic ", &encoded, "\r\n"] {
            request.push_str(part);
        }
    }
    request.push_str("\r\n");
    stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.flush())
        .map_err(|error| broken(error, STEP, target))?;

    let mut head = Vec::with_capacity(512);
    while !answered(&head, target, credentials)? {
        if head.len() >= MAX_HEAD {
            return Err(Error::protocol("its answer to CONNECT has too long a head"));
        }
        let mut part = [0; 1024];
        match stream.read(&mut part).map_err(|error| broken(error, STEP, target))? {
            0 => return Err(broken(io::ErrorKind::UnexpectedEof.into(), STEP, target)),
            count => head.extend_from_slice(part.get(..count).unwrap_or_default()),
        }
    }
    Ok(())
}

/// Whether the head is complete and the proxy has accepted.
fn answered(head: &[u8], target: Endpoint<'_>, credentials: Option<&ProxyCredentials>) -> Result<bool> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(head).map_err(|error| {
        Error::protocol("its answer to CONNECT is not HTTP: check that it is an HTTP proxy")
            .with_source(error)
    })?;
    let httparse::Status::Complete(length) = parsed else { return Ok(false) };
    let secrets = Secrets::default();
    if let Some(credentials) = credentials {
        secrets.remember(&credentials.password);
        secrets.remember(&credentials.user);
    }
    match response.code.unwrap_or_default() {
        // In all protocols that use the tunnel, the client sends first.
        200..=299 if length < head.len() => {
            Err(Error::protocol("it sent unexpected bytes after its answer to CONNECT"))
        }
        200..=299 => Ok(true),
        407 => Err(wants_credentials(response.headers, credentials.is_some(), &secrets)),
        status => {
            let reason = shown(&secrets.remove_from(response.reason.unwrap_or_default()));
            let text = format!("it refuses to connect to {target}: {status} {reason}");
            Err(Error::new(ErrorKind::Connect, text.trim_end().to_owned()))
        }
    }
}

/// Returns a `Config` error without a status, because a status and the kinds about tokens are only for the API.
fn wants_credentials(headers: &[httparse::Header<'_>], had_credentials: bool, secrets: &Secrets) -> Error {
    let mut offers = String::new();
    let mut takes_basic = true;
    for header in headers.iter().filter(|header| header.name.eq_ignore_ascii_case("proxy-authenticate")) {
        // A secret may contain a space, so remove secrets before splitting the value.
        let value = secrets.remove_from(&String::from_utf8_lossy(header.value));
        let Some(offer) = value.split_whitespace().next() else { continue };
        if offer.eq_ignore_ascii_case("basic") {
            takes_basic = true;
            break;
        }
        takes_basic = false;
        if !offers.is_empty() {
            offers.push_str(", ");
        }
        offers.push_str(&shown(offer));
    }
    if !takes_basic {
        return Error::config(format!(
            "it wants credentials by a method that this crate does not know (407): {offers} and not Basic"
        ));
    }
    Error::config(if had_credentials {
        "it does not accept the user and password in its URL (407): check them, special characters percent-encoded"
    } else {
        "it wants credentials (407): put them into its URL, as in http://user:password@host:3128"
    })
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_quotes_the_credentials_is_not_repeated() {
        let credentials = ProxyCredentials::parse("bob:do%20not%20print").unwrap();
        let target = Endpoint { host: "example.com", port: 443 };
        for answer in [
            "407 No\r\nProxy-Authenticate: do not print realm=x\r\nProxy-Authenticate: NTLM",
            "407 No\r\nProxy-Authenticate: do%20not%20print, NTLM",
            "407 No\r\nProxy-Authenticate: Ym9iOmRvIG5vdCBwcmludA== NTLM",
            "403 No, do not print",
        ] {
            let head = format!("HTTP/1.1 {answer}\r\n\r\n");
            let error = answered(head.as_bytes(), target, Some(&credentials)).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains('…'), "{text}");
            assert!(!["print", "not%", "RvIG5"].iter().any(|part| text.contains(part)), "{text}");
        }
    }
}
