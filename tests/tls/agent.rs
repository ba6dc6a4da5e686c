//! TLS with each compiled-in library, for REST and for the socket: trusted certificates, and the errors for others.

use std::time::Duration;

use crate::common::{
    Authority, Identity, SOON, TestSandbox, TlsRelay, eventually, wait_for, wait_for_message, watchdog,
};
use crustocean::{Agent, Client, Error, ErrorKind, Event, PersonalAccessToken, config::Tls};

const LIMIT: Duration = Duration::from_secs(180);

/// The compiled-in libraries.
pub(crate) fn backends() -> Vec<Tls> {
    let all = [
        (cfg!(feature = "tls-rustls"), Tls::Rustls),
        (cfg!(feature = "tls-native"), Tls::Native),
        (cfg!(any(feature = "tls-rustls", feature = "tls-native")), Tls::Auto),
    ];
    all.into_iter().filter_map(|(compiled, tls)| compiled.then_some(tls)).collect()
}

/// A builder with these settings, for clients and agents.
macro_rules! set_up {
    ($builder:expr, $relay:expr, $tls:expr, $roots:expr) => {
        $roots.iter().fold($builder.api_url($relay.url()).tls($tls), |builder, root: &Vec<u8>| {
            builder.add_root_certificate(root.clone())
        })
    };
}

fn client(
    sandbox: &TestSandbox,
    relay: &TlsRelay,
    tls: Tls,
    roots: &[Vec<u8>],
) -> crustocean::Result<Client> {
    let token: PersonalAccessToken = sandbox.alice.token.parse()?;
    set_up!(Client::builder(), relay, tls, roots).build(token)
}

fn agent(
    sandbox: &TestSandbox,
    relay: &TlsRelay,
    tls: Tls,
    roots: &[Vec<u8>],
    name: &str,
) -> crustocean::Result<Agent> {
    set_up!(Agent::builder(), relay, tls, roots).connect(sandbox.agent_token(name))
}

#[test]
fn rest_and_socket_trust_an_additional_root() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let authority = Authority::new();
    let relay = TlsRelay::start(&authority.identity("localhost"), sandbox.port());
    for tls in backends() {
        let before = relay.handshakes();
        let client = client(&sandbox, &relay, tls, &[authority.pem()]).unwrap();
        assert_eq!(client.account().me().unwrap().username, "alice");
        assert_eq!(relay.handshakes(), before + 1, "{tls:?}");

        let name = format!("larry-{tls:?}").to_lowercase();
        let larry = agent(&sandbox, &relay, tls, &[authority.pem()], &name).unwrap();
        larry.set_home(&larry.join("lobby").unwrap()).unwrap();
        // One connection for the token's exchange and the join, one for the socket.
        assert_eq!(relay.handshakes(), before + 3, "{tls:?}");

        // In both directions, and more than one TLS record at a time.
        let events = larry.events();
        let long = "x".repeat(4000);
        for number in 0..50 {
            sandbox.alice_says(&format!("{number} {long}"));
        }
        for number in 0..50 {
            let heard = wait_for(&events, "a long message", |event| match event {
                Event::Message(message) => Some(message),
                _ => None,
            });
            assert!(heard.content.starts_with(&format!("{number} ")), "{tls:?}: {}", heard.content.len());
        }
        larry.send(format!("and {long}").as_str()).unwrap();
        assert!(wait_for_message(&events, "and xxx").content.ends_with("xxx"));
        larry.close().unwrap();
    }
}

