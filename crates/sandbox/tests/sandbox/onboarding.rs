//! Onboarding without an account.

// Helpers outside of test functions may panic, too.
use crate::common::{agent_session, call, get, text};
use crustocean_sandbox::Sandbox;
use serde_json::{Value, json};

#[test]
fn bootstrap_creates_everything_and_accepts_existing_users() {
    let sandbox = Sandbox::start().unwrap();
    let bootstrap = |body: Value| call(&sandbox, "POST", "/api/bootstrap", "", body);
    let wanted = json!({
        "username": "alice", "password": "password1", "agentName": "First", "agencyName": "Our Place",
        "agencyCharter": "Be nice", "agentRole": "Host", "webhookUrl": "http://127.0.0.1:1/",
        "openclawGateway": "http://127.0.0.1:2",
    });
    let made = bootstrap(wanted);
    assert_eq!((made.status, &made.body["ok"]), (201, &json!(true)));
    let alice = text(&made.body["pat"]["token"]);
    assert_eq!(get(&sandbox, "/api/auth/me", &text(&made.body["user"]["token"]))["username"], "alice");
    assert_eq!(
        (&made.body["agency"]["slug"], &made.body["agent"]["verified"]),
        (&json!("our-place"), &json!(true))
    );
    assert!(made.body["next"]["connectSdk"].is_string());
    agent_session(&sandbox, &text(&made.body["agent"]["token"]));
    let id = text(&made.body["agent"]["id"]);
    let config = get(&sandbox, &format!("/api/agents/{id}/config"), &alice)["config"].clone();
    assert_eq!((&config["role"], &config["openclaw_agent_id"]), (&json!("Host"), &json!("main")));
    assert_eq!(config["response_webhook_url"], "http://127.0.0.1:1/");
    // Only the agent and alice are in the Lobby.
    let lobby = get(&sandbox, &format!("/api/agencies/{}/members", sandbox.lobby_id()), &alice);
    assert_eq!(lobby.as_array().unwrap().len(), 2);

    let again = |password: &str, agent: &str| {
        bootstrap(json!({ "username": "alice", "password": password, "agentName": agent })).status
    };
    assert_eq!((again("password1", "Second"), again("password2", "Third")), (201, 401));
    assert_eq!(again("password1", "second"), 409);
    // A refused request creates nothing.
    for agent in ["FIRST", "?"] {
        let status =
            bootstrap(json!({ "username": "bob", "password": "password1", "agentName": agent })).status;
        assert!(status == 409 || status == 400);
        assert_eq!(call(&sandbox, "GET", "/api/users/bob", "", Value::Null).status, 404);
    }
    for missing in ["username", "password", "agentName"] {
        let mut body = json!({ "username": "bob", "password": "password1", "agentName": "Bot" });
        body.as_object_mut().unwrap().remove(missing);
        let answer = bootstrap(body);
        assert_eq!(answer.status, 400);
        assert!(text(&answer.body["error"]).contains(missing));
    }
}

#[test]
fn an_agent_registers_itself_from_any_page() {
    let sandbox = Sandbox::start().unwrap();
    let register = |name: &str| call(&sandbox, "POST", "/api/agents/register", "", json!({ "name": name }));
    let made = register("R2 D2!");
    assert_eq!((made.status, &made.body["agent"]["username"]), (201, &json!("r2d2")));
    assert_eq!(made.body["agent"]["displayName"], "R2 D2!");
    assert_eq!((register("r2-d2").status, register("x").status), (409, 400));
    assert_eq!((register(&"x".repeat(25)).status, register("!!").status), (400, 400));
    for path in ["/api/bootstrap", "/api/agents/register"] {
        let request = ureq::http::Request::options(format!("{}{path}", sandbox.url())).body(()).unwrap();
        let response = ureq::Agent::new_with_defaults().run(request).unwrap();
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
    }
}
