//! The connection of the bare loop: plain, or TLS with the settings of the crate.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// The environment variable that names the TLS library of a client: `rustls` or `native`. If it is not set, the client
/// uses no TLS.
pub const TLS: &str = "BENCH_TLS";
/// The environment variable with the path of the root certificate of the bench's server.
pub const ROOT: &str = "BENCH_ROOT";

/// Returns the name of the TLS library and the server's root certificate in PEM, if the client uses TLS.
pub fn wanted_tls() -> Option<(String, Vec<u8>)> {
    let name = std::env::var(TLS).ok()?;
    let root = std::env::var_os(ROOT).expect("the path of a certificate");
    Some((name, std::fs::read(root).expect("a certificate")))
}

/// A connection to the server.
#[derive(Debug)]
pub enum Stream {
    /// A connection without TLS.
    Plain(TcpStream),
    /// TLS by rustls.
    #[cfg(feature = "tls")]
    Rustls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
    /// TLS by the system's library.
    #[cfg(feature = "tls")]
    Native(Box<native_tls::TlsStream<TcpStream>>),
}

impl Stream {
    /// Connects to `http://host:port` or `https://host:port`.
    pub fn connect(url: &str) -> Self {
        let tcp = TcpStream::connect(address(url)).expect("a connection");
        tcp.set_nodelay(true).expect("nodelay");
        match wanted_tls() {
            None => Stream::Plain(tcp),
            Some((tls, root)) => encrypted(tcp, &tls, &root),
        }
    }
}

/// Returns the host and port of a URL.
pub fn address(url: &str) -> &str {
    url.trim_start_matches("http://").trim_start_matches("https://")
}

#[cfg(not(feature = "tls"))]
fn encrypted(_: TcpStream, _: &str, _: &[u8]) -> Stream {
    panic!("built without the feature `tls`")
}

#[cfg(feature = "tls")]
fn encrypted(mut tcp: TcpStream, tls: &str, root: &[u8]) -> Stream {
    use std::sync::{Arc, LazyLock, Mutex, PoisonError};

    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName};

    /// A thousand connections share one configuration, as those of the crate do.
    static RUSTLS: LazyLock<Mutex<Option<Arc<rustls::ClientConfig>>>> = LazyLock::new(Mutex::default);
    static NATIVE: LazyLock<Mutex<Option<native_tls::TlsConnector>>> = LazyLock::new(Mutex::default);

    if tls == "native" {
        let mut shared = NATIVE.lock().unwrap_or_else(PoisonError::into_inner);
        let connector = shared.get_or_insert_with(|| {
            let root = native_tls::Certificate::from_pem(root).expect("a certificate");
            let mut builder = native_tls::TlsConnector::builder();
            builder.min_protocol_version(Some(native_tls::Protocol::Tlsv12)).add_root_certificate(root);
            builder.build().expect("TLS")
        });
        let connector = connector.clone();
        drop(shared);
        return Stream::Native(Box::new(connector.connect("localhost", tcp).expect("TLS")));
    }
    let mut shared = RUSTLS.lock().unwrap_or_else(PoisonError::into_inner);
    let config = shared.get_or_insert_with(|| {
        let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        roots.add(CertificateDer::from_pem_slice(root).expect("a certificate")).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().expect("TLS versions");
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    });
    let config = Arc::clone(config);
    drop(shared);
    let name = ServerName::try_from("localhost").expect("a name");
    let mut connection = rustls::ClientConnection::new(config, name).expect("TLS");
    connection.complete_io(&mut tcp).expect("a handshake");
    Stream::Rustls(Box::new(rustls::StreamOwned::new(connection, tcp)))
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            Stream::Rustls(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            Stream::Native(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Stream::Rustls(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Stream::Native(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            #[cfg(feature = "tls")]
            Stream::Rustls(stream) => stream.flush(),
            #[cfg(feature = "tls")]
            Stream::Native(stream) => stream.flush(),
        }
    }
}
