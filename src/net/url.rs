//! The base URL of the API: scheme, host and port only.
//!
//! This file does not use `http::Uri`, which silently drops a fragment, a username and a port that is not a number,
//! accepts `[nonsense]` as an address, and finds no host in `//host/path`. This file would have to check all of these
//! cases anyway.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::error::{Error, Result};

/// The web frontend. API calls must never go there (docs.crustocean.chat, API introduction).
const FRONTEND_HOST: &str = "crustocean.chat";

/// A checked base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiUrl {
    secure: bool,
    /// Without brackets, also for an IPv6 address: the resolver and TLS need this form.
    host: String,
    port: u16,
}

impl ApiUrl {
    /// # Errors
    /// `Config` with the reason. The error does not contain credentials.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let no_url =
            || Error::config("the API URL is not a URL: it should look like https://api.crustocean.chat");
        let (scheme, rest) = match text.split_once("://") {
            Some(parts) => parts,
            None if text.is_empty() => return Err(no_url()),
            None => {
                return Err(Error::config(
                    "the API URL has no scheme: it should look like https://api.crustocean.chat",
                ));
            }
        };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            other if is_scheme(other) => {
                return Err(Error::config(format!(
                    "the API URL begins with {other}://: use https:// or http://"
                )));
            }
            // This part may contain anything, so the error does not show it.
            _ => return Err(no_url()),
        };
        let (authority, path) = split_authority(rest);
        if authority.contains('@') {
            return Err(Error::config("the API URL contains a user name or password: tokens go elsewhere"));
        }
        if !matches!(path, "" | "/") {
            return Err(Error::config("the API URL has a path or a query: give scheme, host and port only"));
        }
        if authority.is_empty() || authority.starts_with(':') {
            return Err(Error::config("the API URL has no host"));
        }
        let (host, port) = split_port(authority).ok_or_else(no_url)?;
        if host.eq_ignore_ascii_case(FRONTEND_HOST) {
            return Err(Error::config(
                "https://crustocean.chat is the website: the API is at https://api.crustocean.chat",
            ));
        }
        let port = port.unwrap_or(if secure { 443 } else { 80 });
        if port == 0 {
            return Err(Error::config("the API URL has port 0"));
        }
        Ok(ApiUrl { secure, host: host.to_ascii_lowercase(), port })
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host is this machine, so that data never leaves it.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) => address.is_loopback() || address.is_unspecified(),
            // Names below `localhost` are always local (RFC 6761, section 6.3).
            Err(_) => {
                let name = self.host.trim_end_matches('.');
                name == "localhost" || name.ends_with(".localhost")
            }
        }
    }

    /// The `Host` header: brackets around IPv6, and the port only if it is not the scheme's default.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }
}

/// The host of any URL, without brackets. `None` if the URL has no host.
pub(crate) fn host(url: &str) -> Option<&str> {
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        _ => url.strip_prefix("//")?,
    };
    let (authority, _) = split_authority(rest);
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    split_port(place).map(|(host, _)| host)
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The part between the slashes, and the rest.
fn split_authority(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()))
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port` into the host without brackets and the port. `None` for any
/// other text.
pub(super) fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
            if host.is_empty() || !is_name {
                return None;
            }
            (host, port)
        }
    };
    let port = match port {
        // `host:` means the scheme's default port, as in any URL.
        None | Some("") => None,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
    };
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_scheme_host_and_port() {
        for (text, shown, host, port) in [
            ("https://api.crustocean.chat", "https://api.crustocean.chat", "api.crustocean.chat", 443),
            (" https://API.crustocean.chat/ ", "https://api.crustocean.chat", "api.crustocean.chat", 443),
            ("wss://h:8443", "https://h:8443", "h", 8443),
            ("http://127.0.0.1:7777/", "http://127.0.0.1:7777", "127.0.0.1", 7777),
            ("http://[::1]:80", "http://[::1]", "::1", 80),
        ] {
            let url = ApiUrl::parse(text).unwrap();
            assert_eq!((url.to_string().as_str(), url.host(), url.port()), (shown, host, port));
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, part) in [
            ("", "not a URL"),
            ("api.crustocean.chat", "no scheme"),
            ("ftp://h", "ftp://"),
            ("https://h#x", "path"),
            ("https://", "no host"),
            ("https://:80", "no host"),
            ("https://a b", "not a URL"),
            ("https://h:http", "not a URL"),
            ("https://h:65536", "not a URL"),
            ("https://[::1", "not a URL"),
            ("https://[nonsense]", "not a URL"),
            ("https://crustocean.chat", "website"),
            ("https://h/api", "path"),
            ("https://h?x=1", "query"),
            ("http://h:0", "port 0"),
        ] {
            let error = ApiUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        for text in ["https://me:hunter2@h", "me:hunter2://h", "https://h:hunter2", "https://h/?hunter2"] {
            let error = ApiUrl::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn knows_this_machine() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST.", true),
            ("api.localhost", true),
            ("127.0.0.1", true),
            ("127.8.8.8", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("0.0.0.0", true),
            ("notlocalhost", false),
            ("localhost.example", false),
            ("127.0.0.1.example", false),
            ("10.0.0.1", false),
            ("[fe80::1]", false),
        ] {
            assert_eq!(
                ApiUrl::parse(&format!("http://{host}:80")).unwrap().is_loopback(),
                expected,
                "{host}"
            );
        }
    }

    #[test]
    fn finds_the_host_of_any_url() {
        for (url, expected) in [
            ("https://a.example/x?y", Some("a.example")),
            ("ftp://me:hunter2@a.example:21", Some("a.example")),
            ("//a.example", Some("a.example")),
            ("http://[::1]:80/", Some("::1")),
            ("/a//b", None),
            ("/a?back=https://b", None),
            ("https://a b/", None),
            ("https:///x", None),
            ("", None),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }
}
