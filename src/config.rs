//! Settings that [`Client`](crate::Client) and [`Agent`](crate::Agent) share: URL, time limits, proxy, TLS, user
//! agent.

use std::fmt;

use crate::error::{Error, Result};
pub use crate::net::settings::Tls;
use crate::net::settings::{HttpSettings, ProxyChoice, TlsSettings};
use crate::net::url::{self, ApiUrl};
use crate::net::{Dialer, Http};
use crate::stop::Stop;

/// The URL of the API, unless `CRUSTOCEAN_API_URL` or the builder's `api_url` sets another one.
pub const DEFAULT_API_URL: &str = "https://api.crustocean.chat";

/// The platform's domain, including all its subdomains.
const PLATFORM: &str = "crustocean.chat";

/// The settings that a builder has collected.
#[derive(Clone, Default)]
pub(crate) struct Config {
    pub(crate) api_url: Option<String>,
    pub(crate) allow_plain_http: bool,
    pub(crate) tls: TlsSettings,
    pub(crate) proxy: ProxyChoice,
    pub(crate) http: HttpSettings,
    /// Stops each client or agent that was built with these settings.
    pub(crate) stop: Option<Stop>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            // The URL may contain a password: `Config::url` checks the URL later.
            .field("api_url", &self.api_url.as_deref().map(|url| url::host(url).unwrap_or("…")))
            .field("allow_plain_http", &self.allow_plain_http)
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Returns the builder's URL, else `CRUSTOCEAN_API_URL`, else the URL of the public service.
    ///
    /// # Errors
    /// `Config` if the text is not a URL, if the variable is empty, or if the crate would send tokens without TLS.
    pub(crate) fn url(&self) -> Result<ApiUrl> {
        if let Some(url) = &self.api_url {
            return self.checked(url);
        }
        match std::env::var("CRUSTOCEAN_API_URL") {
            // Do not use the default, because the program may have the token of another server.
            Ok(url) if url.trim().is_empty() => Err(Error::config(
                "CRUSTOCEAN_API_URL is empty: unset it to use the public service, or set it to the URL of a server",
            )),
            Ok(url) => self.checked(&url).map_err(|error| {
                let text = format!("CRUSTOCEAN_API_URL: {error}");
                error.reworded(crate::error::ErrorKind::Config, text)
            }),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(Error::config("CRUSTOCEAN_API_URL is not valid Unicode: set it again"))
            }
            Err(std::env::VarError::NotPresent) => ApiUrl::parse(DEFAULT_API_URL),
        }
    }

    /// Checks the URL. Without TLS, anybody on the network path can read the tokens, and the user does not notice.
    fn checked(&self, url: &str) -> Result<ApiUrl> {
        let url = ApiUrl::parse(url)?;
        if url.is_secure() || url.is_loopback() {
            return Ok(url);
        }
        let host = url.host();
        if host == PLATFORM || host.strip_suffix(PLATFORM).is_some_and(|rest| rest.ends_with('.')) {
            return Err(Error::config(format!(
                "the API URL begins with http://, so tokens would be sent in clear: it is https://{host}"
            )));
        }
        if !self.allow_plain_http {
            return Err(Error::config(format!(
                "the API URL begins with http://, so tokens would be sent to {host} in clear: use https://, or allow it \
                 with danger_allow_plain_http(true) if everybody on the way may read them"
            )));
        }
        Ok(url)
    }

    /// # Errors
    /// `Config` if TLS or the proxy cannot be set up.
    pub(crate) fn dialer(&self) -> Result<Dialer> {
        Dialer::new(&self.tls, &self.proxy)
    }

    /// # Errors
    /// `Config` if a setting is not usable.
    pub(crate) fn http(&self) -> Result<Http> {
        self.http_with(self.dialer()?)
    }

    /// Uses an existing dialer, so that REST and WebSocket share one TLS set-up.
    ///
    /// # Errors
    /// `Config` if a setting is not usable.
    pub(crate) fn http_with(&self, dialer: Dialer) -> Result<Http> {
        let stop = self.stop.clone().unwrap_or_default();
        Http::new(self.url()?, dialer, &self.http, stop.token())
    }
}

