//! TLS by rustls, with ring and the Mozilla roots.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::refusal::{Refusal, broken_handshake, is_pem, unreadable_root};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::net::wire::Wire;

#[derive(Clone)]
pub(crate) struct Connector(Arc<ClientConfig>);

impl Connector {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for (index, bytes) in config.extra_roots.iter().enumerate() {
            add_root(&mut roots, bytes).map_err(|why| unreadable_root(index + 1, why))?;
        }
        // The provider is named, not taken from the process: another crate's choice must not become ours.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let settings = ClientConfig::builder_with_provider(provider)
            // TLS 1.2 and 1.3: rustls has nothing older.
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::config(format!("rustls cannot be set up: {error}")))?
            // A switch that accepts any certificate would go here (`dangerous()`) ...
            .with_root_certificates(roots)
            // ... and a client certificate here.
            .with_no_client_auth();
        Ok(Connector(Arc::new(settings)))
    }

    pub(crate) fn connect(&self, host: &str, mut wire: Wire) -> Result<Session> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::config(format!("{host} is not a name a certificate can be issued for")))?;
        let mut connection = ClientConnection::new(self.0.clone(), name).map_err(|error| {
            Error::new(ErrorKind::Tls, format!("TLS cannot begin: {error}")).with_source(error)
        })?;
        match connection.complete_io(&mut wire) {
            Ok(_) => Ok(Session(Box::new(StreamOwned::new(connection, wire)))),
            Err(error) => Err(failure(host, error)),
        }
    }
}

fn add_root(roots: &mut RootCertStore, bytes: &[u8]) -> Result<(), String> {
    if !is_pem(bytes) {
        return roots.add(CertificateDer::from(bytes)).map_err(|error| error.to_string());
    }
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(bytes) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        found = true;
    }
    if found { Ok(()) } else { Err("the PEM text contains no certificate".to_owned()) }
}

fn failure(host: &str, error: io::Error) -> Error {
    use rustls::Error as Tls;

    let cause = match error.get_ref().and_then(|cause| cause.downcast_ref::<Tls>()) {
        Some(cause) => cause.clone(),
        None => return broken_handshake(host, error),
    };
    let text = match &cause {
        // What `openssl req -x509` makes by default. Webpki's own error type is not part of rustls's interface:
        // its name is all there is.
        Tls::InvalidCertificate(reason) if reason.to_string().contains("CaUsedAsEndEntity") => format!(
            "the certificate of {host} is itself an authority's (CA:TRUE): give the server one with CA:FALSE and \
             its root to add_root_certificate, or choose Tls::Native"
        ),
        Tls::InvalidCertificate(reason) => return refusal(reason).into_error(host, cause),
        Tls::InvalidMessage(_) => {
            format!("{host} does not speak TLS on this port: is it http instead of https?")
        }
        Tls::PeerIncompatible(_) => {
            format!("{host} and this program have no TLS version or cipher in common")
        }
        other => format!("the TLS handshake with {host} failed: {other}"),
    };
    Error::new(ErrorKind::Tls, text).with_source(cause)
}

fn refusal(error: &CertificateError) -> Refusal {
    use CertificateError as C;

    match error {
        C::UnknownIssuer | C::BadSignature => Refusal::Untrusted,
        C::Expired | C::ExpiredContext { .. } => Refusal::Expired,
        C::NotValidYet | C::NotValidYetContext { .. } => Refusal::NotYetValid,
        C::NotValidForName | C::NotValidForNameContext { .. } => Refusal::WrongName,
        _ => Refusal::Other,
    }
}

#[derive(Debug)]
pub(crate) struct Session(Box<StreamOwned<ClientConnection, Wire>>);

impl Session {
    pub(crate) fn wire(&self) -> &Wire {
        &self.0.sock
    }

    pub(crate) fn wire_mut(&mut self) -> &mut Wire {
        &mut self.0.sock
    }

    pub(crate) fn has_decrypted(&mut self) -> bool {
        self.0.conn.process_new_packets().is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
    }
}

impl Read for Session {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
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
