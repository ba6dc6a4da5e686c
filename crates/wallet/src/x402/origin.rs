//! The origin of a request. A payment goes only to the origin that asked for it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ureq::http::Uri;

use crate::error::{Error, ErrorKind, Result};

/// Scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    is_https: bool,
    host: String,
    port: u16,
}

impl Origin {
    pub(crate) fn of(uri: &Uri) -> Result<Self> {
        let unusable = || Error::invalid("the URL begins with \"https://\" and names a host");
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(unusable()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(unusable)?.to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        Ok(Origin { is_https, host, port })
    }

    /// Requires TLS, except to this machine. Without TLS, anybody on the network path could replace the receiver's
    /// address by their own.
    pub(crate) fn check_secure(&self) -> Result<()> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let is_this_machine = host == "localhost"
            || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
        if self.is_https || is_this_machine {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Offer,
            format!("{self} asks for money over http, which anybody can change: use https"),
        ))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Result<Origin> {
        Origin::of(&text.parse().unwrap())
    }

    #[test]
    fn origins() {
        assert_eq!(origin("https://A.example/x?y").unwrap(), origin("https://a.example:443/").unwrap());
        for other in ["http://a.example", "https://a.example:444", "https://b.example", "https://a.example.b"]
        {
            assert_ne!(origin("https://a.example").unwrap(), origin(other).unwrap());
        }
        for bad in ["/path", "ftp://a.example/"] {
            assert!(origin(bad).is_err());
        }
    }

    #[test]
    fn payments_go_over_https_or_nowhere() {
        for good in ["https://a.example", "http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"] {
            origin(good).unwrap().check_secure().unwrap();
        }
        for bad in [
            "http://a.example",
            "http://127.0.0.1.a.example",
            "http://localhost.a.example",
            "http://10.0.0.1",
        ] {
            assert!(origin(bad).unwrap().check_secure().is_err(), "{bad}");
        }
    }
}
