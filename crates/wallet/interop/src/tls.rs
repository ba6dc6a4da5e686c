//! TLS in front of a node.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::proxy::{Fault, serve};

/// Starts a TLS proxy for `localhost` in front of a node. Returns its URL, and the authority of its certificate in PEM.
///
/// # Panics
/// If it cannot listen on a port.
pub fn tls(node: &str) -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let settings =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let settings =
        settings.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (node, settings) = (node.to_owned(), Arc::new(settings));
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let (node, session) = (node.clone(), ServerConnection::new(Arc::clone(&settings)).unwrap());
            thread::spawn(move || serve(StreamOwned::new(session, connection), &node, &|_, _| Fault::Pass));
        }
    });
    (url, authority.pem())
}
