//! REST and the socket use an HTTP or SOCKS 5 proxy, and each failure of the proxy has a clear error.

use std::time::{Duration, Instant};

use crate::common::{
    Protocol, ProxyBehaviour, TestProxy, TestSandbox, eventually, shown, wait_for, wait_for_message, watchdog,
};
use crustocean::{Agent, Client, ErrorKind, Event, PersonalAccessToken, Result};

const LIMIT: Duration = Duration::from_secs(180);
const BOTH: [Protocol; 2] = [Protocol::Connect, Protocol::Socks5];
/// A host name that only the proxy can resolve.
const URL: &str = "http://crustocean.test:7777";
const TARGET: &str = "crustocean.test:7777";

fn client(sandbox: &TestSandbox, proxy: impl Into<String>) -> Result<Client> {
    let token: PersonalAccessToken = sandbox.alice.token.parse()?;
    Client::builder()
        .api_url(URL)
        .danger_allow_plain_http(true)
        .proxy(proxy)
        .connect_timeout(Duration::from_secs(5))
        .build(token)
}

/// A host name that the system refuses without asking a name server: the part before the dot is too long.
fn no_name() -> String {
    "x".repeat(64) + ".test"
}

fn ask(sandbox: &TestSandbox, proxy: impl Into<String>) -> Result<String> {
    Ok(client(sandbox, proxy)?.account().me()?.username)
}

fn agent(sandbox: &TestSandbox, proxy: impl Into<String>) -> Result<Agent> {
    Agent::builder()
        .api_url(URL)
        .danger_allow_plain_http(true)
        .proxy(proxy)
        .connect(sandbox.agent_token("larry"))
}

#[test]
fn rest_and_socket_use_the_same_proxy() {
    let _watchdog = watchdog(LIMIT);
    for protocol in BOTH {
        let sandbox = TestSandbox::new();
        let proxy = TestProxy::start(protocol, sandbox.port());
        let client = client(&sandbox, proxy.url()).unwrap();
        for _ in 0..3 {
            assert_eq!(client.account().me().unwrap().username, "alice");
        }
        assert_eq!(proxy.connections(), 1, "{protocol:?}: one tunnel for all of them");

        let larry = agent(&sandbox, proxy.url()).unwrap();
        larry.set_home(&larry.join("lobby").unwrap()).unwrap();
        let events = larry.events();
        larry.send("through the wall").unwrap();
        wait_for_message(&events, "through the wall");
        sandbox.alice_says("and back");
        wait_for_message(&events, "and back");
        assert_eq!(proxy.targets(), [TARGET; 3], "{protocol:?}");

        // The proxy is also used for the reconnect.
        sandbox.drop_links();
        wait_for(&events, "the loss", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
        eventually("connected again", || larry.is_connected());
        assert!(proxy.targets().len() > 3 && proxy.targets().iter().all(|target| target == TARGET));
        larry.close().unwrap();
    }
}

#[test]
fn credentials_are_sent_to_the_proxy() {
    let _watchdog = watchdog(LIMIT);
    for protocol in BOTH {
        for (user, password, in_url) in [
            ("me", "secret", "me:secret@"),
            ("m:e", "a:b@c/ü%", "m%3Ae:a%3Ab%40c%2F%C3%BC%25@"),
            ("me", "odd:one", "me:odd:one@"),
        ] {
            if protocol == Protocol::Connect && user.contains(':') {
                // Basic authentication cannot express it.
                continue;
            }
            let sandbox = TestSandbox::new();
            let proxy = TestProxy::guarded(protocol, user, password, sandbox.port());
            assert_eq!(ask(&sandbox, proxy.url_with(in_url)).unwrap(), "alice");
            let larry = agent(&sandbox, proxy.url_with(in_url)).unwrap();
            assert!(larry.is_connected());
            assert_eq!(proxy.connections(), 3, "{protocol:?}");
        }
    }
}

#[test]
fn missing_or_wrong_credentials_are_an_error_without_retries() {
    let _watchdog = watchdog(LIMIT);
    for protocol in BOTH {
        for (in_url, says) in [("", "requires credentials"), ("me:do_not_print@", "does not accept")] {
            let sandbox = TestSandbox::new();
            let proxy = TestProxy::guarded(protocol, "me", "secret", sandbox.port());
            let url = proxy.url_with(in_url);
            for error in [ask(&sandbox, url.clone()).unwrap_err(), agent(&sandbox, url.clone()).unwrap_err()]
            {
                assert_eq!((error.kind(), error.status()), (ErrorKind::Config, None), "{error:?}");
                let text = error.to_string();
                assert!(text.starts_with(&format!("proxy {}: the proxy {says}", proxy.url())), "{text}");
                // The digits 407 may also be a part of a port.
                let about = text.replace(&proxy.url(), "");
                assert_eq!(about.contains("407"), protocol == Protocol::Connect, "{text}");
                assert!(!error.is_auth() && !error.is_retryable());
                assert!(!shown(&error).contains("do_not_print"));
            }
            assert_eq!(proxy.connections(), 2, "{protocol:?}: a lock-out is near");
        }
    }
}

#[test]
fn an_unsupported_authentication_method_is_named() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let answer = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM x\r\n\r\n";
    let proxy = TestProxy::in_turn(Protocol::Connect, &[ProxyBehaviour::Say(answer)], 1);
    let error = ask(&sandbox, proxy.url_with("me:secret@")).unwrap_err();
    assert!(error.to_string().contains("Negotiate, NTLM and not Basic"), "{error}");
}

