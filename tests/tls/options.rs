//! TLS through proxies, with a client certificate, and with all checks disabled.

use std::time::Duration;

use crate::common::{
    Authority, Identity, Protocol, ProxyBehaviour, TestProxy, TestSandbox, TlsRelay, eventually,
    wait_for_message, watchdog,
};
use crustocean::{Agent, Client, Error, ErrorKind, PersonalAccessToken, Result, config::Tls};

const LIMIT: Duration = Duration::from_secs(180);

/// The compiled-in libraries.
fn backends() -> Vec<Tls> {
    let all = [(cfg!(feature = "tls-rustls"), Tls::Rustls), (cfg!(feature = "tls-native"), Tls::Native)];
    all.into_iter().filter_map(|(compiled, tls)| compiled.then_some(tls)).collect()
}

/// The settings of one case, for a client and for an agent.
#[derive(Default)]
struct Case {
    url: String,
    tls: Tls,
    roots: Vec<Vec<u8>>,
    identity: Option<Vec<u8>>,
    proxy: Option<String>,
    accept_anything: bool,
}

/// A builder with the settings of a case, for clients and agents.
macro_rules! set_up {
    ($case:expr, $builder:expr) => {{
        let case: &Case = $case;
        let mut builder = $builder.api_url(&case.url).tls(case.tls).danger_allow_plain_http(true);
        for root in &case.roots {
            builder = builder.add_root_certificate(root.clone());
        }
        if let Some(identity) = &case.identity {
            builder = builder.client_identity_pem(identity.clone());
        }
        builder = match &case.proxy {
            Some(proxy) => builder.proxy(proxy),
            None => builder.no_proxy(),
        };
        builder.danger_accept_invalid_certificates(case.accept_anything)
    }};
}

impl Case {
    /// The case of a client that reaches `https://crustocean.test`, with a certificate of this authority, through a
    /// proxy.
    fn through(proxy: String, authority: &Authority, tls: Tls) -> Case {
        let url = "https://crustocean.test".to_owned();
        Case { url, tls, roots: vec![authority.pem()], proxy: Some(proxy), ..Case::default() }
    }

    fn ask(&self, sandbox: &TestSandbox) -> Result<String> {
        let token: PersonalAccessToken = sandbox.alice.token.parse()?;
        Ok(set_up!(self, Client::builder()).build(token)?.account().me()?.username)
    }

    fn connect(&self, sandbox: &TestSandbox, name: &str) -> Result<Agent> {
        let name = format!("{name}-{:?}", self.tls).to_lowercase();
        set_up!(self, Agent::builder()).connect(sandbox.agent_token(&name))
    }

    /// Checks REST, and a socket with traffic in both directions.
    fn works(&self, sandbox: &TestSandbox, name: &str) {
        assert_eq!(
            self.ask(sandbox).map_err(|error| format!("{name}, {:?}: {error:?}", self.tls)),
            Ok("alice".into())
        );
        let agent = self.connect(sandbox, name).map_err(|error| format!("{name}, {:?}: {error:?}", self.tls));
        let agent = match agent {
            Ok(agent) => agent,
            Err(text) => return assert_eq!(text, ""),
        };
        assert!(agent.set_home(&agent.join("lobby").unwrap()).is_ok());
        let events = agent.events();
        let long = "x".repeat(4000);
        for number in 0..20 {
            sandbox.alice_says(&format!("{name} {number}. {long}"));
        }
        for number in 0..20 {
            wait_for_message(&events, &format!("{name} {number}. "));
        }
        assert!(agent.send(format!("{name} hears. {long}").as_str()).is_ok());
        wait_for_message(&events, "hears");
        assert!(agent.close().is_ok());
    }
}

#[test]
fn tls_works_through_every_kind_of_proxy() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let authority = Authority::new();
    let server = TlsRelay::start(&authority.identity("crustocean.test"), sandbox.port());
    for tls in backends() {
        for protocol in [Protocol::Connect, Protocol::Socks5] {
            let proxy = TestProxy::start(protocol, server.port());
            let case = Case::through(proxy.url(), &authority, tls);
            case.works(&sandbox, &format!("{protocol:?}"));
            assert!(proxy.targets().len() >= 3);
            assert!(proxy.targets().iter().all(|target| target == "crustocean.test:443"));

            // The certificate must be that of the target, not of the proxy.
            let case = Case { url: "https://other.test".to_owned(), ..case };
            let error = case.ask(&sandbox).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tls);
            assert!(error.to_string().contains("another name than other.test"), "{error}");
        }
    }
}

