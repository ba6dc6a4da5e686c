//! Tokens are sent unencrypted only on this machine, or where the program allows it explicitly.

use crustocean::{Agent, Client, ErrorKind};

fn refusal(url: &str, allow: bool) -> Option<String> {
    // Creating a client only checks the URL and makes no connection.
    let client = Client::builder().api_url(url).danger_allow_plain_http(allow).anonymous().err()?;
    assert_eq!(client.kind(), ErrorKind::Config, "{url}");
    let agent = Agent::builder().api_url(url).danger_allow_plain_http(allow);
    let agent = agent.connect("sk_x".parse().unwrap()).unwrap_err();
    assert_eq!(agent.to_string(), client.to_string(), "the agent is as careful");
    Some(client.to_string())
}

#[test]
fn this_machine_is_allowed_without_tls() {
    for url in ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "ws://127.0.0.2:1"] {
        assert_eq!(refusal(url, false), None, "{url}");
    }
}

#[test]
fn other_machines_need_tls() {
    for url in
        ["http://example.com", "ws://example.com", "http://10.0.0.1:7777", "http://localhost.example.com"]
    {
        let error = refusal(url, false).unwrap();
        assert!(error.contains("danger_allow_plain_http"), "{error}");
        assert_eq!(refusal(url, true).filter(|error| error.contains("in clear")), None, "{url}");
    }
}

#[test]
fn the_platform_always_needs_tls() {
    for url in ["http://api.crustocean.chat", "ws://API.crustocean.chat:8080", "http://other.crustocean.chat"]
    {
        for allow in [false, true] {
            let error = refusal(url, allow).unwrap();
            assert!(error.contains("https://"), "{error}");
        }
    }
}
