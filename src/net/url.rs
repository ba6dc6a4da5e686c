//! The base URL of the API: scheme, host and port, nothing else.

use std::fmt;

use ureq::http::Uri;

use crate::error::{Error, Result};

/// The web frontend, which must never receive API calls (docs.crustocean.chat, API introduction).
const FRONTEND_HOST: &str = "crustocean.chat";

/// A checked base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiUrl {
    secure: bool,
    /// Without brackets, also for an IPv6 address: as the resolver and TLS want it.
    host: String,
    port: u16,
}

impl ApiUrl {
    /// # Errors
    /// `Config`, saying what is wrong with the URL. Credentials in it are not repeated.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let uri: Uri = text.parse().map_err(|error: ureq::http::uri::InvalidUri| {
            Error::config("the API URL is not a URL: it should look like https://api.crustocean.chat")
                .with_source(error)
        })?;
        let secure = match uri.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            Some(other) => {
                return Err(Error::config(format!(
                    "the API URL begins with {other}://: use https:// or http://"
                )));
            }
            None => {
                return Err(Error::config(
                    "the API URL has no scheme: it should look like https://api.crustocean.chat",
                ));
            }
        };
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(Error::config("the API URL contains a user name or password: tokens go elsewhere"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(Error::config("the API URL has a path or a query: give scheme, host and port only"));
        }
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(Error::config("the API URL has no host"));
        }
        if host.eq_ignore_ascii_case(FRONTEND_HOST) {
            return Err(Error::config(
                "https://crustocean.chat is the website: the API is at https://api.crustocean.chat",
            ));
        }
        let port = match uri.port() {
            Some(port) => port.as_u16(),
            None if secure => 443,
            None => 80,
        };
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

    /// For the `Host` header: brackets around IPv6, the port only if it is not the scheme's own.
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
            ("https://crustocean.chat", "website"),
            ("https://h/api", "path"),
            ("https://h?x=1", "query"),
            ("http://h:0", "port 0"),
        ] {
            let error = ApiUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let error = ApiUrl::parse("https://me:hunter2@h").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
