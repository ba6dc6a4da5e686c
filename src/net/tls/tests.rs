//! Tests of both libraries against a server with generated certificates.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ::rustls::{ServerConfig, ServerConnection, StreamOwned};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use super::*;
use crate::error::ErrorKind;
use crate::net::cancel::CancelToken;
use crate::net::http::{HttpRequest, Method};
use crate::net::testing::{Setup, TIME_LIMIT, config, read_request, reply};
use crate::net::url::ApiUrl;

/// The compiled-in libraries.
fn backends() -> Vec<Tls> {
    let all = [(HAS_RUSTLS, Tls::Rustls), (HAS_NATIVE, Tls::Native)];
    all.into_iter().filter_map(|(compiled, tls)| compiled.then_some(tls)).collect()
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        Authority::named("Test Root")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    /// The settings of a server with a certificate for `name`, changed by `change`.
    fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Test Server");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        server_config(vec![certificate.der().clone()], &key)
    }
}

fn server_config(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> ServerConfig {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(::rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

type Session = StreamOwned<ServerConnection, std::net::TcpStream>;

/// Serves every connection with `serve`, each on a thread, until the test process ends.
fn start(settings: ServerConfig, serve: fn(Session)) -> SocketAddr {
    let settings = Arc::new(settings);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming().map_while(io::Result::ok) {
            let settings = settings.clone();
            thread::spawn(move || {
                socket.set_read_timeout(Some(TIME_LIMIT)).unwrap();
                socket.set_write_timeout(Some(TIME_LIMIT)).unwrap();
                serve(StreamOwned::new(ServerConnection::new(settings).unwrap(), socket));
            });
        }
    });
    address
}

fn echo(mut session: Session) {
    let mut buffer = [0; 4096];
    while let Ok(count) = session.read(&mut buffer) {
        if count == 0 || session.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
}

/// Sends a word and closes without `close_notify`.
fn rude(mut session: Session) {
    let _ = session.read(&mut [0; 1]);
    let _ = session.write_all(b"bye");
    let _ = session.flush();
}

fn http(mut session: Session) {
    for number in 1.. {
        // The number of the request on this connection.
        let answer = reply(200, &[], format!("secure {number}"));
        if read_request(&mut session).is_none() || session.write_all(&answer).is_err() {
            break;
        }
    }
}

fn settings(tls: Tls, roots: &[Vec<u8>]) -> Setup {
    let tls = TlsSettings { library: tls, extra_roots: roots.to_vec(), ..TlsSettings::default() };
    Setup { tls, ..config("https://127.0.0.1:1") }
}

fn dial(tls: Tls, roots: &[Vec<u8>], host: &str, address: SocketAddr) -> Result<MaybeTlsStream> {
    let url = ApiUrl::parse(&format!("https://{host}:{}", address.port())).unwrap();
    settings(tls, roots).dialer().unwrap().dial(&url, Instant::now() + TIME_LIMIT)
}

#[test]
fn a_root_of_ones_own_is_trusted() {
    let (authority, other) = (Authority::new(), Authority::named("Another Root"));
    let by_name = start(authority.server("localhost", |_| ()), echo);
    let by_address = start(authority.server("127.0.0.1", |_| ()), echo);
    let der = authority.0.der().to_vec();
    let bundle = [b"# two of them\n".to_vec(), other.pem(), b"\n\n".to_vec(), authority.pem()].concat();
    for tls in backends() {
        for (root, host, address) in [
            (authority.pem(), "localhost", by_name),
            (der.clone(), "localhost", by_name),
            (bundle.clone(), "localhost", by_name),
            (authority.pem(), "127.0.0.1", by_address),
        ] {
            let mut stream = dial(tls, &[root], host, address).unwrap();
            assert!(stream.is_tls());
            stream.write_all(b"hello").unwrap();
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"hello");
            assert!(stream.is_idle());
        }
    }
}

/// A TLS 1.3 server sends session tickets after the handshake.
#[test]
fn session_tickets_are_no_data() {
    let authority = Authority::new();
    let address = start(authority.server("localhost", |_| ()), echo);
    for tls in backends() {
        let mut stream = dial(tls, &[authority.pem()], "localhost", address).unwrap();
        let arrived = |stream: &MaybeTlsStream| {
            let socket = stream.wire().socket().unwrap();
            socket.set_read_timeout(Some(TIME_LIMIT)).unwrap();
            socket.peek(&mut [0]).unwrap()
        };
        assert_eq!(arrived(&stream), 1, "{tls:?}: the tickets");
        // On a busy machine a check may run out of time.
        assert!((0..100).any(|_| stream.is_idle()), "{tls:?}");
        stream.write_all(b"hello").unwrap();
        // Tickets may still come before the data that nobody asked for.
        while arrived(&stream) == 1 && stream.is_idle() {}
    }
}

/// The error text of each refusal.
#[test]
fn a_bad_certificate_is_named() {
    let authority = Authority::new();
    let good = start(authority.server("localhost", |_| ()), echo);
    let other_name = start(authority.server("example.com", |_| ()), echo);
    let expired = start(
        authority.server("localhost", |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }),
        echo,
    );
    let early =
        start(authority.server("localhost", |params| params.not_before = date_time_ymd(4000, 1, 1)), echo);
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&own_key).unwrap();
    let self_signed = start(server_config(vec![own.der().clone()], &own_key), echo);
    let roots = [authority.pem()];
    for tls in backends() {
        for (roots, address, part) in [
            (&[][..], good, "is not trusted"),
            (&roots[..], self_signed, "is not trusted"),
            (&roots[..], other_name, "another name than localhost"),
            (&roots[..], expired, "has expired"),
            (&roots[..], early, "not valid yet"),
        ] {
            let error = dial(tls, roots, "localhost", address).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tls, "{tls:?}: {error:?}");
            assert!(error.to_string().contains(part), "{tls:?}: {error:?}");
            assert!(error.to_string().contains("localhost") && !error.is_retryable());
            assert!(std::error::Error::source(&error).is_some());
        }
        // A self-signed certificate can be a root certificate itself.
        let accepted = dial(tls, &[own.pem().into_bytes()], "localhost", self_signed);
        assert!(accepted.is_ok(), "{tls:?}: {accepted:?}");
    }
}

