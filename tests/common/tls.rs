//! A certificate authority for the tests, and a relay that adds TLS to a plain server.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

/// How long a handshake may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A certificate and its key, for a server or a client.
#[derive(Debug)]
pub struct Identity {
    certificate: Certificate,
    key: KeyPair,
}

impl Identity {
    /// A self-signed certificate for `localhost`.
    pub fn self_signed() -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = leaf("localhost").self_signed(&key).expect("a certificate");
        Identity { certificate, key }
    }

    /// The certificate and then the key, as one PEM text.
    pub fn pem(&self) -> Vec<u8> {
        (self.certificate.pem() + &self.key.serialize_pem()).into_bytes()
    }

    /// For a server that asks its clients for no certificate.
    pub fn server_config(&self) -> ServerConfig {
        settings(self, None)
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key")
    }
}

static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Each authority has a name of its own. If two keys had the same name, the error would be a broken signature
        // instead of an unknown authority.
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("Root {number} of a test"));
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("a root"))
    }

    /// The value for `add_root_certificate`.
    pub fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    /// A valid certificate for this name or address.
    pub fn identity(&self, name: &str) -> Identity {
        self.sign(leaf(name))
    }

    /// A certificate that has `localhost` only in its common name, which clients ignore today. Its alternative names
    /// are of another kind.
    pub fn common_name_only(&self, email: Option<&str>) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "localhost");
        if let Some(email) = email {
            params.subject_alt_names.push(SanType::Rfc822Name(email.try_into().expect("an address")));
        }
        self.sign(params)
    }

    /// An expired certificate for `localhost`.
    pub fn expired(&self) -> Identity {
        let mut params = leaf("localhost");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Identity { certificate, key }
    }
}

fn leaf(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, "Server of a test");
    params
}

/// A relay that has TLS connections to clients and plain connections to a server.
pub struct TlsRelay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to: SocketAddr,
    /// One per connection. The last one applies to all later ones.
    settings: Vec<Arc<ServerConfig>>,
    handshakes: AtomicUsize,
    resumed: AtomicUsize,
    stopped: AtomicBool,
    /// Both ends of every connection, to close them at the end.
    open: Mutex<Vec<TcpStream>>,
}

impl TlsRelay {
    /// Uses the same certificate for every connection.
    pub fn start(identity: &Identity, to: u16) -> TlsRelay {
        TlsRelay::in_turn(&[identity], to)
    }

    /// Uses the first certificate for the first connection and so on. The last one applies to all later ones.
    pub fn in_turn(identities: &[&Identity], to: u16) -> TlsRelay {
        TlsRelay::launch(identities.iter().map(|identity| identity.server_config()).collect(), to)
    }

    /// Requires a client certificate of this authority.
    pub fn demanding(identity: &Identity, of_clients: &Authority, to: u16) -> TlsRelay {
        TlsRelay::launch(vec![settings(identity, Some(of_clients))], to)
    }

    fn launch(settings: Vec<ServerConfig>, to: u16) -> TlsRelay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            to: SocketAddr::from(([127, 0, 0, 1], to)),
            settings: settings.into_iter().map(Arc::new).collect(),
            handshakes: AtomicUsize::new(0),
            resumed: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for (index, client) in listener.incoming().map_while(io::Result::ok).enumerate() {
                if serving.stopped.load(Ordering::Acquire) {
                    break;
                }
                let shared = Arc::clone(&serving);
                thread::spawn(move || {
                    // Most tests expect it to fail.
                    let _ = shared.serve(index, client);
                });
            }
        });
        TlsRelay { address, shared }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL with the name of most of the certificates.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port())
    }

    /// The number of connections that sent data.
    pub fn handshakes(&self) -> usize {
        self.shared.handshakes.load(Ordering::Acquire)
    }

    /// How many of them resumed an earlier session.
    pub fn resumed(&self) -> usize {
        self.shared.resumed.load(Ordering::Acquire)
    }

    /// Ends all connections.
    pub fn cut(&self) {
        for socket in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for TlsRelay {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.cut();
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, index: usize, mut client: TcpStream) -> io::Result<()> {
        let settings = self.settings[index.min(self.settings.len() - 1)].clone();
        let mut tls = ServerConnection::new(settings).map_err(io::Error::other)?;
        tls.set_buffer_limit(None);
        client.set_read_timeout(Some(TIMEOUT))?;
        while tls.is_handshaking() {
            if let Err(error) = tls.complete_io(&mut client) {
                // Closing with unread data would lose the alert that explains the failure.
                let _ = client.shutdown(Shutdown::Write);
                while client.read(&mut [0; 1024])? > 0 {}
                return Err(error);
            }
        }
        client.set_read_timeout(None)?;
        if tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed) {
            self.resumed.fetch_add(1, Ordering::AcqRel);
        }
        self.handshakes.fetch_add(1, Ordering::AcqRel);
        let server = TcpStream::connect(self.to)?;
        for socket in [&client, &server] {
            socket.set_nodelay(true)?;
            self.open.lock().unwrap_or_else(PoisonError::into_inner).push(socket.try_clone()?);
        }

        let tls = Mutex::new(tls);
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = encrypt(&tls, &server, &client);
                let _ = client.shutdown(Shutdown::Both);
            });
            let _ = decrypt(&tls, &client, &server);
            let _ = server.shutdown(Shutdown::Both);
        });
        Ok(())
    }
}

fn encrypt(tls: &Mutex<ServerConnection>, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    let mut part = [0; 16 * 1024];
    loop {
        let count = from.read(&mut part)?;
        let mut tls = tls.lock().unwrap_or_else(PoisonError::into_inner);
        if count == 0 {
            tls.send_close_notify();
        }
        tls.writer().write_all(&part[..count])?;
        while tls.wants_write() {
            tls.write_tls(&mut to)?;
        }
        if count == 0 {
            return Ok(());
        }
    }
}

fn decrypt(tls: &Mutex<ServerConnection>, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    let mut part = [0; 16 * 1024];
    let mut plain = Vec::new();
    // The data that the handshake has read already.
    let mut count = 0;
    loop {
        let mut rest = &part[..count];
        let mut tls = tls.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if !rest.is_empty() {
                tls.read_tls(&mut rest)?;
            }
            tls.process_new_packets().map_err(io::Error::other)?;
            match tls.reader().read_to_end(&mut plain) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
            if rest.is_empty() {
                break;
            }
        }
        while tls.wants_write() {
            tls.write_tls(&mut &*from)?;
        }
        drop(tls);
        to.write_all(&plain)?;
        plain.clear();
        count = from.read(&mut part)?;
        if count == 0 {
            return Ok(());
        }
    }
}

fn settings(identity: &Identity, of_clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("TLS versions");
    let builder = match of_clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.0.der().clone()).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    builder.with_single_cert(vec![identity.certificate.der().clone()], identity.key()).expect("an identity")
}
