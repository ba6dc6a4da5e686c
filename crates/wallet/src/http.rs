//! HTTP settings and errors shared by the node's calls and x402.

use std::io;
use std::time::Duration;

use ureq::Timeout;
use ureq::config::{Config, ConfigBuilder};
use ureq::typestate::AgentScope;

use crate::error::{Error, ErrorKind};
use crate::tls::{self, Roots};

const CONNECT: Duration = Duration::from_secs(10);

/// Settings with time limits and the compiled-in TLS library, without redirects and without errors for statuses.
/// `roots`: the certificate authorities, instead of the TLS library's own.
pub(crate) fn settings(request_timeout: Duration, roots: Option<Roots>) -> ConfigBuilder<AgentScope> {
    let settings = Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(request_timeout));
    tls::choose(settings, roots)
}

/// Whether a failed request may have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The request was not sent.
    Never,
    Unknown,
}

/// Converts an error of ureq. Shows only `host` of the URL, because the path may be a key.
pub(crate) fn failure(host: &str, error: ureq::Error) -> (Arrival, Error) {
    let (arrival, kind) = match &error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => (Arrival::Never, ErrorKind::Timeout),
        ureq::Error::Timeout(_) => (Arrival::Unknown, ErrorKind::Timeout),
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => (Arrival::Never, ErrorKind::Connect),
        ureq::Error::Io(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
            (Arrival::Never, ErrorKind::Connect)
        }
        ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl | ureq::Error::TlsRequired => {
            (Arrival::Never, ErrorKind::Config)
        }
        _ => (Arrival::Unknown, ErrorKind::Connect),
    };
    let message = match &error {
        // This error contains the URL.
        ureq::Error::BadUri(_) => format!("{host}: the URL is unusable"),
        ureq::Error::TlsRequired => {
            format!(
                "{host}: https needs the feature `tls-rustls` (the default) or `tls-native` of crustocean-wallet"
            )
        }
        _ => format!("{host}: {error}"),
    };
    (arrival, Error::new(kind, message).with_source(error))
}

/// Shortens a server's text to one line.
pub(crate) fn short(text: &str) -> String {
    const MAX: usize = 300;
    let mut short: String = text.chars().take(MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX).is_some() {
        short.push('…');
    }
    short
}