#[test]
fn the_socket_reconnects_over_tls() {
    let _watchdog = watchdog(LIMIT);
    let authority = Authority::new();
    for tls in backends() {
        let sandbox = TestSandbox::new();
        let relay = TlsRelay::start(&authority.identity("localhost"), sandbox.port());
        let larry = agent(&sandbox, &relay, tls, &[authority.pem()], "larry").unwrap();
        larry.join("lobby").unwrap();
        let events = larry.events();
        sandbox.drop_links();
        wait_for(&events, "the loss", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
        eventually("connected again", || larry.is_connected());
        eventually("in the room again", || {
            sandbox.alice_says("still there?");
            matches!(events.recv_timeout(Duration::from_millis(200)), Ok(Event::Message(_)))
        });
    }
}

struct Case<'a> {
    name: &'a str,
    identity: &'a Identity,
    roots: &'a [Vec<u8>],
    says: [&'a str; 2],
}

/// The error for each bad certificate, from REST or from the socket.
#[test]
fn a_bad_certificate_is_refused_and_named() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let authority = Authority::new();
    let good = authority.identity("localhost");
    let roots = [authority.pem()];
    let cases = [
        Case {
            name: "untrusted",
            identity: &good,
            roots: &[],
            says: ["localhost is not trusted", "add_root_certificate"],
        },
        Case {
            name: "self-signed",
            identity: &Identity::self_signed(),
            roots: &roots,
            says: ["localhost is not trusted", "add_root_certificate"],
        },
        Case {
            name: "wrong-host",
            identity: &authority.identity("example.com"),
            roots: &roots,
            says: ["another name than localhost", "check the URL"],
        },
        Case {
            name: "common-name",
            identity: &authority.common_name_only(None),
            roots: &roots,
            says: ["another name than localhost", "check the URL"],
        },
        Case {
            name: "email-name",
            identity: &authority.common_name_only(Some("admin@localhost")),
            roots: &roots,
            says: ["another name than localhost", "check the URL"],
        },
        Case {
            name: "expired",
            identity: &authority.expired(),
            roots: &roots,
            says: ["localhost has expired", "clock"],
        },
    ];
    for tls in backends() {
        for Case { name, identity, roots, says } in &cases {
            let check = |who: &str, error: Error| {
                assert_eq!(error.kind(), ErrorKind::Tls, "{tls:?}, {name}, {who}: {error:?}");
                for part in says {
                    assert!(error.to_string().contains(part), "{tls:?}, {name}, {who}: {error}");
                }
                assert!(!error.is_retryable() && std::error::Error::source(&error).is_some());
            };
            let relay = TlsRelay::start(identity, sandbox.port());
            let user = client(&sandbox, &relay, tls, roots).unwrap();
            check("a client", user.account().me().unwrap_err());
            let bot = format!("bot-{name}-{tls:?}").to_lowercase();
            check("an agent", agent(&sandbox, &relay, tls, roots, &bot).unwrap_err());
            assert_eq!(sandbox.requests().len(), 0, "nothing is said to a stranger");

            // The server refuses only one of the two simultaneous connections.
            if !roots.is_empty() {
                let relay = TlsRelay::in_turn(&[&good, identity], sandbox.port());
                check("a socket", agent(&sandbox, &relay, tls, roots, &format!("{bot}-2")).unwrap_err());
                assert!(sandbox.requests().iter().all(|request| request == "POST /api/auth/agent"));
                assert_eq!(sandbox.connections(), 0);
                sandbox.clear_records();
            }
        }
    }
}

#[test]
fn an_invalid_root_is_an_error_at_once() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let relay = TlsRelay::start(&Identity::self_signed(), sandbox.port());
    for tls in backends() {
        let bad = [b"not a certificate".to_vec()];
        for error in [
            client(&sandbox, &relay, tls, &bad).map(drop).unwrap_err(),
            agent(&sandbox, &relay, tls, &bad, &format!("{tls:?}").to_lowercase()).map(drop).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains("add_root_certificate"), "{error}");
        }
    }
}

#[test]
fn a_server_without_tls_has_its_own_error() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    for tls in backends() {
        let url = format!("https://localhost:{}", sandbox.port());
        let error = Client::builder().api_url(url).tls(tls).request_timeout(SOON).anonymous();
        let error = error.unwrap().agencies().list().map(drop).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Connect), "{tls:?}: {error:?}");
        assert!(error.to_string().contains("localhost"), "{error}");
    }
}

#[test]
fn a_library_that_is_not_compiled_in_is_named() {
    let absent: [(bool, Tls, &[&str]); 3] = [
        (cfg!(feature = "tls-rustls"), Tls::Rustls, &["`tls-rustls`"]),
        (cfg!(feature = "tls-native"), Tls::Native, &["`tls-native`"]),
        (
            cfg!(any(feature = "tls-rustls", feature = "tls-native")),
            Tls::Auto,
            &["`tls-rustls`", "`tls-native`"],
        ),
    ];
    for (compiled, tls, features) in absent {
        let result = Client::builder().api_url("https://localhost:1").tls(tls).anonymous();
        match result {
            Ok(_) => assert!(compiled, "{tls:?}"),
            Err(error) => {
                assert!(!compiled && error.kind() == ErrorKind::Config, "{tls:?}: {error:?}");
                assert!(features.iter().all(|feature| error.to_string().contains(feature)), "{error}");
            }
        }
    }
}
