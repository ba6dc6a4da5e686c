//! One proxy: its address and its protocol.

use std::fmt;

use super::credentials::ProxyCredentials;
use super::{connect, socks};
use crate::error::{Error, Result};
use crate::net::endpoint::Endpoint;
use crate::net::tls::MaybeTlsStream;
use crate::net::url::split_port;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    Http,
    /// CONNECT over TLS.
    Https,
    /// This machine looks names up.
    Socks5,
    /// The proxy looks names up.
    Socks5h,
}

/// One proxy. Neither `Debug` nor `Display` shows the credentials.
pub(crate) struct Proxy {
    kind: ProxyKind,
    /// Without brackets.
    host: String,
    port: u16,
    pub(super) credentials: Option<ProxyCredentials>,
}

impl Proxy {
    /// Parses the URL of a proxy. `origin` names the setting in errors.
    ///
    /// # Errors
    /// `Config`. The error does not contain the text, because the text may contain a password.
    pub(crate) fn parse(text: &str, origin: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::config(format!(
                "{origin}: {what}: a proxy looks like http://host:3128, with credentials http://user:password@host:3128"
            ))
        };
        let text = text.trim();
        // A text without a scheme is an HTTP proxy, as in other programs.
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (kind, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (ProxyKind::Http, 80),
            "https" => (ProxyKind::Https, 443),
            "socks5" => (ProxyKind::Socks5, 1080),
            // Desktop settings use the scheme `socks`.
            "socks5h" | "socks" => (ProxyKind::Socks5h, 1080),
            _ => return Err(wrong("the scheme is none of http, https, socks5, socks5h")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if !matches!(path, "" | "/") {
            return Err(wrong("there is something behind host and port"));
        }
        let (credentials, place) = match authority.rsplit_once('@') {
            None => (None, authority),
            Some((credentials, place)) => {
                let credentials = ProxyCredentials::parse(credentials)
                    .ok_or_else(|| wrong("the credentials are not percent-encoded UTF-8"))?;
                (Some(credentials), place)
            }
        };
        let (host, port) = split_port(place)
            .filter(|(_, port)| *port != Some(0))
            .ok_or_else(|| wrong("host and port are not right"))?;
        let proxy =
            Proxy { kind, host: host.to_ascii_lowercase(), port: port.unwrap_or(default_port), credentials };
        if let (Some(credentials), ProxyKind::Socks5 | ProxyKind::Socks5h) = (&proxy.credentials, kind) {
            let fits = |text: &str| (1..=255).contains(&text.len());
            if !fits(&credentials.user) || !fits(&credentials.password) {
                return Err(wrong("user and password of a SOCKS proxy have 1 to 255 bytes each"));
            }
        }
        Ok(proxy)
    }

    pub(crate) fn kind(&self) -> ProxyKind {
        self.kind
    }

    pub(crate) fn endpoint(&self) -> Endpoint<'_> {
        Endpoint { host: &self.host, port: self.port }
    }

    /// Makes the proxy connect to the target. After that, the stream is connected to the target.
    ///
    /// # Errors
    /// The error text continues after the proxy's name.
    pub(crate) fn open_tunnel(&self, stream: &mut MaybeTlsStream, target: Endpoint<'_>) -> Result<()> {
        let credentials = self.credentials.as_ref();
        match self.kind {
            ProxyKind::Http | ProxyKind::Https => connect::open_tunnel(stream, target, credentials),
            ProxyKind::Socks5 | ProxyKind::Socks5h => socks::open_tunnel(stream, target, credentials),
        }
    }

    /// Adds the proxy's name to the error, unless the error is not about the proxy.
    pub(crate) fn blame(&self, error: Error) -> Error {
        if error.is_closed() {
            return error;
        }
        let (kind, text) = (error.kind(), format!("proxy {self}: {error}"));
        error.reworded(kind, text)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ProxyKind::Http => "http",
            ProxyKind::Https => "https",
            ProxyKind::Socks5 => "socks5",
            ProxyKind::Socks5h => "socks5h",
        };
        write!(f, "{scheme}://{}", self.endpoint())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}
