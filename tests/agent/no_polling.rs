//! A build without the feature `polling`.

use crustocean::agent::Transport;
use crustocean::{Agent, ErrorKind};

use crate::common::{SOON, TestSandbox, watchdog};

#[test]
fn requesting_polling_names_the_missing_feature() {
    // No server listens there: the error comes before any connection attempt.
    let builder = Agent::builder().api_url("http://127.0.0.1:1").transport(Transport::Polling);
    let error = builder.connect("sk_x".parse().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("feature `polling`"), "{error}");
}

#[test]
fn without_polling_the_transport_is_a_websocket() {
    let _watchdog = watchdog(SOON);
    let sandbox = TestSandbox::new();
    let agent = sandbox.builder().transport(Transport::Auto).connect(sandbox.agent_token("larry")).unwrap();
    agent.join("lobby").unwrap();
    agent.close().unwrap();
}
