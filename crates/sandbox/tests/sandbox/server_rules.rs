//! Rate limits, forbidden histories and metrics.

// Helpers outside of test functions may panic, too.
use crate::common::{call, call_with, get, text};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

#[test]
fn rate_limits_apply_to_registration_and_login() {
    let limited = Sandbox::builder().rate_limits(true).start().unwrap();
    let open = Sandbox::start().unwrap();
    let paths = ["/api/auth/register", "/api/auth/login", "/api/bootstrap", "/api/agents/register"];
    for path in paths {
        // Refused requests count, too.
        for _ in 0..10 {
            assert_eq!(call(&limited, "POST", path, "", Value::Null).status, 400, "{path}");
        }
        let refused = call(&limited, "POST", path, "", Value::Null);
        assert_eq!(refused.status, 429, "{path}");
        let wait: u64 = refused.retry_after.unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert!(refused.body["error"].is_string());
        for _ in 0..11 {
            assert_eq!(call(&open, "POST", path, "", Value::Null).status, 400, "{path}");
        }
    }
    // Exchanging an agent token is not limited.
    for _ in 0..12 {
        let answer = call(&limited, "POST", "/api/auth/agent", "", json!({ "agentToken": "sk_no" }));
        assert_eq!(answer.status, 401);
    }
}

#[test]
fn a_history_can_be_forbidden() {
    let sandbox = Sandbox::start().unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| sandbox.add_user(name).unwrap());
    let room = sandbox.add_agency("Shop", &alice.id).unwrap();
    let opened = call(&sandbox, "POST", &format!("/api/dm/{}", bob.id), &alice.token, Value::Null);
    let dm = text(&opened.body["agencyId"]);
    let read = |path: &str| call(&sandbox, "GET", path, &alice.token, Value::Null).status;
    for (id, path) in
        [(&room, format!("/api/agencies/{room}/messages")), (&dm, format!("/api/dm/{dm}/messages"))]
    {
        assert_eq!(read(&path), 200);
        sandbox.history_forbidden(id, true);
        assert_eq!(read(&path), 403);
        assert_eq!(read(&format!("/api/agencies/{}/messages", sandbox.lobby_id())), 200);
        sandbox.history_forbidden(id, false);
        assert_eq!(read(&path), 200);
    }
}

#[test]
fn metrics_are_prometheus_text_behind_a_key() {
    let sandbox = Sandbox::builder().metrics_secret("m3trics").start().unwrap();
    let alice = sandbox.add_user("alice").unwrap();
    sandbox.say(&sandbox.lobby_id(), &alice.id, "hi", Value::Null).unwrap();
    get(&sandbox, &format!("/api/agencies/{}/messages", sandbox.lobby_id()), &alice.token);
    assert_eq!(call(&sandbox, "GET", "/metrics", "", Value::Null).status, 401);
    assert_eq!(call(&sandbox, "GET", "/metrics?key=no", "", Value::Null).status, 401);
    let by_header = call_with(&sandbox, "GET", "/metrics", ("x-metrics-key", "m3trics"), Value::Null);
    assert_eq!(by_header.status, 200);

    let answer = call(&sandbox, "GET", "/metrics?key=m3trics", "", Value::Null);
    let text = text(&answer.body);
    let value = |series: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
    };
    let history = "method=\"GET\",path=\"/api/agencies/{id}/messages\"";
    assert_eq!(value(&format!("http_requests_total{{{history},status=\"200\"}}")), 1.0);
    assert_eq!(value(&format!("http_request_duration_seconds_count{{{history}}}")), 1.0);
    assert_eq!(value("messages_sent_total{sender_type=\"user\"}"), 1.0);
    for (series, expected) in [
        ("crustocean_users_total", 1.0),
        ("crustocean_agents_total", 0.0),
        ("crustocean_agencies_total", 1.0),
        ("crustocean_messages_total", 1.0),
        ("crustocean_claims_pending", 0.0),
        ("socket_connections_current", 0.0),
        ("socket_connections_total", 0.0),
        ("claims_completed_total", 0.0),
    ] {
        assert_eq!(value(series), expected, "{series}");
    }
    // Each series and each metric type appears once.
    let mut types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let count = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), count);
}
