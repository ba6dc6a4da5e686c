//! What [`Client`](crate::Client) and [`Agent`](crate::Agent) share: the URL, time limits, proxy, TLS, the user agent.

use std::fmt;

use crate::error::{Error, Result};
pub use crate::net::settings::Tls;
use crate::net::settings::{HttpSettings, ProxyChoice, TlsSettings};
use crate::net::url::{self, ApiUrl};
use crate::net::{Dialer, Http};
use crate::stop::Stop;

/// Where the API lives unless `CRUSTOCEAN_API_URL` or the builder's `api_url` says otherwise.
pub const DEFAULT_API_URL: &str = "https://api.crustocean.chat";

/// The platform and everything below it.
const PLATFORM: &str = "crustocean.chat";

/// Settings in their final form, filled in by a builder.
#[derive(Clone, Default)]
pub(crate) struct Config {
    pub(crate) api_url: Option<String>,
    pub(crate) allow_plain_http: bool,
    pub(crate) tls: TlsSettings,
    pub(crate) proxy: ProxyChoice,
    pub(crate) http: HttpSettings,
    /// Ends what is made with these settings.
    pub(crate) stop: Option<Stop>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            // There may be a password in it, which is refused only later.
            .field("api_url", &self.api_url.as_deref().map(|url| url::host(url).unwrap_or("…")))
            .field("allow_plain_http", &self.allow_plain_http)
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The builder's URL, else `CRUSTOCEAN_API_URL`, else the public service.
    ///
    /// # Errors
    /// `Config`: it is no URL, or tokens would travel in clear.
    pub(crate) fn url(&self) -> Result<ApiUrl> {
        if let Some(url) = &self.api_url {
            return self.checked(url);
        }
        match std::env::var("CRUSTOCEAN_API_URL") {
            Ok(url) if !url.trim().is_empty() => self.checked(&url).map_err(|error| {
                let text = format!("CRUSTOCEAN_API_URL: {error}");
                error.reworded(crate::error::ErrorKind::Config, text)
            }),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(Error::config("CRUSTOCEAN_API_URL is not valid Unicode"))
            }
            _ => ApiUrl::parse(DEFAULT_API_URL),
        }
    }

    /// Without TLS everybody on the way can read the tokens, and nothing would show it.
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
    /// `Config`: TLS or the proxy cannot be set up as asked for.
    pub(crate) fn dialer(&self) -> Result<Dialer> {
        Dialer::new(&self.tls, &self.proxy)
    }

    /// # Errors
    /// `Config`: a setting is unusable.
    pub(crate) fn http(&self) -> Result<Http> {
        self.http_with(self.dialer()?)
    }

    /// With a dialler that is there already, so that REST and WebSocket share one TLS set-up.
    ///
    /// # Errors
    /// As [`http`](Config::http).
    pub(crate) fn http_with(&self, dialer: Dialer) -> Result<Http> {
        let stop = self.stop.clone().unwrap_or_default();
        Http::new(self.url()?, dialer, &self.http, stop.token())
    }
}

