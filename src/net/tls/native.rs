//! TLS by the system's library, with the system's roots.

use std::error::Error as StdError;
use std::io::{self, Read, Write};

use native_tls::{Certificate, HandshakeError, Protocol, TlsStream};

use super::refusal::{Refusal, broken_handshake, is_pem, unreadable_root};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::net::wire::Wire;

#[derive(Clone)]
pub(crate) struct Connector(native_tls::TlsConnector);

impl Connector {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let mut builder = native_tls::TlsConnector::builder();
        builder.min_protocol_version(Some(Protocol::Tlsv12));
        for (index, bytes) in config.extra_roots.iter().enumerate() {
            for root in roots(bytes).map_err(|why| unreadable_root(index + 1, why))? {
                builder.add_root_certificate(root);
            }
        }
        // A switch that accepts any certificate, and a client certificate, would be set here.
        builder.build().map(Connector).map_err(|error| {
            Error::config(format!("the system's TLS library cannot be set up: {error}")).with_source(error)
        })
    }

    pub(crate) fn connect(&self, host: &str, wire: Wire) -> Result<Session> {
        match self.0.connect(host, wire) {
            Ok(stream) => Ok(Session(Box::new(stream))),
            // The wire says TimedOut, never WouldBlock; should a library see it otherwise, it means the same.
            Err(HandshakeError::WouldBlock(_)) => Err(broken_handshake(host, io::ErrorKind::TimedOut.into())),
            Err(HandshakeError::Failure(error)) => Err(failure(host, error)),
        }
    }
}

fn roots(bytes: &[u8]) -> Result<Vec<Certificate>, String> {
    let roots = if is_pem(bytes) {
        Certificate::stack_from_pem(bytes)
    } else {
        Certificate::from_der(bytes).map(|root| vec![root])
    };
    match roots {
        Ok(roots) if roots.is_empty() => Err("the PEM text contains no certificate".to_owned()),
        Ok(roots) => Ok(roots),
        Err(error) => Err(error.to_string()),
    }
}

fn failure(host: &str, error: native_tls::Error) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(inner) = inner.downcast_ref::<io::Error>() {
            return broken_handshake(host, inner.kind().into());
        }
        cause = inner.source();
    }
    // Every system words it in its own way, and native-tls passes the words on.
    let text = error.to_string().to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if has(&["not yet valid"]) {
        Refusal::NotYetValid.into_error(host, error)
    } else if has(&["expired"]) {
        Refusal::Expired.into_error(host, error)
    } else if has(&["hostname mismatch", "ip address mismatch", "host name", "cn_no_match", "cn name"]) {
        Refusal::WrongName.into_error(host, error)
    } else if has(&[
        "self-signed",
        "self signed",
        "issuer",
        "not trusted",
        "untrusted",
        "unable to verify",
        "signature failure",
    ]) {
        Refusal::Untrusted.into_error(host, error)
    } else if has(&["certificate verify failed"]) {
        Refusal::Other.into_error(host, error)
    } else if has(&["unexpected eof"]) {
        broken_handshake(host, io::ErrorKind::UnexpectedEof.into())
    } else if has(&["wrong version number", "packet length too long", "http request"]) {
        let text = format!("{host} does not speak TLS on this port: is it http instead of https?");
        Error::new(ErrorKind::Tls, text).with_source(error)
    } else {
        Error::new(ErrorKind::Tls, format!("the TLS handshake with {host} failed: {error}"))
            .with_source(error)
    }
}

#[derive(Debug)]
pub(crate) struct Session(Box<TlsStream<Wire>>);

impl Session {
    pub(crate) fn wire(&self) -> &Wire {
        self.0.get_ref()
    }

    pub(crate) fn wire_mut(&mut self) -> &mut Wire {
        self.0.get_mut()
    }

    pub(crate) fn has_decrypted(&mut self) -> bool {
        self.0.buffered_read_size().is_ok_and(|count| count > 0)
    }
}

impl Read for Session {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            // OpenSSL 3 reports an end without close_notify as an error of its own.
            Err(error)
                if self.wire().saw_end()
                    && !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                log::debug!("TLS ended without close_notify: {error}");
                Ok(0)
            }
            result => result,
        }
    }
}

impl Write for Session {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