/// The settings that all builders have, for a struct with a field `config`.
macro_rules! connection_settings {
    ($builder:ident) => {
        impl $builder {
            /// The base URL of the API: scheme, host and port.
            ///
            /// `http://` is allowed for this machine only; see
            /// [`danger_allow_plain_http`](Self::danger_allow_plain_http).
            ///
            /// Defaults to the environment variable `CRUSTOCEAN_API_URL`; if the variable is not set, to
            /// [`DEFAULT_API_URL`](crate::config::DEFAULT_API_URL). If the variable is empty, building the client or
            /// agent fails with [`Config`](crate::ErrorKind::Config).
            pub fn api_url(mut self, url: impl Into<String>) -> Self {
                self.config.api_url = Some(url.into());
                self
            }

            /// Stops the client or agent when this [`Stop`](crate::Stop) is stopped. Defaults to none.
            pub fn stop(mut self, stop: &$crate::Stop) -> Self {
                self.config.stop = Some(stop.clone());
                self
            }

            /// The `User-Agent` of HTTP requests and of the WebSocket handshake.
            ///
            /// Defaults to `crustocean-rust/` and this crate's version.
            pub fn user_agent(mut self, name: impl Into<String>) -> Self {
                self.config.http.user_agent = name.into();
                self
            }

            /// The time limit for DNS lookup, TCP connect, proxy and TLS handshake together.
            /// [`Duration::MAX`](std::time::Duration::MAX) means no limit. Defaults to 10 s.
            pub fn connect_timeout(mut self, limit: std::time::Duration) -> Self {
                self.config.http.connect_timeout = limit;
                self
            }

            /// The time limit for one HTTP request, from the call to the last byte of the response. The limit
            /// includes retries and waits. Defaults to 30 s. [`Duration::MAX`](std::time::Duration::MAX) means no
            /// limit.
            pub fn request_timeout(mut self, limit: std::time::Duration) -> Self {
                self.config.http.request_timeout = limit;
                self
            }

            /// How often the crate retries a GET after the connection broke or the server answered 502, 503 or 504. 0
            /// means never. The crate retries a request that changes something only if no byte of the request was
            /// sent. Defaults to 2.
            pub fn retries(mut self, count: u32) -> Self {
                self.config.http.retries = count;
                self
            }

            /// The longest `Retry-After` that the crate waits for. The crate waits before it retries a GET, or any
            /// request that the server rejected with 429. If the server asks for a longer wait, the call fails at
            /// once with the time in [`retry_after`](crate::Error::retry_after).
            /// [`Duration::ZERO`](std::time::Duration::ZERO) means never wait. Defaults to 5 s.
            pub fn max_retry_wait(mut self, limit: std::time::Duration) -> Self {
                self.config.http.max_retry_wait = limit;
                self
            }

            /// The TLS library for HTTP and WebSocket. Defaults to [`Tls::Auto`](crate::config::Tls::Auto).
            pub fn tls(mut self, tls: $crate::config::Tls) -> Self {
                self.config.tls.library = tls;
                self
            }

            /// Trusts additional certificate authorities. Pass the content of a PEM file (one or several
            /// certificates), or one certificate in DER. Each call adds certificates. Defaults to none.
            ///
            /// If the bytes are not a certificate, building the client or agent fails with
            /// [`Config`](crate::ErrorKind::Config).
            pub fn add_root_certificate(mut self, pem_or_der: impl Into<Vec<u8>>) -> Self {
                self.config.tls.extra_roots.push(pem_or_der.into());
                self
            }

            /// **WARNING: this switches off the protection of TLS.** With `true`, the crate accepts *any*
            /// certificate: for any host, expired, or made by anybody. Anybody on the network path can then read and
            /// change everything, including tokens, and you do not notice.
            ///
            /// For your own server, use [`add_root_certificate`](Self::add_root_certificate), which keeps the
            /// protection. Defaults to `false`.
            pub fn danger_accept_invalid_certificates(mut self, accept: bool) -> Self {
                self.config.tls.accept_invalid_certificates = accept;
                self
            }

            /// **WARNING: with `true`, tokens may be sent unencrypted.** Allows `http://` URLs of other machines.
            /// Anybody on the network path can then read and change everything.
            ///
            /// URLs of this machine (`localhost`, `127.0.0.1`, `[::1]`) need no permission. The platform's own hosts
            /// always require TLS. Defaults to `false`.
            pub fn danger_allow_plain_http(mut self, allow: bool) -> Self {
                self.config.allow_plain_http = allow;
                self
            }

            /// The client certificate for a server that asks for one (mutual TLS). Pass one PEM text with the
            /// certificate, any intermediate certificates, and the unencrypted private key. The crate never sends the
            /// certificate to a proxy. Defaults to none.
            ///
            /// [`Tls::Native`](crate::config::Tls::Native) needs a PKCS #8 key (`BEGIN PRIVATE KEY`); rustls also
            /// accepts other forms. If the certificate or key is not usable, building the client or agent fails with
            /// [`Config`](crate::ErrorKind::Config).
            pub fn client_identity_pem(mut self, certificates_and_key: impl Into<Vec<u8>>) -> Self {
                self.config.tls.client_identity = Some(zeroize::Zeroizing::new(certificates_and_key.into()));
                self
            }

            /// The proxy for all HTTP and WebSocket connections: `http://host:3128`, `https://host:443` (TLS to the
            /// proxy itself), `socks5h://host:1080`, or `socks5://host:1080` to resolve names on this machine instead
            /// of at the proxy. Put credentials before the host, percent-encoded: `http://user:password@host:3128`.
            ///
            /// `NO_PROXY` has no effect on this proxy. If the URL is not usable, building the client or agent fails
            /// with [`Config`](crate::ErrorKind::Config).
            ///
            /// Defaults to the environment at the time when the client or agent is built: `HTTPS_PROXY` for `https`
            /// URLs, `HTTP_PROXY` for `http` URLs, else `ALL_PROXY`. The crate ignores `HTTP_PROXY` in CGI programs,
            /// where a request can set this variable. Hosts in `NO_PROXY` use no proxy. `NO_PROXY` lists names
            /// (including their subdomains), addresses, networks such as `10.0.0.0/8`, or `*`. The lowercase names of
            /// these variables also work and have priority.
            pub fn proxy(mut self, url: impl Into<String>) -> Self {
                self.config.proxy =
                    $crate::net::settings::ProxyChoice::Url(zeroize::Zeroizing::new(url.into()));
                self
            }

            /// Uses no proxy, and ignores the environment.
            ///
            /// Defaults to using the environment; see [`proxy`](Self::proxy).
            pub fn no_proxy(mut self) -> Self {
                self.config.proxy = $crate::net::settings::ProxyChoice::Direct;
                self
            }
        }
    };
}

pub(crate) use connection_settings;
