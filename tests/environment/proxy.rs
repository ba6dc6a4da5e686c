//! The proxy from the environment. Variables belong to a whole process, so each case is a process.

use std::io;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{Protocol, TestProxy, TestSandbox, watchdog};
use crustocean::{Agent, Client, PersonalAccessToken};

const LIMIT: Duration = Duration::from_secs(180);
const VARIABLES: [&str; 9] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "REQUEST_METHOD",
];

/// Runs in the other processes. In this one it checks that without the variables no proxy is used.
#[test]
fn child() -> crustocean::Result<()> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    if variable("TEST_TOKEN").is_empty() {
        let _watchdog = watchdog(LIMIT);
        let sandbox = TestSandbox::new();
        let (good, said) = run(&sandbox, sandbox.url(), &[]).unwrap();
        assert!(good, "{said}");
        return Ok(());
    }
    let token: PersonalAccessToken = variable("TEST_TOKEN").parse()?;
    let (client, agent) = match variable("TEST_NO_PROXY").as_str() {
        "" => (Client::builder(), Agent::builder()),
        _ => (Client::builder().no_proxy(), Agent::builder().no_proxy()),
    };
    client.danger_allow_plain_http(true).build(token)?.account().me()?;
    let agent = agent.danger_allow_plain_http(true).connect(variable("TEST_AGENT_TOKEN").parse()?)?;
    agent.close()
}

static NEXT_BOT: AtomicUsize = AtomicUsize::new(0);

/// Runs a child. Returns whether it succeeded, and its output.
fn run(sandbox: &TestSandbox, url: &str, variables: &[(&str, &str)]) -> io::Result<(bool, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "proxy::child", "--nocapture"]);
    for name in VARIABLES {
        command.env_remove(name);
    }
    let name = format!("bot-{}", NEXT_BOT.fetch_add(1, Ordering::Relaxed));
    let output = command
        .env("CRUSTOCEAN_API_URL", url)
        .env("TEST_TOKEN", &sandbox.alice.token)
        .env("TEST_AGENT_TOKEN", sandbox.agent_token(&name).expose())
        .envs(variables.iter().copied())
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn the_environment_names_the_proxy() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let remote = "http://crustocean.test:7777";
    for (protocol, variable) in [
        (Protocol::Connect, "http_proxy"),
        (Protocol::Connect, "HTTP_PROXY"),
        (Protocol::Socks5, "ALL_PROXY"),
        (Protocol::Socks5, "all_proxy"),
    ] {
        let proxy = TestProxy::start(protocol, sandbox.port());
        let (good, said) = run(&sandbox, remote, &[(variable, &proxy.url())]).unwrap();
        assert!(good, "{variable}: {said}");
        // The client's request, the agent's request, and its socket.
        assert_eq!(proxy.targets(), ["crustocean.test:7777"; 3], "{variable}");
    }
}

#[test]
fn exceptions_and_the_builder_are_respected() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    for exception in [
        ("NO_PROXY", "127.0.0.1"),
        ("no_proxy", "localhost, 127.0.0.0/8"),
        ("NO_PROXY", "*"),
        // In a CGI program the client can set HTTP_PROXY.
        ("REQUEST_METHOD", "GET"),
        // The builder's setting.
        ("TEST_NO_PROXY", "yes"),
    ] {
        let proxy = TestProxy::start(Protocol::Connect, sandbox.port());
        let (good, said) = run(&sandbox, sandbox.url(), &[("HTTP_PROXY", &proxy.url()), exception]).unwrap();
        assert!(good, "{exception:?}: {said}");
        assert_eq!(proxy.connections(), 0, "{exception:?}");
    }
    let proxy = TestProxy::start(Protocol::Connect, sandbox.port());
    let (good, said) = run(&sandbox, sandbox.url(), &[("HTTPS_PROXY", &proxy.url())]).unwrap();
    assert!(good && proxy.connections() == 0, "{said}");
    let (good, said) =
        run(&sandbox, sandbox.url(), &[("HTTP_PROXY", &proxy.url()), ("NO_PROXY", "10.0.0.0/8")]).unwrap();
    assert!(good && proxy.connections() == 3, "{said}");
}

#[test]
fn an_invalid_variable_is_named() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let (good, said) = run(&sandbox, sandbox.url(), &[("ALL_PROXY", "socks4://me:do_not_print@x")]).unwrap();
    assert!(!good && said.contains("ALL_PROXY: "), "{said}");
    assert!(!said.contains("do_not_print"), "{said}");
}
