//! Errors that both libraries share: refused certificates, failed handshakes, unreadable root certificates.

use std::fmt;
use std::io;

use crate::error::{Error, ErrorKind};

/// Why a certificate was refused, independent of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Untrusted,
    Expired,
    NotYetValid,
    WrongName,
    Other,
}

impl Refusal {
    pub(super) fn into_error(
        self,
        host: &str,
        cause: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        let text = match self {
            Refusal::Untrusted => format!(
                "the certificate of {host} is not trusted: no trusted authority has signed it; if the server is your own, \
                 or a company proxy is between this computer and the server, give its root certificate with add_root_certificate"
            ),
            Refusal::Expired => format!(
                "the certificate of {host} has expired: the server has to renew it (or this computer's clock is wrong)"
            ),
            Refusal::NotYetValid => {
                format!("the certificate of {host} is not valid yet: check this computer's clock")
            }
            Refusal::WrongName => format!(
                "the certificate is for another name than {host}: check the URL, or which server answers at that address"
            ),
            Refusal::Other => format!("the certificate of {host} was refused: {cause}"),
        };
        Error::new(ErrorKind::Tls, text).with_source(cause)
    }
}

/// The server refuses the client's certificate. In TLS 1.3 the error comes after the handshake, instead of the first
/// response.
pub(super) fn refused_by_server(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    let text = format!(
        "the server requires a certificate of the client, or refuses the given one: client_identity_pem sets it \
         ({cause})"
    );
    Error::new(ErrorKind::Tls, text).with_source(cause)
}

/// The handshake failed because the connection below it broke.
pub(super) fn broken_handshake(host: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Error::timeout(format!("the TLS handshake with {host} took too long"))
        }
        io::ErrorKind::UnexpectedEof => Error::new(
            ErrorKind::Connect,
            format!(
                "{host} closed the connection during the TLS handshake: check that it speaks https on this port"
            ),
        ),
        _ => Error::new(
            ErrorKind::Connect,
            format!("the connection to {host} broke during the TLS handshake: {error}"),
        ),
    }
    .with_source(error)
}

/// Whether a root certificate is in PEM form.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

pub(super) fn unusable_identity(why: impl fmt::Display) -> Error {
    Error::config(format!("client_identity_pem: {why}"))
}

pub(super) fn unreadable_root(number: usize, why: impl fmt::Display) -> Error {
    Error::config(format!(
        "add_root_certificate: the {number}. entry is not a usable certificate in PEM or DER: {why}"
    ))
}