/// A TLS connection to a proxy, with TLS to the target inside.
#[test]
fn tls_works_inside_tls() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let authority = Authority::new();
    let server = TlsRelay::start(&authority.identity("crustocean.test"), sandbox.port());
    let behind = TestProxy::start(Protocol::Connect, server.port());
    let proxy = TlsRelay::start(&authority.identity("localhost"), behind.port());
    let plain_behind = TestProxy::start(Protocol::Connect, sandbox.port());
    let plain = TlsRelay::start(&authority.identity("localhost"), plain_behind.port());
    for tls in backends() {
        let case = Case::through(proxy.url(), &authority, tls);
        case.works(&sandbox, "inner");
        assert!(proxy.handshakes() >= 3 && behind.targets().len() == proxy.handshakes());

        // The target itself has no TLS.
        let case = Case { url: "http://crustocean.test".to_owned(), proxy: Some(plain.url()), ..case };
        case.works(&sandbox, "outer");

        // The error names either the proxy or the target.
        let case = Case { roots: Vec::new(), ..case };
        let error = case.ask(&sandbox).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        let expected = format!("proxy {}: the certificate of localhost is not trusted", plain.url());
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

#[test]
fn an_https_proxy_needs_tls() {
    let case =
        Case { url: "http://127.0.0.1:1".to_owned(), proxy: Some("https://x".to_owned()), ..Case::default() };
    let result = set_up!(&case, Client::builder()).anonymous();
    if backends().is_empty() {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("`tls-rustls`"), "{error}");
    } else {
        result.unwrap();
    }
}

#[test]
fn the_socket_reconnects_through_a_proxy() {
    let _watchdog = watchdog(LIMIT);
    let authority = Authority::new();
    for tls in backends() {
        let sandbox = TestSandbox::new();
        let server = TlsRelay::start(&authority.identity("crustocean.test"), sandbox.port());
        // The third connection is the first reconnect.
        let behaviours =
            [ProxyBehaviour::Relay, ProxyBehaviour::Relay, ProxyBehaviour::Refuse, ProxyBehaviour::Relay];
        let proxy = TestProxy::in_turn(Protocol::Connect, &behaviours, server.port());
        let case = Case::through(proxy.url(), &authority, tls);
        let larry = case.connect(&sandbox, "larry").unwrap();
        sandbox.drop_links();
        eventually("dials again", || proxy.connections() >= 4);
        eventually("connected again", || larry.is_connected());
    }
}

#[test]
fn all_checks_can_be_disabled() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let authority = Authority::new();
    for (name, identity) in [
        ("self-signed", Identity::self_signed()),
        ("unknown", authority.identity("localhost")),
        ("other-host", authority.identity("example.com")),
        ("expired", authority.expired()),
    ] {
        let relay = TlsRelay::start(&identity, sandbox.port());
        for tls in backends() {
            let mut case = Case { url: relay.url(), tls, accept_anything: true, ..Case::default() };
            case.works(&sandbox, name);
            case.accept_anything = false;
            assert_eq!(case.ask(&sandbox).unwrap_err().kind(), ErrorKind::Tls, "{name}, {tls:?}");
        }
    }
}

#[test]
fn a_client_can_send_a_certificate() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (authority, of_clients) = (Authority::new(), Authority::new());
    let relay = TlsRelay::demanding(&authority.identity("localhost"), &of_clients, sandbox.port());
    let proxy_behind = TestProxy::start(Protocol::Connect, relay.port());
    let proxy = TlsRelay::demanding(&authority.identity("localhost"), &of_clients, proxy_behind.port());
    for tls in backends() {
        let mut case = Case {
            url: relay.url(),
            tls,
            roots: vec![authority.pem()],
            identity: Some(of_clients.identity("larry").pem()),
            ..Case::default()
        };
        case.works(&sandbox, "shown");

        // The certificate is for the server, not for a proxy that also requests one.
        let through = Case { proxy: Some(proxy.url()), ..case };
        through.ask(&sandbox).unwrap_err();
        assert_eq!(proxy_behind.connections(), 0, "{tls:?}");

        case = Case { proxy: None, ..through };
        for (index, identity) in [None, Some(authority.identity("larry").pem())].into_iter().enumerate() {
            case.identity = identity;
            for error in [
                case.ask(&sandbox).unwrap_err(),
                case.connect(&sandbox, &format!("bot-{index}")).unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Tls, "{tls:?}: {error:?}");
                assert!(error.to_string().contains("client_identity_pem"), "{tls:?}: {error}");
            }
        }
    }
}

#[test]
fn an_invalid_identity_is_an_error_at_once() {
    let good = String::from_utf8(Identity::self_signed().pem()).unwrap();
    let other = String::from_utf8(Identity::self_signed().pem()).unwrap();
    let key_at = good.find("-----BEGIN PRIVATE KEY").unwrap();
    let (certificate, key) = good.split_at(key_at);
    let (other_certificate, _) = other.split_at(other.find("-----BEGIN PRIVATE KEY").unwrap());
    for tls in backends() {
        let build = |identity: &str| -> Result<Client, Error> {
            Client::builder()
                .api_url("https://localhost:1")
                .tls(tls)
                .client_identity_pem(identity)
                .anonymous()
        };
        build(&good).unwrap();
        build(&format!("{key}{certificate}")).unwrap();
        let cut_off = good.replace("-----END PRIVATE KEY-----", "");
        for bad in ["", "no PEM", certificate, key, &cut_off] {
            let error = build(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{tls:?}");
            assert!(error.to_string().starts_with("client_identity_pem: "), "{tls:?}: {error}");
        }
        // rustls compares the key and the certificate itself. The system's library leaves this to OpenSSL.
        let error = build(&format!("{other_certificate}{key}")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{tls:?}: {error}");
        // No text contains the key.
        let shown = format!("{:?}", Client::builder().client_identity_pem(good.clone()));
        assert!(!shown.contains("PRIVATE") && shown.contains("client_identity: true"), "{shown}");
    }
}
