//! TLS by rustls, with ring and the Mozilla roots.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme, StreamOwned,
};

use super::lower_stream::LowerStream;
use super::refusal::{
    Refusal, broken_handshake, is_pem, refused_by_server, unreadable_root, unusable_identity,
};
use crate::error::{Error, ErrorKind, Result};
use crate::net::settings::TlsSettings;
use crate::net::wire::Wire;

pub(crate) struct Connector(Arc<ClientConfig>);

impl Connector {
    pub(crate) fn new(settings: &TlsSettings) -> Result<Self> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for (index, bytes) in settings.extra_roots.iter().enumerate() {
            add_root(&mut roots, bytes).map_err(|why| unreadable_root(index + 1, why))?;
        }
        // The provider is explicit, because another crate may have set a process-wide provider.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            // TLS 1.2 and 1.3: rustls supports no older version.
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::config(format!("rustls cannot be set up: {error}")))?
            .with_root_certificates(roots);
        let mut client = match &settings.client_identity {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let (chain, key) = identity(pem)?;
                builder.with_client_auth_cert(chain, key).map_err(unusable_identity)?
            }
        };
        if settings.accept_invalid_certificates {
            let anything = AcceptAnything(client.crypto_provider().signature_verification_algorithms);
            client.dangerous().set_certificate_verifier(Arc::new(anything));
        }
        Ok(Connector(Arc::new(client)))
    }

    pub(crate) fn connect(&self, host: &str, mut lower: Box<dyn LowerStream>) -> Result<TlsSession> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::config(format!("no certificate can be valid for the name {host}")))?;
        let mut connection = ClientConnection::new(self.0.clone(), name).map_err(|error| {
            Error::new(ErrorKind::Tls, format!("TLS cannot begin: {error}")).with_source(error)
        })?;
        match connection.complete_io(&mut lower) {
            Ok(_) => Ok(TlsSession(Box::new(StreamOwned::new(connection, lower)))),
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

fn identity(pem: &[u8]) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(unusable_identity)?;
    if chain.is_empty() {
        return Err(unusable_identity("there is no certificate in PEM"));
    }
    let key = PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| unusable_identity("there is no unencrypted private key in PEM"))?;
    Ok((chain, key))
}

/// Accepts any certificate, if the server has its private key.
#[derive(Debug)]
struct AcceptAnything(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AcceptAnything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

fn failure(host: &str, error: io::Error) -> Error {
    use rustls::Error as Tls;

    let cause = match error.get_ref().and_then(|cause| cause.downcast_ref::<Tls>()) {
        Some(cause) => cause.clone(),
        None => return broken_handshake(host, error),
    };
    let text = match &cause {
        // `openssl req -x509` creates such certificates by default. rustls does not export webpki's error type, so
        // only its name can be checked.
        Tls::InvalidCertificate(reason) if reason.to_string().contains("CaUsedAsEndEntity") => format!(
            "the certificate of {host} is itself an authority's (CA:TRUE): give the server one with CA:FALSE and \
             its root to add_root_certificate, or choose Tls::Native"
        ),
        Tls::InvalidCertificate(reason) => return refusal(reason).into_error(host, cause),
        Tls::AlertReceived(alert) if is_about_certificates(*alert) => return refused_by_server(cause),
        Tls::InvalidMessage(_) => {
            format!(
                "{host} does not speak TLS on this port: if it speaks plain HTTP, begin its URL with http://"
            )
        }
        Tls::PeerIncompatible(_) => {
            format!("{host} and this program have no TLS version or cipher in common")
        }
        other => format!("the TLS handshake with {host} failed: {other}"),
    };
    Error::new(ErrorKind::Tls, text).with_source(cause)
}

fn is_about_certificates(alert: AlertDescription) -> bool {
    use AlertDescription as A;

    matches!(
        alert,
        A::CertificateRequired
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::NoCertificate
    )
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
pub(crate) struct TlsSession(Box<StreamOwned<ClientConnection, Box<dyn LowerStream>>>);

impl LowerStream for TlsSession {
    fn wire(&self) -> &Wire {
        self.0.sock.wire()
    }

    fn wire_mut(&mut self) -> &mut Wire {
        self.0.sock.wire_mut()
    }
}

impl Read for TlsSession {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
                Some(cause @ rustls::Error::AlertReceived(alert)) if is_about_certificates(*alert) => {
                    Err(io::Error::other(refused_by_server(cause.clone())))
                }
                _ => Err(error),
            },
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
