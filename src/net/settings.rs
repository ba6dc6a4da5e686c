//! The settings of the network layer. Higher layers set these settings.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

/// The TLS library. The crate selects it at run time, so features of other crates never change it.
///
/// ```no_run
/// use crustocean::config::Tls;
/// use crustocean::{Client, PersonalAccessToken};
///
/// # fn main() -> crustocean::Result<()> {
/// // Trusts the certificates that the operating system trusts. Needs the feature `tls-native`.
/// let client = Client::builder().tls(Tls::Native).build(PersonalAccessToken::from_env()?)?;
/// println!("{}", client.account().me()?.username);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Tls {
    /// rustls if the feature `tls-rustls` is on, else native-tls. The default.
    #[default]
    Auto,
    /// rustls with the Mozilla root certificates (feature `tls-rustls`). A new connection resumes the TLS session of an
    /// earlier connection, for both REST and the socket.
    Rustls,
    /// The operating system's TLS library with its root certificates (feature `tls-native`). With OpenSSL every
    /// connection makes a full handshake, because the crate `native-tls` cannot resume sessions.
    Native,
}

/// The TLS settings.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    pub(crate) library: Tls,
    /// Certificates in PEM or DER. The set-up of the library parses them; an unreadable certificate is then an error.
    pub(crate) extra_roots: Vec<Vec<u8>>,
    pub(crate) accept_invalid_certificates: bool,
    /// PEM: a certificate, its intermediate certificates, and the key. The set-up of the library parses it.
    pub(crate) client_identity: Option<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("library", &self.library)
            .field("extra_roots", &self.extra_roots.len())
            .field("accept_invalid_certificates", &self.accept_invalid_certificates)
            // The identity contains a private key.
            .field("client_identity", &self.client_identity.is_some())
            .finish()
    }
}

/// The choice of the proxy.
#[derive(Clone, Default)]
pub(crate) enum ProxyChoice {
    /// The environment: `HTTPS_PROXY` and similar variables.
    #[default]
    Environment,
    Direct,
    /// A URL. If it is not usable, creating the dialer fails.
    Url(Zeroizing<String>),
}

impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyChoice::Environment => "Environment",
            ProxyChoice::Direct => "Direct",
            // The URL may contain a password.
            ProxyChoice::Url(_) => "Url(…)",
        })
    }
}

/// The settings of requests.
#[derive(Debug, Clone)]
pub(crate) struct HttpSettings {
    pub(crate) user_agent: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) retries: u32,
    /// The longest `Retry-After` that the client waits for. The caller handles a longer wait.
    pub(crate) max_retry_wait: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            user_agent: concat!("crustocean-rust/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            retries: 2,
            max_retry_wait: Duration::from_secs(5),
        }
    }
}