/// `openssl req -x509` creates this: a certificate authority that serves with its own certificate.
#[test]
fn an_authority_as_a_server_is_trusted_or_explained() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let address = start(server_config(vec![certificate.der().clone()], &key), echo);
    for tls in backends() {
        match dial(tls, &[certificate.pem().into_bytes()], "localhost", address) {
            Ok(stream) => assert!(stream.is_tls()),
            Err(error) => {
                assert_eq!((tls, error.kind()), (Tls::Rustls, ErrorKind::Tls));
                assert!(error.to_string().contains("CA:FALSE"), "{error:?}");
            }
        }
    }
}

#[test]
fn an_unreadable_root_is_a_config_error() {
    let half = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let key = KeyPair::generate().unwrap().serialize_pem();
    for tls in backends() {
        for bad in [b"".as_slice(), b"no certificate", half, key.as_bytes()] {
            let good = Authority::new().pem();
            let error = TlsConnector::new(&settings(tls, &[good, bad.to_vec()]).tls).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{tls:?}");
            assert!(error.to_string().contains("the 2. entry"), "{tls:?}: {error}");
        }
    }
}

#[test]
fn an_end_without_close_notify_is_an_end() {
    let authority = Authority::new();
    let address = start(authority.server("localhost", |_| ()), rude);
    for tls in backends() {
        let mut stream = dial(tls, &[authority.pem()], "localhost", address).unwrap();
        stream.write_all(b"x").unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        assert_eq!(all, "bye", "{tls:?}");
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}

/// Like a WebSocket: a direct handshake, then fed bytes.
#[test]
fn tls_runs_on_fed_bytes() {
    let authority = Authority::new();
    let address = start(authority.server("localhost", |_| ()), echo);
    for tls in backends() {
        let mut stream = dial(tls, &[authority.pem()], "localhost", address).unwrap();
        let mut reader = stream.wire_mut().start_feeding(Duration::from_secs(2)).unwrap();
        reader.socket().set_read_timeout(Some(TIME_LIMIT)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);

        let message: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
        let sent = message.clone();
        let mut received = Vec::new();
        let mut part = vec![0; 100_000];
        for block in sent.chunks(50_000) {
            stream.write_all(block).unwrap();
            stream.flush().unwrap();
            let wanted = received.len() + block.len();
            while received.len() < wanted {
                match stream.read(&mut part) {
                    Ok(count) => received.extend_from_slice(&part[..count]),
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{tls:?}");
                        assert!(reader.read().unwrap() > 0);
                    }
                }
            }
        }
        assert!(received == message, "{tls:?}");
        assert_eq!(stream.wire().write_failure(), None);
        reader.end();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{tls:?}");
    }
}