/// The settings that every builder has, for a struct with a field `config`.
macro_rules! connection_settings {
    ($builder:ident) => {
        impl $builder {
            /// The base URL of the API: scheme, host and port.
            ///
            /// `http://` is for this machine only, see [`danger_allow_plain_http`](Self::danger_allow_plain_http).
            ///
            /// Defaults to the environment variable `CRUSTOCEAN_API_URL`, and without it to
            /// [`DEFAULT_API_URL`](crate::config::DEFAULT_API_URL).
            pub fn api_url(mut self, url: impl Into<String>) -> Self {
                self.config.api_url = Some(url.into());
                self
            }

            /// Ends what is built here when this switch is stopped: see [`Stop`](crate::Stop). Defaults to none.
            pub fn stop(mut self, stop: &$crate::Stop) -> Self {
                self.config.stop = Some(stop.clone());
                self
            }

            /// The `User-Agent` of HTTP requests and of the WebSocket handshake.
            ///
            /// Defaults to `crustocean-rust/` and the version of this crate.
            pub fn user_agent(mut self, name: impl Into<String>) -> Self {
                self.config.http.user_agent = name.into();
                self
            }

            /// How long name look-up, TCP connect, proxy and TLS handshake may take together;
            /// [`Duration::MAX`](std::time::Duration::MAX) for no limit. Defaults to 10 s.
            pub fn connect_timeout(mut self, limit: std::time::Duration) -> Self {
                self.config.http.connect_timeout = limit;
                self
            }

            /// How long one HTTP request may take, from the call to the last byte of the answer, repetitions and waits
            /// included; [`Duration::MAX`](std::time::Duration::MAX) for no limit. Defaults to 30 s.
            pub fn request_timeout(mut self, limit: std::time::Duration) -> Self {
                self.config.http.request_timeout = limit;
                self
            }

            /// How often a GET is repeated after the connection broke or the server answered 502, 503 or 504; 0 for
            /// never. What changes something is never repeated, unless not a byte of it had left. Defaults to 2.
            pub fn retries(mut self, count: u32) -> Self {
                self.config.http.retries = count;
                self
            }

            /// The longest wait a server may ask for (`Retry-After`) that is waited before a GET is repeated, and
            /// before any request is made once more that was turned away with a 429. An answer that asks for more is an
            /// error at once, with the time in [`retry_after`](crate::Error::retry_after).
            /// [`Duration::ZERO`](std::time::Duration::ZERO) waits for none. Defaults to 5 s.
            pub fn max_retry_wait(mut self, limit: std::time::Duration) -> Self {
                self.config.http.max_retry_wait = limit;
                self
            }

            /// Which library does TLS, for HTTP and for the WebSocket alike. Defaults to
            /// [`Tls::Auto`](crate::config::Tls::Auto).
            pub fn tls(mut self, tls: $crate::config::Tls) -> Self {
                self.config.tls.library = tls;
                self
            }

            /// Trusts more certificate authorities besides the usual ones: a PEM file's content (one or several
            /// certificates) or one certificate in DER. May be called repeatedly. Defaults to none.
            ///
            /// Bytes that are no certificate are an error when the client or agent is built.
            pub fn add_root_certificate(mut self, pem_or_der: impl Into<Vec<u8>>) -> Self {
                self.config.tls.extra_roots.push(pem_or_der.into());
                self
            }

            /// **WARNING: this switches off what TLS is for.** With `true`, *any* certificate is accepted, for any
            /// host, expired or made by anybody: whoever sits between this program and the server, in a café or at a
            /// provider, can read and change everything, tokens included, and nothing will show it.
            ///
            /// For a server of your own, [`add_root_certificate`](Self::add_root_certificate) is just as easy and keeps
            /// the protection. Defaults to `false`.
            pub fn danger_accept_invalid_certificates(mut self, accept: bool) -> Self {
                self.config.tls.accept_invalid_certificates = accept;
                self
            }

            /// **WARNING: with `true`, tokens may travel in clear.** Allows `http://` URLs of other machines than this
            /// one. Whoever sits between this program and the server can then read and change everything.
            ///
            /// URLs of this machine (`localhost`, `127.0.0.1`, `[::1]`) need no permission, and the platform's own
            /// hosts are never spoken to without TLS. Defaults to `false`.
            pub fn danger_allow_plain_http(mut self, allow: bool) -> Self {
                self.config.allow_plain_http = allow;
                self
            }

            /// A certificate to show to a server that asks for one (mutual TLS): one PEM text with the certificate,
            /// those that vouch for it if there are any, and the private key, unencrypted. A proxy does not get to see
            /// it. Defaults to none.
            ///
            /// The key has to be PKCS #8 (`BEGIN PRIVATE KEY`) for [`Tls::Native`](crate::config::Tls::Native); rustls
            /// takes others, too. What cannot be used is an error when the client or agent is built.
            pub fn client_identity_pem(mut self, certificates_and_key: impl Into<Vec<u8>>) -> Self {
                self.config.tls.client_identity = Some(zeroize::Zeroizing::new(certificates_and_key.into()));
                self
            }

            /// The proxy for every connection, HTTP and WebSocket alike: `http://host:3128`, `https://host:443` (TLS to
            /// the proxy itself), `socks5h://host:1080`, or `socks5://host:1080` to look names up here and not at the
            /// proxy. Credentials come first, percent-encoded: `http://user:password@host:3128`.
            ///
            /// `NO_PROXY` does not count against a proxy that is set here. A URL that cannot be used is an error when
            /// the client or agent is built.
            ///
            /// Defaults to the environment, as it is when the client or agent is built: `HTTPS_PROXY` for `https` URLs,
            /// `HTTP_PROXY` for `http` (not in CGI programs, where anybody can set it), else `ALL_PROXY`; none for what
            /// `NO_PROXY` lists: names with what is below them, addresses, networks as `10.0.0.0/8`, or `*`. Small
            /// letters work as well and come first.
            pub fn proxy(mut self, url: impl Into<String>) -> Self {
                self.config.proxy =
                    $crate::net::settings::ProxyChoice::Url(zeroize::Zeroizing::new(url.into()));
                self
            }

            /// No proxy, whatever the environment says.
            ///
            /// Defaults to the environment, see [`proxy`](Self::proxy).
            pub fn no_proxy(mut self) -> Self {
                self.config.proxy = $crate::net::settings::ProxyChoice::Direct;
                self
            }
        }
    };
}

pub(crate) use connection_settings;