#[test]
fn a_target_refused_by_the_proxy_is_named() {
    let _watchdog = watchdog(LIMIT);
    for (protocol, reason) in [
        (Protocol::Connect, "the proxy refuses to connect to crustocean.test:7777: 403 Forbidden"),
        (
            Protocol::Socks5,
            "the proxy cannot connect to crustocean.test:7777: the connection was refused (5)",
        ),
    ] {
        let sandbox = TestSandbox::new();
        let proxy = TestProxy::in_turn(protocol, &[ProxyBehaviour::Refuse], sandbox.port());
        let expected = format!("proxy {}: {reason}", proxy.url());
        for error in [ask(&sandbox, proxy.url()).unwrap_err(), agent(&sandbox, proxy.url()).unwrap_err()] {
            assert_eq!((error.kind(), error.status()), (ErrorKind::Connect, None));
            // The error of REST has the number of attempts. The socket tries once.
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
        // Only the socket is refused.
        let proxy =
            TestProxy::in_turn(protocol, &[ProxyBehaviour::Relay, ProxyBehaviour::Refuse], sandbox.port());
        let token = sandbox.agent_token("ben");
        let error = Agent::builder()
            .api_url(URL)
            .danger_allow_plain_http(true)
            .proxy(proxy.url())
            .connect(token)
            .unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(sandbox.connections(), 0);
    }
}

#[test]
fn an_unreachable_proxy_is_named() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    for protocol in BOTH {
        let url = TestProxy::start(protocol, 1).url();
        let error = ask(&sandbox, url.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert!(
            error.to_string().starts_with(&format!("proxy {url}: cannot connect to 127.0.0.1:")),
            "{error}"
        );
    }
    let url = format!("http://{}:3128", no_name());
    let error = ask(&sandbox, &url).unwrap_err();
    assert!(error.to_string().starts_with(&format!("proxy {url}: ")), "{error}");
    assert!(error.to_string().contains(&format!("the name {} cannot be looked up", no_name())), "{error}");
}

/// One deadline covers the whole handshake, whether the proxy sends nothing or never stops sending.
#[test]
fn an_endless_proxy_answer_takes_only_the_connect_timeout() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let pause = Duration::from_millis(20);
    for (protocol, behaviour) in [
        (Protocol::Connect, ProxyBehaviour::Hang),
        (Protocol::Connect, ProxyBehaviour::Repeat(b"HTTP/1.1 200 OK\r\nX: ", b"x", pause)),
        (Protocol::Socks5, ProxyBehaviour::Hang),
        (Protocol::Socks5, ProxyBehaviour::Say(b"\x05\x00")),
        (Protocol::Socks5, ProxyBehaviour::Say(b"\x05\x00\x05\x00\x00\x03\xff")),
    ] {
        let proxy = TestProxy::in_turn(protocol, &[behaviour], sandbox.port());
        let client = Client::builder()
            .api_url(URL)
            .danger_allow_plain_http(true)
            .proxy(proxy.url())
            .connect_timeout(Duration::from_millis(300))
            .anonymous()
            .unwrap();
        let started = Instant::now();
        let error = client.agencies().list().map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{behaviour:?}: {error:?}");
        assert!(error.to_string().starts_with(&format!("proxy {}: ", proxy.url())), "{error}");
        assert!(error.to_string().contains(TARGET), "{error}");
        assert!(started.elapsed() < Duration::from_secs(20), "{behaviour:?}: {:?}", started.elapsed());

        let proxy = TestProxy::in_turn(protocol, &[ProxyBehaviour::Relay, behaviour], sandbox.port());
        let started = Instant::now();
        let error = Agent::builder()
            .api_url(URL)
            .danger_allow_plain_http(true)
            .proxy(proxy.url())
            .handshake_timeout(Duration::from_millis(300))
            .connect(sandbox.agent_token(&format!("bot-{}", proxy.port())))
            .unwrap_err();
        assert!(error.is_timeout(), "{behaviour:?}: {error:?}");
        assert!(started.elapsed() < Duration::from_secs(20), "{behaviour:?}: {:?}", started.elapsed());
    }
}

