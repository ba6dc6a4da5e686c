//! Tokens travel in clear only where nobody else can hear, or where the program says so loudly.

use crustocean::{Agent, Client, ErrorKind};

fn refusal(url: &str, allow: bool) -> Option<String> {
    // Nothing is dialled: a client that is made has only been checked.
    let client = Client::builder().api_url(url).danger_allow_plain_http(allow).anonymous().err()?;
    assert_eq!(client.kind(), ErrorKind::Config, "{url}");
    let agent = Agent::builder().api_url(url).danger_allow_plain_http(allow);
    let agent = agent.connect("sk_x".parse().unwrap()).unwrap_err();
    assert_eq!(agent.to_string(), client.to_string(), "the agent is as careful");
    Some(client.to_string())
}

#[test]
fn this_machine_is_spoken_to_without_tls() {
    for url in ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "ws://127.0.0.2:1"] {
        assert_eq!(refusal(url, false), None, "{url}");
    }
}

#[test]
fn other_machines_are_not() {
    for url in
        ["http://example.com", "ws://example.com", "http://10.0.0.1:7777", "http://localhost.example.com"]
    {
        let error = refusal(url, false).unwrap();
        assert!(error.contains("danger_allow_plain_http"), "{error}");
        assert_eq!(refusal(url, true).filter(|error| error.contains("in clear")), None, "{url}");
    }
}

#[test]
fn the_platform_never_is() {
    for url in ["http://api.crustocean.chat", "ws://API.crustocean.chat:8080", "http://other.crustocean.chat"]
    {
        for allow in [false, true] {
            let error = refusal(url, allow).unwrap();
            assert!(error.contains("https://"), "{error}");
        }
    }
}
