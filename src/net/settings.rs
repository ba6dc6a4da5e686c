//! What this layer can be told. Whoever is above fills it in.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

/// The library that does TLS. Chosen at run time: features only add, and no other crate's features change the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Tls {
    /// rustls if the feature `tls-rustls` is on, else native-tls. The default.
    #[default]
    Auto,
    /// rustls with the Mozilla roots (feature `tls-rustls`).
    Rustls,
    /// The system's TLS library with the system's roots (feature `tls-native`).
    Native,
}

/// How connections are encrypted.
#[derive(Clone, Default)]
pub(crate) struct TlsSettings {
    pub(crate) library: Tls,
    /// PEM or DER, as given; read when the library is set up, so that an unreadable one is an error there.
    pub(crate) extra_roots: Vec<Vec<u8>>,
    pub(crate) accept_invalid_certificates: bool,
    /// PEM: a certificate, those that vouch for it, and the key. Read when the library is set up.
    pub(crate) client_identity: Option<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("library", &self.library)
            .field("extra_roots", &self.extra_roots.len())
            .field("accept_invalid_certificates", &self.accept_invalid_certificates)
            // With a private key.
            .field("client_identity", &self.client_identity.is_some())
            .finish()
    }
}

/// Which way connections take.
#[derive(Clone, Default)]
pub(crate) enum ProxyChoice {
    /// `HTTPS_PROXY` and the like.
    #[default]
    Environment,
    Direct,
    /// As given: an unusable one is an error when the dialler is made.
    Url(Zeroizing<String>),
}

impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyChoice::Environment => "Environment",
            ProxyChoice::Direct => "Direct",
            // There may be a password in it.
            ProxyChoice::Url(_) => "Url(…)",
        })
    }
}

/// How requests are made.
#[derive(Debug, Clone)]
pub(crate) struct HttpSettings {
    pub(crate) user_agent: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) retries: u32,
    /// The longest wait a server may ask for; a longer one is the caller's decision.
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