#[test]
fn invalid_proxy_answers_have_their_own_error() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let endless = ProxyBehaviour::Repeat(
        b"HTTP/1.1 200 OK\r\n",
        b"X-Padding: abcdefghijklmnopqrstuvwxyz\r\n",
        Duration::ZERO,
    );
    for (protocol, behaviour, kind, says) in [
        (Protocol::Connect, ProxyBehaviour::Say(b"SSH-2.0-OpenSSH\r\n"), ErrorKind::Protocol, "is not HTTP"),
        (Protocol::Connect, ProxyBehaviour::Say(b"\x05\x00"), ErrorKind::Protocol, "is not HTTP"),
        (Protocol::Connect, endless, ErrorKind::Protocol, "answer to CONNECT"),
        (
            Protocol::Connect,
            ProxyBehaviour::Repeat(
                b"HTTP/1.1 200 OK\r\nX: ",
                b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                Duration::ZERO,
            ),
            ErrorKind::Protocol,
            "is too long",
        ),
        (
            Protocol::Connect,
            ProxyBehaviour::Say(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
            ErrorKind::Protocol,
            "unexpected bytes",
        ),
        (Protocol::Connect, ProxyBehaviour::Close, ErrorKind::Connect, "closed the connection"),
        (
            Protocol::Connect,
            ProxyBehaviour::Say(b"HTTP/1.1 502 \x1b[31mno\r\n\r\n"),
            ErrorKind::Protocol,
            "is not HTTP",
        ),
        (Protocol::Connect, ProxyBehaviour::Say(b"HTTP/1.1 502\r\n\r\n"), ErrorKind::Connect, "7777: 502"),
        (
            Protocol::Socks5,
            ProxyBehaviour::Say(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            ErrorKind::Protocol,
            "SOCKS 5",
        ),
        (Protocol::Socks5, ProxyBehaviour::Say(b"\x05\x01"), ErrorKind::Protocol, "did not offer"),
        (Protocol::Socks5, ProxyBehaviour::Say(b"\x05\x02"), ErrorKind::Protocol, "did not offer"),
        (
            Protocol::Socks5,
            ProxyBehaviour::Say(b"\x05\x00\x04\x00\x00\x01"),
            ErrorKind::Protocol,
            "not SOCKS 5",
        ),
        (
            Protocol::Socks5,
            ProxyBehaviour::Say(b"\x05\x00\x05\x00\x00\x09"),
            ErrorKind::Protocol,
            "kind of address",
        ),
        (Protocol::Socks5, ProxyBehaviour::Say(b"\x05\x00\x05\x4d\x00\x01"), ErrorKind::Connect, "(77)"),
        (Protocol::Socks5, ProxyBehaviour::Close, ErrorKind::Connect, "closed the connection"),
    ] {
        let proxy = TestProxy::in_turn(protocol, &[behaviour], sandbox.port());
        let error = ask(&sandbox, proxy.url()).unwrap_err();
        assert_eq!(error.kind(), kind, "{behaviour:?}: {error:?}");
        assert!(error.to_string().contains(says), "{behaviour:?}: {error}");
        assert!(error.to_string().starts_with("proxy ") && !error.to_string().contains('\u{1b}'));
    }
}

/// `socks5` resolves names on this machine, and tries every address.
#[test]
fn socks_without_h_sends_addresses() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let proxy = TestProxy::in_turn(Protocol::Socks5, &[ProxyBehaviour::RefuseIpv6], sandbox.port());
    let url = proxy.url().replace("socks5h", "socks5");
    let token: PersonalAccessToken = sandbox.alice.token.parse().unwrap();
    let client = Client::builder().api_url("http://localhost:7777").proxy(&url).build(token).unwrap();
    assert_eq!(client.account().me().unwrap().username, "alice");
    assert_eq!(proxy.targets().last().unwrap(), "127.0.0.1:7777");
    assert!(proxy.targets().iter().all(|target| ["127.0.0.1:7777", "[::1]:7777"].contains(&target.as_str())));

    let before = proxy.connections();
    let token: PersonalAccessToken = sandbox.alice.token.parse().unwrap();
    let api_url = format!("http://{}:7777", no_name());
    let client =
        Client::builder().api_url(api_url).danger_allow_plain_http(true).proxy(&url).build(token).unwrap();
    let error = client.account().me().unwrap_err();
    assert!(error.to_string().contains(&format!("the name {} cannot be looked up", no_name())), "{error}");
    assert_eq!(proxy.connections(), before);
}