/// TLS libraries hide the failure of a write. The wire keeps the failure.
#[test]
fn a_write_that_fails_below_tls_is_remembered() {
    let authority = Authority::new();
    // This server never reads after the handshake.
    let address = start(authority.server("localhost", |_| ()), |mut session| {
        let _ = session.conn.complete_io(&mut session.sock);
        thread::sleep(Duration::from_secs(5));
    });
    for tls in backends() {
        let mut stream = dial(tls, &[authority.pem()], "localhost", address).unwrap();
        stream.wire_mut().start_feeding(Duration::from_millis(200)).unwrap();
        let block = vec![0; 64 * 1024];
        let started = Instant::now();
        while stream.wire().write_failure().is_none() {
            let _ = stream.write(&block);
            assert!(started.elapsed() < Duration::from_secs(4), "{tls:?}");
        }
        assert_eq!(stream.wire().write_failure(), Some(io::ErrorKind::TimedOut), "{tls:?}");
    }
}

#[test]
fn a_silent_handshake_times_out_or_is_cancelled() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = ApiUrl::parse(&format!("https://localhost:{}", listener.local_addr().unwrap().port())).unwrap();
    for tls in backends() {
        let dialer = settings(tls, &[]).dialer().unwrap();
        let started = Instant::now();
        let error = dialer.dial(&url, started + Duration::from_secs(3)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{tls:?}: {error:?}");
        assert!(error.to_string().contains("TLS handshake with localhost"), "{error}");
        assert!(started.elapsed() < TIME_LIMIT / 2);

        let cancel = CancelToken::default();
        let (other, target) = (cancel.clone(), url.clone());
        let waiting =
            thread::spawn(move || dialer.dial_cancellable(&target, Instant::now() + TIME_LIMIT, &other));
        thread::sleep(Duration::from_millis(200));
        let started = Instant::now();
        cancel.cancel();
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
        assert!(started.elapsed() < TIME_LIMIT / 2);
    }
}

#[test]
fn what_is_not_tls_is_named() {
    for tls in backends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut first, _) = listener.accept().unwrap();
            let _ = first.read(&mut [0; 1024]);
            let _ = first.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
            let (second, _) = listener.accept().unwrap();
            drop(second);
        });
        let error = dial(tls, &[], "localhost", address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{tls:?}: {error:?}");
        assert!(error.to_string().contains("does not speak TLS"), "{tls:?}: {error:?}");
        let error = dial(tls, &[], "localhost", address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{tls:?}: {error:?}");
        server.join().unwrap();
    }
}

#[test]
fn http_goes_the_same_way() {
    let authority = Authority::new();
    let address = start(authority.server("localhost", |_| ()), http);
    for tls in backends() {
        let mut config = settings(tls, &[authority.pem()]);
        config.url = format!("https://localhost:{}", address.port());
        let get =
            || HttpRequest { method: Method::Get, path: "/x", query: &[], credential: None, body: None };
        let client = config.http().unwrap();
        for number in 1..=3 {
            let body = client.send(get()).unwrap().body;
            assert_eq!(String::from_utf8_lossy(&body), format!("secure {number}"), "{tls:?}");
        }
        config.tls.extra_roots.clear();
        let error = config.http().unwrap().send(get()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.to_string().contains("add_root_certificate"), "{error}");
    }
}

#[test]
fn a_missing_library_is_a_config_error_that_names_the_feature() {
    for (compiled, tls, feature) in
        [(HAS_RUSTLS, Tls::Rustls, "`tls-rustls`"), (HAS_NATIVE, Tls::Native, "`tls-native`")]
    {
        let result = TlsConnector::new(&settings(tls, &[]).tls);
        match result {
            Ok(_) => assert!(compiled),
            Err(error) => {
                assert!(!compiled && error.kind() == ErrorKind::Config);
                assert!(error.to_string().contains(feature), "{error}");
            }
        }
    }
    let automatic = settings(Tls::Auto, &[]).http();
    if HAS_RUSTLS || HAS_NATIVE {
        assert!(automatic.is_ok());
    } else {
        let error = automatic.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("`tls-rustls`"), "{error}");
        assert!(config("http://127.0.0.1:1").http().is_ok());
    }
}

#[test]
fn the_same_settings_share_a_connector() {
    for tls in backends() {
        let root = Authority::new().pem();
        let ours = settings(tls, std::slice::from_ref(&root)).tls;
        // While another test holds the lock of the shared connectors, `new` shares none.
        let shares = |settings: &TlsSettings| {
            let both = [(); 2].map(|()| TlsConnector::new(settings).unwrap());
            Arc::ptr_eq(&both[0].0, &both[1].0)
        };
        assert!((0..10_000).any(|_| shares(&ours)), "{tls:?}");

        let first = TlsConnector::new(&ours).unwrap();
        let differ = |change: fn(&mut TlsSettings)| {
            let mut other = ours.clone();
            change(&mut other);
            !Arc::ptr_eq(&first.0, &TlsConnector::new(&other).unwrap().0)
        };
        assert!(differ(|other| other.extra_roots.clear()), "{tls:?}");
        assert!(differ(|other| other.accept_invalid_certificates = true), "{tls:?}");
    }
}
