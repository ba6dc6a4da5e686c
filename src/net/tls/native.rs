//! TLS by the operating system's library, with the system's root certificates.

use std::error::Error as StdError;
use std::io::{self, Read, Write};

use native_tls::{Certificate, HandshakeError, Identity, Protocol, TlsStream};

use super::lower_stream::LowerStream;
use super::refusal::{
    Refusal, broken_handshake, is_pem, refused_by_server, unreadable_root, unusable_identity,
};
use crate::error::{Error, ErrorKind, Result};
use crate::net::settings::TlsSettings;
use crate::net::wire::Wire;

pub(crate) struct Connector {
    connector: native_tls::TlsConnector,
    /// Whether the library checks certificates.
    checks: bool,
}

impl Connector {
    pub(crate) fn new(settings: &TlsSettings) -> Result<Self> {
        let mut builder = native_tls::TlsConnector::builder();
        builder.min_protocol_version(Some(Protocol::Tlsv12));
        for (index, bytes) in settings.extra_roots.iter().enumerate() {
            for root in roots(bytes).map_err(|why| unreadable_root(index + 1, why))? {
                builder.add_root_certificate(root);
            }
        }
        if let Some(pem) = &settings.client_identity {
            builder.identity(identity(pem)?);
        }
        builder
            .danger_accept_invalid_certs(settings.accept_invalid_certificates)
            .danger_accept_invalid_hostnames(settings.accept_invalid_certificates);
        let checks = !settings.accept_invalid_certificates;
        builder.build().map(|connector| Connector { connector, checks }).map_err(|error| {
            Error::config(format!("the system's TLS library cannot be set up: {error}")).with_source(error)
        })
    }

    pub(crate) fn connect(&self, host: &str, lower: Box<dyn LowerStream>) -> Result<TlsSession> {
        match self.connector.connect(host, lower) {
            Ok(stream) if self.checks && !names_a_host(&stream) => {
                let why = "it has a common name only, and no subject alternative name";
                Err(Refusal::WrongName.into_error(host, io::Error::other(why)))
            }
            Ok(stream) => Ok(TlsSession(Box::new(stream))),
            // The wire returns TimedOut, never WouldBlock. If a library converts the error to WouldBlock, the meaning
            // is the same.
            Err(HandshakeError::WouldBlock(_)) => Err(broken_handshake(host, io::ErrorKind::TimedOut.into())),
            Err(HandshakeError::Failure(error)) => Err(failure(host, error)),
        }
    }
}

/// Whether the certificate has host names in its subject alternative name. Without such names, OpenSSL accepts the
/// common name, which is not a host name since RFC 6125. rustls never accepts the common name.
///
/// Returns true for a certificate that it cannot parse, because the library has accepted the certificate.
fn names_a_host(stream: &TlsStream<Box<dyn LowerStream>>) -> bool {
    match stream.peer_certificate() {
        Ok(Some(certificate)) => certificate.to_der().map_or(true, |der| has_host_name(&der)),
        _ => true,
    }
}

/// Whether the certificate has the extension 2.5.29.17 with a name (tag 0x82) or an address (0x87).
fn has_host_name(der: &[u8]) -> bool {
    const EXTENSION: [u8; 5] = [0x06, 0x03, 0x55, 0x1d, 0x11];
    let Some(at) = der.windows(EXTENSION.len()).position(|bytes| bytes == EXTENSION) else { return false };
    let mut rest = der.get(at + EXTENSION.len()..).unwrap_or_default();
    // The optional flag `critical` comes next, and then the value: a sequence of names in an octet string.
    if let Some((0x01, _, behind)) = element(rest) {
        rest = behind;
    }
    let Some((0x04, value, _)) = element(rest) else { return false };
    let Some((0x30, mut names, _)) = element(value) else { return false };
    while let Some((tag, _, behind)) = element(names) {
        if matches!(tag, 0x82 | 0x87) {
            return true;
        }
        names = behind;
    }
    false
}

/// The tag and content of the DER element at the start of the bytes, and the rest.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        // A long length: its size, then its bytes.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0, |number, digit| number << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, behind) = rest.split_at_checked(length)?;
    Some((tag, content, behind))
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

fn identity(pem: &[u8]) -> Result<Identity> {
    let text = std::str::from_utf8(pem).map_err(|_| unusable_identity("it is no PEM text"))?;
    let (mut chain, mut key) = (String::new(), None);
    for (label, block) in pem_blocks(text) {
        match label {
            "CERTIFICATE" => {
                chain.push_str(block);
                chain.push('\n');
            }
            "PRIVATE KEY" => key = Some(block),
            _ => {}
        }
    }
    if chain.is_empty() {
        return Err(unusable_identity("there is no certificate in PEM"));
    }
    let key = key.ok_or_else(|| {
        unusable_identity(
            "there is no unencrypted private key that begins with BEGIN PRIVATE KEY: the system's TLS library takes \
             no other kind (openssl pkcs8 -topk8 -nodes makes one)",
        )
    })?;
    Identity::from_pkcs8(chain.as_bytes(), key.as_bytes()).map_err(unusable_identity)
}

/// The blocks of a PEM text with their labels.
fn pem_blocks(text: &str) -> Vec<(&str, &str)> {
    const BEGIN: &str = "-----BEGIN ";
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((label, block, after)) = rest.find(BEGIN).and_then(|start| {
        let block = rest.get(start..)?;
        let (label, _) = block.get(BEGIN.len()..)?.split_once("-----")?;
        let end_line = format!("-----END {label}-----");
        let (block, after) = block.split_at_checked(block.find(&end_line)? + end_line.len())?;
        Some((label, block, after))
    }) {
        blocks.push((label, block));
        rest = after;
    }
    blocks
}

fn failure(host: &str, error: native_tls::Error) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(inner) = inner.downcast_ref::<io::Error>() {
            return broken_handshake(host, inner.kind().into());
        }
        cause = inner.source();
    }
    // Each system has its own texts, and native-tls passes them on.
    let text = error.to_string().to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if is_about_our_certificate(&text) {
        refused_by_server(error)
    } else if has(&["not yet valid"]) {
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
        let text = format!(
            "{host} does not speak TLS on this port: if it speaks plain HTTP, begin its URL with http://"
        );
        Error::new(ErrorKind::Tls, text).with_source(error)
    } else {
        Error::new(ErrorKind::Tls, format!("the TLS handshake with {host} failed: {error}"))
            .with_source(error)
    }
}

/// Whether the server refused the client's certificate. Only OpenSSL's texts are known, not the texts of other systems.
fn is_about_our_certificate(text: &str) -> bool {
    text.contains(" alert ") && (text.contains("certificate") || text.contains("unknown ca"))
}

#[derive(Debug)]
pub(crate) struct TlsSession(Box<TlsStream<Box<dyn LowerStream>>>);

impl LowerStream for TlsSession {
    fn wire(&self) -> &Wire {
        self.0.get_ref().wire()
    }

    fn wire_mut(&mut self) -> &mut Wire {
        self.0.get_mut().wire_mut()
    }
}

impl Read for TlsSession {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Err(error) if is_about_our_certificate(&error.to_string().to_lowercase()) => {
                Err(io::Error::other(refused_by_server(error)))
            }
            // OpenSSL 3 reports an end without close_notify as a special error.
            Err(error)
                if self.wire().saw_end()
                    && !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                crate::logging::debug!("TLS ended without close_notify: {error}");
                Ok(0)
            }
            result => result,
        }
    }
}

impl Write for TlsSession {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