#[test]
fn addresses_are_sent_as_addresses() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    for protocol in BOTH {
        let proxy = TestProxy::start(protocol, sandbox.port());
        for host in ["192.0.2.1", "[2001:db8::1]"] {
            let url = format!("http://{host}:7777");
            let token: PersonalAccessToken = sandbox.alice.token.parse().unwrap();
            let client = Client::builder()
                .api_url(url)
                .danger_allow_plain_http(true)
                .proxy(proxy.url())
                .build(token)
                .unwrap();
            client.account().me().unwrap();
        }
        assert_eq!(proxy.targets(), ["192.0.2.1:7777", "[2001:db8::1]:7777"], "{protocol:?}");
    }
}

#[test]
fn closing_does_not_wait_for_a_proxy() {
    let _watchdog = watchdog(LIMIT);
    for protocol in BOTH {
        let sandbox = TestSandbox::new();
        let behaviours = [ProxyBehaviour::Relay, ProxyBehaviour::Relay, ProxyBehaviour::Hang];
        let proxy = TestProxy::in_turn(protocol, &behaviours, sandbox.port());
        let larry = agent(&sandbox, proxy.url()).unwrap();
        sandbox.drop_links();
        eventually("dials again", || proxy.connections() >= 3);
        std::thread::sleep(Duration::from_millis(50));
        let started = Instant::now();
        let _ = larry.close();
        assert!(started.elapsed() < Duration::from_secs(20), "{protocol:?}: {:?}", started.elapsed());
    }
}

#[test]
fn an_invalid_url_is_an_error_at_once() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    for url in ["socks4://me:do_not_print@proxy", "http://me:do_not_print@pro xy", "", "http://proxy:99999"] {
        for error in [
            client(&sandbox, url).unwrap_err(),
            Agent::builder().proxy(url).connect("sk_x".parse().unwrap()).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().starts_with("proxy(): "), "{error}");
            assert!(!shown(&error).contains("do_not_print"));
        }
    }
    let builder = Client::builder().proxy("http://me:do_not_print@proxy");
    assert!(!format!("{builder:?}").contains("do_not_print"));
}
